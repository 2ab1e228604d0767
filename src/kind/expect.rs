//! The `#name=value` grammar, once for every kind.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::env::{self, Fill};
use crate::secret::{HIDDEN, Secret};
use crate::text::{nearest, printable};

/// What may stand behind an expectation's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// `#name=value`; the text is the value's form, for messages.
    Value(&'static str),
    /// `#name` alone.
    Nothing,
}

/// One expectation that a kind knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    /// Its name, as written.
    pub(crate) name: &'static str,
    /// Whether a value follows.
    pub(crate) takes: Takes,
    /// Whether it may be given more than once.
    pub(crate) repeatable: bool,
    /// Whether its value is never shown.
    pub(crate) secret: bool,
}

impl Spec {
    /// `#name=FORM`.
    pub(crate) const fn value(name: &'static str, form: &'static str) -> Self {
        Self { name, takes: Takes::Value(form), repeatable: false, secret: false }
    }

    /// `#name` alone.
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self { name, takes: Takes::Nothing, repeatable: false, secret: false }
    }

    /// The same, allowed more than once.
    pub(crate) const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// The same with a value that is never shown.
    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// The expectations that every kind takes.
pub(crate) const COMMON: &[Spec] = &[
    Spec::value("timeout", "DURATION"),
    Spec::value("attempt-timeout", "DURATION"),
    Spec::value("connect-timeout", "DURATION"),
    Spec::value("max-pause", "DURATION"),
    Spec::value("successes", "N"),
];

/// One expectation as it was written, its value decoded and filled.
#[derive(Clone, Debug)]
struct Item {
    name: &'static str,
    value: Secret,
    /// The value with each `$(NAME)` as it was written.
    written: Secret,
    /// What the log shows, with its `=`: the value, `$(NAME)` if it came out of the environment, or `***`.
    shown: String,
}

/// The expectations of one target, known to its kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expectations(Vec<Item>);

impl Expectations {
    /// Parses what stands behind the first `#` of a target, already split at `#`.
    ///
    /// An unknown name is never echoed: it may be the tail of a password with a raw `#`.
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
                bail!("{}", unknown(position, name, text, kind, own));
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
            let value = match fill.decoded(raw) {
                Ok(value) => value,
                Err(error) => bail!("#{}: {error}", spec.name),
            };
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

    /// Whether `#name` is given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|item| item.name == name)
    }

    /// The value of `#name`, if given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a repeatable `#name`, in order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |item| item.name == name).map(|item| item.value.expose())
    }

    /// Every value of `#name` in order, each with its text as it was written: the same unless `$(NAME)` was filled.
    pub(crate) fn written(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(move |item| item.name == name).map(|item| (item.value.expose(), item.written.expose()))
    }

    /// A duration; `0` is allowed where `zero` says that it means something.
    pub(crate) fn duration(&self, name: &str, zero: Zero) -> Result<Option<Duration>> {
        let parsed = self.get(name).map(|text| duration(text, zero));
        parsed.transpose().map_err(|error| error.context(format!("#{name}")))
    }

    /// A whole number of at least one.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u32>> {
        let parsed = self.get(name).map(count);
        parsed.transpose().map_err(|error| error.context(format!("#{name}")))
    }

    /// The expectations as the plan and the log show them: `#name=value`, secrets hidden.
    pub(crate) fn shown(&self) -> String {
        self.0.iter().fold(String::new(), |out, item| out + "#" + item.name + &item.shown)
    }
}

fn unknown(position: usize, name: &str, text: &str, kind: &str, own: &[Spec]) -> String {
    let names: Vec<&str> = own.iter().chain(COMMON).map(|spec| spec.name).collect();
    let list = names.join(", ");
    // An `@` after a raw `#` is a password that was cut in two.
    if text.contains('@') {
        return format!(
            "found '@' after a '#': a '#' in a password is written %23; after the address comes #name=value ({kind}: takes {list})"
        );
    }
    match nearest(name, names, 2) {
        Some(known) => {
            format!("expectation {position} is unknown: did you mean #{known}? ({kind}: takes {list})")
        }
        None => format!("expectation {position} is unknown: {kind}: takes {list} (a literal '#' is %23)"),
    }
}

/// Whether a duration of zero means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zero {
    /// It does (no limit, or off).
    Allowed,
    /// It does not.
    Invalid,
}

