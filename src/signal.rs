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

/// The handlers for both signals. The kernel gives PID 1 no default action for them. Without a handler, a container
/// would run until the end of its grace period.
///
/// waitgate does not handle SIGHUP. If its terminal closes, the signal ends waitgate, and there is no reader for a last
/// line. Under nohup the signal is ignored, and PID 1 has no default action for it, so there the wait goes on.
pub(crate) struct Signals {
    terminate: Stream,
    interrupt: Stream,
}

impl Signals {
    /// Installs the handlers. It needs a tokio runtime with I/O.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal.
    pub(crate) async fn arrived(&mut self) -> Signal {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            // These streams close only when the runtime ends.
            else => std::future::pending().await,
        }
    }
}
