//! What the resolver returns for a name: addresses, records, or why there are none. Types only.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use rustix::io::Errno;

use crate::reason::Reason;

/// How much of an answer is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The addresses of the first family that answers, and of the other family if it answers soon after.
    First,
    /// The addresses of both families.
    Both,
}

/// Addresses, and how they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The addresses, each once. There is at least one.
    pub(crate) addresses: Vec<IpAddr>,
    /// Where they come from.
    pub(crate) source: Source,
    /// Why one family gave no usable answer, in words. There may be more addresses.
    pub(crate) missing: Option<String>,
    /// How the DNS found them.
    pub(crate) via: Option<Via>,
}

/// How the DNS found an answer. The hints need this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Via {
    /// The name that has the records, at the end of the aliases.
    pub(crate) owner: String,
    /// The nameserver that answered.
    pub(crate) server: SocketAddr,
    /// Set if a query for an earlier name failed: that name may exist after all.
    pub(crate) uncertain: bool,
}

/// Where addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The name is an IP address or localhost, so there was no query.
    Literal,
    /// The hosts file.
    Hosts,
    /// The DNS, under this full name.
    Dns(String),
}

/// Records of one type, and the full name that has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) name: String,
    /// At least one record.
    pub(crate) records: Vec<RData>,
}

/// Why a name was not found.
#[derive(Debug)]
pub(crate) struct LookupError {
    pub(crate) reason: Reason,
    /// Set if the name may exist after all: at least one query failed instead of being denied.
    pub(crate) uncertain: Option<Box<Reason>>,
    /// What the nameservers did, if all of them did the same for every name.
    pub(crate) all_servers: Option<AllServers>,
    /// Set if a name was found to be an alias of another name.
    pub(crate) aliased: bool,
    /// The full names of the walk, including those that were not asked.
    pub(crate) steps: Vec<String>,
}

/// What all nameservers did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllServers {
    /// Their port refused.
    Refused,
    /// They were silent.
    Silent,
}

impl LookupError {
    /// Ok if the name certainly does not exist, with the words that say so. Err if a query failed.
    pub(crate) fn certainly_absent(self) -> Result<String, Reason> {
        match self.uncertain {
            None => Ok(self.reason.text().to_owned()),
            Some(uncertain) => Err(*uncertain),
        }
    }
}

impl From<LookupError> for Reason {
    fn from(unfound: LookupError) -> Self {
        unfound.reason
    }
}

/// Why a nameserver gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It sent nothing.
    Silent,
    /// It sent something that is not an answer to the question.
    Garbled,
    /// Its port refuses: nothing listens there.
    Refused,
    /// A rule on this machine forbids it.
    Denied,
    /// There is no route to it, in the operating system's words.
    Unreachable(String),
    /// It answered with a failure.
    Code(ResponseCode),
    /// It only points to other servers: it does not recurse, and the zone is not its own.
    Lame,
    /// The answer did not fit into a UDP packet, and no answer came over TCP.
    Truncated,
    /// The aliases form a loop, or there are too many. The names, in order.
    Loop(Vec<String>),
    /// This machine has no descriptor, port or memory left for the question.
    Local(Errno),
    /// The name is too long for a question.
    Unaskable,
}

impl NoAnswer {
    /// Whether no packet reached the nameserver.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Refused | Self::Denied | Self::Unreachable(_))
    }
}

/// What the outcome of one step means for the next steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Go on: the name does not exist, has no data, or the server failed (SERVFAIL).
    GoOn,
    /// Skip the rest of the search list, and still ask for the name as given: the server did not answer, or would not.
    EndSearch,
    /// Stop: no nameserver can be reached, or the answer is final. An alias is final, even if it leads to no record.
    End,
}

/// Why a full name has none of the records that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// It does not exist.
    NoName {
        /// For how many seconds DNS caches may keep this.
        ttl: Option<u32>,
        /// The name that it is an alias of, if that name does not exist.
        alias: Option<String>,
        /// The failures of one family. The other family's answer counts for both, as in glibc.
        failures: Vec<(SocketAddr, NoAnswer)>,
    },
    /// It exists and has no record of the type.
    NoData {
        /// For how many seconds DNS caches may keep this.
        ttl: Option<u32>,
        /// The name that it is an alias of.
        alias: Option<String>,
    },
    /// No nameserver gave a usable answer.
    Failed(Vec<(SocketAddr, NoAnswer)>),
}

