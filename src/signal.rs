//! The signals that end the wait.

use std::fmt;
use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A signal that asks waitgate to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The kubelet and `docker stop` send this first, and SIGKILL after a grace period.
    Terminate,
    /// Ctrl-C on a terminal.
    Interrupt,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

/// Handlers for both, from the moment they are made. The kernel gives PID 1 no default action for
/// either, so that without a handler a container would sit out its whole grace period.
///
/// SIGHUP is left as it was found: a terminal that goes away ends what runs on it, and nobody is left to read a last
/// line; under nohup, where it is ignored, and as PID 1, where its default does nothing, the wait goes on.
pub(crate) struct Signals {
    terminate: Stream,
    interrupt: Stream,
}

impl Signals {
    /// Installs the handlers; needs a runtime with I/O.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The first of them to arrive.
    pub(crate) async fn arrived(&mut self) -> Signal {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            // Only a runtime that is being torn down closes these streams.
            else => std::future::pending().await,
        }
    }
}
