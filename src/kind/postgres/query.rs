//! What waitgate asks a server after the login: its role, and the target's query.
//!
//! waitgate uses the extended protocol and gives no names to statements. The server then accepts only one statement
//! (`…;COMMIT;…` cannot leave the transaction) and sends only the first row. A pooler that shares its sessions between
//! transactions keeps them unchanged.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::context::Context;
use super::errors;
use super::messages::{self, Messages, ServerError};
use super::session::Session;
use crate::kind::answer::{Sort, why_not};
use crate::kind::no_answer::NoAnswer;
use crate::net::stream::Stream;
use crate::reason::{Code, Reason, Stage};

/// The server must end a slow query this long before the attempt ends, so that the reason is the server's own error.
const TIMEOUT_MARGIN: Duration = Duration::from_millis(50);

const AFTER: &str = "when it was sent a query";

/// Checks the server's role, with one of the two statements that libpq uses
/// (fe-connect.c: CONNECTION_CHECK_WRITABLE and CONNECTION_CHECK_STANDBY).
pub(super) async fn role(context: &Context<'_>, stream: &mut Stream) -> Result<(), Reason> {
    let wanted = context.target.info.session;
    let (sql, yes) = match wanted {
        Session::Any => return Ok(()),
        Session::ReadWrite => ("SHOW transaction_read_only", "off"),
        Session::ReadOnly => ("SHOW transaction_read_only", "on"),
        Session::Primary => ("SELECT pg_catalog.pg_is_in_recovery()", "f"),
        Session::Standby => ("SELECT pg_catalog.pg_is_in_recovery()", "t"),
    };
    let peer = stream.peer().clone();
    context.attempt.enter(Stage::Expect, format_args!("the question for the role of {peer}"));
    let found = first_value(context, sql, stream).await?.map_err(|error| errors::of_query(&peer, &error))?;
    if matches!(&found, Found::Value(value) if value.text.as_deref() == Some(yes.as_bytes())) {
        return Ok(());
    }
    let (found, expected) = match wanted {
        Session::ReadWrite => ("takes no writes", "a server that takes writes is expected"),
        Session::ReadOnly => ("takes writes", "a server that takes no writes is expected"),
        Session::Standby => ("is a primary", "a standby is expected"),
        _ => ("is a standby", "a primary is expected"),
    };
    Err(Reason::new(Code::ExpectRole, format!("the server at {peer} {found}; {expected}")))
}

/// Runs the target's query in a read-only transaction, and checks the first column of its first row.
pub(super) async fn query(context: &Context<'_>, sql: &str, stream: &mut Stream) -> Result<(), Reason> {
    let peer = stream.peer().clone();
    let attempt = context.attempt;
    attempt.enter(Stage::Expect, format_args!("the query at {peer}"));
    let left = attempt.until().saturating_duration_since(Instant::now()).saturating_sub(TIMEOUT_MARGIN);
    // SET LOCAL ends with the transaction: another client of a pooler must not get the session with the timeout set.
    // A startup option is not possible, because some poolers refuse it.
    let mut begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {}", left.as_millis().max(1));
    if let Some(path) = &context.target.info.search_path {
        let literal = path.replace('\\', "\\\\").replace('\'', "''");
        let _ = write!(begin, "; SELECT pg_catalog.set_config('search_path', E'{literal}', true)");
    }
    simple(context, &begin, stream).await?.map_err(|error| errors::of_begin(&peer, &error))?;
    let found = first_value(context, sql, stream).await?;
    // A pooler drops a server session that is still in a transaction, also in a failed one.
    simple(context, "ROLLBACK", stream).await?.map_err(|error| errors::of_query(&peer, &error))?;
    let found = found.map_err(|error| errors::of_query(&peer, &error))?;
    let why = match &found {
        Found::Value(value) => value.why_not(),
        Found::NoRow => Some("has no row"),
        Found::NoColumn => Some("has no column: the SELECT must name one"),
        Found::NeverRows => Some("never has a row: the query must be a SELECT"),
    };
    match why {
        None => Ok(()),
        Some(why) => Err(Reason::new(Code::ExpectQuery, format!("the query's answer from {peer} {why}")).with_key(why)),
    }
}

