//! Which kind an address is of: the word before its colon, or, in a JDBC URL, the word after `jdbc:`.

use anyhow::{Result, bail};

use super::{KINDS, Row, slips};

/// An address, split after the name of its kind.
pub(super) struct Split<'a> {
    pub(super) row: &'static Row,
    pub(super) kind: &'static str,
    /// Whether the name followed `jdbc:`.
    pub(super) jdbc: bool,
    pub(super) rest: &'a str,
}

impl<'a> Split<'a> {
    pub(super) fn of(address: &'a str) -> Result<Self> {
        let Some((kind, rest)) = address.split_once(':') else { bail!("{}", slips::no_colon(address)) };
        let kind = kind.to_ascii_lowercase();
        if kind == "jdbc" {
            let (inner, rest) = rest.split_once(':').unwrap_or((rest, ""));
            return match Row::in_jdbc(&inner.to_ascii_lowercase()) {
                Some((row, kind)) => Ok(Self { row, kind, jdbc: true, rest }),
                None => bail!("{}", slips::unknown_jdbc(KINDS.iter().flat_map(|row| row.jdbc))),
            };
        }
        match Row::named(&kind) {
            Some((row, kind)) => Ok(Self { row, kind, jdbc: false, rest }),
            None => bail!("{}", slips::unknown_kind(&kind, rest)),
        }
    }
}
