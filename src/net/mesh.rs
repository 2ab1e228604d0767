//! Whether the Service refused a connection, or a service mesh whose sidecar has not started yet.
//!
//! Istio's CNI plugin sets its rules before any init container runs. They send every connection of the Pod to a port
//! that only the sidecar opens. A sidecar that is an ordinary container starts after the init containers (istio.io:
//! setup/additional-setup/cni), so until then the Pod's own network refuses, and this looks like a refusal by the
//! Service. The nameserver shows the difference: DNS servers serve both UDP and TCP (RFC 7766 section 5). If a
//! nameserver has just answered over UDP and TCP to it is refused, the TCP connection did not reach it.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{self, Instant};

use super::names::resolver::Resolver;
use crate::attempt::Attempt;
use crate::reason::{Hint, Reason};

/// The bound on the connection to the nameserver. A rule on this node refuses at once, so waitgate need not wait
/// longer.
const CHECK_MAX: Duration = Duration::from_millis(50);

/// For how long a refusal is not checked again: many Pods must not open a connection to the DNS for each attempt.
const CHECK_EVERY: Duration = Duration::from_mins(1);

/// What is known so far.
#[derive(Default)]
pub(crate) struct Mesh(Cell<State>);

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Unknown,
    /// Another attempt is checking now.
    Checking,
    /// The nameserver accepted the connection or was silent. This does not change: a mesh sets its rules before any
    /// container starts.
    NoMesh,
    /// The connection was refused at this time.
    Refused(Instant),
}

impl Mesh {
    /// `reason`, with the mesh's hint if that is known already. This opens no connection.
    pub(crate) fn as_checked(&self, reason: Reason) -> Reason {
        let concerned = matches!(reason.hint(), Some(Hint::NoReadyPod | Hint::PodsRefuse));
        let refused = matches!(self.0.get(), State::Refused(at) if at.elapsed() < CHECK_EVERY);
        if concerned && refused { reason.with_hint(Hint::Mesh) } else { reason }
    }

    /// `reason`, with the mesh's hint if the nameserver has answered over UDP and a connection to it is refused.
    pub(crate) async fn recheck(&self, reason: Reason, resolver: &Resolver, attempt: &Attempt) -> Reason {
        if !matches!(reason.hint(), Some(Hint::NoReadyPod | Hint::PodsRefuse)) {
            return reason;
        }
        let refused = match self.0.get() {
            State::Refused(at) if at.elapsed() < CHECK_EVERY => true,
            State::NoMesh | State::Checking => false,
            // Too little time is left: the attempt must still report its own reason.
            _ if Instant::now() + 2 * CHECK_MAX > attempt.until() => false,
            State::Unknown | State::Refused(_) => {
                let Some(nameserver) = resolver.answered() else { return reason };
                self.0.set(State::Checking);
                let refused = refuses(nameserver).await;
                self.0.set(if refused { State::Refused(Instant::now()) } else { State::NoMesh });
                refused
            }
        };
        if refused { reason.with_hint(Hint::Mesh) } else { reason }
    }
}

/// Whether a connection to `address` is refused within 50 ms.
async fn refuses(address: SocketAddr) -> bool {
    let connected = time::timeout(CHECK_MAX, TcpStream::connect(address)).await;
    matches!(connected, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused)
}