/// What a statement returned.
#[derive(Debug)]
enum Found {
    /// The first column of the first row.
    Value(Value),
    /// There is no row.
    NoRow,
    /// The rows have no column (`SELECT FROM t`).
    NoColumn,
    /// It is a statement that returns no rows, such as `DO` or `SET`, or it is empty.
    NeverRows,
}

/// The first column of the first row.
#[derive(Debug, PartialEq, Eq)]
struct Value {
    /// The object identifier of its type (pg_type.dat). For a domain it is that of the base type.
    kind: u32,
    /// Its text form, unless it is NULL.
    text: Option<Vec<u8>>,
}

impl Value {
    /// Why the value does not count as yes; `None` if it does.
    fn why_not(&self) -> Option<&'static str> {
        let sort = match self.kind {
            // bool.
            16 => Sort::Boolean,
            // int8, int2, int4, oid, float4, float8, money, numeric.
            20 | 21 | 23 | 26 | 700 | 701 | 790 | 1700 => Sort::Number,
            // PostgreSQL pads a char(3), which is a bpchar, with blanks.
            1042 => Sort::Padded,
            // "char", name, text, unknown, varchar.
            18 | 19 | 25 | 705 | 1043 => Sort::Text,
            _ => Sort::Other,
        };
        why_not(sort, self.text.as_deref())
    }
}

/// The outcome of a statement after which the server is ready for the next one.
type Answer<T> = Result<T, ServerError>;

/// Runs one statement and returns the first column of its first row.
async fn first_value(context: &Context<'_>, sql: &str, stream: &mut Stream) -> Result<Answer<Found>, Reason> {
    let mut packet = BytesMut::new();
    let made = frontend::parse("", sql, [], &mut packet)
        .and_then(|()| {
            let nothing = |(), _: &mut BytesMut| Ok(IsNull::Yes);
            frontend::bind("", "", [], std::iter::empty::<()>(), nothing, [0], &mut packet)
                .map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidInput))
        })
        .and_then(|()| frontend::describe(b'P', "", &mut packet))
        .and_then(|()| frontend::execute("", 1, &mut packet));
    if made.is_err() {
        return Err(Reason::new(Code::ExpectQuery, "the query is too long to be sent"));
    }
    frontend::sync(&mut packet);
    let mut kind = 0;
    let mut found = Found::NoRow;
    let answer = converse(context, &packet, stream, |tag, body| {
        match (tag, &found) {
            (b'T', _) if body.starts_with(&[0, 0]) => found = Found::NoColumn,
            (b'T', _) => kind = first_type(body)?,
            // NoData, the answer to Describe.
            (b'n', _) => found = Found::NeverRows,
            (b'D', Found::NoColumn) => {}
            (b'D', Found::NoRow) => found = Found::Value(first_column(kind, body)?),
            // waitgate asked for one row, and COPY sends no row.
            (b'D' | b'G' | b'H' | b'W', _) => return None,
            _ => {}
        }
        Some(())
    })
    .await?;
    Ok(answer.map(|()| found))
}

/// Runs statements whose answer does not matter.
async fn simple(context: &Context<'_>, sql: &str, stream: &mut Stream) -> Result<Answer<()>, Reason> {
    let mut packet = BytesMut::new();
    if frontend::query(sql, &mut packet).is_err() {
        return Err(Reason::new(Code::ExpectQuery, "the query is too long to be sent"));
    }
    converse(context, &packet, stream, |_, _| Some(())).await
}

