//! What a fuzzer's server says: whole streams, frames, and answers.

use bytes::Bytes;
use http_types::StatusCode;
use http_types::header::{HeaderMap, HeaderName, HeaderValue};

use super::call::{self, Answer};
use super::message::{ANSWER_MAX, Health};
use super::wire::Wire;
use super::{Grpc, judge, probe};
use crate::attempt::Attempt;
use crate::kind::Ready;
use crate::net::Net;
use crate::net::stream::{Peer, Stream};
use crate::reason::Reason;

/// Judges the answer that `data` describes: the first two bytes are the status of HTTP, then come lines with headers up to an
/// empty one, lines with trailers up to an empty one, and the body.
pub(crate) fn answer(target: &Grpc, data: &[u8], attempt: &Attempt) -> Option<Result<Ready, Reason>> {
    let (status, mut rest) = data.split_first_chunk::<2>()?;
    let mut section = || {
        let mut headers = HeaderMap::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
            let name = HeaderName::from_bytes(&line[..colon]);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&line[colon + 1..])) {
                headers.append(name, value);
            }
        }
        headers
    };
    let (headers, trailers) = (section(), section());
    let trailers = (!trailers.is_empty()).then_some(trailers);
    let status = StatusCode::from_u16(u16::from_be_bytes(*status) % 1000).ok()?;
    let (body, cut) = (rest[..rest.len().min(ANSWER_MAX)].to_vec(), rest.len() > ANSWER_MAX);
    let _ = Health::of(&body);
    let answer = Answer { status, headers, body, cut, trailers };
    Some(judge::judge(target, &answer, &Peer::Unix("/s".to_owned()), attempt))
}

/// Calls over `stream`. It asks for no name, unlike other kinds.
pub(crate) async fn over(target: &Grpc, stream: Stream, _: &Net, attempt: &Attempt) -> Option<Result<Ready, Reason>> {
    let (authority, metadata) = target.metadata(attempt).ok()?;
    let peer = stream.peer().clone();
    let mut wire = Wire::new(stream.limited(call::SESSION_MAX));
    let request = probe::request(target, authority, metadata, attempt);
    Some(match call::call(&mut wire, request, Bytes::from_static(&[0; 5])).await {
        Ok(answer) => judge::judge(target, &answer, &peer, attempt),
        Err(error) => Err(judge::no_answer(target, &error, &wire, &peer)),
    })
}
