//! Tables for the URLs, and byte-level servers for the probe.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use super::conninfo::{Conninfo, Session};
#[cfg(feature = "tls")]
use super::sslmode::RootCert;
use super::*;
use crate::net::conf::SystemFiles;
use crate::reason::Code;
use crate::secret::Secret;
use crate::target::{Given, Target};
use crate::trail::Bounds;
use crate::vars::Env;
use tokio::time;

const NOBODY: &[(&str, &str)] = &[];

fn parse_with(text: &str, vars: &[(&str, &str)], ca_file: bool) -> Result<Postgres> {
    let env: Env = vars.iter().copied().collect();
    match Target::parse(text, Given { env: &env, ca_file })? {
        (Target::Postgres(postgres), _) => Ok(*postgres),
        _ => bail!("another kind"),
    }
}

fn parse(text: &str) -> Postgres {
    parse_with(text, NOBODY, false).unwrap_or_else(|error| panic!("{text}: {error:#}"))
}

fn refused(text: &str) -> String {
    match parse_with(text, NOBODY, false) {
        Ok(target) => panic!("{text} was taken as {target}"),
        Err(error) => format!("{error:#}"),
    }
}

fn password(info: &Conninfo) -> Option<&str> {
    info.password.as_ref().map(Secret::expose)
}

#[test]
fn urls_as_people_write_them() {
    // The text, how it is shown, the user, the password, the database.
    type Row = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>);
    let rows: &[Row] = &[
        ("postgres:db:5433", "postgres://db:5433", "postgres", None, None),
        ("postgres://db", "postgres://db:5432", "postgres", None, None),
        ("postgres:[::1]:5433", "postgres://[::1]:5433", "postgres", None, None),
        ("postgres://db", "postgres://db:5432", "postgres", None, None),
        ("postgresql://db/", "postgres://db:5432", "postgres", None, None),
        ("POSTGRES://db/shop", "postgres://db:5432/shop", "postgres", None, Some("shop")),
        ("postgres://app@db:6432/shop", "postgres://app@db:6432/shop", "app", None, Some("shop")),
        ("postgresql+psycopg2://app:pw@db/shop", "postgres://app@db:5432/shop", "app", Some("pw"), Some("shop")),
        ("postgresql+asyncpg://app:pw@db/shop", "postgres://app@db:5432/shop", "app", Some("pw"), Some("shop")),
        ("postgres://app:p%40ss%23%25@db/shop", "postgres://app@db:5432/shop", "app", Some("p@ss#%"), Some("shop")),
        ("postgres://app:a:b:c@db", "postgres://app@db:5432", "app", Some("a:b:c"), None),
        ("postgres://app:@db", "postgres://app@db:5432", "app", None, None),
        ("postgres://:pw@db", "postgres://db:5432", "postgres", Some("pw"), None),
        ("postgres://@db", "postgres://db:5432", "postgres", None, None),
        ("postgres://app@[2001:db8::1]:5433/x", "postgres://app@[2001:db8::1]:5433/x", "app", None, Some("x")),
        ("postgres://a:5433,b,c:5435/x", "postgres://a:5433,b:5432,c:5435/x", "postgres", None, Some("x")),
        (
            "postgres://db?user=app&password=p%26w&dbname=shop",
            "postgres://app@db:5432/shop",
            "app",
            Some("p&w"),
            Some("shop"),
        ),
        ("postgres:///shop?host=db&port=5433", "postgres://db:5433/shop", "postgres", None, Some("shop")),
        ("postgres://:5433/shop?host=db", "postgres://db:5433/shop", "postgres", None, Some("shop")),
        ("postgres://?host=a,b&port=1,2", "postgres://a:1,b:2", "postgres", None, None),
        ("postgres://?hostaddr=10.0.0.1", "postgres://10.0.0.1:5432", "postgres", None, None),
        ("postgres://db?host=other", "postgres://other:5432", "postgres", None, None),
        (
            "postgres://db/x?user=me@tenant&password=p@w",
            "postgres://me@tenant@db:5432/x",
            "me@tenant",
            Some("p@w"),
            Some("x"),
        ),
        ("postgres:///shop?host=/run/pg&port=5433", "postgres://%2Frun%2Fpg:5433/shop", "postgres", None, Some("shop")),
        ("postgres://%2Frun%2Fpg/shop", "postgres://%2Frun%2Fpg:5432/shop", "postgres", None, Some("shop")),
        ("postgres://b%C3%BCro@db/l%C3%A4den", "postgres://büro@db:5432/läden", "büro", None, Some("läden")),
        ("postgres://db/shop?schema=public&pgbouncer=true", "postgres://db:5432/shop", "postgres", None, Some("shop")),
    ];
    for (text, shown, user, secret, database) in rows {
        let target = parse(text);
        assert_eq!(target.to_string(), *shown, "{text}");
        assert_eq!(target.info.user, *user, "{text}");
        assert_eq!(password(&target.info), *secret, "{text}");
        assert_eq!(target.info.database.as_deref(), *database, "{text}");
        assert_eq!(target.login, secret.is_some(), "{text}");
        assert!(target.info.ignored.is_empty(), "{text}");
    }
}

