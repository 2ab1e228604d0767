//! What a person and a machine read in each situation: situations.txt beside this file, reviewed by eye, held by this
//! test.
//!
//! Each is a name, the last line (which is the termination message, too) and the JSON verdict. Addresses that differ from
//! run to run are SERVER and ADDRESS there, durations that do are TIME or 0.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use expect_test::expect_file;

use crate::support::{
    Fake, Pod, Run,
    dns::{Answer, NXDOMAIN, Names, REFUSED, SERVFAIL},
    free_port, mask,
    mysql::{err, packet, result, saying, up_to_the_query},
    web::{Authority, Reply, Web},
    zone,
};

const RESOLV: &str =
    "search shop.svc.cluster.test svc.cluster.test cluster.test\nnameserver 127.0.0.1\noptions ndots:5\n";

/// The table so far.
#[derive(Default)]
struct Table(String);

impl Table {
    /// One attempt at `target`, as text, as JSON, and the termination message.
    fn row(&mut self, name: &str, pod: Option<&Pod>, server: Option<SocketAddr>, target: &str) {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let run = |format: &str| {
            let run = Run::new(["--once", "--attempt-timeout=700ms", "--connect-timeout=200ms"])
                .arg(format!("--log-format={format}"))
                .arg("--termination-log")
                .arg(log.path())
                .arg(target);
            let ended = match pod {
                Some(pod) => run.env("KUBERNETES_SERVICE_HOST", "10.96.0.1").inside(pod).end(),
                None => run.end(),
            };
            ended.failure().silent_stdout();
            ended.last_line().to_owned()
        };
        let text = run("text");
        let message = std::fs::read_to_string(log.path()).expect("it is still there");
        assert_eq!(text, message, "the last line is the termination message");
        let line = run("json");
        let mut json: serde_json::Value = serde_json::from_str(&line).expect("an object");
        for text in [&text, &line] {
            for bad in ["Error {", "Some(", "Kind", "\u{1b}", "hunter2", "  "] {
                assert!(!text.contains(bad), "{name}: {bad:?} in {text}");
            }
        }
        let field = |name: &str| json["targets"][0][name].as_str().is_some_and(|text| !text.is_empty());
        assert!(field("reason") && field("code"), "{name}: {json}");
        // What differs from run to run.
        json["time"] = "TIME".into();
        // It is cut, and the length of a port decides where. The line above is the whole of it.
        let message = json["message"].take();
        let message = message.as_str().expect("a message").trim_end_matches('…');
        assert!(text.starts_with(message), "{name}: {message} of {text}");
        json["elapsed"] = 0.into();
        json["targets"][0]["waited"] = 0.into();
        let plain = |text: &str| {
            let text = server.map_or(text.to_owned(), |server| {
                text.replace(&server.to_string(), "SERVER").replace(&server.ip().to_string(), "ADDRESS")
            });
            // Two are of the options above, one is of the zones below, and each situation is one attempt.
            mask(&text, &["200ms", "700ms", "30s", "1 attempt"])
        };
        let _ = writeln!(self.0, "## {name}\n{}\n{}\n", plain(&text), plain(&json.to_string()));
    }

    fn fake(&mut self, name: &str, fake: &Fake, target: &str) {
        self.row(name, None, Some(fake.addr), &target.replace("SERVER", &fake.addr.to_string()));
    }

    fn web(&mut self, name: &str, reply: impl Fn() -> Reply + Send + Sync + 'static, expectations: &str) {
        let web = Web::new(move |_, _| reply());
        let target = web.url(&format!("/ready{expectations}"));
        self.row(name, None, Some(web.fake.addr), &target);
    }

    /// One attempt in a Pod whose nameserver gives `answer` for each name.
    fn names(&mut self, name: &str, answer: impl Fn(&str) -> Answer + Send + 'static, target: &str) {
        let pod = Pod::new();
        pod.etc("resolv.conf", RESOLV);
        let _names = Names::start(&pod, move |asked| answer(&asked.name));
        self.row(name, Some(&pod), None, target);
    }
}

