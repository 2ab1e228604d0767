//! `tls:` against servers with an authority of our own: certificates that are right, wrong and short-lived, and ports that
//! speak no TLS, or only a part of it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use rcgen::{CertificateParams, date_time_ymd};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Fake, Run, fake::linger, run::Ended, web::Authority};

type Session = StreamOwned<ServerConnection, TcpStream>;

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A server that finishes the handshake and goes on with `serve`.
fn server(config: ServerConfig, serve: impl Fn(Session) + Send + Sync + 'static) -> Fake {
    let config = Arc::new(config);
    Fake::new(move |mut stream| {
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        while session.is_handshaking() {
            if session.complete_io(&mut stream).is_err() {
                // The alert of a failed handshake is still to be written.
                let _ = session.write_tls(&mut stream);
                return;
            }
        }
        serve(StreamOwned::new(session, stream));
    })
}

/// Reads until the client goes away.
fn stay(mut session: Session) {
    let mut piece = [0; 512];
    while session.read(&mut piece).is_ok_and(|read| read > 0) {}
}

fn once(authority: &Authority, target: &str) -> Ended {
    Run::new(["--once", target]).arg("--ca-file").arg(authority.file()).end()
}

/// A server for this test's own address, with a certificate that is odd in some way.
fn odd(authority: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Fake {
    server(authority.server_with(&["api.test", "127.0.0.1"], change), stay)
}

/// The same target with the name that the certificate has.
fn named(fake: &Fake, more: &str) -> String {
    format!("tls:{}#servername=api.test{more}", fake.addr)
}

/// Not before and not after, in days from now.
fn valid(from: i64, to: i64) -> impl FnOnce(&mut CertificateParams) {
    // 2020-01-01 is 18,262 days after 1970-01-01.
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let today = i64::try_from(today).unwrap();
    let at = move |days: i64| {
        let since = i32::try_from(today + days - 18_262).unwrap();
        date_time_ymd(2020, 1, 1) + Duration::from_secs(since.unsigned_abs().into()) * 86_400
    };
    move |params| (params.not_before, params.not_after) = (at(from), at(to))
}

#[test]
fn ready_with_a_certificate_of_our_own_ca() {
    let authority = Authority::new();
    let fake = odd(&authority, |_| {});
    let ended = once(&authority, &named(&fake, ""));
    ended.success().stderr_has(&format!("accepted by {}", fake.addr));
    let target = named(&fake, &format!("#ca={}", authority.file().display()));
    Run::new(["--once", &target]).end().success();
}

/// By address, which sends no name: the certificate must have an IP entry.
#[test]
fn the_address_itself_is_in_the_certificate() {
    let authority = Authority::new();
    let addr = crate::support::free_port();
    let config = Arc::new(authority.server(&[&addr.ip().to_string()]));
    let fake = Fake::on(addr, move |stream| {
        stay(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream));
    });
    once(&authority, &format!("tls:{}", fake.addr)).success();
}

#[test]
fn certificates_that_are_wrong() {
    let authority = Authority::new();
    for (change, more, says) in [
        (valid(-9, 9), "#servername=db.test", "that is not for db.test (it has api.test, 127.0.0.1)"),
        (valid(-9, -2), "#servername=api.test", "that expired on "),
        (valid(2, 9), "#servername=api.test", "that is not valid before "),
        (valid(-9, 9), "", "that is not for 127."),
    ]
    .map(|(change, more, says)| (Box::new(change) as Box<dyn FnOnce(&mut CertificateParams)>, more, says))
    {
        let fake = odd(&authority, change);
        let ended = once(&authority, &format!("tls:{}{more}", fake.addr));
        ended.failure().stderr_has(says).stderr_has("[tls.").took(secs(0.0)..secs(3.0));
    }
    let fake = odd(&authority, |_| {});
    let ended = Run::new(["--once", &named(&fake, "")]).end();
    ended.failure().stderr_has("of an issuer that is not trusted: give its CA").stderr_has("[tls.unknown-issuer]");
}

#[test]
fn insecure_verifies_nothing_and_says_so() {
    let authority = Authority::new();
    let fake = odd(&authority, valid(-9, -2));
    let ended = Run::new(["--once", &format!("tls:{}#insecure", fake.addr)]).end();
    ended.success().stderr_has("#insecure: the server's certificate is not verified");
    let plan = Run::new(["--dry-run", "tls:db:443#insecure"]).end();
    plan.success().stdout_has("the TLS handshake ends");
    plan.expect("no word of a verified certificate", !plan.stdout.contains("is verified"));
}

#[test]
fn how_long_the_certificate_must_last() {
    let authority = Authority::new();
    let fake = odd(&authority, valid(-9, 20));
    for (least, ready) in [("24h", true), ("19d", true), ("30d", false), ("3650d", false)] {
        for insecure in ["", "#insecure"] {
            let ended = once(&authority, &named(&fake, &format!("#valid-for={least}{insecure}")));
            if ready {
                ended.success().stderr_has("with a certificate that is valid until ");
            } else {
                ended.failure().stderr_has("valid until ").stderr_has(&format!("for less than {least} [expect.cert"));
            }
        }
    }
    // Nothing is verified, and the dates that count are still wrong.
    let fake = odd(&authority, valid(-9, -2));
    let ended = once(&authority, &named(&fake, "#valid-for=1h#insecure"));
    ended.failure().stderr_has("valid until ").stderr_has("[expect.certificate]");
    let fake = odd(&authority, valid(2, 90));
    let ended = once(&authority, &named(&fake, "#valid-for=1h#insecure"));
    ended.failure().stderr_has("that is not valid before ").stderr_has("[expect.certificate]");
}

