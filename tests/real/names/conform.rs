//! What glibc and waitgate each make of a resolv.conf, a hosts file and a zone: the two have to agree.

use std::net::IpAddr;

use crate::support::{Pod, Run, scripted::Server, tool, zone};

/// What a Pod of the namespace `ns` has.
pub(super) const POD: &str = "search ns.svc.c.test svc.c.test c.test\noptions ndots:5 timeout:1 attempts:1\n";

/// A Service in its own namespace, one in another, a headless one of both families, an alias, an outside host.
pub(super) const ZONE: &str = "db.ns.svc.c.test A 10.0.0.1
web.other.svc.c.test A 10.0.0.2
web.other.svc.c.test AAAA fd00::2
pg.ns.svc.c.test A 10.0.1.1
pg.ns.svc.c.test A 10.0.1.2
pg.ns.svc.c.test AAAA fd00::1:1
six.ns.svc.c.test AAAA fd00::6
pg-0.pg.ns.svc.c.test A 10.0.1.1
ext.ns.svc.c.test CNAME real.example.
real.example A 192.0.2.1
chain.ns.svc.c.test CNAME ext.ns.svc.c.test.
dangling.ns.svc.c.test CNAME nowhere.example.
empty.ns.svc.c.test EMPTY
_odd_name.ns.svc.c.test A 10.0.0.3
long.ns.svc.c.test TRUNCATED
long.ns.svc.c.test A 10.0.2.1
long.ns.svc.c.test A 10.0.2.2
host.example A 192.0.2.9
a.b.c.d.e.f A 192.0.2.10
a.b.c.d A 192.0.2.12
v.w.x.y.z A 192.0.2.13
solo A 192.0.2.11
empty.svc.c.test A 10.9.9.9
";

/// One configuration and the names that are looked up in it.
pub(super) struct Case {
    /// resolv.conf without its nameservers.
    pub(super) conf: &'static str,
    pub(super) hosts: &'static str,
    /// One nameserver each, at 127.0.0.1 and up; `CLOSED` is a port that nothing listens on.
    pub(super) servers: &'static [&'static str],
    pub(super) names: &'static [&'static str],
}

