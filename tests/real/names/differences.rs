//! Where waitgate finds another answer than glibc, on purpose.

use super::conform::{Case, POD, ZONE, each, glibc, ours, set_up};

/// A difference that is meant, and what each comes to. docs/names.md has the same list.
struct Difference {
    why: &'static str,
    case: Case,
    glibc: &'static str,
    ours: &'static str,
}

const DIFFERENT: &[Difference] = &[
    Difference {
        why: "localhost needs no query (RFC 6761)",
        case: Case { conf: POD, hosts: "", servers: &[ZONE], names: &["localhost"] },
        glibc: "not found",
        ours: "127.0.0.1 ::1",
    },
    Difference {
        why: "forms of IPv4 that C libraries disagree about are refused",
        case: Case { conf: POD, hosts: "", servers: &[ZONE], names: &["127.1"] },
        glibc: "127.0.0.1",
        ours: "refused",
    },
    Difference {
        why: "a name that is not ASCII is refused, with its xn-- form asked for",
        case: Case {
            conf: "search c.test\noptions ndots:5\n",
            hosts: "10.1.1.1 b\u{fc}cher\n",
            servers: &[ZONE],
            names: &["b\u{fc}cher"],
        },
        glibc: "found",
        ours: "refused",
    },
    Difference {
        why: "IPv6 addresses are found although the nameserver is silent about IPv4",
        case: Case {
            conf: POD,
            hosts: "",
            servers: &["d.ns.svc.c.test AAAA fd00::4\nd.ns.svc.c.test SILENT-A"],
            names: &["d"],
        },
        glibc: "not found",
        ours: "fd00::4",
    },
    Difference {
        why: "a name below a search domain is asked as it is first",
        case: Case {
            conf: POD,
            hosts: "",
            servers: &["db.ns.svc.c.test A 10.0.0.1\ndb.ns.svc.c.test.c.test A 10.0.0.2"],
            names: &["db.ns.svc.c.test"],
        },
        glibc: "10.0.0.2",
        ours: "10.0.0.1",
    },
    Difference {
        why: "trouble on the way is not forgotten over a later denial: SERVFAIL",
        case: Case {
            conf: POD,
            hosts: "",
            servers: &["db.ns.svc.c.test SERVFAIL\ndb.svc.c.test EMPTY"],
            names: &["db"],
        },
        glibc: "not found",
        ours: "trouble",
    },
    Difference {
        why: "trouble on the way is not forgotten over a later denial: REFUSED",
        case: Case {
            conf: POD,
            hosts: "",
            servers: &["db.ns.svc.c.test REFUSED\ndb.svc.c.test A 10.0.0.1"],
            names: &["db"],
        },
        glibc: "not found",
        ours: "trouble",
    },
    Difference {
        why: "trouble on the way is not forgotten over a later denial: silence",
        case: Case {
            conf: POD,
            hosts: "",
            servers: &["db.ns.svc.c.test SILENT\ndb.svc.c.test A 10.0.0.1"],
            names: &["db"],
        },
        glibc: "not found",
        ours: "trouble",
    },
    Difference {
        why: "an alias that the nameserver does not follow is followed here",
        case: Case {
            conf: POD,
            hosts: "",
            servers: &["x.ns.svc.c.test CNAME y.example.\nx.ns.svc.c.test PARTIAL\ny.example A 10.0.0.1"],
            names: &["x"],
        },
        glibc: "not found",
        ours: "10.0.0.1",
    },
    Difference {
        why: "lines of resolv.conf may end in CR LF",
        case: Case { conf: "options ndots:5\r\nsearch ns.svc.c.test\r\n", hosts: "", servers: &[ZONE], names: &["db"] },
        glibc: "not found",
        ours: "10.0.0.1",
    },
    Difference {
        why: "a search domain that cannot be asked is skipped, and does not end the list",
        case: Case {
            conf: "search bad..label ns.svc.c.test\noptions ndots:5\n",
            hosts: "",
            servers: &[ZONE],
            names: &["db"],
        },
        glibc: "not found",
        ours: "10.0.0.1",
    },
];

#[test]
fn different_where_it_is_meant() {
    let wrong = each(DIFFERENT, |Difference { why, case, glibc: theirs, ours: mine }| {
        let (pod, _servers) = set_up(case);
        let got = (glibc(&pod, case.names[0]), ours(&pod, case.names[0]));
        let expected = ((*theirs).to_owned(), (*mine).to_owned());
        (got != expected).then(|| format!("{why}: {got:?}, expected {expected:?}")).into_iter().collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
