//! Probes against scripted servers on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

mod answers;
mod bodies;
#[cfg(feature = "tls")]
mod https;
#[cfg(feature = "tls")]
mod https_trust;
mod parse;
mod redirects;
mod request;
mod secrets;
mod wrong_protocol;

use super::*;
use crate::attempt::Bounds;
use crate::env::Env;
use crate::kind::{Given, Target};
use crate::net::names::resolv_conf::SystemFiles;
use crate::reason::{Cost, Hint, Stage};

const BOUNDS: Bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };

fn net() -> Net {
    Net::plain(SystemFiles::default())
}

fn attempt() -> Attempt {
    Attempt::new(BOUNDS, false)
}

fn parse_with(text: &str, env: &Env) -> Result<Box<Http>> {
    match Target::parse(text, Given { env, ca_file: false })?.0 {
        Target::Http(http) => Ok(http),
        other => panic!("{other} is not an http target"),
    }
}

fn parse(text: &str) -> Box<Http> {
    parse_with(text, &Env::default()).unwrap()
}

fn invalid(text: &str) -> String {
    let env: Env = [("UNSAFE", "a\r\nX: y"), ("TOKEN", "s3cret")].into_iter().collect();
    format!("{:#}", parse_with(text, &env).unwrap_err())
}

/// One request as the server got it.
#[derive(Clone, Debug)]
struct Seen {
    head: String,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

/// A server that answers each connection with the bytes that `script` gives for its request.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start(script: impl Fn(&Seen) -> String + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0", script)
    }

    fn start_at(at: &str, script: impl Fn(&Seen) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                let Some(request) = read(&connection) else { continue };
                log.lock().unwrap().push(request.clone());
                let _ = connection.write_all(script(&request).as_bytes());
            }
        });
        Self { address, seen }
    }

    fn always(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(move |_| answer.clone())
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}{rest}", self.address)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn read(connection: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { head, body: String::from_utf8(body).unwrap() })
}

/// A server that runs `script` for every connection, in a thread of its own.
fn raw(script: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let script = Arc::clone(&script);
            thread::spawn(move || script(connection.unwrap()));
        }
    });
    address
}

fn ok(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok")
}

async fn ask(http: &Http, addresses: Vec<SocketAddr>, attempt: &Attempt) -> Result<Ready, Reason> {
    let net = net();
    http.ask(http.request.read(&net, attempt)?, &net, addresses, attempt).await
}

async fn probe(text: &str) -> Result<Ready, Reason> {
    let (target, mask) = Target::parse_masking(text, Given { env: &Env::default(), ca_file: false }).unwrap();
    let attempt = attempt().hiding(&mask);
    tokio::time::timeout(BOUNDS.attempt, target.probe(&net(), &attempt))
        .await
        .unwrap_or_else(|_| Err(attempt.cut_off()))
}
