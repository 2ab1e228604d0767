//! `header=NAME:VALUE`: a header of a request, or metadata of a call. The value may be the content of a file, which each
//! attempt reads again.

use std::fmt;

use anyhow::{Result, bail};
use http_types::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_LANGUAGE, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT,
};

use super::expect::{Expectations, Spec};
use super::path::{NamedFile, after_at};
use crate::attempt::Attempt;
use crate::env::{self, Fill};
use crate::reason::{Code, Reason};
use crate::secret::{Form, Secret};

/// Its value is a secret.
pub(super) const HEADER: Spec = Spec::value("header", "NAME:VALUE or NAME:@FILE")
    .says("a header of the request; the value may be a file's content")
    .repeatable()
    .secret();

/// One header that a target gives.
#[derive(Clone)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    value: Source,
}

/// Where a header's value comes from.
#[derive(Clone)]
enum Source {
    Given(HeaderValue),
    /// A file, and the text before its content, such as "Bearer ".
    File(NamedFile, String),
}

impl Header {
    /// Every `header=` of a target. `refused` says why a target may not give a header of this name.
    pub(super) fn all(
        it: &Expectations,
        fill: Fill<'_>,
        refused: &dyn Fn(&HeaderName) -> Option<String>,
    ) -> Result<Vec<Self>> {
        let mut headers: Vec<Self> = Vec::new();
        for (text, written) in it.written(HEADER.name) {
            let header = parse(text, written, refused).map_err(|error| error.context("#header"))?;
            if header.name == HOST && headers.iter().any(|header| header.name == HOST) {
                bail!("#header: Host is given twice: give it once");
            }
            if let Source::Given(value) = &header.value
                && !is_public(&header.name)
            {
                let value = String::from_utf8_lossy(value.as_bytes());
                fill.note(&value);
                fill.note_as(Form::Text, credential(&value));
            }
            headers.push(header);
        }
        Ok(headers)
    }

    /// `Authorization: Bearer` with the token in `file`.
    #[cfg(feature = "http")]
    pub(super) fn bearer(file: NamedFile) -> Self {
        Self { name: http_types::header::AUTHORIZATION, value: Source::File(file, "Bearer ".to_owned()) }
    }

    /// The value, if the target itself has it.
    #[cfg(feature = "grpc")]
    pub(super) fn given(&self) -> Option<&HeaderValue> {
        match &self.value {
            Source::Given(value) => Some(value),
            Source::File(..) => None,
        }
    }

    /// The value now. What a file holds is hidden from now on.
    pub(super) fn read(&self, attempt: &Attempt) -> Result<HeaderValue, Reason> {
        match &self.value {
            Source::Given(value) => Ok(value.clone()),
            Source::File(file, word) => {
                let value = in_file(file, word, &self.name)?;
                let text = String::from_utf8_lossy(value.as_bytes());
                attempt.hide_as(Form::Text, &Secret::new(text.strip_prefix(word.as_str()).unwrap_or(&text)));
                Ok(value)
            }
        }
    }
}

/// The name alone: the value is a secret.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Header").field(&self.name).finish()
    }
}

/// Whether the header never carries a credential: servers repeat its value in ordinary words.
fn is_public(name: &HeaderName) -> bool {
    [ACCEPT, ACCEPT_CHARSET, ACCEPT_LANGUAGE, CONTENT_TYPE, HOST, USER_AGENT].contains(name)
}

/// The credential in a header's value: what follows the one word before it, as in "Bearer TOKEN".
fn credential(value: &str) -> &str {
    value.split_once(' ').map_or(value, |(_, credential)| credential)
}

/// A header's value that a file holds, after `word`. A line break at the file's end is not part of the value.
fn in_file(file: &NamedFile, word: &str, name: &HeaderName) -> Result<HeaderValue, Reason> {
    let what = format!("#header={name}:{word}@{}", file.written);
    let content = file.read(&what)?;
    let unusable = |why: &str| Reason::new(Code::LocalFile, format!("{what} cannot be used: {why}")).with_key(why);
    let end = content.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let Some(value) = content.get(..end).filter(|value| !value.is_empty()) else {
        return Err(unusable("it is empty"));
    };
    match HeaderValue::from_bytes(&[word.as_bytes(), value].concat()) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok(value)
        }
        Err(_) => Err(unusable("it holds a line break or another control character")),
    }
}

fn parse(text: &str, written: &str, refused: &dyn Fn(&HeaderName) -> Option<String>) -> Result<Header> {
    const FORM: &str = "expected NAME:VALUE, NAME:@FILE or NAME:WORD @FILE, such as Host:example.org";
    let Some((name, value)) = text.split_once(':') else {
        bail!("the colon is missing ({FORM})");
    };
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        bail!("a header's name has letters, digits and '-', and no blank before the colon ({FORM})");
    };
    if let Some(why) = refused(&name) {
        bail!("{why} ({FORM})");
    }
    let unpadded = |value| -> &str { str::strip_prefix(value, ' ').unwrap_or(value) };
    let value = unpadded(value);
    let written = unpadded(written.split_once(':').map_or("", |(_, value)| value));
    // One word may come before the file, as in "Bearer @FILE".
    let word = written.split_once(" @").map_or("", |(word, _)| word);
    let word = if word.contains(char::is_whitespace) || env::refers(word) { "" } else { word };
    let after = |text| {
        let rest = str::strip_prefix(text, word)?;
        if word.is_empty() { Some(rest) } else { rest.strip_prefix(' ') }
    };
    if let (Some(value), Some(written)) = (after(value), after(written))
        && let Some((path, written)) = after_at(value, written)
    {
        if path.is_empty() {
            bail!("the file's path is missing after the '@' of {name} ({FORM})");
        }
        let word = if word.is_empty() { String::new() } else { format!("{word} ") };
        return Ok(Header { name, value: Source::File(NamedFile::new(path, written)?, word) });
    }
    if value.contains(['\r', '\n']) {
        bail!(
            "the value of {name} holds a line break; if it comes from a Secret, the Secret's value ends with one ({FORM})"
        );
    }
    let Ok(mut value) = HeaderValue::from_bytes(value.as_bytes()) else {
        bail!("the value of {name} holds a control character ({FORM})");
    };
    value.set_sensitive(true);
    Ok(Header { name, value: Source::Given(value) })
}
