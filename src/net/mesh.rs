//! Whether a refusal came from the Service that was asked, or from a mesh that takes over every connection of this
//! Pod while its sidecar is not there to serve them.
//!
//! The rules of Istio's CNI plugin stand before any init container runs, and send whatever leaves the Pod to a port
//! that only the sidecar opens; a sidecar that is an ordinary container starts after the init containers (istio.io:
//! setup/additional-setup/cni). The refusal looks like the Service's own. The nameserver tells them apart: DNS servers
//! serve both UDP and TCP (RFC 7766 section 5), so one that has just answered over UDP and refuses TCP was not asked.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{self, Instant};

use super::names::resolver::Resolver;
use crate::attempt::Attempt;
use crate::reason::{Hint, Reason};

/// A rule on this node refuses at once. Who has to be waited for is no such rule, and an attempt must not be held up.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How long a refusal is taken to hold: a fleet must not cost the DNS a connection an attempt.
const HOLDS: Duration = Duration::from_mins(1);

/// What is known so far.
#[derive(Default)]
pub(crate) struct Mesh(Cell<Known>);

#[derive(Clone, Copy, Default)]
enum Known {
    #[default]
    Nothing,
    /// Somebody is finding it out.
    Underway,
    /// The nameserver takes connections, or is silent about them. The rules stand before any container starts.
    NoMesh,
    /// It refused, then.
    Refuses(Instant),
}

impl Mesh {
    /// `reason` with the mesh's hint, where connections to the nameserver that has answered over UDP are refused, too.
    pub(crate) async fn second_look(&self, reason: Reason, resolver: &Resolver, attempt: &Attempt) -> Reason {
        if !matches!(reason.hint(), Some(Hint::NoReadyPod | Hint::PodsRefuse)) {
            return reason;
        }
        let refused = match self.0.get() {
            Known::Refuses(at) if at.elapsed() < HOLDS => true,
            Known::NoMesh | Known::Underway => false,
            // What is left of the attempt is for its own reason.
            _ if Instant::now() + 2 * AT_ONCE > attempt.until() => false,
            Known::Nothing | Known::Refuses(_) => {
                let Some(nameserver) = resolver.answered() else { return reason };
                self.0.set(Known::Underway);
                let refused = refuses(nameserver).await;
                self.0.set(if refused { Known::Refuses(Instant::now()) } else { Known::NoMesh });
                refused
            }
        };
        if refused { reason.with_hint(Hint::Mesh) } else { reason }
    }
}

/// Whether a connection to `address` is refused at once.
async fn refuses(address: SocketAddr) -> bool {
    let connected = time::timeout(AT_ONCE, TcpStream::connect(address)).await;
    matches!(connected, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused)
}