fn tcp(table: &mut Table) {
    let port = free_port();
    table.row("tcp: nothing listens", None, Some(port), &format!("tcp:{port}"));
    let fake = Fake::closing();
    table.fake("tcp: a proxy closes at once", &fake, "tcp:SERVER");
    let fake = Fake::greeting("421 busy \u{1b}[2J\r\n");
    table.fake("tcp: another banner than expected", &fake, "tcp:SERVER#banner=220");
    table.fake("tcp: a banner that does not match", &fake, "tcp:SERVER#banner-match=^220");
    table.fake("tcp: still there, and expected to be gone", &fake, "tcp:SERVER#gone");
    table.fake("tcp: no banner at all", &Fake::silent(), "tcp:SERVER#banner=220");
    let pod = Pod::new();
    pod.sh("nft add table inet t\nnft add chain inet t in '{ type filter hook input priority 0; }'\n\
            nft add rule inet t in tcp dport 7000 drop");
    table.row("tcp: a server whose queue is full", Some(&pod), None, "tcp:127.0.0.1:7000");
    pod.sh("ip address add 10.8.8.8/32 dev lo");
    table.row("tcp: packets are dropped", Some(&pod), None, "tcp:10.8.8.8:7000");
    table.row("tcp: no route", Some(&pod), None, "tcp:10.9.9.9:7000");
    pod.etc("hosts", "127.0.0.2 quorum\n127.0.0.3 quorum\n");
    let _one = pod.within(|| Fake::on(([127, 0, 0, 2], 80).into(), crate::support::fake::linger));
    table.row("tcp: one of two addresses accepts, two are wanted", Some(&pod), None, "tcp:quorum:80#min=2");
    table.row("unix: no such socket", None, None, "unix:/nowhere/app.sock");
}

/// What a Pod can know about Services, its own among them.
fn services(table: &mut Table) {
    let pod = Pod::new();
    pod.etc("resolv.conf", "search ns.svc.c.test svc.c.test c.test corp.test\nnameserver 127.0.0.1\noptions ndots:5\n");
    pod.sh("ip address add 10.0.0.1/32 dev lo; ip address add 10.0.0.2/32 dev lo; ip address add 10.0.0.7/32 dev lo");
    pod.hostname("own-0");
    pod.etc("hosts", "127.0.0.1 localhost\n10.0.0.7\town-0.own.ns.svc.c.test\town-0\n");
    let server = zone::serve(
        &pod,
        "127.0.0.1",
        "db.ns.svc.c.test A 10.0.0.1\npods.ns.svc.c.test A 10.0.0.1\npods.ns.svc.c.test A 10.0.0.2\napi.corp.test A 10.0.0.1",
    );
    let mut row = |name: &str, target: &str| table.row(name, Some(&pod), None, target);
    row("a Service without a ready Pod", "tcp:db:5432");
    row("http: a Service without a ready Pod", "http://db/ready");
    row("postgres: a Service without a ready Pod", "postgres:db:5432");
    row("one Pod of a headless Service of two is wanted", "tcp:pods:5432#min=1");
    row("a name that is no Service", "tcp:api:5432");
    row("a port of this Pod, by loopback", "tcp:localhost:15021");
    row("a port of this Pod, by its own address", "tcp:10.0.0.7:15021");
    row("the headless Service of this Pod itself", "dns:own");
    row("another Pod of the Service of this Pod", "tcp:own-1.own:5432");
    pod.sh("nft add table ip mesh\nnft 'add chain ip mesh out { type nat hook output priority -100; }'\n\
            nft add rule ip mesh out meta l4proto tcp redirect to :15001");
    row("a mesh whose sidecar is not up", "tcp:db:5432");
    drop(server);
    row("the cluster's DNS refuses", "dns:db");
    let _silent = Names::start(&pod, |_| Answer::Silence);
    row("the cluster's DNS is silent", "dns:db.other");
    pod.etc("resolv.conf", "search corp.test\nnameserver 127.0.0.9\n");
    let _node = zone::serve(&pod, "127.0.0.9", "api.corp.test A 10.0.0.1");
    row("hostNetwork and the node's DNS", "dns:db");
}

