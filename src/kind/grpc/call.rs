//! One unary call over one HTTP/2 connection, and the end of that connection (grpc: doc/PROTOCOL-HTTP2.md, RFC 9113).

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use h2::client::{Builder, SendRequest};
use http_types::header::HeaderMap;
use http_types::{Request, StatusCode};
use tokio::time;

use super::message::ANSWER_MAX;
use super::wire::Wire;

/// The bound on all that a server sends in one session. An answer has some hundred bytes.
pub(super) const SESSION_MAX: u64 = 64 * 1024;

/// The most bytes of headers, as SETTINGS_MAX_HEADER_LIST_SIZE counts them. gRPC's C core has the same bound.
pub(super) const HEADERS_MAX: u16 = 16 * 1024;

/// The smallest bound on a frame that HTTP/2 knows (RFC 9113 section 4.2).
const FRAME_MAX: u16 = 16 * 1024;

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_millis(200);

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The body, and not more of it than a message needs.
    pub(super) body: Vec<u8>,
    /// Whether the body is longer.
    pub(super) cut: bool,
    /// `None`: the answer ended without any.
    pub(super) trailers: Option<HeaderMap>,
}

/// Sends `request` with the body `message`, and reads the answer. Afterwards it says goodbye, as clients of gRPC do: a
/// server logs nothing then.
pub(super) async fn call(wire: &mut Wire, request: Request<()>, message: Bytes) -> Result<Answer, h2::Error> {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(FRAME_MAX.into())
        .max_frame_size(FRAME_MAX.into())
        .max_header_list_size(HEADERS_MAX.into())
        .max_send_buffer_size(FRAME_MAX.into())
        .max_concurrent_reset_streams(0)
        .header_table_size(0);
    let (send, connection) = builder.handshake(wire).await?;
    let mut connection = pin!(connection);
    let exchange = pin!(exchange(send, request, message));
    match select(exchange, &mut connection).await {
        Either::Left((outcome, _)) => {
            // No stream is left, so the connection ends itself with a GOAWAY.
            let _ = time::timeout(FAREWELL, connection).await;
            outcome
        }
        // The answer may have come with the end of the connection.
        Either::Right((ended, exchange)) => match (exchange.now_or_never(), ended) {
            (Some(Ok(answer)), _) => Ok(answer),
            (_, Err(error)) | (Some(Err(error)), Ok(())) => Err(error),
            (None, Ok(())) => Err(h2::Reason::NO_ERROR.into()),
        },
    }
}

async fn exchange(send: SendRequest<Bytes>, request: Request<()>, message: Bytes) -> Result<Answer, h2::Error> {
    let mut send = send.ready().await?;
    let (response, mut stream) = send.send_request(request, false)?;
    stream.send_data(message, true)?;
    let (head, mut incoming) = response.await?.into_parts();
    let mut answer =
        Answer { status: head.status, headers: head.headers, body: Vec::new(), cut: false, trailers: None };
    while let Some(data) = incoming.data().await {
        let data = data?;
        let room = ANSWER_MAX - answer.body.len();
        answer.body.extend(&data[..data.len().min(room)]);
        if data.len() > room {
            answer.cut = true;
            return Ok(answer);
        }
        incoming.flow_control().release_capacity(data.len())?;
    }
    answer.trailers = incoming.trailers().await?;
    Ok(answer)
}
