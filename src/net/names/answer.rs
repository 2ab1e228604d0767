//! What names come to: addresses, records, or what was found instead. Types only, for the whole resolver.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use rustix::io::Errno;

use crate::reason::Reason;

/// How much of an answer is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The addresses of the first family that has some, and of the other if it is quick.
    First,
    /// What both families have.
    Both,
}

/// Addresses, and how they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The addresses, each once; never empty.
    pub(crate) addresses: Vec<IpAddr>,
    /// Where they come from.
    pub(crate) source: Source,
    /// What went wrong with the other family, in words: there may be more addresses.
    pub(crate) missing: Option<String>,
    /// How the DNS came to them.
    pub(crate) via: Option<Via>,
}

/// How the DNS came to an answer, for whoever has to judge what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Via {
    /// The name that has the records: where aliases end.
    pub(crate) owner: String,
    /// Who answered.
    pub(crate) server: SocketAddr,
    /// Whether one of the names asked before met with trouble, and may exist after all.
    pub(crate) doubt: bool,
}

/// Where addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The name is an address, or localhost: no query.
    Literal,
    /// The hosts file.
    Hosts,
    /// The DNS, under this full name.
    Dns(String),
}

/// Records of one type, and the full name that has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Records {
    /// The full name.
    pub(crate) name: String,
    /// The records; never empty.
    pub(crate) records: Vec<RData>,
}

/// Why a name was not found.
#[derive(Debug)]
pub(crate) struct Unfound {
    /// In words.
    pub(crate) reason: Reason,
    /// Set if the name may exist after all: at least one query failed instead of being denied.
    pub(crate) doubt: Option<Box<Reason>>,
    /// What every nameserver did, if all did the same for each name.
    pub(crate) throughout: Option<Throughout>,
    /// The full names of the walk, asked or not.
    pub(crate) steps: Vec<String>,
}

/// What can be said of the nameservers where they all did the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Throughout {
    /// They refused the connection.
    Refuse,
    /// They were silent.
    Silent,
}

impl Unfound {
    /// What was denied, if every query was denied.
    pub(crate) fn absent(self) -> Result<String, Reason> {
        match self.doubt {
            None => Ok(self.reason.text().to_owned()),
            Some(doubt) => Err(*doubt),
        }
    }
}

impl From<Unfound> for Reason {
    fn from(unfound: Unfound) -> Self {
        unfound.reason
    }
}

/// Why a nameserver gave no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nothing came.
    Silent,
    /// Something came, and none of it was an answer to the question.
    Garbled,
    /// Nothing listens there.
    Refused,
    /// No way to it, in the system's words.
    Unreachable(String),
    /// It answered with a failure.
    Code(ResponseCode),
    /// It pointed elsewhere instead of answering: it does not recurse, and the zone is not its own.
    Lame,
    /// The answer did not fit into a packet, and over TCP it did not come.
    Truncated,
    /// The aliases lead in a circle, or are too many; in order.
    Loop(Vec<String>),
    /// No descriptor, port or memory here, in the system's words.
    Local(Errno),
    /// The name cannot be put into a question.
    Unaskable,
}

/// What one step's outcome means for those that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Go on: the name does not exist, has no data, or the server failed (SERVFAIL).
    GoOn,
    /// The search list ends here, and the name is still asked as it stands: no answer, or a refusal to give one.
    EndSearch,
    /// There is nobody to ask, or the answer is the last word: an alias, whatever it leads to.
    End,
}

/// What a full name got instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// It does not exist.
    NoName {
        /// Seconds for which this may be cached by others.
        ttl: Option<u32>,
        /// What it is an alias of, if it is what does not exist.
        alias: Option<String>,
        /// The trouble that one of the families had: the other's answer is taken for both, as glibc does.
        doubt: Vec<(SocketAddr, NoAnswer)>,
    },
    /// It exists, without a record of the type.
    NoData {
        /// Seconds for which this may be cached by others.
        ttl: Option<u32>,
        /// What it is an alias of.
        alias: Option<String>,
    },
    /// No nameserver gave an answer that counts.
    Failed(Vec<(SocketAddr, NoAnswer)>),
}