fn dns(table: &mut Table) {
    let answers = |code| move |_: &str| Answer::Code(code);
    table.names("dns: no such name", answers(NXDOMAIN), "dns:db");
    table.names("dns: no such name, with a dot", answers(NXDOMAIN), "dns:db.other");
    table.names("dns: a name without addresses", |_| Answer::NoData, "dns:db");
    table.names("dns: the server fails", answers(SERVFAIL), "dns:db");
    table.names("dns: the server refuses", answers(REFUSED), "dns:db");
    table.names("dns: the server is silent", |_| Answer::Silence, "dns:db");
    let two = |_: &str| Answer::Addresses(vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]);
    table.names("dns: two addresses, three are wanted", two, "dns:db#min=3");
    table.names("dns: another address is wanted", two, "dns:db#has=10.0.0.9");
    table.names("dns: still there, and expected to be gone", two, "dns:db#gone");
    table.names("dns: no record of that type", |_| Answer::NoData, "dns:_http._tcp.web?type=SRV");
    table.names("tcp: no such name", answers(NXDOMAIN), "tcp:db:5432");
    let pod = Pod::new();
    pod.etc("resolv.conf", RESOLV);
    table.row("dns: no nameserver is there", Some(&pod), None, "dns:db");
    pod.remove_etc("resolv.conf");
    table.row("dns: no resolv.conf", Some(&pod), None, "dns:db");
}