#[test]
fn parameters() {
    let info = parse(
        "postgres://db?application_name=a%20b&connect_timeout=7&target_session_attrs=read-write&options=-c%20x%3D1&channel_binding=require",
    )
    .info;
    assert_eq!(info.application_name.as_deref(), Some("a b"));
    assert_eq!(info.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(info.session, Session::ReadWrite);
    assert_eq!(info.options.as_deref(), Some("-c x=1"));
    assert_eq!(parse("postgres://db?connect_timeout=0").info.connect_timeout, None);
    assert_eq!(parse("postgres://db?connect_timeout=-1").info.connect_timeout, None);
    assert!(parse("postgres://db?target_session_attrs=primary").login, "only a login tells a primary from a standby");
    assert!(!parse("postgres://db?target_session_attrs=any").login);
    assert!(parse("postgres://db#login").login);
    let ignored = parse("postgres://db?hunter2=x&sslmode=disable&hunter3=y");
    assert_eq!(ignored.ignored().len(), 2);
    assert!(!ignored.ignored().join(" ").contains("hunter"));
}

#[test]
fn the_environment_fills_what_is_left_out() {
    let env = &[
        ("PGUSER", "app"),
        ("PGPASSWORD", "s3cret"),
        ("PGDATABASE", "shop"),
        ("PGHOST", "db"),
        ("PGPORT", "5433"),
        ("PGSSLMODE", "disable"),
        ("EMPTY", ""),
        ("PW", "a@b/c?d#e%41:$(EMPTY)"),
    ];
    let with = |text| parse_with(text, env, false).unwrap();
    let target = with("postgres://");
    assert_eq!(target.to_string(), "postgres://app@db:5433/shop");
    assert_eq!((password(&target.info), target.login), (Some("s3cret"), true));
    assert_eq!(target.info.ssl_mode, SslMode::Disable);
    let target = with("postgres://me:mine@other:1/x");
    assert_eq!((target.to_string().as_str(), password(&target.info)), ("postgres://me@other:1/x", Some("mine")));
    let target = with("postgres://me:$(PW)@other/$(PGDATABASE)");
    assert_eq!(password(&target.info), Some("a@b/c?d#e%41:$(EMPTY)"));
    assert_eq!(target.info.database.as_deref(), Some("shop"));
    assert_eq!(target.to_string(), "postgres://me@other:5433/$(PGDATABASE)");
    let target = parse_with("postgres://db", &[("PGPASSWORD", ""), ("PGUSER", "")], false).unwrap();
    assert_eq!((target.login, target.info.user.as_str()), (false, "postgres"));
    // A user alone asks for no login.
    assert!(!parse_with("postgres://db", &[("PGUSER", "app")], false).unwrap().login);
    let whole = &[("URL", "postgres://u:p#w%23@db/x?sslmode=disable\n")];
    let target = parse_with("env:URL#successes=2", whole, false).unwrap();
    assert_eq!(password(&target.info), Some("p#w#"));
    assert_eq!(target.to_string(), "postgres://u@db:5432/x#successes=2");
}

#[test]
#[cfg(feature = "tls")]
fn sslmode_follows_the_ca() {
    let mode = |text: &str, ca| parse_with(text, NOBODY, ca).unwrap().info.ssl_mode;
    assert_eq!(mode("postgres://db", false), SslMode::Prefer);
    assert_eq!(mode("postgres://db", true), SslMode::VerifyFull);
    assert_eq!(mode("postgres://db?sslmode=require", true), SslMode::VerifyCa);
    assert_eq!(mode("postgres://db?sslmode=require", false), SslMode::Require);
    assert_eq!(mode("postgres://db?sslmode=prefer", true), SslMode::Prefer);
    assert_eq!(mode("postgres://db?sslmode=allow", false), SslMode::Allow);
    let env = &[("PGSSLMODE", "disable")];
    assert_eq!(parse_with("postgres://db?sslmode=require", env, false).unwrap().info.ssl_mode, SslMode::Require);
    assert_eq!(mode("postgres://db?ssl=true", false), SslMode::Require);
    assert_eq!(mode("postgres://db?sslrootcert=/ca.pem", false), SslMode::VerifyFull);
    assert_eq!(mode("postgres://db?sslrootcert=/ca.pem&sslmode=require", false), SslMode::VerifyCa);
    assert_eq!(mode("postgres://db?sslrootcert=system", false), SslMode::VerifyFull);
    let info = parse_with("postgres://db", &[("PGSSLROOTCERT", "/ca.pem")], false).unwrap().info;
    assert_eq!((info.ssl_mode, info.root_cert), (SslMode::VerifyFull, RootCert::File("/ca.pem".into())));
    assert!(refused("postgres://db?sslrootcert=system&sslmode=require").contains("verify-full only"));
    assert!(parse("postgres://db").uses_tls() && !parse("postgres://db?sslmode=disable").uses_tls());
}

#[test]
#[cfg(not(feature = "tls"))]
fn without_tls_what_asks_for_it_is_refused() {
    for mode in ["require", "verify-ca", "verify-full"] {
        assert!(refused(&format!("postgres://db?sslmode={mode}")).contains("no TLS"));
    }
    assert_eq!(parse("postgres://db").info.ssl_mode, SslMode::Disable);
}

#[test]
fn what_is_wrong_is_refused_with_the_form_and_without_the_secret() {
    // Each with a piece of what the message has to say.
    let rows = [
        ("postgres:", "the port is missing"),
        ("postgres://", "host is missing"),
        ("postgres:///shop", "host is missing"),
        ("postgres://u:hunter2@/shop", "host is missing"),
        ("postgres://a,,b/shop", "host is missing"),
        ("postgres://u:hun@ter2@db/shop", "percent-encode @ as %40"),
        ("postgres://u:hunter2@x@y@db", "percent-encode @ as %40"),
        ("postgres://u:hun/ter2@db/shop", "'/' is written %2F"),
        ("postgres://u:hun?ter2@db/shop", "'?' is written %3F"),
        ("postgres://u:a@b?hunter2=x@h/d", "'?' is written %3F"),
        ("postgres://u:hun#ter2@db/shop", "%23"),
        ("postgres://u:hun%ter2@db/shop", "%25"),
        ("postgres://u:hunter2%@db/shop", "%25"),
        ("postgres://u:hunter2%0@db", "%25"),
        ("postgres://u:hunter2%00@db", "NUL"),
        ("postgres://u:hunter2%ff@db", "UTF-8"),
        ("postgres://u:hunter 2@db/shop", "%20"),
        ("postgres://u:hunter2@db:hunter2/shop", "not a number"),
        ("postgres://u:hunter2@db:0/shop", "within 1 to 65535"),
        ("postgres://u:hunter2@db:99999/shop", "within 1 to 65535"),
        ("postgres://u:hunter2@db:/shop", "the port is missing"),
        ("postgres://u:hunter2@d!b/shop", "a name has letters"),
        ("postgres://u:hunter2@$HOST/shop", "no shell runs here"),
        ("postgres://u:hunter2@127.1/shop", "write 127.0.0.1"),
        ("postgres://u:$(HUNTER2_UNSET)@db", "is not set"),
        ("postgres:host=db password=hunter2", "keyword string"),
        ("postgres:user=u password='hunter2' host=db", "keyword string"),
        ("postgres:u:hunter2@db", "the form with //"),
        ("postgres:db:5432/shop", "the form with //"),
        ("postgres://db?hunter2", "has no '='"),
        ("postgres://db?password=%hunter2", "%25"),
        ("postgres://db?sslmode=hunter2", "disable, allow, prefer, require, verify-ca, verify-full"),
        ("postgres://db?target_session_attrs=hunter2", "read-write"),
        ("postgres://db?channel_binding=hunter2", "prefer, require"),
        ("postgres://db?connect_timeout=hunter2", "seconds"),
        ("postgres://db?port=hunter2", "port"),
        ("postgres://a,b?port=1,2,3", "one for each host"),
        ("postgres://a,b?hostaddr=10.0.0.1", "one address for each host"),
        ("postgres://?host=@hunter2", "a name has letters"),
        ("postgres://u:hunter2@db#password=hunter2", "#password=@FILE"),
        ("postgres://u:hunter2@db#hunter2", "expectation 1"),
    ];
    for (text, says) in rows {
        let message = refused(text);
        assert!(message.contains(says), "{text}: {message}");
        assert!(!message.to_lowercase().contains("hunter2") || text.contains("$(HUNTER2"), "{text}: {message}");
        assert!(!message.contains("ter2"), "{text}: {message}");
        assert!(message.starts_with("expected ") || message.contains("expectation"), "{text}: {message}");
    }
    // A password that begins with '@' is no file's name.
    let error = parse_with("postgres://u@db#password=$(PASS)", &[("PASS", "@hunter2")], false).unwrap_err();
    assert!(format!("{error:#}").starts_with("expected #password=@FILE"));
    let env = &[("PGSSLMODE", "hunter2")];
    let message = format!("{:#}", parse_with("postgres://db", env, false).unwrap_err());
    assert!(message.contains("PGSSLMODE=") && !message.contains("hunter2"));
}

#[test]
fn nothing_shows_the_password() {
    let target = parse("postgres://app:hunter2@db/shop?password=hunter2&application_name=x#successes=2");
    for shown in [target.to_string(), format!("{target:?}"), format!("{target:#?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert_eq!(target.to_string(), "postgres://app@db:5432/shop#successes=2");
}

/// What a server does with one connection.
type Script = fn(&mut TcpStream);

/// A server of one connection after another, each with a script of its own.
fn server(scripts: Vec<Script>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = std::thread::spawn(move || {
        for script in scripts {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            script(&mut stream);
        }
    });
    (port, handle)
}

/// Reads one untyped packet (SSLRequest, startup) and returns what follows its length.
fn packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
    stream.read_exact(&mut body).unwrap();
    body
}

/// Reads the startup packet, past a request for TLS that is declined.
fn startup(stream: &mut TcpStream) -> Vec<u8> {
    let first = packet(stream);
    if first != 80_877_103_u32.to_be_bytes() {
        return first;
    }
    stream.write_all(b"N").unwrap();
    packet(stream)
}

fn send(stream: &mut TcpStream, tag: u8, body: &[u8]) {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    // The other side may have heard enough.
    let _ = stream.write_all(&[&[tag][..], &length, body].concat());
}

fn error(stream: &mut TcpStream, code: &str, message: &str) {
    send(stream, b'E', format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0").as_bytes());
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all
}

async fn probe(target: &Postgres, bound: Duration) -> (Result<Ready, Reason>, Duration) {
    let files = SystemFiles { resolv_conf: "/nonexistent".into(), hosts: "/nonexistent".into() };
    let net = Net::new(
        files,
        #[cfg(feature = "tls")]
        crate::net::tls::Tls::default(),
    );
    let trail = Trail::new(Bounds { attempt: bound, connect: bound }, false);
    let outcome = time::timeout(bound, target.probe(&net, &trail)).await.unwrap_or_else(|_| Err(trail.cut_off()));
    (outcome, trail.started().elapsed())
}

async fn probed(url: &str, script: Script) -> Result<Ready, Reason> {
    let (port, handle) = server(vec![script]);
    let target = parse(&url.replace("PORT", &port.to_string()));
    let (outcome, _) = probe(&target, Duration::from_secs(2)).await;
    handle.join().unwrap();
    outcome
}

const PLAIN: &str = "postgres://127.0.0.1:PORT?sslmode=disable";

#[tokio::test]
async fn a_server_that_asks_for_credentials_is_ready_and_left_quietly() {
    for url in [PLAIN, "postgres://app@127.0.0.1:PORT/shop"] {
        let outcome = probed(url, |stream| {
            let packet = startup(stream);
            assert_eq!(packet[..4], [0, 3, 0, 0]);
            let text = String::from_utf8_lossy(&packet[4..]).replace('\0', " ");
            assert!(
                text.starts_with("user postgres application_name waitgate")
                    || text.starts_with("user app database shop application_name waitgate"),
                "{text}"
            );
            send(stream, b'R', &[&[0, 0, 0, 10][..], b"SCRAM-SHA-256\0\0"].concat());
            assert_eq!(rest(stream), b"", "libpq leaves without a word at this point");
        })
        .await;
        assert!(outcome.unwrap().note.unwrap().starts_with("accepting connections at 127.0.0.1:"));
    }
}

#[tokio::test]
async fn a_server_that_lets_us_in_is_ready_and_hears_terminate() {
    let outcome = probed(PLAIN, |stream| {
        startup(stream);
        send(stream, b'N', b"SNOTICE\0C00000\0Mhello\0\0");
        send(stream, b'R', &[0; 4]);
        send(stream, b'S', b"server_version\x0015.1\0");
        send(stream, b'K', &[0; 8]);
        send(stream, b'Z', b"I");
        assert_eq!(rest(stream), b"X\0\0\0\x04");
    })
    .await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn an_unknown_authentication_request_is_one() {
    let outcome = probed(PLAIN, |stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 99, 1, 2, 3]);
    })
    .await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn errors_before_and_after_the_authentication() {
    let rows: [(Script, Option<Code>); 8] = [
        (|stream| error(stream, "57P03", "the database system is starting up"), Some(Code::ProtocolNotAccepting)),
        (|stream| error(stream, "53300", "sorry, too many clients already"), Some(Code::ProtocolTooManyClients)),
        (|stream| error(stream, "08P01", "query_wait_timeout"), Some(Code::ProtocolPooler)),
        (|stream| error(stream, "28000", "no pg_hba.conf entry"), None),
        (|stream| error(stream, "3D000", "database does not exist"), None),
        (|stream| send(stream, b'E', b"Mno code\0\0"), Some(Code::ProtocolError)),
        (|stream| send(stream, b'E', b"garbage"), Some(Code::ProtocolNotPostgres)),
        (
            |stream| {
                send(stream, b'R', &[0; 4]);
                error(stream, "53300", "remaining connection slots are reserved");
            },
            Some(Code::ProtocolTooManyClients),
        ),
    ];
    for (at, (script, expected)) in rows.into_iter().enumerate() {
        let (port, handle) = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let handle = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                startup(&mut stream);
                script(&mut stream);
                rest(&mut stream);
            });
            (port, handle)
        };
        let target = parse(&PLAIN.replace("PORT", &port.to_string()));
        let (outcome, _) = probe(&target, Duration::from_secs(2)).await;
        handle.join().unwrap();
        assert_eq!(outcome.err().map(|reason| reason.code()), expected, "row {at}");
    }
}

