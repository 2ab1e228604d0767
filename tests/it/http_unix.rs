//! `http+unix:`: HTTP over the socket of a daemon, such as Docker's.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{Run, run::Ended};

/// Answers each request with what `script` says to its head, and closes the connection.
struct Daemon {
    folder: TempDir,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    fn new(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let daemon = Self { folder: tempfile::tempdir().unwrap(), seen: Arc::default() };
        let (listener, seen) = (UnixListener::bind(daemon.path()).unwrap(), Arc::clone(&daemon.seen));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = head(&stream);
                seen.lock().unwrap().push(head.clone());
                let _ = stream.write_all(script(&head).as_bytes());
            }
        });
        daemon
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    fn url(&self, rest: &str) -> String {
        format!("http+unix:{}:{rest}", self.path().display())
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn head(stream: &UnixStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).env("TOK", "hunter2-zw0lf").end()
}

#[test]
fn the_request_and_its_answer() {
    let daemon = Daemon::new(|_| answer("200 OK", "X-A: b\r\n", "{\"ok\":true}"));
    let path = daemon.path().display().to_string();
    once(&daemon.url("/_ping?a=b")).success().stderr_has(&format!("200 OK from {path}"));
    let seen = daemon.seen();
    assert!(seen[0].starts_with("GET /_ping?a=b HTTP/1.1\n"), "{}", seen[0]);
    for header in ["host: localhost\n", "accept-encoding: identity\n", "connection: close\n"] {
        assert!(seen[0].contains(header), "{}", seen[0]);
    }
    let more = "#status=200#body=true#json=/ok=true#answer-header=X-A:b#header=Host:docker#header=X-T:$(TOK)";
    once(&daemon.url(&format!("/{more}"))).success().nowhere("hunter2");
    let seen = daemon.seen();
    assert!(seen[1].contains("host: docker\n") && seen[1].contains("x-t: hunter2-zw0lf\n"), "{}", seen[1]);
    once(&daemon.url("/#json=/ok=false")).failure().stderr_has(&path).stderr_has("[expect.body]");
}

/// Each spelling is shown alike.
#[test]
fn spellings() {
    let daemon = Daemon::new(|_| answer("204 No Content", "", ""));
    let path = daemon.path().display().to_string();
    let encoded = path.replace('/', "%2F");
    for (target, asks) in [
        (format!("http+unix:{path}:/v1/info"), "/v1/info"),
        (format!("HTTP+UNIX:{path}:/v1/info"), "/v1/info"),
        (format!("http+unix://{path}:/v1/info"), "/v1/info"),
        (format!("http+unix://{encoded}/v1/info"), "/v1/info"),
        (format!("http+unix:{path}"), "/"),
        (format!("http+unix://{encoded}"), "/"),
    ] {
        let ended = once(&target);
        let shown =
            if asks == "/" { format!("http+unix:{path}  ready") } else { format!("http+unix:{path}:{asks}  ready") };
        ended.success().stderr_has(&shown);
        assert!(daemon.seen().last().unwrap().starts_with(&format!("GET {asks} ")), "{target}");
    }
    let ended =
        Run::new(["--once", "http+unix:$(SOCK):/x?token=$(TOK)"]).env("SOCK", &path).env("TOK", "hunter2").end();
    ended.success().stderr_has("http+unix:$(SOCK):/x?token=***").nowhere("hunter2");
    let ended = Run::new(["--once", "env:URL"]).env("URL", format!("http+unix:{path}:/hook/hunter2")).end();
    ended.success().nowhere("hunter2");
}

#[test]
fn what_is_not_a_target() {
    let long = format!("http+unix:/{}:/", "x".repeat(107));
    for (target, says) in [
        ("http+unix:", "the path is not absolute"),
        ("http+unix:run/x.sock:/", "the path is not absolute"),
        ("http+unix://docker.sock/info", "found a host where the path of a socket should be"),
        ("http+unix:/a%00b:/", "NUL"),
        ("http+unix:/a:/%zz", "two hex digits"),
        ("http+unix:/a:/#ca=/x", "does not speak TLS"),
        ("http+unix:/a:/#proxy", "#proxy: the request goes over a unix socket"),
        ("http+unix:/a:/#follow", "#follow: the request goes over a unix socket"),
        ("http+unix:/a:/#gone#status=200", "#gone excludes #status"),
        (&long, "the path is too long"),
    ] {
        let ended = Run::new([target]).env("http_proxy", "http://proxy:1").end();
        ended.failure().stderr_has(says).took(Duration::ZERO..Duration::from_secs(2));
    }
}

