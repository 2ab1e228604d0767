//! The `#name=value` grammar that every kind shares.

use std::time::Duration;

use anyhow::{Result, bail};

use super::slips;
use crate::env::{self, Fill};
use crate::secret::{HIDDEN, Secret};
use crate::text::printable;

/// What may follow an expectation's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// `#name=value`. The text is the form of the value, for messages.
    Value(&'static str),
    /// `#name` without a value.
    Nothing,
}

/// One expectation that a kind takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) repeatable: bool,
    /// The log never shows the value of a secret expectation.
    pub(crate) secret: bool,
    /// What it means, in some words for `--help` and docs/targets.md.
    pub(crate) says: &'static str,
}

impl Spec {
    /// `#name=FORM`.
    pub(crate) const fn value(name: &'static str, form: &'static str) -> Self {
        Self { name, takes: Takes::Value(form), repeatable: false, secret: false, says: "" }
    }

    /// `#name` without a value.
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self { name, takes: Takes::Nothing, repeatable: false, secret: false, says: "" }
    }

    /// What it means, in some words.
    pub(crate) const fn says(mut self, words: &'static str) -> Self {
        self.says = words;
        self
    }

    /// As a target has it: `#name=FORM`.
    pub(crate) fn form(&self) -> String {
        match self.takes {
            Takes::Value(form) => format!("#{}={form}", self.name),
            Takes::Nothing => format!("#{}", self.name),
        }
    }

    /// A target may give this expectation more than once.
    pub(crate) const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// The log never shows the value of this expectation.
    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// The expectations that every kind takes.
pub(crate) const COMMON: &[Spec] = &[
    Spec::value("timeout", "DURATION").says("give up on this target, and the run, so long after its first attempt"),
    Spec::value("attempt-timeout", "DURATION").says("time limit for one attempt [default: 3s]"),
    Spec::value("connect-timeout", "DURATION").says("time limit for a DNS question and for connecting [default: 1.2s]"),
    Spec::value("max-pause", "DURATION").says("longest pause between two attempts"),
    Spec::value("successes", "N").says("ready answers in a row before it counts as ready"),
];

/// One expectation of a target. Its value is decoded, and each `$(NAME)` in it is replaced.
#[derive(Clone, Debug)]
struct Item {
    name: &'static str,
    value: Secret,
    /// The value with each `$(NAME)` as written in the target.
    written: Secret,
    /// What the log shows, with its `=`: the value, `$(NAME)` for a value from the environment, or `***`.
    shown: String,
}

/// The expectations of one target. Its kind takes each of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expectations(Vec<Item>);

