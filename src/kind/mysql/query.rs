//! What waitgate asks a server after the login: its role, and the target's query.

use super::Role;
use super::context::Context;
use super::errors::{self, ServerError};
use super::packet::{ERR, Fields, Wire};
use super::session::{Session, no_packet};
use crate::kind::answer::{Sort, why_not};
use crate::kind::no_answer::NoAnswer;
use crate::reason::{Code, Reason, Stage};
use std::time::Duration;
use tokio::time::Instant;

/// The server must end a slow query this long before the attempt ends, so that the reason is the server's own error.
const TIMEOUT_MARGIN: Duration = Duration::from_millis(50);

const AFTER: &str = "when it was sent a query";

// Commands (mysql's my_command.h).
const QUERY: u8 = 3;
const PREPARE: u8 = 0x16;
const CLOSE: u8 = 0x19;

/// A server without this variable is older than it.
const UNKNOWN_VARIABLE: u16 = 1193;

/// The first byte of a packet that ends a list.
const EOF: u8 = 0xfe;

/// Checks the role and the query that the target expects.
pub(super) async fn ask(context: &Context<'_>, session: &mut Session) -> Result<(), Reason> {
    if let Some(wanted) = context.target.role {
        role(context, session, wanted).await?;
    }
    match &context.target.query {
        Some(sql) => query(context, session, sql).await,
        None => Ok(()),
    }
}

/// A replica is a server that takes no writes: `super_read_only` sets `read_only` too.
async fn role(context: &Context<'_>, session: &mut Session, wanted: Role) -> Result<(), Reason> {
    let peer = session.wire.peer();
    context.attempt.enter(Stage::Expect, format_args!("the question for the role of {peer}"));
    let value = rows(&mut session.wire, "SELECT @@global.read_only").await?;
    let value = value.map_err(|error| errors::of_query(&peer, &error, context.attempt))?;
    let Answer::Row(Value { text: Some(text), .. }) = value else {
        return Err(no_packet(&NoAnswer::Malformed, &session.wire, AFTER));
    };
    // MariaDB 12 has words: OFF, ON, NO_LOCK, NO_LOCK_NO_ADMIN.
    let found = if text == b"0" || text.eq_ignore_ascii_case(b"OFF") { Role::Primary } else { Role::Replica };
    let (found, expected) = match (found, wanted) {
        (Role::Primary, Role::Replica) => ("takes writes (read_only is off)", "a replica is expected"),
        (Role::Replica, Role::Primary) => ("takes no writes (read_only is on)", "a primary is expected"),
        _ => return Ok(()),
    };
    Err(Reason::new(Code::ExpectRole, format!("the server at {peer} {found}; {expected}")))
}

/// Runs the target's query in a read-only transaction, and checks the first column of its first row.
async fn query(context: &Context<'_>, session: &mut Session, sql: &str) -> Result<(), Reason> {
    let peer = session.wire.peer();
    let attempt = context.attempt;
    attempt.enter(Stage::Expect, format_args!("the query at {peer}"));
    let failed = |error: ServerError| errors::of_query(&peer, &error, context.attempt);
    let left = attempt.until().saturating_duration_since(Instant::now()).saturating_sub(TIMEOUT_MARGIN);
    // A server goes on with a query whose client has left, so the query has a bound at the server too.
    let bound = if session.greeting.is_mariadb() {
        format!("max_statement_time={:.3}", left.as_secs_f64().max(0.001))
    } else {
        format!("max_execution_time={}", left.as_millis().max(1))
    };
    let wire = &mut session.wire;
    // For the whole session: MariaDB lets CREATE end a START TRANSACTION READ ONLY, and run.
    rows(wire, "SET SESSION TRANSACTION READ ONLY").await?.map_err(failed)?;
    match rows(wire, &format!("SET SESSION sql_select_limit=1, {bound}")).await? {
        Err(error) if error.number != UNKNOWN_VARIABLE => return Err(failed(error)),
        _ => {}
    }
    // A statement that returns no rows may write what no transaction holds back: SELECT … INTO OUTFILE, SET GLOBAL, CALL.
    let columns = prepared_columns(wire, sql).await?.map_err(failed)?;
    let not_rows = || {
        let why = format!("the query's answer from {peer} is not a row: the query must be a SELECT");
        Reason::new(Code::ExpectQuery, why).with_key("form")
    };
    if columns == 0 {
        return Err(not_rows());
    }
    rows(wire, "START TRANSACTION").await?.map_err(failed)?;
    let why = match rows(wire, sql).await?.map_err(failed)? {
        Answer::Done => return Err(not_rows()),
        Answer::NoRow => Some("has no row"),
        Answer::Row(value) => why_not(value.sort(), value.text.as_deref()),
    };
    match why {
        None => Ok(()),
        Some(why) => Err(Reason::new(Code::ExpectQuery, format!("the query's answer from {peer} {why}")).with_key(why)),
    }
}

/// The first column of the first row.
#[derive(Debug, PartialEq, Eq)]
struct Value {
    /// Its type (field_types.h: MYSQL_TYPE_…).
    kind: u8,
    /// Its text form, unless it is NULL.
    text: Option<Vec<u8>>,
}

impl Value {
    fn sort(&self) -> Sort {
        match self.kind {
            // DECIMAL, TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, YEAR, NEWDECIMAL. A BOOLEAN is a TINY.
            0..=5 | 8 | 9 | 13 | 246 => Sort::Number,
            16 => Sort::Bits,
            // VARCHAR, ENUM, SET, the BLOBs and TEXTs, VAR_STRING, STRING.
            15 | 247..=254 => Sort::Text,
            _ => Sort::Other,
        }
    }
}

