//! A scripted API server of Kubernetes over TLS, which answers with what a real 1.36 server has answered (tests/kube).

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use super::{Fake, PATIENCE, Run, loopback, web::Authority};

/// The token of the kubeconfig. No output may have it.
pub(crate) const TOKEN: &str = "eyJhbGciOiJ.s3cr3t-t0ken.x";

/// What the server answers.
pub(crate) enum Answer {
    /// The answer in this file of tests/kube. The events of a watch come at once, and then the watch stays open.
    Recorded(&'static str),
    /// This status, these headers and this body.
    Body(u16, Vec<(&'static str, &'static str)>, String),
    /// Events, each after a pause; then the watch stays open, or is closed.
    Watch(Vec<(Duration, String)>, End),
    /// The connection is closed without an answer.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Closed,
}

/// The content of a file of tests/kube.
pub(crate) fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kube").join(name).with_extension("json");
    serde_json::from_str(&fs::read_to_string(path).expect("a recorded answer")).expect("JSON")
}

/// A list with these objects, each a recorded answer to a get.
pub(crate) fn list_of(names: &[&str]) -> Answer {
    let items: Vec<Value> = names.iter().map(|name| recorded(name)["body"].clone()).collect();
    list(&items)
}

/// A list with these objects.
pub(crate) fn list(items: &[Value]) -> Answer {
    let list = serde_json::json!({"kind": "List", "metadata": {"resourceVersion": "100"}, "items": items});
    Answer::Body(200, Vec::new(), list.to_string())
}

/// An event of a watch.
pub(crate) fn event(kind: &str, object: &Value) -> String {
    serde_json::json!({"type": kind, "object": object}).to_string()
}

/// The server, and what it was asked for.
pub(crate) struct Kube {
    pub(crate) fake: Fake,
    folder: TempDir,
    requests: Arc<Mutex<Vec<(String, Instant)>>>,
    /// The head of each request.
    heads: Arc<Mutex<Vec<String>>>,
    /// When each event of a watch went out.
    sent: Arc<Mutex<Vec<Instant>>>,
}

impl Kube {
    /// A server that answers the request for this path, which is the n-th one.
    pub(crate) fn new(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(&Authority::new(), None, answer)
    }

    /// One whose certificate is of `authority`. The kubeconfig trusts `trusted`, or else the same.
    pub(crate) fn with(
        authority: &Authority,
        trusted: Option<&Authority>,
        answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::on((loopback(), 0).into(), authority, trusted, answer)
    }

    /// The same at an address of its own.
    pub(crate) fn on(
        address: SocketAddr,
        authority: &Authority,
        trusted: Option<&Authority>,
        answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(authority.server(&[&address.ip().to_string()]));
        let (requests, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let got = Arc::clone(&heads);
        let (asked, told) = (Arc::clone(&requests), Arc::clone(&sent));
        let fake = Fake::on(address, move |stream| {
            let answer = |path: &str, head: String| {
                got.lock().expect("no thread panics with this lock").push(head);
                let mut asked = asked.lock().expect("no thread panics with this lock");
                asked.push((path.to_owned(), Instant::now()));
                let number = asked.len();
                drop(asked);
                answer(path, number)
            };
            serve(stream, &config, &answer, &told);
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ca = fs::read(trusted.unwrap_or(authority).file()).expect("a CA");
        fs::write(folder.path().join("ca.pem"), ca).expect("the folder is ours");
        let server = fake.addr;
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- name: test\n  context:\n    cluster: c\n    user: u\n    namespace: demo\nclusters:\n- name: c\n  cluster:\n    server: https://{server}\n    certificate-authority: ca.pem\nusers:\n- name: u\n  user:\n    token: {TOKEN}\n"
        );
        fs::write(folder.path().join("config"), config).expect("the folder is ours");
        Self { fake, folder, requests, heads, sent }
    }

    /// A run outside the cluster, by KUBECONFIG.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::new(args).env("KUBECONFIG", self.folder.path().join("config"))
    }

    /// The folder of the kubeconfig, with its CA in `ca.pem`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The paths that were asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.arrivals().into_iter().map(|(path, _)| path).collect()
    }

    /// The token of each request.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.headers("Authorization: Bearer ")
    }

    /// What follows `name` in the head of each request.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let heads = self.heads.lock().expect("no thread panics with this lock");
        let value = |head: &String| head.split_once(&format!("\r\n{name}"))?.1.lines().next().map(str::to_owned);
        heads.iter().map(|head| value(head).expect("a request without this header")).collect()
    }

    pub(crate) fn arrivals(&self) -> Vec<(String, Instant)> {
        self.requests.lock().expect("no thread panics with this lock").clone()
    }

    /// How many lists and how many watches were asked for.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let requests = self.requests();
        let watches = requests.iter().filter(|path| path.contains("watch=1")).count();
        (requests.len() - watches, watches)
    }

    /// When the last event went out.
    pub(crate) fn last_sent(&self) -> Instant {
        *self.sent.lock().expect("no thread panics with this lock").last().expect("an event was sent")
    }
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

fn serve(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    answer: &dyn Fn(&str, String) -> Answer,
    sent: &Mutex<Vec<Instant>>,
) {
    let session = ServerConnection::new(Arc::clone(config)).expect("a valid configuration");
    let mut stream = StreamOwned::new(session, stream);
    while let Some((path, head)) = request(&mut stream) {
        let done = match answer(&path, head) {
            Answer::Nothing => return,
            Answer::Body(status, headers, body) => whole(&mut stream, status, &headers, &body),
            Answer::Watch(events, end) => watch(&mut stream, events, end, sent),
            Answer::Recorded(name) => {
                let file = recorded(name);
                let status = u16::try_from(file["status"].as_u64().expect("a status")).expect("a status");
                match (&file["events"], &file["text"]) {
                    (Value::Array(events), _) => {
                        let lines = events.iter().map(|it| event(it["type"].as_str().expect("a type"), &it["object"]));
                        watch(&mut stream, lines.map(|line| (Duration::ZERO, line)).collect(), End::Open, sent)
                    }
                    (_, Value::String(text)) => whole(&mut stream, status, &[], text),
                    _ => whole(&mut stream, status, &[], &file["body"].to_string()),
                }
            }
        };
        if done.is_err() {
            return;
        }
    }
}

/// The path and the head of the next request.
fn request(stream: &mut Tls) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a request is text");
    assert!(head.contains("\r\nAccept: application/json"), "{head}");
    assert!(head.contains("\r\nAuthorization: Bearer "), "a request without a token");
    let path = head.strip_prefix("GET ")?.split(' ').next()?.to_owned();
    Some((path, head))
}

fn whole(stream: &mut Tls, status: u16, headers: &[(&str, &str)], body: &str) -> std::io::Result<()> {
    let headers = headers.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}")?;
    stream.flush()
}

fn watch(
    stream: &mut Tls,
    events: Vec<(Duration, String)>,
    end: End,
    sent: &Mutex<Vec<Instant>>,
) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    stream.flush()?;
    for (pause, event) in events {
        thread::sleep(pause);
        sent.lock().expect("no thread panics with this lock").push(Instant::now());
        write!(stream, "{:x}\r\n{event}\n\r\n", event.len() + 1)?;
        stream.flush()?;
    }
    if end == End::Closed {
        write!(stream, "0\r\n\r\n")?;
        return stream.flush();
    }
    // Until the client goes away.
    stream.sock.set_read_timeout(Some(PATIENCE))?;
    let _ = stream.read(&mut [0]);
    Err(std::io::ErrorKind::ConnectionAborted.into())
}
