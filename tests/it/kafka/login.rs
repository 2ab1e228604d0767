//! SASL: which mechanism is chosen, and what a broker says of a login.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use crate::support::{
    Fake, Run,
    kafka::{TODAY, authenticated, broker, closing, frame, metadata, offer, session, versions},
    run::Ended,
};

const LOGIN: &str = "kafka://app:hunter2@ADDR";
const BOTH: &[&str] = &["PLAIN", "SCRAM-SHA-256"];

fn once(target: &str, fake: &Fake) -> Ended {
    let ended = Run::new(["--once", "--attempt-timeout=1s", &target.replace("ADDR", &fake.addr.to_string())]).end();
    ended.nowhere("hunter2");
    ended
}

fn today() -> Vec<u8> {
    versions(0, TODAY)
}

fn one() -> Vec<u8> {
    metadata(&[("127.0.0.1", 1)], &[])
}

/// A broker that says these bodies on every connection, and keeps what it hears.
fn hearing(bodies: Vec<Vec<u8>>) -> (Fake, Arc<Mutex<Vec<u8>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&heard);
    let fake = Fake::new(move |mut stream: TcpStream| {
        for (number, body) in (1..).zip(&bodies) {
            let mut asked = [0; 4096];
            let read = stream.read(&mut asked).unwrap_or(0);
            keeps.lock().unwrap().extend_from_slice(&asked[..read]);
            let _ = stream.write_all(&frame(number, body));
        }
        let _ = stream.read(&mut [0; 4096]);
    });
    (fake, heard)
}

fn has(heard: &Mutex<Vec<u8>>, what: &str) -> bool {
    heard.lock().unwrap().windows(what.len()).any(|bytes| bytes == what.as_bytes())
}

/// PLAIN is used where the user asks for it, and then the password is in the message.
#[test]
fn plain_by_its_name() {
    let (fake, heard) = hearing(vec![today(), offer(0, BOTH), authenticated(0, "", ""), one()]);
    let ended = once(&format!("{LOGIN}#mechanism=PLAIN"), &fake);
    ended.success().stderr_has("logged in by PLAIN, 1 broker at").stderr_has("anyone on the way can read the password");
    assert!(has(&heard, "\0app\0hunter2"));
}

/// A broker that offers PLAIN alone hears no password, unless the connection is verified.
#[test]
fn plain_is_not_chosen_in_clear() {
    let (fake, heard) = hearing(vec![today(), offer(33, &["PLAIN"])]);
    once(LOGIN, &fake).failure().stderr_has("offers PLAIN alone").stderr_has("#mechanism=PLAIN");
    assert!(!has(&heard, "hunter2"));
    let others = closing(&[today(), offer(33, &["GSSAPI", "OAUTHBEARER"])]);
    let ended = once(LOGIN, &broker(vec![others]));
    ended.failure().stderr_has("does not log in by SCRAM-SHA-512: it offers GSSAPI, OAUTHBEARER");
}

/// The first question is a guess. A broker that lists another mechanism is asked again, once.
#[test]
fn the_strongest_that_is_offered() {
    let first = closing(&[today(), offer(33, BOTH)]);
    let second = session(&[today(), offer(0, BOTH), authenticated(58, "no such user", "")]);
    let fake = broker(vec![first.clone(), second]);
    let ended = once(LOGIN, &fake);
    ended.failure().stderr_has("it refuses the login by SCRAM-SHA-256: no such user");
    assert_eq!(fake.hits(), 2);
    // It goes back on its word.
    let fake = broker(vec![first, closing(&[today(), offer(33, &["SCRAM-SHA-512"])])]);
    once(LOGIN, &fake).failure().stderr_has("does not log in by SCRAM-SHA-256: it offers SCRAM-SHA-512");
    assert_eq!(fake.hits(), 2);
    // What the user gives is not changed.
    let fake = broker(vec![closing(&[today(), offer(33, BOTH)])]);
    once(&format!("{LOGIN}#mechanism=scram-sha-512"), &fake).failure().stderr_has("does not log in by SCRAM-SHA-512");
    assert_eq!(fake.hits(), 1);
}

#[test]
fn refusals() {
    let scram = offer(0, &["SCRAM-SHA-512"]);
    for (bodies, says, code) in [
        (
            vec![today(), scram.clone(), authenticated(58, "invalid credentials", "")],
            "refuses the login by SCRAM-SHA-512: invalid credentials",
            "protocol.password",
        ),
        (vec![today(), scram.clone(), authenticated(-1, "", "")], "UNKNOWN_SERVER_ERROR (-1)", "protocol.error"),
        (vec![today(), offer(34, &[])], "this listener takes no login", "protocol.auth-method"),
        (vec![today(), offer(42, &[])], "INVALID_REQUEST (42)", "protocol.error"),
        (vec![today(), b"\0".to_vec()], "Kafka's protocol does not have", "protocol.error"),
        (vec![versions(0, &[(3, 0, 2), (17, 0, 0)])], "older than Kafka 1.0", "protocol.auth-method"),
        (vec![today(), scram.clone()], "closed the connection after a SaslAuthenticate", "protocol.closed"),
    ] {
        let fake = broker(vec![closing(&bodies)]);
        once(LOGIN, &fake).failure().stderr_has(says);
        let target = LOGIN.replace("ADDR", &fake.addr.to_string());
        Run::new(["--once", "--log-format=json", &target]).end().failure().stderr_has(code).nowhere("hunter2");
    }
}

/// A refused login is not tried at the next server: that is the same cluster.
#[test]
fn the_next_server_is_not_asked_after_a_refused_login() {
    let refuses = || broker(vec![session(&[today(), offer(0, &[]), authenticated(58, "no", "")])]);
    let (first, second) = (refuses(), refuses());
    let target = format!("kafka://app:hunter2@{},{}", first.addr, second.addr);
    Run::new(["--once", &target]).end().failure().stderr_has("refuses the login");
    assert_eq!((first.hits(), second.hits()), (1, 0));
}

#[test]
fn a_password_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let (fake, heard) = hearing(vec![today(), offer(0, BOTH), authenticated(0, "", ""), one()]);
    let target = format!("kafka:ADDR#user=app#password=@{}#mechanism=PLAIN", file.display());
    once(&target, &fake).failure().stderr_has("cannot be read");
    std::fs::write(&file, "hunter2\n").unwrap();
    once(&target, &fake).success();
    assert!(has(&heard, "\0app\0hunter2"));
}