/// Where both have to come to the same.
const SAME: &[Case] = &[
    Case {
        conf: POD,
        hosts: "",
        servers: &[ZONE],
        names: &[
            "db",
            "DB",
            "web.other",
            "web.other.svc",
            "pg",
            "six",
            "pg-0.pg",
            "ext",
            "chain",
            "dangling",
            "_odd_name",
            "long",
            "host.example",
            "a.b.c.d",
            "v.w.x.y.z",
            "a.b.c.d.e.f",
            "a.b.c.nothing",
            "a.b.c.d.nothing",
            "solo",
            "solo.",
            "db.",
            "nothing",
            "no.thing",
            "a.b.c.d.e.nothing",
            "db.ns.svc.c.test.",
            "10.0.0.1",
            "fd00::1",
            "::1",
            "127.0.0.1",
            "host.example.",
        ],
    },
    // NODATA does not end the search list.
    Case { conf: POD, hosts: "", servers: &[ZONE], names: &["empty"] },
    Case {
        conf: POD,
        hosts: "10.1.1.1 db alias.of.db # comment\nfd00::ff DB\n10.1.1.2\tLegacy-DB\n10.1.1.3 db\nbroken line\n10.1.1.4 last",
        servers: &[ZONE],
        names: &["db", "alias.of.db", "legacy-db", "last", "db.", "comment", "line", "web.other"],
    },
    // ndots 0, 1 and 15.
    Case {
        conf: "search ns.svc.c.test c.test\noptions ndots:0\n",
        hosts: "",
        servers: &[ZONE],
        names: &["db", "solo", "host.example", "web.other.svc", "nothing"],
    },
    Case {
        conf: "search ns.svc.c.test c.test\n",
        hosts: "",
        servers: &[ZONE],
        names: &["db", "solo", "host.example", "web.other.svc", "nothing", "pg-0.pg"],
    },
    Case {
        conf: "search ns.svc.c.test c.test\noptions ndots:15\n",
        hosts: "",
        servers: &[ZONE],
        names: &["a.b.c.d.e.f", "web.other.svc", "db"],
    },
    // No search list, the root in it, one domain, four, five and six.
    Case { conf: "options ndots:5\n", hosts: "", servers: &[ZONE], names: &["solo", "host.example", "db", "a.b.c.d"] },
    Case { conf: "search .\noptions ndots:5\n", hosts: "", servers: &[ZONE], names: &["solo", "db", "host.example"] },
    Case { conf: "domain ns.svc.c.test\n", hosts: "", servers: &[ZONE], names: &["db", "solo", "nothing"] },
    Case {
        conf: "search one.test two.test three.test ns.svc.c.test\noptions ndots:3\n",
        hosts: "",
        servers: &[ZONE],
        names: &["db", "pg-0.pg", "a.b.c.d", "nothing"],
    },
    Case {
        conf: "search one.test two.test three.test four.test ns.svc.c.test\noptions ndots:4\n",
        hosts: "",
        servers: &[ZONE],
        names: &["db", "v.w.x.y.z", "a.b.c.nothing"],
    },
    Case {
        conf: "search one.test two.test three.test four.test five.test ns.svc.c.test\noptions ndots:2\n",
        hosts: "",
        servers: &[ZONE],
        names: &["db", "pg-0.pg", "nothing", "host.example"],
    },
    Case {
        conf: "search wrong.test\ndomain also.wrong\nsearch ns.svc.c.test\noptions ndots:x rotate unknown:5\n",
        hosts: "",
        servers: &[ZONE],
        names: &["db", "host.example"],
    },
    Case { conf: "options use-vc edns0 ndots:2\nsearch ns.svc.c.test\n", hosts: "", servers: &[ZONE], names: &["pg"] },
    Case {
        conf: "options single-request-reopen no-tld-query\nsearch ns.svc.c.test\n",
        hosts: "",
        servers: &[ZONE],
        names: &["db", "solo", "host.example"],
    },
    // SERVFAIL is remembered and the walk goes on.
    Case {
        conf: POD,
        hosts: "",
        servers: &["db.ns.svc.c.test SERVFAIL\ndb.svc.c.test A 10.0.0.1\nweb.c.test SERVFAIL\nx SERVFAIL"],
        names: &["db", "web", "x"],
    },
    Case { conf: POD, hosts: "", servers: &["* SERVFAIL"], names: &["db", "db."] },
    // REFUSED ends the search list; the name is still asked as it is.
    Case {
        conf: POD,
        hosts: "",
        servers: &["web.ns.svc.c.test REFUSED\nweb.svc.c.test A 10.0.0.1\nweb A 10.0.0.2"],
        names: &["web"],
    },
    Case { conf: POD, hosts: "", servers: &["* REFUSED"], names: &["db"] },
    // Silence ends the search list, too.
    Case {
        conf: POD,
        hosts: "",
        servers: &["web.ns.svc.c.test SILENT\nweb.svc.c.test A 10.0.0.1\nweb A 10.0.0.2"],
        names: &["web"],
    },
    Case {
        conf: "search ns.svc.c.test\noptions timeout:1 attempts:1\n",
        hosts: "",
        servers: &["x.y SILENT\nx.y.ns.svc.c.test A 10.0.0.1"],
        names: &["x.y"],
    },
    Case { conf: "options timeout:1 attempts:1\n", hosts: "", servers: &["* SILENT"], names: &["db"] },
    // One family in trouble does not hide the other.
    Case {
        conf: POD,
        hosts: "",
        servers: &[
            "a.ns.svc.c.test A 10.0.0.1\na.ns.svc.c.test SERVFAIL-AAAA\nb.ns.svc.c.test SERVFAIL-A\nb.ns.svc.c.test AAAA fd00::1\nc.ns.svc.c.test A 10.0.0.3\nc.ns.svc.c.test SILENT-AAAA",
        ],
        names: &["a", "b", "c"],
    },
    // The next nameserver after SERVFAIL, REFUSED, silence and a closed port.
    Case { conf: POD, hosts: "", servers: &["* SERVFAIL", ZONE], names: &["db", "nothing"] },
    Case { conf: POD, hosts: "", servers: &["* REFUSED", ZONE], names: &["db", "nothing"] },
    Case { conf: POD, hosts: "", servers: &["* SILENT", ZONE], names: &["db"] },
    Case { conf: POD, hosts: "", servers: &["CLOSED", ZONE], names: &["db", "nothing"] },
    Case { conf: POD, hosts: "", servers: &["* SILENT", "* SERVFAIL", ZONE], names: &["db"] },
    Case { conf: POD, hosts: "", servers: &["CLOSED", "CLOSED", "CLOSED"], names: &["db"] },
    // A fourth nameserver is never asked.
    Case { conf: POD, hosts: "", servers: &["* SERVFAIL", "* SERVFAIL", "* SERVFAIL", ZONE], names: &["db"] },
    // NXDOMAIN by the first is final, whatever the second knows.
    Case { conf: POD, hosts: "", servers: &["", ZONE], names: &["db"] },
    // An alias to a name without an address is an answer, and ends the walk.
    Case {
        conf: POD,
        hosts: "",
        servers: &[
            "x.ns.svc.c.test CNAME y.example.\ny.example EMPTY\nx.svc.c.test A 10.0.0.1\nl.ns.svc.c.test CNAME l.ns.svc.c.test.\nl.svc.c.test A 10.0.0.1",
        ],
        names: &["x"],
    },
];