/// The longest duration that makes sense in front of a start: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses a duration: whole numbers with ms, s, m, h or d, combined, at most 24h.
///
/// humantime reads the number; what it allows beyond that (`15M` is fifteen months to it) is refused here.
pub(crate) fn duration(text: &str, zero: Zero) -> Result<Duration> {
    const FORM: &str = "expected a duration such as 500ms, 5s, 1m30s or 2h";
    let parsed = match text {
        "" => bail!("found nothing ({FORM})"),
        "0" => Duration::ZERO,
        bare if bare.bytes().all(|b| b.is_ascii_digit()) && bare.len() <= 9 => {
            bail!("found a number without a unit: did you mean {bare}s? ({FORM})")
        }
        _ => {
            let units = text.split(|c: char| c.is_ascii_digit()).filter(|unit| !unit.is_empty());
            for unit in units {
                match unit.trim() {
                    "ms" | "s" | "m" | "h" | "d" => {}
                    "M" => bail!("found the unit M: minutes are m ({FORM})"),
                    _ => bail!("the units are ms, s, m, h and d, the numbers whole ({FORM})"),
                }
            }
            match humantime::parse_duration(text) {
                Ok(duration) => duration,
                Err(_) => bail!("the units are ms, s, m, h and d, the numbers whole ({FORM})"),
            }
        }
    };
    if parsed.is_zero() && zero == Zero::Invalid {
        bail!("found zero, which means nothing here: give at least 1ms ({FORM})");
    }
    if parsed > LONGEST {
        bail!("found more than 24h: give at most 24h, or 0 where no limit is meant ({FORM})");
    }
    Ok(parsed)
}

/// Parses a whole number of at least one.
pub(crate) fn count(text: &str) -> Result<u32> {
    match text.parse() {
        Ok(0) | Err(_) => bail!("expected a whole number of at least 1, such as 3"),
        Ok(number) if number > 1_000_000 => bail!("expected a whole number of at most 1000000"),
        Ok(number) => Ok(number),
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

    fn refused(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    #[test]
    fn values_are_literal_and_decoded() {
        let it = parse("#status=200,300-399#header=A:b=c#header=X: %23%25%24(HOST)#follow#successes=2").unwrap();
        assert_eq!(it.get("status"), Some("200,300-399"));
        assert_eq!(it.all("header").collect::<Vec<_>>(), ["A:b=c", "X: #%$(HOST)"]);
        assert!(it.has("follow") && !it.has("timeout"));
        assert_eq!(it.count("successes").unwrap(), Some(2));
    }

    #[test]
    fn a_filled_value_holds_any_character_and_is_not_shown() {
        let it = parse("#header=Authorization:$(TOKEN)#status=200").unwrap();
        assert_eq!(it.get("header"), Some("Authorization:a#b=c%41"));
        assert_eq!(it.shown(), "#header=***#status=200");
        assert_eq!(parse("#status=$(TOKEN)#follow").unwrap().shown(), "#status=$(TOKEN)#follow");
    }

    #[test]
    fn what_is_not_known_is_not_echoed() {
        let message = refused("#hunter2");
        assert!(
            !message.contains("hunter2")
                && message.contains("expectation 1")
                && message.contains("status, header, follow")
        );
        assert!(refused("#sttaus=1").contains("did you mean #status?"));
        assert!(refused("#w@host/db").contains("%23") && !refused("#w@host/db").contains("host/db"));
        assert!(refused("#status=1#status=2").contains("given twice"));
        assert!(refused("#status").contains("#status=CODES"));
        assert!(refused("#follow=1").contains("takes no value"));
        assert!(refused("#status=%4").contains("%25"));
        assert!(refused("#").contains("expectation 1"));
    }

    #[test]
    fn durations_are_strict() {
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
        let refused = |text: &str| duration(text, Zero::Invalid).unwrap_err().to_string();
        assert!(refused("30").contains("did you mean 30s?"));
        assert!(refused("15M").contains("minutes are m"));
        assert!(refused("0").contains("zero"));
        assert!(refused("0ms").contains("zero"));
        assert!(refused("25h").contains("24h"));
        for bad in ["", "s", "1.5s", "-1s", "1y", "1w", "5 parsecs", "1us", "99999999999999999999s", "1s1"] {
            assert!(duration(bad, Zero::Invalid).is_err(), "{bad}");
        }
    }
}