#[tokio::test]
async fn what_is_not_postgresql_is_named() {
    let http = probed("postgres://127.0.0.1:PORT", |stream| {
        packet(stream);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    })
    .await
    .unwrap_err();
    assert_eq!(http.code(), Code::ProtocolNotPostgres);
    assert!(http.text().contains("answered in HTTP"), "{}", http.text());

    let mysql = probed("postgres://127.0.0.1:PORT", |stream| {
        stream.write_all(b"\x4a\0\0\0\x0a8.0.36\0aaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        rest(stream);
    })
    .await
    .unwrap_err();
    assert!(mysql.text().contains("MySQL"), "{}", mysql.text());

    // A greeting whose first byte looks like the answer "no TLS".
    let mysql = probed("postgres://127.0.0.1:PORT", |stream| {
        stream.write_all(b"N\0\0\0\x0a8.0.36\0aaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        rest(stream);
    })
    .await
    .unwrap_err();
    assert!(mysql.text().contains("MySQL"), "{}", mysql.text());

    let garbage = probed(PLAIN, |stream| {
        stream.write_all(&[0xff; 32]).unwrap();
        rest(stream);
    })
    .await
    .unwrap_err();
    assert_eq!(garbage.code(), Code::ProtocolNotPostgres);
}

#[tokio::test]
async fn a_fork_failure_in_the_old_form_is_read() {
    for url in [PLAIN, "postgres://127.0.0.1:PORT"] {
        let reason = probed(url, |stream| {
            packet(stream);
            let _ = stream.write_all(b"Ecould not fork new process for connection: Cannot allocate memory\n\0");
        })
        .await
        .unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolError, "{}", reason.text());
        assert!(reason.text().contains("could not fork"), "{}", reason.text());
    }
}

#[tokio::test]
async fn a_close_is_said_wherever_it_comes() {
    let scripts: [(&str, Script); 4] = [
        (PLAIN, |_| {}),
        (PLAIN, |stream| drop(startup(stream))),
        ("postgres://127.0.0.1:PORT", |stream| drop(packet(stream))),
        (PLAIN, |stream| {
            startup(stream);
            stream.write_all(b"R\0\0\0").unwrap();
        }),
    ];
    for (at, (url, script)) in scripts.into_iter().enumerate() {
        let reason = probed(url, script).await.unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolClosed, "row {at}: {}", reason.text());
    }
}

