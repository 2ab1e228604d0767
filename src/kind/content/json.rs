//! `json=/pointer=value`: the value at a JSON pointer (RFC 6901). The rest of the document is never kept in memory.

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Result, bail};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::attempt::Attempt;
use crate::env;

/// What the document must have at a pointer.
#[derive(Clone, Debug)]
pub(in crate::kind) struct Value {
    /// The pointer as written in the target, for messages.
    pointer: String,
    tokens: Vec<String>,
    expected: Expected,
    /// The target's value came from a variable, so the document's value may be the same secret.
    hidden: bool,
}

/// What is expected of the value.
#[derive(Clone, Debug)]
enum Expected {
    /// That there is one.
    Any,
    /// That it equals the text, or one of the texts between its commas.
    Equal(String),
    /// That there is one, and it equals none of these.
    Unequal(String),
    /// A number for which this order is one of these.
    Number(Number, &'static [Ordering]),
}

/// The value that the document has at a pointer.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Nothing,
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Array,
    Object,
}

impl Value {
    /// Parses `/pointer=value`, another operator in place of the `=`, or `/pointer`. The first operator ends the pointer.
    /// `written` is the text with each `$(NAME)`.
    pub(in crate::kind) fn parse(text: &str, written: &str) -> Result<Self> {
        const FORM: &str = "expected /POINTER=VALUE, /POINTER>=NUMBER or /POINTER, such as /status=UP";
        let (pointer, expected) = split(text);
        let expected = match expected {
            None => Expected::Any,
            Some(("=", value)) => Expected::Equal(value.to_owned()),
            Some(("!=", value)) => Expected::Unequal(value.to_owned()),
            Some((operator, number)) => {
                let Some(number) = Number::parse(number) else {
                    bail!("after {operator} comes a number ({FORM})");
                };
                let orders: &[Ordering] = match operator {
                    ">=" => &[Ordering::Greater, Ordering::Equal],
                    ">" => &[Ordering::Greater],
                    "<=" => &[Ordering::Less, Ordering::Equal],
                    _ => &[Ordering::Less],
                };
                Expected::Number(number, orders)
            }
        };
        if !pointer.is_empty() && !pointer.starts_with('/') {
            bail!("a JSON pointer begins with '/' ({FORM})");
        }
        let unescape = |token: &str| {
            // RFC 6901 section 3: every '~' is followed by 0 or 1.
            if token.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
                bail!("in a JSON pointer write ~0 for '~', and ~1 for a '/' that belongs to a name ({FORM})");
            }
            Ok(token.replace("~1", "/").replace("~0", "~"))
        };
        let tokens = pointer.split('/').skip(1).map(unescape).collect::<Result<_>>()?;
        Ok(Self { pointer: split(written).0.to_owned(), tokens, expected, hidden: env::refers(written) })
    }

    /// Looks for the value in `document`. The error says in words what the document has instead.
    pub(in crate::kind) fn check(&self, document: &[u8], attempt: &Attempt) -> Result<(), String> {
        // RFC 8259 section 8.1 lets a parser skip a byte order mark.
        let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
        let mut reader = serde_json::Deserializer::from_slice(document);
        let Ok(found) = Seek(&self.tokens).deserialize(&mut reader) else {
            return Err(not_json(document).to_owned());
        };
        if reader.end().is_err() {
            return Err("is not one JSON document: more follows after the first one".to_owned());
        }
        let matches = match &self.expected {
            Expected::Any => found != Found::Nothing,
            Expected::Equal(text) => found.is_in(text),
            Expected::Unequal(text) => found != Found::Nothing && !found.is_in(text),
            Expected::Number(number, orders) => {
                found.number().and_then(|found| found.order(*number)).is_some_and(|order| orders.contains(&order))
            }
        };
        if matches {
            return Ok(());
        }
        let place = self.shown_pointer();
        let secret = matches!(found, Found::Text(_) | Found::Integer(_) | Found::Float(_));
        Err(if self.hidden && secret {
            format!("has another value at {place}")
        } else {
            format!("has {} at {place}", found.shown(attempt))
        })
    }

    fn shown_pointer(&self) -> &str {
        if self.pointer.is_empty() { "its root" } else { &self.pointer }
    }
}

/// The pointer, and the first operator with what follows it.
fn split(text: &str) -> (&str, Option<(&str, &str)>) {
    const OPERATORS: [&str; 6] = [">=", "<=", "!=", ">", "<", "="];
    let places = text.char_indices().map(|(at, _)| at);
    let found = places.into_iter().find_map(|at| {
        let operator = OPERATORS.into_iter().find(|operator| text[at..].starts_with(operator))?;
        Some((at, &text[at..at + operator.len()]))
    });
    match found {
        None => (text, None),
        Some((at, operator)) => (&text[..at], Some((operator, &text[at + operator.len()..]))),
    }
}