#[test]
fn durations_that_valid_for_does_not_take() {
    for (value, says) in [
        ("0", "#valid-for"),
        ("30", "did you mean 30s"),
        ("3651d", "at most 3650d"),
        ("1y", "the units are"),
        ("", "found nothing"),
    ] {
        let ended = Run::new([&format!("tls:db:443#valid-for={value}")]).end();
        ended.failure().stderr_has("#valid-for").stderr_has(says).stderr_has("(expected");
    }
}

/// A server that wants one says so after the handshake (TLS 1.3).
#[test]
fn client_certificates() {
    let authority = Authority::new();
    let fake = server(authority.server_for_members(&["api.test"]), stay);
    let write = |name: &str, (cert, key): (String, String)| -> (PathBuf, PathBuf) {
        let folder = authority.file().with_file_name(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("tls.crt"), cert).unwrap();
        fs::write(folder.join("tls.key"), key).unwrap();
        (folder.join("tls.crt"), folder.join("tls.key"))
    };
    let with =
        |(cert, key): &(PathBuf, PathBuf)| named(&fake, &format!("#cert={}#key={}", cert.display(), key.display()));
    for more in ["", "#send=PING\r\n", "#banner=x", "#send=PING\r\n#banner=x"] {
        let ended = once(&authority, &named(&fake, more));
        ended.failure().stderr_has("it wants a client certificate that it trusts");
        ended.stderr_has("[tls.client-certificate]");
    }
    let own = write("own", authority.sign(&["worker"]));
    once(&authority, &with(&own)).success();
    let stranger = write("stranger", Authority::new().sign(&["worker"]));
    let ended = once(&authority, &with(&stranger));
    ended.failure().stderr_has("[tls.client-certificate]");
    // The key of another certificate, and a file that is not there.
    let mixed = (own.0.clone(), stranger.1);
    once(&authority, &with(&mixed)).failure().stderr_has("the key does not belong to").stderr_has("[local.file]");
    let missing = (own.0, PathBuf::from("/nonexistent/tls.key"));
    once(&authority, &with(&missing)).failure().stderr_has("#key=/nonexistent/tls.key");
}

/// The server's alert needs a round trip, and so did the handshake: a slow network does not make the target ready.
#[test]
fn a_refused_client_certificate_is_seen_over_a_slow_network() {
    let authority = Authority::new();
    let inner = server(authority.server_for_members(&["api.test"]), stay);
    let slow = Fake::new(move |stream| delayed(stream, inner.addr, secs(0.12)));
    let ended = once(&authority, &named(&slow, ""));
    ended.failure().stderr_has("[tls.client-certificate]");
}

/// Passes what each side says on to the other one, `delay` later.
fn delayed(client: TcpStream, server: SocketAddr, delay: Duration) {
    let server = TcpStream::connect(server).unwrap();
    let pass = move |mut from: TcpStream, mut to: TcpStream| {
        let mut piece = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            thread::sleep(delay);
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    };
    let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || pass(back, forth));
    pass(client, server);
}

/// Each within its bound, with the kind to write instead where there is one.
#[cfg(feature = "http")]
#[test]
fn ports_that_speak_another_protocol() {
    let authority = Authority::new();
    let mysql = b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15";
    for (fake, says) in [
        (Fake::answering("HTTP/1.1 400 Bad Request\r\n\r\n"), "answered in HTTP, not in TLS: use http:"),
        (Fake::greeting("SSH-2.0-OpenSSH_9.2\r\n"), "answered in SSH, not in TLS: use tcp:"),
        (Fake::greeting("220 mail.test ESMTP\r\n"), "answered in SMTP, not in TLS"),
        (Fake::greeting(mysql), "answered in MySQL or MariaDB, not in TLS"),
        (Fake::answering("-ERR unknown command\r\n"), "answered in Redis, not in TLS"),
        // It hangs up on a ClientHello, and answers a request.
        (only_http(), "answered in HTTP, not in TLS: use http:"),
        (Fake::greeting("gibberish of no protocol at all\r\n"), "answered, but not in TLS ["),
    ] {
        let ended = once(&authority, &format!("tls:{}", fake.addr));
        ended.failure().stderr_has(says).stderr_has("[tls.not-tls]").took(secs(0.0)..secs(3.0));
    }
}

fn only_http() -> Fake {
    Fake::new(|mut stream| {
        let mut first = [0; 512];
        if stream.read(&mut first).is_ok() && first.starts_with(b"GET ") {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n");
        }
    })
}

