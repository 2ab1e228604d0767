//! The black-box cases of other waiters' own suites, in our words: each holds here too, or the row says how
//! waitgate differs on purpose.
//!
//! Suites: wait-on (test/cli.mocha.js, api.mocha.js, validation.mocha.js), wait-port (lib/*.spec.js), jwilder/dockerize
//! (e2e/e2e_test.go), powerman/dockerize (main_test.go), waitforit (*_test.go), wait4x (checker/http/http_test.go,
//! internal/cmd/*_test.go), docker-compose-wait (tests/integration_test.rs), vishnubob/wait-for-it (test/wait-for-it.py),
//! eficode/wait-for (wait-for.bats).

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use crate::support::{
    Fake, Run,
    fake::linger,
    free_port, loopback,
    web::{Reply, Web},
};

/// How one attempt ends.
enum Ends {
    Ready,
    /// With this in the reason.
    Unready(&'static str),
    /// As wrong input, with this in the message.
    Refused(&'static str),
}

use Ends::{Ready, Refused, Unready};

/// A suite, its case, our target for it, and how that ends here.
type Row = (&'static str, &'static str, String, Ends);

#[track_caller]
fn each(rows: Vec<Row>) {
    for (suite, case, target, ends) in rows {
        let ended = Run::new(["--once", "--connect-timeout=300ms", &target]).end();
        let case = format!("{suite}: {case} ({target})");
        match ends {
            Ready => ended.expect(&case, ended.status.success()),
            Unready(says) => ended.expect(&case, ended.status.code() == Some(1) && ended.stderr.contains(says)),
            Refused(says) => ended.expect(
                &case,
                ended.status.code() == Some(1) && ended.stderr.contains(says) && !ended.stderr.contains("waiting"),
            ),
        };
    }
}

#[test]
fn addresses() {
    let web = Web::always(200);
    let port = web.fake.port();
    let v6 = TcpListener::bind("[::1]:0").unwrap();
    let v6 = v6.local_addr().unwrap();
    each(vec![
        (
            "wait-port",
            "a port alone means localhost there; here the kind and the host are said",
            "3000".into(),
            Refused("tcp:HOST:PORT"),
        ),
        ("wait-port", "a colon and a port", ":3000".into(), Refused("tcp:HOST:PORT")),
        ("wait-port", "a host and a port without a kind", "db:5432".into(), Refused("tcp:HOST:PORT")),
        ("wait-port", "a protocol that is none", format!("ftp://{}/", web.fake.addr), Refused("tcp:HOST:PORT")),
        ("wait-port", "a port above 65535", "tcp:db:65536".into(), Refused("1 to 65535")),
        ("wait-port", "port 0", "tcp:db:0".into(), Refused("1 to 65535")),
        ("wait-port", "a port that is text", "tcp:db:http".into(), Refused("not a number")),
        ("waitforit", "tcp with two slashes", format!("tcp://{}", web.fake.addr), Ready),
        ("waitforit", "tcp without a port has no default", "tcp:db".into(), Refused("the port is missing")),
        ("waitforit", "a URL without a port means 80", "http://127.255.255.254/".into(), Unready("127.255.255.254:80")),
        #[cfg(feature = "tls")]
        ("waitforit", "the same means 443 with TLS", "https://127.255.255.254/".into(), Unready("127.255.255.254:443")),
        ("waitforit", "an IPv6 literal", format!("tcp:[::1]:{}", v6.port()), Ready),
        ("waitforit", "an IPv6 literal without brackets", "tcp:::1:80".into(), Refused("brackets")),
        ("waitforit", "garbage", "http://%41:%42@:$$$$:123/".into(), Refused("expected http://")),
        ("waitforit", "nothing", String::new(), Refused("found nothing")),
        ("wait-on", "a file that exists", "file:/etc/hosts".into(), Ready),
        (
            "wait-on",
            "http: without slashes was polled without an end there",
            format!("http:127.0.0.1:{port}"),
            Refused("http://HOST"),
        ),
        ("wait-on", "a unix socket that is missing", "unix:/nonexistent/socket".into(), Unready("there is no")),
        ("jwilder", "an unknown scheme", "unknown://127.0.0.1/".into(), Refused("kind")),
        ("powerman", "tcp4 and tcp6: the family is the name's or the literal's", "tcp4://db:1".into(), Refused("kind")),
        ("powerman", "a list in one text", "http://127.0.0.1/ tcp://127.0.0.1:1".into(), Refused("blank")),
        (
            "docker-compose-wait",
            "a list with commas",
            "tcp:127.0.0.1:1,127.0.0.1:2".into(),
            Refused("expected tcp:HOST:PORT"),
        ),
        ("wait4x", "an address without a port looped there", "tcp:127.0.0.1".into(), Refused("the port is missing")),
    ]);
}

#[test]
fn answers() {
    let ready = Web::always(200);
    let missing = Web::always(404);
    let failing = Web::always(500);
    let moved = Web::new(|seen, _| if seen.path == "/" { Reply::to(302, "/there") } else { Reply::status(200) });
    let no_head = Web::new(|seen, _| Reply::status(if seen.method == "HEAD" { 405 } else { 200 }));
    let header = Web::new(|seen, _| Reply::status(if seen.header("x-a") == Some("b:c:d") { 200 } else { 400 }));
    let login =
        Web::new(|seen, _| Reply::status(if seen.header("authorization") == Some("Basic dTpw") { 200 } else { 401 }));
    let json = Web::new(|_, _| Reply::body(200, r#"{"status":"UP","db":{"ok":true}}"#));
    let host = Web::new(|seen, _| Reply::status(if seen.header("host") == Some("api.test") { 200 } else { 404 }));
    let posted = Web::new(|seen, _| Reply::status(if seen.body == r#"{"a":1}"# { 200 } else { 400 }));
    let silent = Fake::silent();
    let slow = Web::new(|_, _| {
        thread::sleep(Duration::from_millis(700));
        Reply::status(200)
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("header");
    std::fs::write(&file, "b:c:d\n").unwrap();
    let socket = folder.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    each(vec![
        ("wait-on", "200", ready.url("/"), Ready),
        ("wait-on", "404 is not ready", missing.url("/"), Unready("404 Not Found")),
        ("wait-on", "a redirect is followed", moved.url("/"), Ready),
        ("wait-on", "a redirect is not followed", moved.url("/#status=200,302"), Ready),
        ("wait-on", "HEAD by default failed there; GET does not", no_head.url("/"), Ready),
        ("wait-on", "HEAD where it is asked for", no_head.url("/#method=HEAD"), Unready("405 Method Not Allowed")),
        ("wait-on", "a timeout of one request", slow.url("/#attempt-timeout=300ms"), Unready("no complete answer")),
        ("wait-on", "a status that is expected", missing.url("/#status=404"), Ready),
        ("wait-on", "a unix socket (http over one is not a kind here)", format!("unix:{}", socket.display()), Ready),
        ("wait-on", "reverse: still there", format!("tcp:{}#gone", ready.fake.addr), Unready("still there")),
        ("wait-on", "reverse: gone", format!("tcp:{}#gone", free_port()), Ready),
        (
            "wait-port",
            "http where only tcp answers",
            format!("http://{}/#attempt-timeout=300ms", silent.addr),
            Unready("no complete answer"),
        ),
        ("wait-port", "a path that answers 200", ready.url("/healthcheck"), Ready),
        ("wait-port", "a path that does not", missing.url("/healthcheck"), Unready("404")),
        ("waitforit", "404 was ready there (below 500); here it has to be expected", missing.url("/"), Unready("404")),
        ("waitforit", "the same, expected", missing.url("/#status=200-499"), Ready),
        ("waitforit", "500", failing.url("/"), Unready("500 Internal Server Error")),
        ("waitforit", "a status that is not the one", ready.url("/#status=201"), Unready("200 OK")),
        ("waitforit", "a user and a password", login.url("/").replace("http://", "http://u:p@"), Ready),
        ("waitforit", "without them", login.url("/"), Unready("401 Unauthorized")),
        ("jwilder", "a header with colons", header.url("/#header=X-A: b:c:d"), Ready),
        ("jwilder", "without it", header.url("/"), Unready("400 Bad Request")),
        ("powerman", "a list of statuses", missing.url("/#status=200,404"), Ready),
        ("powerman", "a header out of a file", header.url(&format!("/#header=X-A:@{}", file.display())), Ready),
        ("powerman", "a redirect is not followed", moved.url("/#status=302"), Ready),
        ("wait4x", "any status was ready there", failing.url("/"), Unready("500 Internal Server Error")),
        ("wait4x", "a status and a body", json.url("/#status=200#body=UP"), Ready),
        ("wait4x", "two looks at one body never held together there", json.url("/#match=U.#json=/db/ok"), Ready),
        ("wait4x", "a body that does not match", json.url("/#match=^DOWN"), Unready("nothing that #match matches")),
        ("wait4x", "a JSON path that is not there", json.url("/#json=/db/no"), Unready("nothing at /db/no")),
        ("wait4x", "a Host header was ignored there", host.url("/#header=Host:api.test"), Ready),
        ("wait4x", "a pattern that is none was retried there", json.url("/#match=("), Refused("regular expression")),
        ("wait4x", "POST with a body", posted.url("/#data={\"a\":1}"), Ready),
        ("wait4x", "invert: still there", ready.url("/#gone"), Unready("still there")),
        ("eficode", "200", ready.url("/"), Ready),
        ("eficode", "404", missing.url("/"), Unready("404")),
    ]);
}

#[test]
fn what_comes_late_is_seen() {
    let (web, tcp) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let targets = [format!("http://{web}/"), format!("tcp:{tcp}"), format!("unix:{}", socket.display())];
    // wait-on: simultaneous resources; jwilder: several -wait at once; docker-compose-wait: one after the other.
    for parallel in [false, true] {
        let run = Run::new(if parallel { vec!["--parallel"] } else { vec![] });
        let running = targets.iter().fold(run, Run::arg).start();
        running.line("refused");
        let _web = Web::on(web, None, |_, _| Reply::status(200));
        let _tcp = Fake::on(tcp, linger);
        let _unix = UnixListener::bind(&socket).unwrap();
        running.end().success().stderr_has("3 targets");
        std::fs::remove_file(&socket).unwrap();
    }
}

#[test]
fn the_ten_of_wait_for_it() {
    let open = Fake::new(linger);
    let (open, closed) = (format!("tcp:{}", open.addr), format!("tcp:{}", free_port()));
    // 1: no arguments are a usage error. 2: help is none. 3 and 4: host or port are missing.
    Run::new([""; 0]).end().failure().stderr_has("at least one target");
    Run::new(["--help"]).end().success();
    Run::new(["tcp::80"]).end().failure();
    Run::new(["tcp:127.0.0.1"]).end().failure();
    // 5 and 6: an open port, and one that stays closed.
    Run::new([&open]).end().success();
    Run::new(["--timeout=500ms", &closed]).end().failure().took(Duration::from_millis(500)..Duration::from_secs(3));
    // 7 and 8: the command runs, and its status is the run's.
    Run::new([&open, "--", "sh", "-c", "echo ran"]).end().success().stdout_has("ran");
    Run::new([&open, "--", "sh", "-c", "exit 7"]).end().code(7);
    // 9 and 10: after a timeout the command ran there unless --strict was given; here it never does.
    Run::new(["--timeout=500ms", &closed, "--", "sh", "-c", "echo ran"]).end().failure().nowhere("ran\n");
}

#[test]
fn several_of_docker_compose_wait_and_powerman() {
    let open = Fake::new(linger);
    let (open, closed) = (format!("tcp:{}", open.addr), format!("tcp:{}", free_port()));
    // One of two is not enough, in either order.
    for targets in [[&open, &closed], [&closed, &open]] {
        let ended = Run::new(["--timeout=500ms", "--parallel"]).arg(targets[0]).arg(targets[1]).end();
        ended.failure().stderr_has("1 of 2").stderr_has(&closed);
    }
    // Sleeps before and after; of the one after a random part here, so that a fleet does not start in step.
    let ended = Run::new(["--initial-delay=300ms", "--settle=300ms", &open]).end();
    ended.success().stderr_has("settling").took(Duration::from_millis(300)..Duration::from_secs(3));
    // A command that is not there failed only after the wait; here it is looked for first.
    let ended = Run::new([&closed, "--", "/nonexistent/command"]).end();
    ended.code(1).stderr_has("is not found").took(Duration::ZERO..Duration::from_secs(1));
    // An empty list was a success there, and a failed wait 123 (powerman) where it is 1 here, for any reason.
    Run::new(["--", "true"]).end().code(1);
    Run::new(["--once", &closed, "--", "true"]).end().code(1);
}

#[test]
fn timeouts_of_wait_for() {
    let closed = format!("tcp:{}", free_port());
    // A negative one and an empty one are wrong input; the bound is one for all, not one for each target.
    Run::new(["--timeout=-1", &closed]).end().failure().stderr_has("duration");
    Run::new(["--timeout=", &closed]).end().failure().stderr_has("duration");
    let ended = Run::new(["--timeout=500ms", "--parallel", &closed, &closed]).end();
    ended.failure().took(Duration::from_millis(500)..Duration::from_secs(3));
    // 0 waits without an end.
    let address = free_port();
    let running = Run::new(["--timeout=0", &format!("tcp:{address}")]).start();
    running.line("refused");
    thread::sleep(Duration::from_millis(500));
    let _fake = Fake::on(address, linger);
    running.end().success();
}

/// The command gets the environment as it was (eficode/wait-for clobbered HOST, PORT and TIMEOUT).
#[test]
fn the_environment_is_the_commands() {
    let open = Fake::on((loopback(), 0).into(), linger);
    let run = Run::new([&format!("tcp:{}", open.addr), "--", "sh", "-c", "echo $HOST-$PORT-$TIMEOUT"]);
    run.env("HOST", "a").env("PORT", "b").env("TIMEOUT", "c").env("PATH", "/bin:/usr/bin").end().stdout_has("a-b-c");
}