/// The socket's own reasons, as with `unix:`.
#[test]
fn missing_refused_and_forbidden() {
    let daemon = Daemon::new(|_| answer("200 OK", "", ""));
    once("http+unix:/nonexistent/x.sock:/").failure().stderr_has("there is no /nonexistent/x.sock [local.missing]");
    let stale = daemon.folder.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let target = format!("http+unix:{}:/", stale.display());
    once(&target).failure().stderr_has("refused by").stderr_has("[connect.refused]");
    forbidden(&daemon.path());
}

fn forbidden(path: &Path) {
    let folder = path.parent().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    let binary = folder.join("waitgate");
    fs::copy(env!("CARGO_BIN_EXE_waitgate"), &binary).unwrap();
    let run = Run::program(&binary, ["--once", &format!("http+unix:{}:/", path.display())]);
    // Root may connect to any socket, so it has to become another user.
    let other = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
    let run = if rustix::process::geteuid().is_root() { run.through(other) } else { run };
    run.end().failure().stderr_has("may not connect to").stderr_has("[connect.denied]");
}

#[test]
fn late_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let running = Run::new([format!("http+unix:{}:/", path.display())]).start();
    running.line("there is no");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            head(&stream);
            let status = if at == 0 { "503 Service Unavailable" } else { "200 OK" };
            let _ = stream.write_all(answer(status, "", "").as_bytes());
        }
    });
    running.line("503 Service Unavailable from ");
    running.end().success();
}

#[test]
fn answers_that_are_no_http() {
    for (says, reason) in [
        ("SSH-2.0-OpenSSH\r\n", "answered, but not in HTTP [protocol.other]"),
        ("", "closed it without an answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "was cut short"),
    ] {
        let daemon = Daemon::new(move |_| says.to_owned());
        once(&daemon.url("/#body=y")).failure().stderr_has(reason).took(Duration::ZERO..Duration::from_secs(3));
    }
}

/// Another origin is not behind the socket: it counts as ready and is named, as another host is with `http:`.
#[test]
fn redirects_stay_on_the_socket() {
    let daemon = Daemon::new(|head| match head.split(' ').nth(1).unwrap_or_default() {
        "/own" => answer("302 Found", "Location: /there\r\n", ""),
        "/self" => answer("302 Found", "Location: http://localhost/there\r\n", ""),
        "/host" => answer("302 Found", "Location: http://elsewhere.test/x\r\n", ""),
        "/port" => answer("302 Found", "Location: http://localhost:8080/x\r\n", ""),
        "/tls" => answer("302 Found", "Location: https://localhost/x\r\n", ""),
        "/loop" => answer("302 Found", "Location: /loop\r\n", ""),
        "/gone" => answer("302 Found", "Location: /missing\r\n", ""),
        "/missing" => answer("404 Not Found", "", ""),
        _ => answer("200 OK", "", "there"),
    });
    for path in ["/own", "/self"] {
        once(&daemon.url(&format!("{path}#body=there"))).success().stderr_has("after 1 redirect");
    }
    for (path, origin) in
        [("/host", "http://elsewhere.test:80"), ("/port", "http://localhost:8080"), ("/tls", "https://localhost:443")]
    {
        let says = format!("which redirects to another origin, {origin}");
        once(&daemon.url(path)).success().stderr_has(&says);
        let ended = once(&daemon.url(&format!("{path}#body=x")));
        ended.failure().stderr_has(&says).stderr_has("[expect.redirect]").nowhere("#follow");
    }
    once(&daemon.url("/loop")).failure().stderr_has("more than 10 redirects, the last one on /");
    once(&daemon.url("/gone")).failure().stderr_has("after a redirect: 404 Not Found from ");
}

#[test]
fn gone() {
    let daemon = Daemon::new(|_| answer("200 OK", "", ""));
    let target = daemon.url("/#gone");
    let running = Run::new(["--max-pause=50ms", &target]).start();
    running.line("still there");
    fs::remove_file(daemon.path()).unwrap();
    running.end().success();
}
