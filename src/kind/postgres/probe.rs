//! One attempt: every server, every address, and both ways of an sslmode, until one is ready.

#[cfg(feature = "tls")]
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
#[cfg(feature = "tls")]
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::time::{self, Instant};

use super::negotiate::{self, Unopened, Way};
use super::passfile::{self, Wanted};
use super::sslmode::SslMode;
#[cfg(feature = "tls")]
use super::uri::Binding;
use super::uri::{Conninfo, Place, Server};
use super::{Postgres, errors, login, ping};
use crate::attempt::Attempt;
use crate::kind::credentials::{read_password, read_text};
use crate::kind::{Ready, gone};
use crate::net::Net;
use crate::net::address::Host;
use crate::net::connect;
use crate::net::race::race;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};
use crate::secret::Secret;
use crate::text::printable;

/// What one attempt works with. The files of a target are read once for it.
pub(super) struct Probe<'a> {
    pub(super) target: &'a Postgres,
    pub(super) net: &'a Net,
    pub(super) attempt: &'a Attempt,
    passwords: Passwords,
    #[cfg(feature = "tls")]
    tls: OnceCell<Arc<rustls::ClientConfig>>,
}

/// Where the password comes from.
enum Passwords {
    /// Nowhere.
    None,
    /// The target, the environment or its own file.
    Given(Secret),
    /// A password file in libpq's format; whether others may read it.
    Lines(Secret, bool),
}

/// Why one session failed, with the SQLSTATE if it was the server's word.
pub(super) struct Failed {
    pub(super) reason: Reason,
    pub(super) code: String,
}

impl Failed {
    pub(super) fn here(reason: Reason) -> Self {
        Self { reason, code: String::new() }
    }
}

impl<'a> Probe<'a> {
    /// Reads the files that the target names; nothing has been connected to when one cannot be read.
    pub(super) fn new(target: &'a Postgres, net: &'a Net, attempt: &'a Attempt) -> Result<Self, Reason> {
        // Nobody is logged in to what is gone.
        let passwords = if target.gone { Passwords::None } else { passwords(target)? };
        let probe = Self {
            target,
            net,
            attempt,
            passwords,
            #[cfg(feature = "tls")]
            tls: OnceCell::new(),
        };
        #[cfg(feature = "tls")]
        if !target.gone && target.info.names_tls_files() {
            probe.tls()?;
        }
        Ok(probe)
    }

    /// Probes the servers in order.
    pub(super) async fn run(&self) -> Result<Ready, Reason> {
        let info = &self.target.info;
        let places = &info.places;
        let mut failed = Vec::new();
        for (at, place) in places.iter().enumerate() {
            // A silent server must not use up what the next ones need.
            let until = share(self.attempt.until(), places.len() - at);
            let until = info.connect_timeout.map_or(until, |bound| until.min(Instant::now() + bound));
            let outcome = match (at + 1 == places.len(), info.connect_timeout) {
                // The last one has all that is left, and the gate cuts it off.
                (true, None) => self.at_place(place, until).await,
                _ => time::timeout_at(until, self.at_place(place, until))
                    .await
                    .unwrap_or_else(|_| Err(self.attempt.cut_off())),
            };
            match outcome {
                Ok(ready) => return Ok(ready),
                Err(reason) => failed.push((place, reason)),
            }
        }
        Err(most_telling(failed))
    }

    /// Probes each address of one server until one is ready.
    async fn at_place(&self, place: &Place, until: Instant) -> Result<Ready, Reason> {
        let host = match &place.server {
            Server::Host(host) => host,
            Server::Folder(folder) => return self.at_socket(place, folder).await,
        };
        let mut addresses = match place.hostaddr {
            Some(ip) => connect::resolve(self.net, &Host::Ip(ip), place.port, self.attempt).await?,
            None => connect::resolve(self.net, host, place.port, self.attempt).await?,
        };
        let mut failed: Vec<(SocketAddr, Reason)> = Vec::new();
        while !addresses.is_empty() {
            let first = race(&addresses, self.attempt, async |address| {
                connect::one(address, self.attempt).await.map(|stream| (address, stream))
            });
            let (address, stream) = match first.await {
                Ok(first) => first,
                Err(mut each) => {
                    failed.append(&mut each);
                    break;
                }
            };
            let outcome = if addresses.len() == 1 {
                self.session(place, address, stream).await
            } else {
                let bounded = time::timeout_at(share(until, addresses.len()), self.session(place, address, stream));
                bounded.await.unwrap_or_else(|_| Err(self.attempt.cut_off()))
            };
            match outcome {
                Ok(ready) => return Ok(ready),
                Err(reason) => {
                    // A name's addresses share their accounts: a refused password is an entry in a log, and to
                    // some a step towards a lock. libpq asks no other after it either (manual: Specifying
                    // Multiple Hosts); what pg_hba.conf refuses (28000) may differ by address, and goes on.
                    let refused = reason.code() == Code::ProtocolPassword && self.password(place).is_some();
                    failed.push((address, reason));
                    if refused {
                        break;
                    }
                }
            }
            addresses.retain(|other| *other != address);
        }
        Err(connect::explain(self.net, host, &failed))
    }