fn http(table: &mut Table) {
    table.web("http: 503", || Reply::status(503), "");
    table.web("http: a proxy without its server", || Reply::status(502), "");
    table.web("http: Envoy without its server", || Reply::status(503).with("server", "envoy"), "");
    table.web("http: 404", || Reply::status(404), "");
    table.web("http: credentials refused", || Reply::status(401), "");
    table.web("http: a status that is not listed", || Reply::status(200), "#status=204");
    table.web("http: redirects go round", || Reply::to(302, "/ready"), "");
    table.web("http: another body", || Reply::body(200, "starting"), "#body=started");
    table.web("http: a body that does not match", || Reply::body(200, "starting"), "#match=^started$");
    table.web("http: another JSON value", || Reply::body(200, r#"{"status":"DOWN"}"#), "#json=/status=UP");
    table.web("http: no JSON", || Reply::body(200, "<html>"), "#json=/status=UP");
    table.web("http: a file that is not there", || Reply::status(200), "#header=Authorization:@/nowhere/token");
    for (name, said) in [
        ("Redis", "-ERR wrong number of arguments for 'get' command\r\n"),
        ("SSH", "SSH-2.0-OpenSSH_9.2\r\n"),
        ("SMTP", "220 mail ESMTP\r\n"),
        ("control characters", "\u{1b}[2J\u{7}\r\n\r\n"),
    ] {
        table.fake(&format!("http: {name} answers"), &Fake::greeting(said), "http://SERVER/");
    }
    table.fake("http: silence", &Fake::silent(), "http://user:hunter2@SERVER/?token=hunter2");
    table.fake("http: closed at once", &Fake::closing(), "http://SERVER/");
    let web = Web::always(200);
    table.row("https: the port speaks plain HTTP", None, Some(web.fake.addr), &web.url("/").replace("http:", "https:"));
    table.fake("https: silence", &Fake::silent(), "https://SERVER/");
    let authority = Authority::new();
    let secure = |config| {
        let pod = Pod::new();
        pod.etc("hosts", "127.0.0.1 api localhost\n");
        let web = pod.within(|| Web::on(([127, 0, 0, 1], 8443).into(), Some(config), |_, _| Reply::status(200)));
        (pod, web)
    };
    let (pod, _web) = secure(authority.server(&["api"]));
    table.row("https: an unknown issuer", Some(&pod), None, "https://api:8443/");
    table.row("http: the port speaks TLS", Some(&pod), None, "http://api:8443/");
    let aged = |from, until| {
        authority.server_with(&["api"], |params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
        })
    };
    for (name, config) in [
        ("https: another name", authority.server(&["other.test"])),
        ("https: it has expired", aged(2019, 2020)),
        ("https: it is not valid yet", aged(2090, 2091)),
        ("https: a client certificate is wanted", authority.server_for_members(&["api"])),
    ] {
        let (pod, _web) = secure(config);
        let before = table.0.len();
        table.row(name, Some(&pod), None, &format!("https://api:8443/#ca={}", authority.file().display()));
        let row = table.0.split_off(before).replace(&authority.file().display().to_string(), "/ca.pem");
        table.0.push_str(&row);
    }
}

fn postgres(table: &mut Table) {
    let login = "postgres://app:hunter2@SERVER/shop?sslmode=disable";
    for (name, code, message) in [
        ("starting up", "57P03", "the database system is starting up"),
        ("shutting down", "57P03", "the database system is shutting down"),
        ("no connection left", "53300", "sorry, too many clients already"),
        ("wrong password", "28P01", "password authentication failed for user \"app\""),
        (
            "no entry in pg_hba.conf",
            "28000",
            "no pg_hba.conf entry for host \"10.0.0.9\", user \"app\", database \"shop\", no encryption",
        ),
        ("no such database", "3D000", "database \"shop\" does not exist"),
        ("a pooler without its server", "08P01", "query_wait_timeout"),
        ("an error of its own", "XX000", "out of\u{1b}[2J\nluck"),
    ] {
        table.fake(&format!("postgres: {name}"), &Fake::postgres_error(code, message), login);
    }
    table.fake("postgres: silence", &Fake::silent(), "postgres:SERVER");
    table.fake("postgres: closed at once", &Fake::closing(), "postgres:SERVER");
    table.fake("postgres: no TLS there", &Fake::answering("N"), "postgres://SERVER/?sslmode=require");
    let web = Fake::answering("HTTP/1.1 400 Bad Request\r\n\r\n");
    table.fake("postgres: HTTP answers", &web, "postgres://SERVER/?sslmode=disable");
}

fn amqp(table: &mut Table) {
    use crate::support::amqp::{blocked, channel_close, channel_ok, close, greeting, logged_in, saying, start, tune};
    let login = "amqp://app:hunter2@SERVER/shop";
    let refused =
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
    let opening = |number, words| vec![greeting(), tune(), close(number, words)];
    let later = |answer: Vec<u8>| [logged_in(), vec![channel_ok(), answer]].concat();
    for (name, answers, more) in [
        ("wrong password", vec![greeting(), close(403, refused)], ""),
        ("no way to log in", vec![start("EXTERNAL", true)], ""),
        ("no such vhost", opening(530, "NOT_ALLOWED - vhost shop not found"), ""),
        ("the vhost is forbidden", opening(530, "NOT_ALLOWED - access to vhost 'shop' refused for user 'app'"), ""),
        ("the vhost is down", opening(541, "INTERNAL_ERROR - vhost 'shop' is down"), ""),
        (
            "shutting down",
            vec![close(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")],
            "",
        ),
        ("no such queue", later(channel_close(404, "NOT_FOUND - no queue 'jobs' in vhost 'shop'")), "#queue=jobs"),
        (
            "an exclusive queue",
            later(channel_close(405, "RESOURCE_LOCKED - cannot obtain exclusive access")),
            "#queue=jobs",
        ),
        ("an alarm", later(blocked("low on memory")), "#publish"),
    ] {
        table.fake(&format!("amqp: {name}"), &saying(answers), &format!("{login}{more}"));
    }
    table.fake("amqp: silence", &Fake::silent(), "amqp:SERVER");
    table.fake("amqp: closed at once", &Fake::closing(), "amqp:SERVER");
    table.fake("amqp: AMQP 1.0 alone", &Fake::answering("AMQP\x03\x01\0\0"), "amqp:SERVER");
    table.fake("amqp: the port speaks TLS", &Fake::answering("\x15\x03\x03\0\x02\x02\x0a"), "amqp:SERVER");
    table.fake("amqps: the port speaks plain AMQP", &Fake::answering("AMQP\0\0\x09\x01"), "amqps://SERVER");
    table.fake("amqp: HTTP answers", &Fake::answering("HTTP/1.1 400 Bad Request\r\n\r\n"), "amqp:SERVER");
}

fn mysql(table: &mut Table) {
    let login = "mysql://app:hunter2@SERVER/shop";
    for (name, number, message) in [
        ("full", 1040, "Too many connections"),
        ("the host is blocked", 1129, "Host '10.0.0.9' is blocked because of many connection errors"),
        ("the host is not allowed", 1130, "Host '10.0.0.9' is not allowed to connect to this MySQL server"),
        ("shutting down", 1053, "Server shutdown in progress"),
    ] {
        let packet = packet(0, &err(number, message));
        table.fake(&format!("mysql: {name}"), &Fake::greeting(packet), "mysql:SERVER");
    }
    for (name, number, message) in [
        ("login refused", 1045, "Access denied for user 'app'@'10.0.0.9' (using password: YES)"),
        ("no such database", 1049, "Unknown database 'shop'"),
        ("the account is locked", 3118, "Access denied for user 'app'@'10.0.0.9'. Account is locked."),
        ("an error of its own", 1105, "out of\u{1b}[2J\nluck"),
    ] {
        table.fake(&format!("mysql: {name}"), &saying(vec![packet(2, &err(number, message))]), login);
    }
    let asks = |plugin: &str| {
        let switch = [b"\xfe", plugin.as_bytes(), b"\0"].concat();
        saying(vec![packet(2, &switch), packet(4, &err(1045, "Access denied"))])
    };
    for plugin in ["mysql_clear_password", "sha256_password", "client_ed25519"] {
        table.fake(&format!("mysql: it asks for {plugin}"), &asks(plugin), login);
    }
    let plain = saying(vec![packet(2, &err(1045, "Access denied"))]);
    table.fake("mysql: no TLS there", &plain, "mysql://SERVER/?ssl-mode=REQUIRED");
    let mut query = up_to_the_query();
    query.push(result(8, &[b"\x010"]));
    table.fake("mysql: the query says no", &saying(query), &format!("{login}#query=SELECT 0"));
    table.fake("mysql: silence", &Fake::silent(), "mysql:SERVER");
    table.fake("mysql: closed at once", &Fake::closing(), "mysql:SERVER");
    table.fake("mysql: SSH answers", &Fake::greeting("SSH-2.0-OpenSSH_9.2\r\n"), "mysql:SERVER");
    table.fake("mysql: the X Protocol answers", &Fake::greeting("\u{5}\0\0\0\u{b}\u{8}\u{5}\u{1a}\0"), "mysql:SERVER");
}

fn mongodb(table: &mut Table) {
    use crate::support::mongodb::{BOTH, Doc, Mongod, User, state};
    let mut say = |name: &str, doc: Doc, target: &str| {
        let server = Mongod::new(doc, &[User("admin", "app", "hunter2", BOTH)]);
        table.fake(&format!("mongodb: {name}"), &server.fake, target);
    };
    say("rs.initiate() was not called", state("uninitiated", ""), "mongodb:SERVER");
    say("it recovers", state("recovering", "mongo-0:27017"), "mongodb:SERVER");
    say("an arbiter", state("arbiter", "mongo-2:27017"), "mongodb:SERVER");
    say("a secondary, and another is the primary", state("secondary", "mongo-1:27017"), "mongodb:SERVER#role=primary");
    say("a secondary, and no primary", state("leaderless", "mongo-1:27017"), "mongodb:SERVER#role=primary");
    say("a hidden member", state("hidden", "mongo-1:27017"), "mongodb:SERVER#role=secondary");
    say("another set", state("primary", "mongo-1:27017"), "mongodb://SERVER/?replicaSet=rs1");
    say("no set", state("standalone", ""), "mongodb:SERVER#set=rs0");
    say("wrong password", state("primary", "mongo-0:27017"), "mongodb://app:wrong@SERVER/");
    say("no such user", state("primary", "mongo-0:27017"), "mongodb://shop:hunter2@SERVER/");
    say("no load balancer", state("mongos", ""), "mongodb://SERVER/?loadBalanced=true");
    let quiesce = Doc::error(91, "ShutdownInProgress", "The server is in quiesce mode and will shut down");
    say("shutting down", quiesce, "mongodb:SERVER");
    say("an error of its own", Doc::error(1, "InternalError", "out of\u{1b}[2J\nluck"), "mongodb:SERVER");
    table.fake("mongodb: silence", &Fake::silent(), "mongodb:SERVER");
    table.fake("mongodb: closed at once", &Fake::closing(), "mongodb:SERVER");
    table.fake("mongodb: the port speaks TLS", &Fake::answering("\x15\x03\x03\0\x02\x02\x46"), "mongodb:SERVER");
    table.fake("mongodb: HTTP answers", &Fake::answering("HTTP/1.1 400 Bad Request\r\n\r\n"), "mongodb:SERVER");
}

/// `UPDATE_EXPECT=1 cargo test --test real situations` writes the file anew.
#[test]
fn every_situation_reads_as_reviewed() {
    let mut table = Table::default();
    tcp(&mut table);
    services(&mut table);
    dns(&mut table);
    http(&mut table);
    postgres(&mut table);
    mysql(&mut table);
    amqp(&mut table);
    mongodb(&mut table);
    assert!(table.0.matches("## ").count() >= 40);
    expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/situations.txt")].assert_eq(&table.0);
}
