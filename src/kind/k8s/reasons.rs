//! What a refusal of the API server means.

use std::time::Duration;

use crate::net::stream::Peer;
use crate::reason::{Code, Cost, Hint, Reason};

/// The longest pause that the server may ask for.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The server answered with another status than 200.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) retry_after: Option<u64>,
    /// The server's words, fit for a log.
    pub(super) said: String,
    /// Whether the words are about an object, and not about the path (which is not served).
    pub(super) names_object: bool,
}

/// The reason for an answer that is no 200. `what` is what waitgate asked for: "job migrate".
pub(super) fn refused(refusal: &Refusal, what: &str, peer: &Peer, with_token: bool) -> Reason {
    let Refusal { status, said, .. } = refusal;
    match status {
        401 => {
            let how = if with_token { "does not accept the token" } else { "wants a login" };
            Reason::new(Code::ProtocolNotAuthorized, format!("{peer} {how} (401 {said})"))
                .with_key(401)
                .with_cost(Cost::Credentials)
                .with_hint(with_token.then_some(Hint::ApiToken))
        }
        403 => Reason::new(Code::ProtocolForbidden, format!("{peer} forbids it (403): {said}")).with_key(403),
        404 => Reason::new(Code::ExpectMissing, format!("{peer} does not serve {what} (404): {said}")).with_key(404),
        429 => Reason::new(Code::ProtocolNotAccepting, format!("{peer} has too many requests (429): {said}"))
            .with_key(429)
            .with_cost(Cost::Work),
        500..=599 => Reason::new(Code::ProtocolNotAccepting, format!("{peer} answers {status}: {said}"))
            .with_key(status)
            .with_cost(Cost::Work),
        _ => Reason::new(Code::ProtocolError, format!("{peer} answers {status}: {said}")).with_key(status),
    }
}