/// The Pod and the servers of a case.
pub(super) fn set_up(case: &Case) -> (Pod, Vec<Server>) {
    let pod = Pod::new();
    let addresses: Vec<String> = (1..=case.servers.len()).map(|last| format!("127.0.0.{last}")).collect();
    let nameservers: Vec<String> = addresses.iter().map(|address| format!("nameserver {address}")).collect();
    pod.etc("resolv.conf", &format!("{}\n{}", nameservers.join("\n"), case.conf));
    pod.etc("hosts", case.hosts);
    pod.etc("nsswitch.conf", "hosts: files dns\n");
    // As Debian, Fedora and their images have it: every line of the hosts file counts. (musl does so always.)
    pod.etc("host.conf", "multi on\n");
    let open = addresses.iter().zip(case.servers).filter(|(_, lines)| **lines != "CLOSED");
    let servers = open.map(|(address, lines)| zone::serve(&pod, address, lines)).collect();
    (pod, servers)
}

/// What glibc finds: `getent ahosts` gives the addresses, `getaddrinfo` by perl the error.
pub(super) fn glibc(pod: &Pod, name: &str) -> String {
    let out = Run::program(tool("getent"), ["ahosts", name]).inside(pod).end();
    let addresses = out.stdout.lines().filter(|line| line.contains("STREAM")).filter_map(|line| line.split(' ').next());
    let addresses = sorted(addresses);
    if !addresses.is_empty() {
        return addresses;
    }
    let script = "use Socket qw(getaddrinfo EAI_AGAIN EAI_FAIL EAI_SYSTEM); my ($e) = getaddrinfo($ARGV[0], '', {socktype => 1}); \
                  print $e == EAI_AGAIN || $e == EAI_FAIL || $e == EAI_SYSTEM ? 'trouble' : $e ? 'not found' : 'found'";
    Run::program(tool("perl"), ["-e", script, name]).inside(pod).end().stdout
}

/// What waitgate finds, waiting for both families.
pub(super) fn ours(pod: &Pod, name: &str) -> String {
    let target = format!("dns:{name}#min=1");
    let out = Run::new(["--once", "--attempt-timeout=9s", "--log-format=json", &target]).inside(pod).end();
    let has = |text: &str| out.stderr.contains(text);
    if out.status.success() {
        let note = out.stderr.split("\"note\":\"").nth(1).and_then(|rest| rest.split(" (").next());
        return sorted(note.unwrap_or_default().split(", "));
    }
    if has("resolve.no-such-name") || has("resolve.no-addresses") {
        "not found".into()
    } else if has("\"code\":\"resolve.") {
        "trouble".into()
    } else if has("\"verdict\":\"refused\"") || has("expected dns:NAME") {
        "refused".into()
    } else {
        format!("{out}")
    }
}

