//! A scripted peer: targets of every kind against a server that says what the fuzzer says, and closes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time;

use crate::attempt::{Attempt, Bounds};
use crate::env::Env;
use crate::kind::{Given, Target};
use crate::net::Net;
use crate::net::names::resolv_conf::SystemFiles;
use crate::secret::Notes;

/// A password that no server of a fuzzer knows by itself.
const SECRET: &str = "s3cr3t-w0rd";

/// One attempt of each ends when the peer closes. A new kind has a row for each way into its protocol.
const TARGETS: &[&str] = &[
    "tcp:ADDR#hold=0s#banner-match=^(a|b)+$",
    "http://u:s3cr3t-w0rd@ADDR/#json=/a/0=x#body=b",
    "http://ADDR/#follow#answer-header=x:y",
    "http://ADDR/#data=s3cr3t-w0rd#match=(a|b)+c",
    "https://ADDR/#insecure",
    "tls:ADDR#insecure#hold=0s",
    "postgres:ADDR",
    "postgres://app:s3cr3t-w0rd@ADDR/d?sslmode=disable",
    "postgres://app:s3cr3t-w0rd@ADDR/d?sslmode=disable#query=SELECT 1",
    "postgres://app:s3cr3t-w0rd@ADDR/d?sslmode=disable#role=primary",
    "redis:ADDR#role=replica",
    "redis:ADDR#cluster",
    "redis://app:s3cr3t-w0rd@ADDR/1",
    "mysql:ADDR",
    "mysql://app:s3cr3t-w0rd@ADDR/d",
    "mysql://app:s3cr3t-w0rd@ADDR/d#query=SELECT 1",
    "amqp:ADDR",
    "amqp://app:s3cr3t-w0rd@ADDR/v#queue=q#publish",
    "grpc:ADDR#service=a.B#header=authorization:Bearer s3cr3t-w0rd",
    "grpcs:ADDR#insecure",
    "mongodb:ADDR#role=primary",
    "mongodb://app:s3cr3t-w0rd@ADDR/d",
    "kafka:ADDR#topic=a#min=2",
    "kafka://app:s3cr3t-w0rd@ADDR",
    "kafka://app:s3cr3t-w0rd@ADDR#mechanism=PLAIN",
];

const BOUNDS: Bounds = Bounds { attempt: Duration::from_secs(2), connect: Duration::from_secs(1) };

/// The limit on descriptors is to be below 32, or each call leaves a thread behind (`net/threads.rs`).
///
/// The first byte picks a target; the server says the rest, at once or after it has heard something.
pub(super) fn answers(data: &[u8]) {
    let Some((which, said)) = data.split_first() else { return };
    let hears = which & 0x80 != 0;
    let text = TARGETS[usize::from(which & 0x7f) % TARGETS.len()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let address = listener.local_addr().expect("it listens");
        tokio::select! {
            () = serve(&listener, said, hears) => {}
            () = attempt(text, address) => {}
        }
    });
    runtime.shutdown_background();
}

/// Each connection gets the same words, and a FIN.
async fn serve(listener: &TcpListener, said: &[u8], hears: bool) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let mut heard = [0; 4096];
        if hears {
            // The client may be the one that waits.
            let _ = time::timeout(Duration::from_millis(5), stream.read(&mut heard)).await;
        }
        let _ = stream.write_all(said).await;
        let _ = stream.shutdown().await;
        // What is unread would make the FIN a RST.
        let _ = time::timeout(Duration::from_millis(2), stream.read(&mut heard)).await;
    }
}

async fn attempt(text: &str, address: SocketAddr) {
    let (env, notes) = (Env::default(), Notes::default());
    let text = text.replace("ADDR", &address.to_string());
    // A build without the kind refuses it.
    let Ok((target, _)) = Target::parse_noting(&text, Given { env: &env, ca_file: false }, &notes) else { return };
    let mask = notes.mask(&target.to_string());
    #[cfg(feature = "tls")]
    let net = Net::new(SystemFiles::default(), false, crate::net::tls::Tls::default());
    #[cfg(not(feature = "tls"))]
    let net = Net::new(SystemFiles::default(), false);
    let attempt = Attempt::new(BOUNDS, false).hiding(&mask);
    let outcome = time::timeout_at(attempt.until(), target.probe(&net, &attempt)).await;
    let said = match outcome {
        Ok(Ok(ready)) => ready.note.map(|note| attempt.screen(&note)).unwrap_or_default(),
        Ok(Err(reason)) => attempt.screen(&reason.sentence()),
        Err(_) => attempt.cut_off().sentence(),
    };
    assert!(!said.contains(char::is_control), "{text}: {said:?}");
    // A server of a target without a secret may say this by chance.
    assert!(!text.contains(SECRET) || !said.contains(SECRET), "{text}: {said}");
    assert!(said.len() < 16 * 1024, "{text}: {} bytes", said.len());
}