#[tokio::test]
async fn silence_is_cut_off_with_what_was_awaited() {
    for (url, says) in [
        (PLAIN, "accepted the connection and the startup packet, and no complete answer came"),
        #[cfg(feature = "tls")]
        ("postgres://127.0.0.1:PORT", "accepted the connection and the request for TLS, and no complete answer came"),
    ] {
        let (port, handle) = server(vec![|stream| {
            rest(stream);
        }]);
        let target = parse(&url.replace("PORT", &port.to_string()));
        let (outcome, took) = probe(&target, Duration::from_millis(200)).await;
        handle.join().unwrap();
        let reason = outcome.unwrap_err();
        assert_eq!(reason.code(), Code::ProtocolTimeout);
        assert!(reason.text().contains(says), "{}", reason.text());
        assert!(took < Duration::from_millis(400));
    }
}

#[tokio::test]
async fn endless_messages_are_bounded() {
    let reason = probed(PLAIN, |stream| {
        startup(stream);
        let notice = [&b"N\0\0\x10\0S"[..], &[b'a'; 4091]].concat();
        while stream.write_all(&notice).is_ok() {}
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolTooLarge);
    let reason = probed("postgres://u:p@127.0.0.1:PORT?sslmode=disable", |stream| {
        startup(stream);
        send(stream, b'R', &[0; 4]);
        let status = [&b"S\0\0\x10\0"[..], &[b'a'; 2000], b"\0", &[b'b'; 2090], b"\0"].concat();
        while stream.write_all(&status).is_ok() {}
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolTooLarge);
}

#[tokio::test]
async fn the_next_host_is_asked_where_the_first_has_nothing_to_say() {
    let (dead, first) = server(vec![|stream| error(stream, "57P03", "the database system is shutting down")]);
    let (alive, second) = server(vec![|stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 3]);
    }]);
    let target = parse(&format!("postgres://127.0.0.1:{dead},127.0.0.1:{alive}?sslmode=disable"));
    let (outcome, _) = probe(&target, Duration::from_secs(2)).await;
    first.join().unwrap();
    second.join().unwrap();
    assert!(outcome.unwrap().note.unwrap().ends_with(&alive.to_string()));

    // A silent one uses up no more than its share.
    let (silent, first) = server(vec![|stream| drop(rest(stream))]);
    let (alive, second) = server(vec![|stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 3]);
    }]);
    let target = parse(&format!("postgres://127.0.0.1:{silent},127.0.0.1:{alive}?sslmode=disable"));
    let (outcome, took) = probe(&target, Duration::from_millis(600)).await;
    first.join().unwrap();
    second.join().unwrap();
    assert!(outcome.is_ok() && took < Duration::from_millis(500), "{outcome:?} after {took:?}");
}

