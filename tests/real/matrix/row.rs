//! A row: one kind in one stage, and which reasons are right for each fault.

use std::sync::Arc;

use super::world::World;
use crate::support::fault::{Fault, Nameserver, Script};

/// Where the fault comes from.
#[derive(Clone)]
pub(super) enum Source {
    /// A nameserver, by the label of the name.
    Name,
    /// The network, by the port.
    Port,
    /// A server over TCP.
    Tcp(Arc<Script>),
    /// A server at a unix socket.
    Unix(Arc<Script>),
    /// A file, by the fault, which otherwise has these bytes.
    File(Vec<u8>),
    /// The place of a unix socket, by the fault.
    Socket,
    /// A file that is read for an attempt at a server without a fault; otherwise it has these bytes.
    Read(Vec<u8>, Arc<Script>),
}

pub(super) struct Row {
    pub(super) kind: &'static str,
    /// The stage, or which part of it.
    pub(super) column: &'static str,
    /// The target, with `ADDR`, `PATH` or `FOLDER` where the fault is.
    pub(super) target: String,
    pub(super) source: Source,
    pub(super) faults: Vec<Fault>,
    /// The first words of the codes that are right for every fault of the row.
    pub(super) stages: &'static [&'static str],
    /// More arguments.
    pub(super) options: Vec<String>,
    /// For a kubeconfig: the URL of the server, with `ADDR`.
    pub(super) api: Option<&'static str>,
    pub(super) number: usize,
}

impl Row {
    fn new(kind: &'static str, column: &'static str, target: &str, source: Source, faults: Vec<Fault>) -> Self {
        let (target, options) = (target.to_owned(), Vec::new());
        Self { kind, column, target, source, faults, stages: &[], options, api: None, number: 0 }
    }

    /// How a kind finds an address for its host. `ADDR` in `target` is the host and port.
    pub(super) fn resolve(kind: &'static str, target: &str) -> Self {
        Self {
            stages: &["resolve.", "local."],
            ..Self::new(kind, "resolve", target, Source::Name, Nameserver::faults().collect())
        }
    }

    /// The same for a record of another type.
    pub(super) fn record(kind: &'static str, target: &str) -> Self {
        Self { column: "record", ..Self::resolve(kind, target) }
    }

    /// A name that must be gone: no fault of a nameserver proves that.
    pub(super) fn gone(kind: &'static str, target: &str) -> Self {
        Self { column: "gone", ..Self::resolve(kind, target) }
    }

    /// An address that must be gone: of these faults only a refusal proves it, and it is none here.
    pub(super) fn gone_at(kind: &'static str, target: &str) -> Self {
        let mut row = Self { column: "gone, address", ..Self::connect(kind, target) };
        row.faults.retain(|fault| *fault != Fault::Reset);
        row
    }

    /// How it connects.
    pub(super) fn connect(kind: &'static str, target: &str) -> Self {
        Self {
            stages: &["connect.", "local."],
            ..Self::new(kind, "connect", target, Source::Port, Fault::CONNECTING.into())
        }
    }

    /// A TLS handshake.
    pub(super) fn tls(kind: &'static str, target: &str, script: Script) -> Self {
        Self { stages: &["tls.", "protocol."], ..Self::spoken(kind, "TLS", target, script, true) }
    }

    /// A conversation that may go wrong, after an answer that may not: the control.
    pub(super) fn protocol(kind: &'static str, column: &'static str, target: &str, script: Script) -> Self {
        Self { stages: &["protocol.", "tls."], ..Self::spoken(kind, column, target, script, false) }
    }

    /// What is expected of an answer.
    pub(super) fn expectation(kind: &'static str, column: &'static str, target: &str, script: Script) -> Self {
        Self { stages: &["expect.", "protocol."], ..Self::spoken(kind, column, target, script, false) }
    }

    fn spoken(kind: &'static str, column: &'static str, target: &str, script: Script, handshake: bool) -> Self {
        let mut faults: Vec<Fault> = Fault::SPOKEN.into();
        if !handshake {
            faults.insert(0, Fault::None);
        }
        Self::new(kind, column, target, Source::Tcp(Arc::new(script)), faults)
    }

