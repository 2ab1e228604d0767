//! One argument becomes a target: its kind, its address, its expectations, and what is secret in it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::expect::{self, Expectations, Zero};
use super::split::Split;
use super::{Given, Parts, Row, Target, forms, gone, slips};
use crate::env::{Fill, is_name, refers};
use crate::secret::Notes;

/// A target's own bounds, where they differ from the run's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    /// Give up on this target after this long, counted from its first attempt.
    pub(crate) timeout: Option<Duration>,
    /// Bound on one attempt.
    pub(crate) attempt_timeout: Option<Duration>,
    /// Bound on each DNS question and on connecting to one address.
    pub(crate) connect_timeout: Option<Duration>,
    /// Longest pause.
    pub(crate) max_pause: Option<Duration>,
    /// Ready answers in a row.
    pub(crate) successes: Option<u32>,
    /// The same, if the run's default is lower: with `gone` one answer proves little.
    pub(crate) successes_min: u32,
}

impl Target {
    /// Parses one argument. A message repeats nothing of it that could be secret.
    pub(crate) fn parse(text: &str, given: Given<'_>) -> Result<(Self, Overrides)> {
        Self::parse_noting(text, given, &Notes::default())
    }

    /// The same, and the mask that the plan makes of its secrets.
    #[cfg(test)]
    pub(crate) fn parse_masking(text: &str, given: Given<'_>) -> Result<(Self, crate::secret::Mask)> {
        let notes = Notes::default();
        let (target, _) = Self::parse_noting(text, given, &notes)?;
        let mask = notes.mask(&target.to_string());
        Ok((target, mask))
    }

    /// The same, and what is secret in it is noted.
    pub(crate) fn parse_noting(text: &str, given: Given<'_>, notes: &Notes) -> Result<(Self, Overrides)> {
        if text.is_empty() {
            bail!("found nothing where a target should be (expected {})", forms());
        }
        if let Some(slip) = slips::around(text) {
            bail!("{slip} (expected {})", forms());
        }
        let mut pieces = text.split('#');
        let address = pieces.next().unwrap_or_default();
        let fill = Fill::from_env(given.env).noting(notes);
        let Some(name) = address.strip_prefix("env:") else {
            return Self::of_kind(address, pieces, fill, given);
        };
        if !is_name(name) {
            bail!("env: needs the name of an environment variable that holds a target's address (expected env:NAME)");
        }
        let value = given.env.text(name)?.with_context(|| {
            format!("env:{name}: {name} is not set in the environment, or it is empty: set it to {}", forms())
        })?;
        if value.starts_with("env:") {
            bail!("env:{name}: its value is another env:NAME, which is not followed: set it to the address itself");
        }
        // The value is taken whole: a `#` in it is the password's, and a `$(NAME)` in it is not filled.
        let value = value.trim_end_matches(['\r', '\n']);
        if let Some(slip) = slips::around(value) {
            bail!("env:{name}: its value: {slip}");
        }
        if let Ok(Split { row, .. }) = Split::of(value)
            && let Some(known) =
                slips::expectation_in(value, row.expectations.iter().chain(expect::COMMON).map(|spec| spec.name))
        {
            bail!(
                "env:{name}: found #{known} in its value, where it is a part of the address and not in force (expected the address alone in {name}, and env:{name}#{known} as the target; a literal '#' is %23)"
            );
        }
        let kind = value.split_once(':').map(|(kind, _)| kind.to_ascii_lowercase()).unwrap_or_default();
        if Row::named(&kind).is_none()
            && let Some(slip) = slips::foreign_url(name, value)
        {
            bail!("env:{name}: {slip}");
        }
        Self::of_kind(value, pieces, Fill::none().noting(notes), given).with_context(|| {
            if value.contains('#') {
                format!("env:{name} (a '#' in its value belongs to the address: expectations are written env:{name}#name=value)")
            } else {
                format!("env:{name}")
            }
        })
    }

    fn of_kind<'a>(
        address: &str,
        expectations: impl Iterator<Item = &'a str>,
        fill: Fill<'_>,
        given: Given<'_>,
    ) -> Result<(Self, Overrides)> {
        let Split { row, kind, jdbc, rest } = Split::of(address)?;
        if let Some(slip) = slips::for_a_shell(rest) {
            bail!("{slip} (expected {})", row.form);
        }
        if address.contains(|c: char| c.is_whitespace()) {
            bail!("{} (expected {})", row.blank, row.form);
        }
        note_login(address, fill);
        let expectations = Expectations::parse(expectations, kind, row.expectations, fill)?;
        let overrides = Overrides {
            timeout: expectations.duration("timeout", Zero::Invalid)?,
            attempt_timeout: expectations.duration("attempt-timeout", Zero::Invalid)?,
            connect_timeout: expectations.duration("connect-timeout", Zero::Invalid)?,
            max_pause: expectations.duration("max-pause", Zero::Invalid)?,
            successes: expectations.count("successes")?,
            successes_min: gone::successes(&expectations).unwrap_or(1),
        };
        let parts = Parts { address: rest, kind, jdbc, expectations, fill, given };
        Ok((row.parser.parse(&parts)?, overrides))
    }
}

/// Notes the login in the address of any kind, as it is written and as it is meant. An error in it is the kind's to tell.
pub(super) fn note_login(address: &str, fill: Fill<'_>) {
    let Some((user, password)) = slips::login_in(address) else { return };
    // What the target itself writes as `$(NAME)` is shown so.
    if fill.is_none() || !refers(password) {
        fill.note(password);
    }
    if let (Ok(user), Ok(password)) = (fill.decoded(user), fill.decoded(password)) {
        fill.note_login(&user, &password);
    }
}