#[tokio::test]
async fn a_login_says_why_it_failed() {
    const LOGIN: &str = "postgres://app:hunter2@127.0.0.1:PORT/shop?sslmode=disable";
    let rows: [(Script, Code, &str); 9] = [
        (
            |stream| error(stream, "28P01", "password authentication failed for user \"app\""),
            Code::ProtocolPassword,
            "28P01",
        ),
        (
            |stream| error(stream, "3D000", "database \"shop\" does not exist"),
            Code::ProtocolNoDatabase,
            "the database is not",
        ),
        (|stream| error(stream, "08P01", "no such database: shop"), Code::ProtocolNoDatabase, "pooler"),
        (|stream| send(stream, b'R', &[0, 0, 0, 7]), Code::ProtocolError, "unsupported authentication method"),
        (|stream| send(stream, b'Z', b"I"), Code::ProtocolNotPostgres, "not as PostgreSQL"),
        (|stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap(), Code::ProtocolNotPostgres, "HTTP"),
        (|stream| stream.write_all(b"E\x7f\xff\xff\xff").unwrap(), Code::ProtocolNotPostgres, "not as PostgreSQL"),
        (|stream| stream.write_all(b"E\0\0\x7f\xff").unwrap(), Code::ProtocolClosed, "closed it during the login"),
        (|_| {}, Code::ProtocolClosed, "closed it during the login"),
    ];
    for (at, (script, code, says)) in rows.into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let handle = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            startup(&mut stream);
            script(&mut stream);
        });
        let (outcome, _) = probe(&parse(&LOGIN.replace("PORT", &port.to_string())), Duration::from_secs(2)).await;
        handle.join().unwrap();
        let reason = outcome.unwrap_err();
        assert_eq!(reason.code(), code, "row {at}: {}", reason.text());
        assert!(reason.text().contains(says) && !reason.text().contains("hunter2"), "row {at}: {}", reason.text());
    }
    let reason = probed("postgres://app@127.0.0.1:PORT/shop?sslmode=disable#login", |stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 3]);
    })
    .await
    .unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolPassword);
    assert!(reason.text().contains("none is given"), "{}", reason.text());
}