    /// The same conversation over a unix socket, which has no reset.
    pub(super) fn over_unix(mut self) -> Self {
        if let Source::Tcp(script) = self.source {
            self.source = Source::Unix(script);
        }
        self.faults.retain(|fault| *fault != Fault::Reset);
        self
    }

    /// A file that has to have what `right` has.
    pub(super) fn file(kind: &'static str, column: &'static str, target: &str, right: &[u8], faults: &[Fault]) -> Self {
        let stages = &["local.", "expect.", "protocol."];
        Self { stages, ..Self::new(kind, column, target, Source::File(right.into()), faults.into()) }
    }

    /// What is at the place of a unix socket. `PATH` in `target` is its path, `FOLDER` the folder that it is in.
    pub(super) fn socket(kind: &'static str, column: &'static str, target: &str) -> Self {
        let stages = &["local.", "connect."];
        Self { stages, ..Self::new(kind, column, target, Source::Socket, Fault::SOCKET.into()) }
    }

    /// The file at `PATH`, which each attempt reads. With it, the server at `ADDR` would be ready.
    pub(super) fn read(kind: &'static str, column: &'static str, target: &str, right: &[u8], script: Script) -> Self {
        let source = Source::Read(right.into(), Arc::new(script));
        Self { stages: &["local."], ..Self::new(kind, column, target, source, Fault::FILE.into()) }
    }

    /// The same with the test's own authority, where a certificate may come.
    pub(super) fn trusting(mut self, world: &World) -> Self {
        if matches!(self.source, Source::Name | Source::Port) {
            return self;
        }
        self.options.push(format!("--ca-file={}", world.authority.file().display()));
        // Where no file can be opened, this one cannot be read either: wrong input, at once.
        if matches!(self.source, Source::Read(..)) {
            self.faults.retain(|fault| *fault != Fault::Descriptors);
        }
        self
    }

    /// The same with the fault's place in a kubeconfig.
    pub(super) fn of_api(mut self, url: &'static str) -> Self {
        self.api = Some(url);
        // Where no socket can be opened, the kubeconfig cannot be read either: wrong input, at once.
        self.faults.retain(|fault| *fault != Fault::Descriptors);
        self
    }

    /// Why `code` is wrong for `fault`, if it is.
    pub(super) fn complaint(&self, fault: Fault, code: &str) -> Option<String> {
        let wanted: &[&str] = match fault {
            Fault::None => return (!code.is_empty()).then(|| "a right answer must be ready".to_owned()),
            Fault::Descriptors => &["local.descriptors"],
            // Nothing comes, or nothing that could be the end of an answer.
            Fault::Silence | Fault::Signal => &[".timeout"],
            Fault::Drip | Fault::FirstByte | Fault::Half | Fault::AllButOne
                if matches!(self.source, Source::Tcp(_) | Source::Unix(_)) =>
            {
                &[".timeout", ".other", ".banner", ".not-tls"]
            }
            Fault::Reset if matches!(self.source, Source::Port) => &["connect.refused"],
            Fault::Close | Fault::Reset if matches!(self.source, Source::Tcp(_) | Source::Unix(_)) => {
                &[".closed", "expect.body"]
            }
            _ if matches!(self.source, Source::Read(..)) => &["local.file"],
            Fault::Unreachable => &["connect.unreachable"],
            Fault::Forbidden if matches!(self.source, Source::File(_)) => &["local.file"],
            Fault::Forbidden => &["connect.denied"],
            Fault::Backlog => &["connect.timeout"],
            Fault::Missing => &["local.missing"],
            _ => &[""],
        };
        let stage = self.stages.iter().any(|stage| code.starts_with(stage));
        let right = stage && wanted.iter().any(|word| code.ends_with(word));
        (!right).then(|| format!("[{code}], expected one of {:?} with one of {wanted:?}", self.stages))
    }
}
