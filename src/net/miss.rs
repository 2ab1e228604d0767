//! What a full name got instead of an answer, and what that means for the names that would be asked next.

use std::net::SocketAddr;

use hickory_resolver::proto::op::ResponseCode;

use super::dns::Trouble;
use super::search::Then;

/// What a full name got instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It does not exist.
    NoName {
        /// Seconds for which this may be cached by others.
        ttl: Option<u32>,
        /// What it is an alias of, if it is what does not exist.
        alias: Option<String>,
        /// The trouble that one of the families had: the other's answer is taken for both, as glibc does.
        doubt: Vec<(SocketAddr, Trouble)>,
    },
    /// It exists, without a record of the type.
    NoData {
        /// Seconds for which this may be cached by others.
        ttl: Option<u32>,
        /// What it is an alias of.
        alias: Option<String>,
    },
    /// No nameserver gave an answer that counts.
    Trouble(Vec<(SocketAddr, Trouble)>),
}

impl Miss {
    /// What this means for the names that would be asked next.
    #[must_use]
    pub fn then(&self) -> Then {
        match self {
            // An alias is an answer; that it leads to nothing is no reason to try other names.
            Self::NoData { alias: Some(_), .. } => Then::End,
            Self::NoName { .. } | Self::NoData { .. } => Then::GoOn,
            Self::Trouble(each) => {
                let all = |test: fn(&Trouble) -> bool| each.iter().all(|(_, trouble)| test(trouble));
                let any = |test: fn(&Trouble) -> bool| each.iter().any(|(_, trouble)| test(trouble));
                if any(|trouble| matches!(trouble, Trouble::Loop(_) | Trouble::Local(_))) {
                    Then::End
                } else if any(|trouble| *trouble == Trouble::Code(ResponseCode::ServFail)) {
                    Then::GoOn
                } else if all(|trouble| matches!(trouble, Trouble::Refused | Trouble::Unreachable(_))) {
                    Then::End
                } else {
                    Then::EndSearch
                }
            }
        }
    }

    /// What the two families' misses come to for the name (resolv/res_query.c: __res_context_query).
    #[must_use]
    pub fn of_both(v4: Self, v6: Self) -> (Self, Then) {
        let longer = |a: Option<u32>, b: Option<u32>| a.max(b);
        match (v4, v6) {
            // Of a name that does not exist no family exists, whatever the other answer was (RFC 8020).
            (Self::NoName { ttl, alias, .. }, Self::Trouble(doubt))
            | (Self::Trouble(doubt), Self::NoName { ttl, alias, .. }) => {
                (Self::NoName { ttl, alias, doubt }, Then::GoOn)
            }
            (
                Self::NoName { ttl: a, alias, doubt },
                Self::NoName { ttl: b, .. } | Self::NoData { ttl: b, alias: None },
            )
            | (Self::NoData { ttl: a, alias: None }, Self::NoName { ttl: b, alias, doubt }) => {
                (Self::NoName { ttl: longer(a, b), alias, doubt }, Then::GoOn)
            }
            (Self::NoName { .. }, empty @ Self::NoData { .. }) | (empty @ Self::NoData { .. }, Self::NoName { .. }) => {
                let then = empty.then();
                (empty, then)
            }
            (Self::NoData { ttl: a, alias: one }, Self::NoData { ttl: b, alias: other }) => {
                let both = Self::NoData { ttl: longer(a, b), alias: one.or(other) };
                let then = both.then();
                (both, then)
            }
            // The name exists; what it lacks may be behind the trouble, so other names are no answer.
            (Self::NoData { .. }, Self::Trouble(each)) => {
                let miss = Self::Trouble(each);
                let then = if miss.then() == Then::End { Then::End } else { Then::EndSearch };
                (miss, then)
            }
            (trouble @ Self::Trouble(_), Self::NoData { .. }) => {
                let then = trouble.then();
                (trouble, then)
            }
            (Self::Trouble(mut each), Self::Trouble(more)) => {
                for trouble in more {
                    if !each.contains(&trouble) {
                        each.push(trouble);
                    }
                }
                let both = Self::Trouble(each);
                let then = both.then();
                (both, then)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: Miss = Miss::NoName { ttl: Some(30), alias: None, doubt: Vec::new() };
    const EMPTY: Miss = Miss::NoData { ttl: None, alias: None };

    fn trouble(trouble: Trouble) -> Miss {
        Miss::Trouble(vec![("10.96.0.10:53".parse().unwrap(), trouble)])
    }

    #[test]
    fn two_families_come_to_one_outcome() {
        let silent = || trouble(Trouble::Silent);
        let failed = || trouble(Trouble::Code(ResponseCode::ServFail));
        for (v4, v6, then) in [
            (GONE, GONE, Then::GoOn),
            (GONE, silent(), Then::GoOn),
            (EMPTY, EMPTY, Then::GoOn),
            (EMPTY, failed(), Then::EndSearch),
            (failed(), EMPTY, Then::GoOn),
            (silent(), silent(), Then::EndSearch),
            (trouble(Trouble::Refused), trouble(Trouble::Refused), Then::End),
            (EMPTY, Miss::NoData { ttl: None, alias: Some("x".into()) }, Then::End),
        ] {
            assert_eq!(Miss::of_both(v4.clone(), v6.clone()).1, then, "{v4:?} {v6:?}");
        }
        assert!(matches!(Miss::of_both(GONE, silent()).0, Miss::NoName { doubt, .. } if doubt.len() == 1));
        assert!(matches!(Miss::of_both(EMPTY, silent()).0, Miss::Trouble(_)));
    }
}
