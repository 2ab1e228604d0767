//! `amqp:` and `amqps:`: the server answers in AMQP 0-9-1, or, if the target has a password, the login works and the vhost opens.

mod errors;
mod frame;
mod mechanism;
mod params;
mod probe;
mod session;
#[cfg(test)]
mod tests;
mod uri;

use std::fmt;

use anyhow::{Result, bail};

use super::credentials::{PASSWORD, PasswordFile, password_file};
use super::expect::Spec;
use super::tls_options::{self, TlsOptions};
use super::{Kind, Parts, Ready, gone};
use crate::attempt::Attempt;
use crate::net::Net;
use crate::net::sniff::Protocol;
use crate::net::stream::Stream;
use crate::reason::Reason;
use crate::secret::Secret;
use mechanism::{GUEST, Mechanism};
use probe::Context;
use uri::{Location, TEXT_MAX};

/// One server that speaks AMQP 0-9-1: RabbitMQ, LavinMQ, Qpid.
#[derive(Clone, Debug)]
pub(crate) struct Amqp {
    location: Location,
    tls: TlsOptions,
    password_file: Option<PasswordFile>,
    /// Who logs in. `None`: the greeting is enough.
    user: Option<String>,
    mechanisms: Vec<Mechanism>,
    queue: Option<String>,
    publish: bool,
    gone: bool,
    /// The expectations as the log shows them.
    shown: String,
}

impl Kind for Amqp {
    const NAMES: &'static [&'static str] = &["amqp", "amqps"];
    /// Of kombu (Celery), MassTransit, and PHP's Enqueue.
    const ALSO: &'static [&'static str] = &[
        "pyamqp",
        "librabbitmq",
        "rabbitmq",
        "rabbitmqs",
        "amqp+ssl",
        "amqp+tls",
        "amqp+ext",
        "amqp+lib",
        "amqp+bunny",
    ];
    const FORM: &'static str = "amqp:HOST:PORT";
    const HELP: &'static [(&'static str, &'static str)] = &[
        ("amqp:HOST:PORT", "RabbitMQ answers in AMQP 0-9-1 (amqps: for TLS)"),
        ("amqp://USER:PASSWORD@HOST/VHOST", "the login works, and the vhost opens"),
    ];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::flag("login").says("log in, also without a password: as guest"),
        Spec::value("queue", "NAME").says("log in; the queue is there"),
        Spec::flag("publish").says("log in; an empty message is taken and dropped: no alarm blocks publishers"),
        PASSWORD,
        tls_options::CA,
        tls_options::CERT,
        tls_options::KEY,
        tls_options::SERVERNAME,
        tls_options::INSECURE,
        gone::GONE,
    ];
    const SPEAKS: &'static [(Protocol, &'static str)] = &[(Protocol::Amqp, "amqp")];

    fn parse(parts: &Parts<'_>) -> Result<Self> {
        let location = Location::parse(parts)?;
        let it = &parts.expectations;
        if location.tls && cfg!(not(feature = "tls")) {
            bail!("this build has no TLS: a cargo feature left it out (expected amqp:HOST:PORT)");
        }
        if let Some(given) = TlsOptions::given(it).filter(|_| !location.tls) {
            bail!("#{given}: amqp: does not speak TLS (expected amqps://HOST[:PORT])");
        }
        let queue = match it.get("queue") {
            Some("") => bail!("#queue: found nothing (expected #queue=NAME)"),
            Some(name) if name.len() > TEXT_MAX => {
                bail!("#queue: the name is too long (expected at most {TEXT_MAX} bytes)")
            }
            other => other.map(str::to_owned),
        };
        let password_file = password_file(it, location.password.is_some())?;
        let gone = gone::is_given(it, Self::EXPECTATIONS)?;
        let publish = it.has("publish");
        let tls = tls(&location, it)?;
        let mechanisms = match &location.params.mechanisms[..] {
            [] => vec![Mechanism::Plain, Mechanism::AmqPlain],
            given => given.to_vec(),
        };
        let by_certificate = mechanisms.contains(&Mechanism::External);
        if by_certificate && !tls.has_identity() {
            bail!(
                "auth_mechanism=external logs in by a client certificate (expected amqps:// with #cert=FILE and #key=FILE)"
            );
        }
        let has_password = location.password.is_some() || password_file.is_some();
        let user = match &location.user {
            // With a certificate the server finds the user in it.
            _ if by_certificate => Some(location.user.clone().unwrap_or_default()),
            Some(user) if has_password => Some(user.clone()),
            None if has_password => {
                bail!("the user of the login is missing (expected amqp://USER:PASSWORD@HOST/VHOST)")
            }
            Some(_) if it.has("login") || queue.is_some() || publish => {
                bail!("the user's password is missing (expected amqp://USER:PASSWORD@HOST/VHOST or #password=@FILE)")
            }
            // As every client does whose URI has no user.
            None if it.has("login") => Some(GUEST.to_owned()),
            None if queue.is_some() || publish => bail!(
                "#{} needs a login (expected amqp://USER:PASSWORD@HOST/VHOST, or #login for the user guest)",
                if queue.is_some() { "queue" } else { "publish" }
            ),
            _ => None,
        };
        let shown = it.shown();
        Ok(Self { location, tls, password_file, user, mechanisms, queue, publish, gone, shown })
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.location.params.warnings();
        if self.location.empty_vhost && self.user.is_some() && !self.gone {
            warnings.push(
                "the path is '/' alone, which is the vhost with an empty name: leave the '/' out for the vhost / (pika, kombu and others take it for that one)"
                    .to_owned(),
            );
        }
        if self.location.user.is_some() && self.user.is_none() && !self.gone {
            warnings.push("the user has no password, so waitgate does not log in".to_owned());
        }
        if self.tls.is_insecure() {
            warnings.push(tls_options::INSECURE_WARNING.to_owned());
        }
        warnings
    }

    fn ready_when(&self) -> String {
        let logs_in = "the login works, and the vhost opens";
        if self.user.is_some() { logs_in } else { "the server answers in AMQP 0-9-1" }.to_owned()
    }

    fn uses_tls(&self) -> bool {
        self.location.tls
    }

    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        if self.gone {
            return gone::probe(net, &self.location.host, self.location.port, attempt).await;
        }
        Context::new(self, net, attempt)?.run().await
    }
}