impl Expectations {
    /// Parses what follows the first `#` of a target; `raw` has the pieces between the `#`.
    ///
    /// A message never repeats an unknown name: it may be the end of a password that has a raw `#`.
    pub(crate) fn parse<'a>(
        raw: impl Iterator<Item = &'a str>,
        kind: &str,
        own: &'static [Spec],
        fill: Fill<'_>,
    ) -> Result<Self> {
        let known = || own.iter().chain(COMMON);
        let mut items: Vec<Item> = Vec::new();
        for (at, text) in raw.enumerate() {
            let position = at + 1;
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            let Some(spec) = known().find(|spec| spec.name == name) else {
                let names: Vec<&str> = known().map(|spec| spec.name).collect();
                bail!("{}", slips::unknown_expectation(position, name, text, kind, &names));
            };
            if !spec.repeatable && items.iter().any(|item| item.name == spec.name) {
                bail!("#{} is given twice: give it once", spec.name);
            }
            let raw = match (spec.takes, value) {
                (Takes::Value(_), Some(value)) => value,
                (Takes::Nothing, None) => "",
                (Takes::Value(form), None) => bail!("#{name} needs a value: write #{name}={form}", name = spec.name),
                (Takes::Nothing, Some(_)) => bail!("#{name} takes no value: write #{name} alone", name = spec.name),
            };
            // A duration or a count is no secret, and waitgate's own words have it.
            let plain = COMMON.iter().any(|common| common.name == spec.name);
            let value = match if plain { fill.unnoted() } else { fill }.decoded(raw) {
                Ok(value) => value,
                Err(error) => bail!("#{}: {error}", spec.name),
            };
            // `@FILE` is a path, and a reason names it.
            if spec.secret && !raw.starts_with('@') && ![":@", " @"].iter().any(|file| raw.contains(file)) {
                fill.note(&value);
            }
            let written = if env::refers(raw) { raw.to_owned() } else { value.clone() };
            let shown = match spec.takes {
                Takes::Nothing => String::new(),
                Takes::Value(_) if spec.secret => format!("={HIDDEN}"),
                Takes::Value(_) => format!("={}", printable(&written)),
            };
            items.push(Item { name: spec.name, value: Secret::new(value), written: Secret::new(written), shown });
        }
        Ok(Self(items))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|item| item.name == name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a repeatable `#name`, in order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |item| item.name == name).map(|item| item.value.expose())
    }

    /// Every value of `#name` in order, and the text in the target: the same, or a text with `$(NAME)`.
    pub(crate) fn written(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(move |item| item.name == name).map(|item| (item.value.expose(), item.written.expose()))
    }

    /// A duration; `zero` says whether `0` is allowed.
    pub(crate) fn duration(&self, name: &str, zero: Zero) -> Result<Option<Duration>> {
        let parsed = self.get(name).map(|text| duration(text, zero));
        parsed.transpose().map_err(|error| error.context(format!("#{name}")))
    }

    /// A whole number, at least 1.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u32>> {
        let parsed = self.get(name).map(count);
        parsed.transpose().map_err(|error| error.context(format!("#{name}")))
    }

    /// The expectations as the plan and the log show them: `#name=value`, with `***` for each secret.
    pub(crate) fn shown(&self) -> String {
        self.0.iter().fold(String::new(), |out, item| out + "#" + item.name + &item.shown)
    }
}

/// Whether a duration may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zero {
    /// It may: zero means no limit, or off.
    Allowed,
    /// It may not: zero would mean nothing.
    Invalid,
}

/// The longest duration that makes sense before a start: a day.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses a duration: whole numbers with the units ms, s, m, h and d, also combined, at most 24h.
pub(crate) fn duration(text: &str, zero: Zero) -> Result<Duration> {
    let parsed = any_duration(text, zero)?;
    if parsed > DURATION_MAX {
        bail!("found more than 24h: give at most 24h, or 0 for no limit where that is allowed ({FORM})");
    }
    Ok(parsed)
}

const FORM: &str = "expected a duration such as 500ms, 5s, 1m30s or 2h";

/// The same without a longest duration.
///
/// humantime parses it. It knows more units (`15M` is fifteen months); those are invalid here.
pub(super) fn any_duration(text: &str, zero: Zero) -> Result<Duration> {
    let parsed = match text {
        "" => bail!("found nothing ({FORM})"),
        "0" => Duration::ZERO,
        number if number.bytes().all(|b| b.is_ascii_digit()) && number.len() <= 9 => {
            bail!("found a number without a unit: did you mean {number}s or {number}ms? ({FORM})")
        }
        _ => {
            let units = text.split(|c: char| c.is_ascii_digit()).filter(|unit| !unit.is_empty());
            for unit in units {
                match unit.trim() {
                    "ms" | "s" | "m" | "h" | "d" => {}
                    "M" => bail!("found the unit M: write m for minutes ({FORM})"),
                    _ => bail!("the units are ms, s, m, h and d, and the numbers are whole ({FORM})"),
                }
            }
            match humantime::parse_duration(text) {
                Ok(duration) => duration,
                Err(_) => bail!("the units are ms, s, m, h and d, and the numbers are whole ({FORM})"),
            }
        }
    };
    if parsed.is_zero() && zero == Zero::Invalid {
        bail!("found zero, which has no meaning here: give at least 1ms ({FORM})");
    }
    Ok(parsed)
}