    /// Probes a unix socket, on which libpq speaks no TLS whatever the sslmode.
    async fn at_socket(&self, place: &Place, folder: &str) -> Result<Ready, Reason> {
        let stream = self.socket(folder, place.port).await?;
        self.one_way(Way::Plain, place, stream).await.map_err(|(reason, _)| reason)
    }

    async fn socket(&self, folder: &str, port: u16) -> Result<Stream, Reason> {
        let path = Place::socket(folder, port);
        let name = printable(&path);
        self.attempt.enter(Stage::Connect, &name);
        match UnixStream::connect(&path).await {
            Ok(socket) => {
                self.attempt.accept();
                Ok(Stream::unix(socket, Path::new(&path)))
            }
            Err(error) => Err(connect::unix_failure(&name, &error)),
        }
    }

    /// Ready when nobody is there any more, at any of the servers.
    pub(super) async fn gone(&self) -> Result<Ready, Reason> {
        let mut notes = Vec::new();
        for place in &self.target.info.places {
            let ready = match (&place.server, place.hostaddr) {
                (_, Some(ip)) => gone::probe(self.net, &Host::Ip(ip), place.port, self.attempt).await?,
                (Server::Host(host), None) => gone::probe(self.net, host, place.port, self.attempt).await?,
                (Server::Folder(folder), None) => match self.socket(folder, place.port).await {
                    Ok(stream) => return Err(gone::still_there(&stream.peer())),
                    Err(reason) if matches!(reason.code(), Code::ConnectRefused | Code::LocalMissing) => {
                        Ready::noted(reason.text())
                    }
                    Err(reason) => return Err(reason),
                },
            };
            notes.extend(ready.note);
        }
        Ok(Ready::noted(notes.join("; ")))
    }

    /// Probes one address, and once more the other way where sslmode has two and the first one failed.
    async fn session(&self, place: &Place, address: SocketAddr, stream: Stream) -> Result<Ready, Reason> {
        let (way, other) = negotiate::ways(self.target.info.ssl_mode);
        let (first, again) = match self.one_way(way, place, stream).await {
            Ok(ready) => return Ok(ready),
            Err(outcome) => outcome,
        };
        let Some(other) = other.filter(|_| again) else { return Err(first) };
        let stream = connect::one(address, self.attempt).await?;
        match self.one_way(other, place, stream).await {
            Ok(ready) => Ok(ready),
            Err((second, _)) => {
                let with = if way == Way::Plain { "without TLS" } else { "with TLS" };
                Err(second.with_text(format!("{}; before that, {with}: {}", second.text(), first.text())))
            }
        }
    }

    /// Probes over one connection; a failure comes with whether the other way may cure it.
    async fn one_way(&self, way: Way, place: &Place, stream: Stream) -> Result<Ready, (Reason, bool)> {
        let peer = stream.peer();
        let opened = match negotiate::open(self, way, place, stream).await {
            Ok(opened) => opened,
            Err(Unopened::Handshake(reason)) => return Err((reason, true)),
            Err(Unopened::Reason(reason)) => return Err((reason, false)),
            Err(Unopened::Said(error)) => return Err((errors::reason(&peer, &error), false)),
        };
        let encrypted = opened.encrypted;
        let outcome = if self.target.login {
            let password = self.password(place);
            let outcome = login::login(self, opened.stream, password.as_ref()).await;
            let unfit = password.is_none() && matches!(self.passwords, Passwords::Lines(..));
            outcome.map_err(|Failed { reason, code }| {
                let unfit = unfit && reason.code() == Code::ProtocolPassword;
                let told = || reason.with_text(format!("{}: no line of the password file fits", reason.text()));
                Failed { reason: if unfit { told() } else { reason }, code }
            })
        } else {
            ping::ping(self, opened.stream).await
        };
        outcome.map_err(|failed| {
            // pg_hba.conf may let in by one way only (hostssl, hostnossl), and then says 28000.
            let not_so = failed.code == "28000";
            let again = not_so && encrypted == (way == Way::Offered);
            // The server names the lack of encryption in this case only ("SSL off" before PostgreSQL 14).
            let bare = ["no encryption", "SSL off"].iter().any(|words| failed.reason.text().contains(words));
            if not_so && bare && self.target.info.ssl_mode == SslMode::Disable {
                let said = failed.reason.text();
                let text = format!("{said}; it may take TLS only, which sslmode=disable forbids");
                return (failed.reason.with_text(text), again);
            }
            (failed.reason, again)
        })
    }