fn sorted<'a>(addresses: impl Iterator<Item = &'a str>) -> String {
    let mut addresses: Vec<IpAddr> = addresses.filter_map(|address| address.parse().ok()).collect();
    addresses.sort();
    addresses.dedup();
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// As many cases at once as the machine bears; most of their time is glibc's, waiting for silent servers.
pub(super) fn each<T: Sync>(cases: &[T], check: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    const AT_ONCE: usize = 8;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            wrong.extend(check(case));
        }
        wrong
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no case panics")).collect()
    })
}

#[test]
fn the_same_as_glibc() {
    let count: usize = SAME.iter().map(|case| case.names.len()).sum();
    assert!(count >= 60, "only {count} combinations");
    let wrong = each(SAME, |case| {
        let (pod, _servers) = set_up(case);
        let check = |name: &&str| {
            let (glibc, ours) = (glibc(&pod, name), ours(&pod, name));
            (glibc != ours)
                .then(|| format!("{name}: glibc {glibc}, ours {ours}, with {:?} {:?}", case.conf, case.servers))
        };
        case.names.iter().filter_map(check).collect()
    });
    assert!(wrong.is_empty(), "of {count}:\n{}", wrong.join("\n"));
}

/// What glibc takes from its environment and its other files changes nothing here.
#[test]
fn what_only_glibc_reads() {
    let (pod, _servers) = set_up(&Case {
        conf: "search ns.svc.c.test\n",
        hosts: "10.1.1.1 twice\n10.1.1.2 twice\n10.1.1.3 listed\n",
        servers: &[
            "db.ns.svc.c.test A 10.0.0.1\ndb.env.test A 10.0.0.2\nx.y.ns.svc.c.test A 10.0.0.3\nx.y A 10.0.0.4\ntwo.ns.svc.c.test A 10.0.0.5\ntwo.ns.svc.c.test AAAA fd00::5",
        ],
        names: &[],
    });
    pod.etc("aliases", "db x.y\n");
    let with = |(name, value): (&str, &str), target: &str| {
        let theirs = Run::program(tool("getent"), ["ahosts", target]).env(name, value).inside(&pod).end();
        let mine = Run::new(["--once", &format!("dns:{target}")]).env(name, value).inside(&pod).end();
        let first = theirs.stdout.split_whitespace().next().unwrap_or_default().to_owned();
        (first, mine.stderr.split(": ").nth(1).and_then(|it| it.split(" (").next()).unwrap_or_default().to_owned())
    };
    let got = |theirs: &str, mine: &str| (theirs.to_owned(), mine.to_owned());
    assert_eq!(with(("LOCALDOMAIN", "env.test"), "db"), got("10.0.0.2", "10.0.0.1"));
    assert_eq!(with(("RES_OPTIONS", "ndots:3"), "x.y"), got("10.0.0.3", "10.0.0.4"));
    assert_eq!(with(("HOSTALIASES", "/etc/aliases"), "db"), got("10.0.0.4", "10.0.0.1"));
    assert_eq!(with(("NONE", ""), "twice"), got("10.1.1.1", "10.1.1.1, 10.1.1.2"));
    pod.etc("host.conf", "");
    let one = Run::program(tool("getent"), ["ahosts", "twice"]).inside(&pod).end();
    one.nowhere("10.1.1.2");
    assert_eq!(with(("NONE", ""), "twice"), got("10.1.1.1", "10.1.1.1, 10.1.1.2"));
    // Only an IPv4 address beside loopback: then glibc asks for no other (AI_ADDRCONFIG).
    pod.sh("ip address add 10.9.9.9/32 dev lo");
    Run::program(tool("getent"), ["ahosts", "two"]).inside(&pod).end().stdout_has("10.0.0.5").nowhere("fd00::5");
    Run::new(["--once", "dns:two#min=1"]).inside(&pod).end().success().stderr_has("10.0.0.5, fd00::5");
    pod.etc("nsswitch.conf", "hosts: dns\n");
    assert_eq!(with(("NONE", ""), "listed"), got("", "10.1.1.3"));
}