impl NotFound {
    /// What this means for the names that would be asked next.
    pub(crate) fn then(&self) -> Then {
        match self {
            // An alias is an answer; that it leads to nothing is no reason to try other names.
            Self::NoData { alias: Some(_), .. } => Then::End,
            Self::NoName { .. } | Self::NoData { .. } => Then::GoOn,
            Self::Failed(each) => {
                let all = |test: fn(&NoAnswer) -> bool| each.iter().all(|(_, trouble)| test(trouble));
                let any = |test: fn(&NoAnswer) -> bool| each.iter().any(|(_, trouble)| test(trouble));
                if any(|trouble| matches!(trouble, NoAnswer::Loop(_) | NoAnswer::Local(_))) {
                    Then::End
                } else if any(|trouble| *trouble == NoAnswer::Code(ResponseCode::ServFail)) {
                    Then::GoOn
                } else if all(|trouble| matches!(trouble, NoAnswer::Refused | NoAnswer::Unreachable(_))) {
                    Then::End
                } else {
                    Then::EndSearch
                }
            }
        }
    }

    /// What the two families' misses come to for the name (resolv/res_query.c: __res_context_query).
    pub(crate) fn of_both(v4: Self, v6: Self) -> (Self, Then) {
        let longer = |a: Option<u32>, b: Option<u32>| a.max(b);
        match (v4, v6) {
            // Of a name that does not exist no family exists, whatever the other answer was (RFC 8020).
            (Self::NoName { ttl, alias, .. }, Self::Failed(doubt))
            | (Self::Failed(doubt), Self::NoName { ttl, alias, .. }) => {
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
            (Self::NoData { .. }, Self::Failed(each)) => {
                let miss = Self::Failed(each);
                let then = if miss.then() == Then::End { Then::End } else { Then::EndSearch };
                (miss, then)
            }
            (trouble @ Self::Failed(_), Self::NoData { .. }) => {
                let then = trouble.then();
                (trouble, then)
            }
            (Self::Failed(mut each), Self::Failed(more)) => {
                for trouble in more {
                    if !each.contains(&trouble) {
                        each.push(trouble);
                    }
                }
                let both = Self::Failed(each);
                let then = both.then();
                (both, then)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: NotFound = NotFound::NoName { ttl: Some(30), alias: None, doubt: Vec::new() };
    const EMPTY: NotFound = NotFound::NoData { ttl: None, alias: None };

    fn trouble(trouble: NoAnswer) -> NotFound {
        NotFound::Failed(vec![("10.96.0.10:53".parse().unwrap(), trouble)])
    }

    #[test]
    fn two_families_come_to_one_outcome() {
        let silent = || trouble(NoAnswer::Silent);
        let failed = || trouble(NoAnswer::Code(ResponseCode::ServFail));
        for (v4, v6, then) in [
            (GONE, GONE, Then::GoOn),
            (GONE, silent(), Then::GoOn),
            (EMPTY, EMPTY, Then::GoOn),
            (EMPTY, failed(), Then::EndSearch),
            (failed(), EMPTY, Then::GoOn),
            (silent(), silent(), Then::EndSearch),
            (trouble(NoAnswer::Refused), trouble(NoAnswer::Refused), Then::End),
            (EMPTY, NotFound::NoData { ttl: None, alias: Some("x".into()) }, Then::End),
        ] {
            assert_eq!(NotFound::of_both(v4.clone(), v6.clone()).1, then, "{v4:?} {v6:?}");
        }
        assert!(matches!(NotFound::of_both(GONE, silent()).0, NotFound::NoName { doubt, .. } if doubt.len() == 1));
        assert!(matches!(NotFound::of_both(EMPTY, silent()).0, NotFound::Failed(_)));
    }
}