#[tokio::test]
async fn a_login_ends_with_terminate() {
    let outcome = probed("postgres://app:hunter2@127.0.0.1:PORT/shop?sslmode=disable", |stream| {
        startup(stream);
        send(stream, b'R', &[0, 0, 0, 3]);
        let mut password = [0; 13];
        stream.read_exact(&mut password).unwrap();
        assert_eq!(&password, b"p\0\0\0\x0chunter2\0");
        send(stream, b'R', &[0; 4]);
        send(stream, b'Z', b"I");
        assert_eq!(rest(stream), b"X\0\0\0\x04");
    })
    .await;
    assert!(outcome.unwrap().note.unwrap().starts_with("logged in at"));
}

#[tokio::test]
async fn a_password_file_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let target = parse(&format!("postgres://app@127.0.0.1:1#password=@{}", path.display()));
    assert!(target.login);
    let (outcome, _) = probe(&target, Duration::from_secs(1)).await;
    assert_eq!(outcome.unwrap_err().code(), Code::LocalFile);
    std::fs::write(&path, "hunter2\r\n").unwrap();
    let (outcome, _) = probe(&target, Duration::from_secs(1)).await;
    assert_eq!(outcome.unwrap_err().code(), Code::ConnectRefused);
    std::fs::write(&path, "\n").unwrap();
    let (outcome, _) = probe(&target, Duration::from_secs(1)).await;
    assert!(outcome.unwrap_err().text().contains("empty"));
}