/// Sends `packet` and reads up to ReadyForQuery.
///
/// `handle` gets each message that belongs to the answer, and returns `None` for one that is not part of a row.
async fn converse(
    context: &Context<'_>,
    packet: &[u8],
    stream: &mut Stream,
    mut handle: impl FnMut(u8, &[u8]) -> Option<()>,
) -> Result<Answer<()>, Reason> {
    let peer = stream.peer().clone();
    if let Err(error) = stream.write_all(packet).await {
        return Err(messages::reason(&error.into(), stream, AFTER));
    }
    let (mut failed, mut last_words) = (None::<ServerError>, None);
    let mut messages = Messages::with_rows(stream);
    let why = loop {
        let message = match messages.next().await {
            Ok(message) => message,
            Err(why) => break why,
        };
        match message.tag {
            b'Z' => return Ok(failed.map_or(Ok(()), Err)),
            b'E' => match ServerError::parse(&message.body, context.attempt) {
                // Keep the first error: the next one is often only its consequence.
                Some(error) => failed = failed.or(Some(error)),
                None => break NoAnswer::Malformed,
            },
            // NoticeResponse, ParameterStatus and NotificationResponse come at any time.
            b'N' => last_words = last_words.or(ServerError::last_words(&message.body, context.attempt)),
            b'S' | b'A' => {}
            b'1' | b'2' | b'C' | b'D' | b'G' | b'H' | b'I' | b'T' | b'W' | b'n' | b's' | b't' => {
                if handle(message.tag, &message.body).is_none() {
                    let why = format!("the query's answer from {peer} is not a row: the query must be a SELECT");
                    return Err(Reason::new(Code::ExpectQuery, why).with_key("form"));
                }
            }
            _ => break NoAnswer::Malformed,
        }
    };
    // A server that shuts down sends an error first (57P01), and then no ReadyForQuery.
    match (failed.or(last_words), why) {
        (Some(error), NoAnswer::Closed) => Err(errors::of_query(&peer, &error)),
        (_, NoAnswer::TooLarge) => Err(messages::too_large(&peer)),
        (_, why) => Err(messages::reason(&why, stream, AFTER)),
    }
}

/// The type of the first column in a RowDescription.
fn first_type(body: &[u8]) -> Option<u32> {
    let (count, fields) = body.split_first_chunk::<2>()?;
    if u16::from_be_bytes(*count) == 0 {
        return None;
    }
    let name = fields.iter().position(|byte| *byte == 0)?;
    // Skip the NUL of the name, the table (4 bytes) and the column's number in it (2 bytes).
    let kind = fields.get(name + 7..name + 11)?;
    Some(u32::from_be_bytes(kind.try_into().ok()?))
}

/// The first column of a DataRow.
fn first_column(kind: u32, body: &[u8]) -> Option<Value> {
    let (count, values) = body.split_first_chunk::<2>()?;
    if u16::from_be_bytes(*count) == 0 {
        return None;
    }
    let (length, value) = values.split_first_chunk::<4>()?;
    let text = match i32::from_be_bytes(*length) {
        -1 => None,
        length => Some(value.get(..usize::try_from(length).ok()?)?.to_vec()),
    };
    Some(Value { kind, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_values_count_as_yes() {
        let rows: &[(u32, &str, Option<&str>)] = &[
            (16, "t", None),
            (16, "f", Some("is false")),
            (25, "f", None),
            (25, "", Some("is empty")),
            (1043, "", Some("is empty")),
            (1042, "   ", Some("is empty")),
            (25, "   ", None),
            (25, "0", None),
            (23, "0", Some("is zero")),
            (20, "10", None),
            (701, "-0", Some("is zero")),
            (701, "1e-10", None),
            (701, "NaN", None),
            (1700, "0.00", Some("is zero")),
            (1700, "0.01", None),
            (790, "$0.00", Some("is zero")),
            (17, "\\x", None),
            (114, "null", None),
            (99_999, "", None),
        ];
        for (kind, text, expected) in rows {
            let value = Value { kind: *kind, text: Some(text.as_bytes().to_vec()) };
            assert_eq!(value.why_not(), *expected, "{kind} {text:?}");
        }
        assert_eq!(Value { kind: 25, text: None }.why_not(), Some("is NULL"));
    }

    #[test]
    fn malformed_rows_are_rejected() {
        let description = b"\0\x01ok\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0";
        assert_eq!(first_type(description), Some(16));
        let row = b"\0\x01\0\0\0\x01t";
        let text = |row: &[u8]| first_column(16, row).map(|value| value.text);
        assert_eq!(text(row), Some(Some(b"t".to_vec())));
        assert_eq!(text(b"\0\x01\xff\xff\xff\xff"), Some(None));
        assert_eq!(text(b"\0\x02\0\0\0\0\xff\xff\xff\xff"), Some(Some(Vec::new())));
        for cut in 0..16 {
            assert!(first_type(&description[..cut.min(15)]).is_none() || cut >= 15, "cut at {cut}");
        }
        for cut in 0..row.len() {
            assert_eq!(text(&row[..cut]), None, "cut at {cut}");
        }
        assert_eq!(text(b"\0\x01\x7f\xff\xff\xfft"), None);
        assert_eq!(text(b"\0\x01\xff\xff\xff\xfe"), None);
        assert_eq!(text(b"\0\0"), None);
        assert_eq!(first_type(b"\0\0"), None);
    }
}