    /// The password for one server.
    fn password(&self, place: &Place) -> Option<Secret> {
        match &self.passwords {
            Passwords::None => None,
            Passwords::Given(password) => Some(password.clone()),
            Passwords::Lines(text, open) => {
                // libpq takes no password from a file that others may read; a Secret that is mounted for a user
                // other than root is group-readable (fsGroup), so here it counts, with a word about it.
                if let (true, Some(path)) = (open, &self.target.info.passfile) {
                    let odd =
                        format!("others can read the password file {path}: it is used, and libpq would ignore it");
                    self.net.notice(&crate::text::printable(&odd));
                }
                let Conninfo { user, database, .. } = &self.target.info;
                let host = place.in_passfile();
                let wanted =
                    Wanted { host: &host, port: place.port, database: database.as_ref().unwrap_or(user), user };
                passfile::find(text.expose(), &wanted)
            }
        }
    }

    /// How TLS is spoken with each of the servers.
    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Result<Arc<rustls::ClientConfig>, Reason> {
        use super::sslmode::RootCert;
        use crate::net::tls::Verify;
        use crate::net::tls::files::{self, Pem};
        use crate::net::tls::roots::Roots;
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let info = &self.target.info;
        let verify = match info.ssl_mode {
            SslMode::VerifyFull => Verify::Full,
            SslMode::VerifyCa => Verify::Chain,
            // A login that is bound to a certificate is bound to nobody unless its key is there too.
            _ if info.binding == Binding::Require => Verify::Key,
            _ => Verify::Nothing,
        };
        let verified = !matches!(verify, Verify::Nothing | Verify::Key);
        let (roots, ca) = match &info.root_cert {
            RootCert::Unset if verified => (Roots::Run, None),
            RootCert::File(path) if verified => (Roots::Mozilla, Some(Pem::new("sslrootcert", path))),
            _ => (Roots::Mozilla, None),
        };
        let identity = info.identity.as_ref().map(|(cert, key)| (Pem::new("sslcert", cert), Pem::new("sslkey", key)));
        let config = files::config(&self.net.tls, verify, roots, ca.as_ref(), identity.as_ref())?;
        Ok(Arc::clone(self.tls.get_or_init(|| config)))
    }
}

/// The passwords as they are now.
fn passwords(target: &Postgres) -> Result<Passwords, Reason> {
    if let Some(path) = &target.password_file {
        return read_password(path).map(Passwords::Given);
    }
    if let Some(password) = &target.info.password {
        return Ok(Passwords::Given(password.clone()));
    }
    let Some(path) = &target.info.passfile else { return Ok(Passwords::None) };
    let what = format!("the password file {path}");
    let lines = read_text(path, &what)?;
    let open = std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o077 != 0);
    Ok(Passwords::Lines(Secret::new(lines), open))
}

/// The instant at which the first of `left` contenders has used up its share of what remains until `end`.
fn share(end: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + end.saturating_duration_since(now) / left
}

/// One reason for several servers: the one that got furthest, and what the others did.
fn most_telling(failed: Vec<(&Place, Reason)>) -> Reason {
    let several = failed.len() > 1;
    let text: Vec<String> = failed.iter().map(|(place, reason)| format!("{place}: {}", reason.text())).collect();
    let main = failed.into_iter().map(|(_, reason)| reason).max_by_key(Reason::stage);
    match main {
        Some(main) if several => main.with_text(text.join("; ")),
        Some(main) => main,
        None => Reason::new(Code::ResolveNoAddresses, "no host to connect to"),
    }
}
