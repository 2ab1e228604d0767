//! The `#name=value` grammar, once for every kind.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::secret::Secret;
use crate::vars::{self, Fill};

/// What may stand behind an expectation's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// `#name=value`; the text is the value's form, for messages.
    Value(&'static str),
    /// `#name` alone.
    Nothing,
}

/// One expectation that a kind knows.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name, as written.
    pub name: &'static str,
    /// Whether a value follows.
    pub takes: Takes,
    /// Whether it may be given more than once.
    pub repeatable: bool,
}

impl Spec {
    /// `#name=FORM`.
    #[must_use]
    pub const fn value(name: &'static str, form: &'static str) -> Self {
        Self { name, takes: Takes::Value(form), repeatable: false }
    }

    /// `#name` alone.
    #[must_use]
    pub const fn flag(name: &'static str) -> Self {
        Self { name, takes: Takes::Nothing, repeatable: false }
    }

    /// The same, allowed more than once.
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

/// The expectations that every kind takes.
pub const COMMON: &[Spec] = &[
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
    /// What the plan may show of the value: itself, or `***` where it came out of the environment.
    shown: String,
}

/// The expectations of one target, known to its kind.
#[derive(Clone, Debug, Default)]
pub struct Expectations(Vec<Item>);

impl Expectations {
    /// Parses what stands behind the first `#` of a target, already split at `#`.
    ///
    /// An unknown name is never echoed: it may be the tail of a password with a raw `#`.
    pub fn parse<'a>(
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
            let shown = if vars::refers(raw) { raw.to_owned() } else { value.clone() };
            items.push(Item { name: spec.name, value: Secret::new(value), shown });
        }
        Ok(Self(items))
    }

    /// Whether `#name` is given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|item| item.name == name)
    }

    /// The value of `#name`, if given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a repeatable `#name`, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |item| item.name == name).map(|item| item.value.expose())
    }

    /// Every value of `#name` with its text as it was written, in order: the same, save where `$(NAME)` was filled.
    pub fn written(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(move |item| item.name == name).map(|item| (item.value.expose(), item.shown.as_str()))
    }

    /// A duration; `0` is allowed where `zero` says that it means something.
    pub fn duration(&self, name: &str, zero: Zero) -> Result<Option<Duration>> {
        let parsed = self.get(name).map(|text| duration(text, zero));
        parsed.transpose().map_err(|error| error.context(format!("#{name}")))
    }

    /// A whole number of at least one.
    pub fn count(&self, name: &str) -> Result<Option<u32>> {
        let parsed = self.get(name).map(count);
        parsed.transpose().map_err(|error| error.context(format!("#{name}")))
    }

    /// The expectations as the plan and the log show them: `#name=value`, with the values of
    /// `secret` names hidden, and `$(NAME)` where a value came out of the environment.
    #[must_use]
    pub fn shown(&self, secret: &[&str]) -> String {
        let mut out = String::new();
        for item in &self.0 {
            out.push('#');
            out.push_str(item.name);
            let takes_value = item.shown.is_empty() && item.value.expose().is_empty();
            if secret.contains(&item.name) {
                out.push('=');
                out.push_str(crate::secret::HIDDEN);
            } else if !takes_value {
                out.push('=');
                out.push_str(&crate::reason::printable(&item.shown));
            }
        }
        out
    }
}

fn unknown(position: usize, name: &str, text: &str, kind: &str, own: &[Spec]) -> String {
    let names: Vec<&str> = own.iter().chain(COMMON).map(|spec| spec.name).collect();
    let list = names.join(", ");
    // An `@` behind a raw `#` is a password that was cut in two.
    if text.contains('@') {
        return format!(
            "expected #name=value behind the address, found '@' behind a '#': a '#' in a password is written %23 ({kind}: takes {list})"
        );
    }
    let nearest = names.iter().map(|known| (distance(name, known), *known)).min();
    match nearest {
        Some((far, known)) if far <= 2 && far < known.len() => {
            format!(
                "expectation {position} is not one that {kind}: takes: did you mean #{known}? ({kind}: takes {list})"
            )
        }
        _ => format!(
            "expectation {position} is not one that {kind}: takes: expected one of {list} (a literal '#' is %23)"
        ),
    }
}