impl Amqp {
    /// Tries one connection, for the fuzzers.
    pub(crate) async fn over(&self, stream: Stream, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        Context::new(self, net, attempt)?.on(stream).await.map_err(|failed| failed.reason)
    }

    /// The password of a login as guest.
    fn own_password(&self) -> Secret {
        self.location.password.clone().unwrap_or_else(|| Secret::new(GUEST))
    }
}

/// The files of TLS, from the URI and the expectations. One may be given in one of them, and not in both: one would be dropped.
fn tls(location: &Location, it: &super::expect::Expectations) -> Result<TlsOptions> {
    let params = &location.params;
    let mut options = TlsOptions::parse(it)?;
    TlsOptions::not_both(
        it,
        &[
            (params.ca.is_some(), "cacertfile", tls_options::CA.name),
            (params.ca.is_some(), "cacertfile", tls_options::INSECURE.name),
            (params.cert.is_some(), "certfile", tls_options::CERT.name),
            (params.server_name.is_some(), "server_name_indication", tls_options::SERVERNAME.name),
            (params.unverified, "a URL without verification", tls_options::CA.name),
        ],
    )?;
    // Without a key file, the certificate's file has the key too.
    let key = params.key.clone().or_else(|| params.cert.clone());
    options.or_files(params.ca.clone(), params.cert.clone().zip(key));
    options.or_name(params.server_name.as_deref());
    Ok(options)
}

impl fmt::Display for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", crate::text::printable(&self.location.to_string()), self.shown)
    }
}