/// What a statement returned.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It is done and returns no rows.
    Done,
    NoRow,
    Row(Value),
}

/// Runs one statement, and reads its answer to the end.
async fn rows(wire: &mut Wire, sql: &str) -> Result<Result<Answer, ServerError>, Reason> {
    let answer = async {
        wire.command(QUERY, sql.as_bytes()).await?;
        let head = wire.read().await?;
        let columns = match head.first() {
            Some(0) => return Ok(Ok(Answer::Done)),
            Some(&ERR) => return error(&head),
            // A request for a local file has another first byte, and waitgate does not offer that.
            _ => Fields(&head).number().filter(|count| *count > 0).ok_or(NoAnswer::Malformed)?,
        };
        let mut kind = None;
        for _ in 0..columns {
            let column = wire.read().await?;
            kind.get_or_insert(column_type(&column).ok_or(NoAnswer::Malformed)?);
        }
        let kind = kind.ok_or(NoAnswer::Malformed)?;
        if !is_eof(&wire.read().await?) {
            return Err(NoAnswer::Malformed);
        }
        let mut answer = Answer::NoRow;
        loop {
            let row = wire.read().await?;
            if row.first() == Some(&ERR) {
                return error(&row);
            }
            if is_eof(&row) {
                return Ok(Ok(answer));
            }
            if answer == Answer::NoRow {
                answer = Answer::Row(first_value(kind, &row).ok_or(NoAnswer::Malformed)?);
            }
        }
    };
    let answer: Result<_, NoAnswer> = answer.await;
    answer.map_err(|why| no_packet(&why, wire, AFTER))
}

/// How many columns the statement returns, without running it.
async fn prepared_columns(wire: &mut Wire, sql: &str) -> Result<Result<u16, ServerError>, Reason> {
    let answer = async {
        wire.command(PREPARE, sql.as_bytes()).await?;
        let head = wire.read().await?;
        if head.first() == Some(&ERR) {
            return error(&head);
        }
        let mut fields = Fields(&head);
        let prepared = (fields.byte(), fields.bytes(4), fields.short(), fields.short());
        let (Some(0), Some(id), Some(columns), Some(parameters)) = prepared else { return Err(NoAnswer::Malformed) };
        // The descriptions of each list, and its end.
        for count in [parameters, columns] {
            for _ in 0..if count > 0 { u32::from(count) + 1 } else { 0 } {
                wire.read().await?;
            }
        }
        // It has no answer.
        wire.command(CLOSE, id).await?;
        Ok(Ok(columns))
    };
    let answer: Result<_, NoAnswer> = answer.await;
    answer.map_err(|why| no_packet(&why, wire, AFTER))
}

fn error<T>(body: &[u8]) -> Result<Result<T, ServerError>, NoAnswer> {
    ServerError::parse(body).map(Err).ok_or(NoAnswer::Malformed)
}

/// The end of a list. A row that begins with this byte is longer.
fn is_eof(body: &[u8]) -> bool {
    body.first() == Some(&EOF) && body.len() < 9
}

/// The type in a column's description (MySQL's manual: Protocol::ColumnDefinition41).
fn column_type(body: &[u8]) -> Option<u8> {
    let mut fields = Fields(body);
    for _names in 0..6 {
        fields.counted()?;
    }
    let mut fixed = Fields(fields.counted()?);
    let (_charset, _length) = (fixed.short()?, fixed.bytes(4)?);
    fixed.byte()
}

/// The first column of a row, which has this type.
fn first_value(kind: u8, row: &[u8]) -> Option<Value> {
    const NULL: u8 = 0xfb;
    let text = if row.first() == Some(&NULL) { None } else { Some(Fields(row).counted()?.to_vec()) };
    Some(Value { kind, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_values_count_as_yes() {
        let rows: &[(u8, &[u8], Option<&str>)] = &[
            (1, b"1", None),
            (1, b"0", Some("is zero")),
            (8, b"10", None),
            (246, b"0.00", Some("is zero")),
            (5, b"1e-10", None),
            (5, b"-0", Some("is zero")),
            (16, b"\0", Some("is zero")),
            (16, b"\x01", None),
            (253, b"", Some("is empty")),
            (253, b"0", None),
            (252, b"", Some("is empty")),
            (245, b"false", None),
            (12, b"2026-01-01 00:00:00", None),
        ];
        for (kind, text, expected) in rows {
            let value = Value { kind: *kind, text: Some(text.to_vec()) };
            assert_eq!(why_not(value.sort(), value.text.as_deref()), *expected, "{kind} {text:?}");
        }
        assert_eq!(why_not(Value { kind: 253, text: None }.sort(), None), Some("is NULL"));
    }

    #[test]
    fn descriptions_and_rows_that_are_cut_are_rejected() {
        let column = b"\x03def\x00\x00\x00\x021a\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00";
        assert_eq!(column_type(column), Some(8));
        for cut in 0..column.len() {
            assert_eq!(column_type(&column[..cut]), None, "cut at {cut}");
        }
        let value = |row: &[u8]| first_value(8, row).map(|value| value.text);
        assert_eq!((value(b"\x01a\x01b"), value(b"\xfb\x01b")), (Some(Some(b"a".to_vec())), Some(None)));
        assert_eq!((value(b"\x02a"), value(b"")), (None, None));
        assert!(is_eof(b"\xfe\0\0\x02\0") && !is_eof(b"\xfe\0\0\0\0\0\0\0\0") && !is_eof(b""));
    }
}