impl NotFound {
    /// The name that the name is an alias of.
    pub(crate) fn alias(&self) -> Option<&str> {
        match self {
            Self::NoName { alias, .. } | Self::NoData { alias, .. } => alias.as_deref(),
            Self::Failed(_) => None,
        }
    }

    /// What this means for the next names.
    pub(crate) fn then(&self) -> Then {
        match self {
            // An alias is an answer. If it leads to no record, other names are still not tried.
            Self::NoData { alias: Some(_), .. } => Then::End,
            Self::NoName { .. } | Self::NoData { .. } => Then::GoOn,
            Self::Failed(each) => {
                let all = |test: fn(&NoAnswer) -> bool| each.iter().all(|(_, no_answer)| test(no_answer));
                let any = |test: fn(&NoAnswer) -> bool| each.iter().any(|(_, no_answer)| test(no_answer));
                if any(|no_answer| matches!(no_answer, NoAnswer::Loop(_) | NoAnswer::Local(_))) {
                    Then::End
                } else if any(|no_answer| *no_answer == NoAnswer::Code(ResponseCode::ServFail)) {
                    Then::GoOn
                } else if all(NoAnswer::is_unreachable) {
                    Then::End
                } else {
                    Then::EndSearch
                }
            }
        }
    }

    /// One outcome for the name from the outcomes of both families (resolv/res_query.c: __res_context_query).
    pub(crate) fn of_both(v4: Self, v6: Self) -> (Self, Then) {
        let longer = |a: Option<u32>, b: Option<u32>| a.max(b);
        match (v4, v6) {
            // If one family says that the name does not exist, it has no record of the other family either (RFC 8020).
            (Self::NoName { ttl, alias, .. }, Self::Failed(failures))
            | (Self::Failed(failures), Self::NoName { ttl, alias, .. }) => {
                (Self::NoName { ttl, alias, failures }, Then::GoOn)
            }
            (
                Self::NoName { ttl: a, alias, failures },
                Self::NoName { ttl: b, .. } | Self::NoData { ttl: b, alias: None },
            )
            | (Self::NoData { ttl: a, alias: None }, Self::NoName { ttl: b, alias, failures }) => {
                (Self::NoName { ttl: longer(a, b), alias, failures }, Then::GoOn)
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
            // The name exists, and the failed family may have addresses. So the rest of the search list is not tried.
            (Self::NoData { .. }, Self::Failed(each)) => {
                let not_found = Self::Failed(each);
                let then = if not_found.then() == Then::End { Then::End } else { Then::EndSearch };
                (not_found, then)
            }
            (failed @ Self::Failed(_), Self::NoData { .. }) => {
                let then = failed.then();
                (failed, then)
            }
            (Self::Failed(mut each), Self::Failed(more)) => {
                for no_answer in more {
                    if !each.contains(&no_answer) {
                        each.push(no_answer);
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

    const GONE: NotFound = NotFound::NoName { ttl: Some(30), alias: None, failures: Vec::new() };
    const EMPTY: NotFound = NotFound::NoData { ttl: None, alias: None };

    fn failed_with(no_answer: NoAnswer) -> NotFound {
        NotFound::Failed(vec![("10.96.0.10:53".parse().unwrap(), no_answer)])
    }

    #[test]
    fn one_outcome_is_made_of_both_families() {
        let silent = || failed_with(NoAnswer::Silent);
        let failed = || failed_with(NoAnswer::Code(ResponseCode::ServFail));
        for (v4, v6, then) in [
            (GONE, GONE, Then::GoOn),
            (GONE, silent(), Then::GoOn),
            (EMPTY, EMPTY, Then::GoOn),
            (EMPTY, failed(), Then::EndSearch),
            (failed(), EMPTY, Then::GoOn),
            (silent(), silent(), Then::EndSearch),
            (failed_with(NoAnswer::Refused), failed_with(NoAnswer::Refused), Then::End),
            (EMPTY, NotFound::NoData { ttl: None, alias: Some("x".into()) }, Then::End),
        ] {
            assert_eq!(NotFound::of_both(v4.clone(), v6.clone()).1, then, "{v4:?} {v6:?}");
        }
        assert!(
            matches!(NotFound::of_both(GONE, silent()).0, NotFound::NoName { failures, .. } if failures.len() == 1)
        );
        assert!(matches!(NotFound::of_both(EMPTY, silent()).0, NotFound::Failed(_)));
    }
}