/// What a document is that is not JSON.
fn not_json(document: &[u8]) -> &'static str {
    match document.trim_ascii() {
        [] => "is empty, so it is not JSON",
        [b'<', ..] => "is not JSON, but HTML or XML",
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, ..] | [_, 0, ..] => "is not JSON in UTF-8 (it seems to be UTF-16)",
        _ => "is not JSON",
    }
}

/// A number, exact if it is whole.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let float = || text.parse().ok().filter(|float: &f64| float.is_finite()).map(Self::Float);
        text.parse().ok().map(Self::Integer).or_else(float)
    }

    fn order(self, other: Self) -> Option<Ordering> {
        #[expect(clippy::cast_precision_loss, reason = "most JSON readers take every number for a 64-bit float")]
        let float = |number| match number {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        };
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            _ => float(self).partial_cmp(&float(other)),
        }
    }
}

impl Found {
    /// The value as a number; a string may hold one.
    fn number(&self) -> Option<Number> {
        match self {
            Self::Integer(value) => Some(Number::Integer(*value)),
            Self::Float(value) => Some(Number::Float(*value)),
            Self::Text(value) => Number::parse(value),
            Self::Nothing | Self::Null | Self::Bool(_) | Self::Array | Self::Object => None,
        }
    }

    /// The value for a reason.
    fn shown(&self, attempt: &Attempt) -> String {
        const SHOWN: usize = 40;
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => attempt.quote(value.to_string(), SHOWN),
            Self::Float(value) => attempt.quote(value.to_string(), SHOWN),
            Self::Text(value) => format!("\"{}\"", attempt.quote(value, SHOWN)),
            Self::Array => "an array".to_owned(),
            Self::Object => "an object".to_owned(),
        }
    }

    /// Whether the value equals `list`, or one of the texts between its commas.
    fn is_in(&self, list: &str) -> bool {
        self.equals(list) || (list.contains(',') && list.split(',').any(|text| !text.is_empty() && self.equals(text)))
    }

    /// Compares the value with `text`: a string by its characters, a number by its value.
    fn equals(&self, text: &str) -> bool {
        match self {
            Self::Null => text == "null",
            Self::Bool(value) => text.parse() == Ok(*value),
            Self::Integer(value) => match text.parse::<i128>() {
                Ok(text) => text == *value,
                Err(_) => same_float(text, &value.to_string()),
            },
            Self::Float(value) => same_float(text, &value.to_string()),
            Self::Text(value) => value == text,
            Self::Nothing | Self::Array | Self::Object => false,
        }
    }
}

/// Whether both are the same number if a program reads them as 64-bit floats: 3 and 3.0, 1.5 and 15e-1.
fn same_float(text: &str, value: &str) -> bool {
    match (text.parse::<f64>(), value.parse::<f64>()) {
        // Adding 0 turns -0 into 0.
        (Ok(text), Ok(value)) => (text + 0.0).to_bits() == (value + 0.0).to_bits(),
        _ => false,
    }
}

/// Finds the value that these tokens lead to. Everything else is read and dropped.
struct Seek<'a>(&'a [String]);

impl Seek<'_> {
    /// `found`, if no tokens are left; otherwise there is no such value.
    fn end(&self, found: Found) -> Found {
        if self.0.is_empty() { found } else { Found::Nothing }
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(self.end(Found::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Found, E> {
        Ok(self.end(Found::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Found, E> {
        Ok(self.end(Found::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Found, E> {
        Ok(self.end(Found::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Found, E> {
        Ok(self.end(Found::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Found, E> {
        Ok(if self.0.is_empty() { Found::Text(value.to_owned()) } else { Found::Nothing })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Found, A::Error> {
        let Some((token, rest)) = self.0.split_first() else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Found::Array);
        };
        let wanted = index(token);
        let mut found = Found::Nothing;
        for at in 0_usize.. {
            if Some(at) == wanted {
                match items.next_element_seed(Seek(rest))? {
                    Some(item) => found = item,
                    None => break,
                }
            } else if items.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        let Some((token, rest)) = self.0.split_first() else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Object);
        };
        let mut found = Found::Nothing;
        // If several members have the same name, the last one counts, as in most parsers (RFC 8259 section 4).
        while let Some(name) = members.next_key::<String>()? {
            if name == *token {
                found = members.next_value_seed(Seek(rest))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// An array index: digits without leading zeros (RFC 6901 section 4).
fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    canonical.then(|| token.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