#[test]
fn ports_that_say_nothing_of_use() {
    let authority = Authority::new();
    let trickle = Fake::new(|mut stream| {
        // The head of a handshake record of 16 KiB, and then a byte a second.
        let mut sent = stream.write_all(&[0x16, 3, 3, 0x40, 0]);
        while sent.is_ok() {
            thread::sleep(secs(1.0));
            sent = stream.write_all(&[2]);
        }
    });
    // Fragments of a handshake message that never ends (16 MiB less one).
    let record = [&[0x16, 3, 3, 0x10, 0][..], &[0; 0x1000]].concat();
    let first = [&[0x16, 3, 3, 0, 4][..], &[2, 0xff, 0xff, 0xff]].concat();
    let endless = Fake::endless(first, record);
    for (fake, codes, at_least) in [
        (Fake::silent(), ["[tls.timeout]"; 2], 1.0),
        (trickle, ["[tls.timeout]"; 2], 1.0),
        (endless, ["[tls.", "]"], 0.0),
        (Fake::closing(), ["[tls.closed]"; 2], 0.0),
        (Fake::resetting(), ["[tls.closed]"; 2], 0.0),
        (says_and_closes(b"\x16\x03"), ["[tls.closed]"; 2], 0.0),
        (says_and_closes(b"\x15\x03\x03\x00\x02\x02\x50"), ["InternalError", "[tls.failed]"], 0.0),
    ] {
        let ended = Run::new(["--once", "--attempt-timeout=1s", &format!("tls:{}", fake.addr)])
            .arg("--ca-file")
            .arg(authority.file())
            .end();
        ended.failure().took(secs(at_least)..secs(2.5));
        for code in codes {
            ended.stderr_has(code);
        }
    }
}

fn says_and_closes(bytes: &'static [u8]) -> Fake {
    Fake::new(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
    })
}

/// After the handshake `tls:` asks for the same as `tcp:`.
#[test]
fn what_comes_after_the_handshake() {
    let authority = Authority::new();
    let config = || authority.server(&["api.test"]);
    let greets = server(config(), |mut session| {
        let _ = session.write_all(b"220 mail.test ESMTP\r\n");
        stay(session);
    });
    once(&authority, &named(&greets, "#banner=220 ")).success();
    let ended = once(&authority, &named(&greets, "#banner=250 "));
    ended.failure().stderr_has("says \"220 mail.test ESMTP\" first").stderr_has("[expect.banner]");
    let answers = server(config(), |mut session| {
        let mut text = [0; 64];
        let read = session.read(&mut text).unwrap_or(0);
        let said = if text[..read] == *b"PING\r\n" { "+PONG\r\n" } else { "-ERR unknown command\r\n" };
        let _ = session.write_all(said.as_bytes());
        session.conn.send_close_notify();
        let _ = session.flush();
    });
    once(&authority, &named(&answers, "#send=PING%0D%0A#banner=+PONG")).success();
    let ended = once(&authority, &named(&answers, "#send=GET /%0D%0A#banner=+PONG"));
    // Inside TLS another kind would be the one to use, so none is named.
    ended.failure().stderr_has("answers \"-ERR unknown command\"").nowhere("use ");
    let closes = server(config(), |mut session| {
        session.conn.send_close_notify();
        let _ = session.flush();
    });
    let cut = server(config(), drop);
    for fake in [&closes, &cut] {
        let ended = once(&authority, &named(fake, ""));
        ended
            .failure()
            .stderr_has("finished the TLS handshake and closed the connection at once: a proxy that ends TLS");
        ended.stderr_has("[protocol.closed]").nowhere("docker-proxy");
    }
    let says = server(config(), |mut session| {
        let _ = session.write_all(b"421 too many connections\r\n");
    });
    let ended = once(&authority, &named(&says, ""));
    ended.failure().stderr_has("said \"421 too many connections\" and closed the connection");
    once(&authority, &named(&closes, "#hold=0")).success();
}

#[test]
fn gone_needs_no_certificate() {
    let addr = crate::support::free_port();
    Run::new(["--max-pause=50ms", &format!("tls:{addr}#gone")]).end().success();
    let fake = Fake::new(linger);
    let ended = Run::new(["--once", &format!("tls:{}#gone", fake.addr)]).end();
    ended.failure().stderr_has("still there");
}

#[test]
fn options_that_do_not_fit_together() {
    for (target, says) in [
        ("tls:db:443#cert=/a", "#cert: its key is missing"),
        ("tls:db:443#insecure#ca=/a", "#insecure: #ca is given too"),
        ("tls:db:443#servername=10.0.0.1", "#servername: found an address"),
        ("tls:db:443#min=2", "is unknown"),
        ("tls:db:443#gone#valid-for=1d", "#gone excludes #valid-for"),
        ("tls:db", "the port is missing"),
        ("tls:db:443#hold=5s", "3s"),
        ("tls:db:443#hold=5s#banner=x", "3s"),
        ("tcp:db:443#hold=5s#banner=x", "3s"),
    ] {
        Run::new([target]).end().failure().stderr_has(says).took(secs(0.0)..secs(2.0));
    }
    Run::new(["--dry-run", "tcp:db:443#hold=5s#banner=x#send=y"]).end().success();
}