/// Parses a whole number from 1 to 1000000.
pub(crate) fn count(text: &str) -> Result<u32> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        Ok(0) => bail!("found 0 (expected a whole number of at least 1, such as 3)"),
        // Digits alone do not fit into 32 bits.
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            bail!("the number is too large (expected a whole number of at most 1000000)")
        }
        Ok(_) => bail!("the number is too large (expected a whole number of at most 1000000)"),
        Err(_) => bail!("this is not a whole number (expected a whole number of at least 1, such as 3)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;

    const OWN: &[Spec] = &[
        Spec::value("status", "CODES"),
        Spec::value("header", "NAME:VALUE").repeatable().secret(),
        Spec::flag("follow"),
    ];

    fn parse(text: &str) -> Result<Expectations> {
        let env: Env = [("TOKEN", "a#b=c%41")].into_iter().collect();
        Expectations::parse(text.split('#').skip(1), "http", OWN, Fill::from_env(&env))
    }

    fn invalid(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    #[test]
    fn values_are_percent_decoded() {
        let it = parse("#status=200,300-399#header=A:b=c#header=X: %23%25%24(HOST)#follow#successes=2").unwrap();
        assert_eq!(it.get("status"), Some("200,300-399"));
        assert_eq!(it.all("header").collect::<Vec<_>>(), ["A:b=c", "X: #%$(HOST)"]);
        assert!(it.has("follow") && !it.has("timeout"));
        assert_eq!(it.count("successes").unwrap(), Some(2));
    }

    #[test]
    fn a_value_from_the_environment_may_hold_any_character_and_is_not_shown() {
        let it = parse("#header=Authorization:$(TOKEN)#status=200").unwrap();
        assert_eq!(it.get("header"), Some("Authorization:a#b=c%41"));
        assert_eq!(it.shown(), "#header=***#status=200");
        assert_eq!(parse("#status=$(TOKEN)#follow").unwrap().shown(), "#status=$(TOKEN)#follow");
    }

    #[test]
    fn messages_do_not_repeat_an_unknown_name() {
        let message = invalid("#hunter2");
        assert!(
            !message.contains("hunter2")
                && message.contains("expectation 1")
                && message.contains("status, header, follow")
        );
        assert!(invalid("#code=200").contains("did you mean #status?"));
        assert!(!invalid("#coed=200").contains("did you mean"), "half of a short word is another word");
        assert!(invalid("#sttaus=1").contains("did you mean #status?"));
        assert!(invalid("#w@host/db").contains("%23") && !invalid("#w@host/db").contains("host/db"));
        assert!(invalid("#status=1#status=2").contains("given twice"));
        assert!(invalid("#status").contains("#status=CODES"));
        assert!(invalid("#follow=1").contains("takes no value"));
        assert!(invalid("#status=%4").contains("%25"));
        assert!(invalid("#").contains("expectation 1"));
    }

    #[test]
    fn durations_need_known_units_and_bounds() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5000),
            ("1m30s", 90_000),
            ("24h", 86_400_000),
            ("1d", 86_400_000),
            ("1m 30s", 90_000),
        ] {
            assert_eq!(duration(text, Zero::Invalid).unwrap(), Duration::from_millis(millis), "{text}");
        }
        assert_eq!(duration("0", Zero::Allowed).unwrap(), Duration::ZERO);
        assert_eq!(duration("0s", Zero::Allowed).unwrap(), Duration::ZERO);
        let invalid = |text: &str| duration(text, Zero::Invalid).unwrap_err().to_string();
        assert!(invalid("30").contains("did you mean 30s or 30ms?"));
        assert!(invalid("15M").contains("m for minutes"));
        assert!(invalid("0").contains("zero"));
        assert!(invalid("0ms").contains("zero"));
        assert!(invalid("25h").contains("24h"));
        for bad in ["", "s", "1.5s", "-1s", "1y", "1w", "5 parsecs", "1us", "99999999999999999999s", "1s1"] {
            assert!(duration(bad, Zero::Invalid).is_err(), "{bad}");
        }
    }
}