/// How many letters have to be changed, added, taken away or swapped with the next to make `a` into `b`.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().take(32).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

/// Whether a duration of zero means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    /// It does (no limit, or off).
    Allowed,
    /// It does not.
    Refused,
}

/// The longest duration that makes sense in front of a start: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses a duration: whole numbers with ms, s, m, h or d, combined, at most 24h.
///
/// humantime reads the number; what it allows beyond that (`15M` is fifteen months to it) is refused here.
pub fn duration(text: &str, zero: Zero) -> Result<Duration> {
    const FORM: &str = "expected a duration such as 500ms, 5s, 1m30s or 2h";
    let parsed = match text {
        "" => bail!("{FORM}, found nothing"),
        "0" => Duration::ZERO,
        bare if bare.bytes().all(|b| b.is_ascii_digit()) && bare.len() <= 9 => {
            bail!("{FORM}, found a number without a unit: did you mean {bare}s?")
        }
        _ => {
            let units = text.split(|c: char| c.is_ascii_digit()).filter(|unit| !unit.is_empty());
            for unit in units {
                match unit.trim() {
                    "ms" | "s" | "m" | "h" | "d" => {}
                    "M" => bail!("{FORM}, found the unit M: minutes are m"),
                    _ => bail!("{FORM}: the units are ms, s, m, h and d, the numbers whole"),
                }
            }
            match humantime::parse_duration(text) {
                Ok(duration) => duration,
                Err(_) => bail!("{FORM}: the units are ms, s, m, h and d, the numbers whole"),
            }
        }
    };
    if parsed.is_zero() && zero == Zero::Refused {
        bail!("{FORM}, found zero, which means nothing here: give at least 1ms");
    }
    if parsed > LONGEST {
        bail!("{FORM}, found more than 24h: give at most 24h, or 0 where no limit is meant");
    }
    Ok(parsed)
}

/// Parses a whole number of at least one.
pub fn count(text: &str) -> Result<u32> {
    match text.parse() {
        Ok(0) | Err(_) => bail!("expected a whole number of at least 1, such as 3"),
        Ok(number) if number > 1_000_000 => bail!("expected a whole number of at most 1000000"),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::Env;

    const OWN: &[Spec] =
        &[Spec::value("status", "CODES"), Spec::value("header", "NAME:VALUE").repeatable(), Spec::flag("follow")];

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
        assert_eq!(it.shown(&[]), "#header=Authorization:$(TOKEN)#status=200");
        assert_eq!(it.shown(&["header"]), "#header=***#status=200");
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
            assert_eq!(duration(text, Zero::Refused).unwrap(), Duration::from_millis(millis), "{text}");
        }
        assert_eq!(duration("0", Zero::Allowed).unwrap(), Duration::ZERO);
        assert_eq!(duration("0s", Zero::Allowed).unwrap(), Duration::ZERO);
        let refused = |text: &str| duration(text, Zero::Refused).unwrap_err().to_string();
        assert!(refused("30").contains("did you mean 30s?"));
        assert!(refused("15M").contains("minutes are m"));
        assert!(refused("0").contains("zero"));
        assert!(refused("0ms").contains("zero"));
        assert!(refused("25h").contains("24h"));
        for bad in ["", "s", "1.5s", "-1s", "1y", "1w", "5 parsecs", "1us", "99999999999999999999s", "1s1"] {
            assert!(duration(bad, Zero::Refused).is_err(), "{bad}");
        }
    }

    #[test]
    fn distance_counts_a_swap_as_one() {
        assert_eq!(distance("sttaus", "status"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("htp", "http"), 1);
    }
}
