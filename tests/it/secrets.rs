//! Servers that repeat a secret, in each place where waitgate quotes a server, for each way in which a target holds a
//! secret: no output has it, nor its beginning.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::thread;

use tempfile::TempDir;

use crate::support::{Fake, Run, web::Authority};

/// It has letters, digits and signs that are valid in a host's name.
const SECRET: &str = "hunter2-correct-horse-zw0lf";

/// In the secret, in its Basic authentication with the user "u", and in its percent-encoding.
const PIECES: [&str; 4] = ["hunt", "correct", "zw0lf", "dTpodW50ZXI"];

/// A server that answers with the same bytes whatever it is asked.
fn server(says: impl Into<Vec<u8>>) -> Fake {
    Fake::answering(says)
}

fn http(says: &str) -> Fake {
    let says = says.to_owned();
    Fake::new(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(says.as_bytes());
    })
}

fn json(value: &str) -> Fake {
    let body = format!("{{\"said\":\"{value}\"}}");
    http(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
}

/// What an ErrorResponse of PostgreSQL says in its message and its detail.
fn error(code: &str, message: &str, detail: &str) -> Fake {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0D{detail}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
    server([&b"E"[..], &length, fields.as_bytes()].concat())
}

/// Text, -v, JSON, the plan, and a run that ends at its deadline. Each but the plan leaves a termination message.
const OUTPUTS: &[&[&str]] = &[
    &["--once"],
    &["--once", "-v", "--explain"],
    &["--once", "-v", "--log-format=json"],
    &["--dry-run"],
    &["-t", "300ms", "-v"],
];

/// Files and variables that hold the secret.
struct Given {
    folder: TempDir,
}

impl Given {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
        fs::write(folder.path().join("data"), format!("user=u&pw={SECRET}")).unwrap();
        fs::write(folder.path().join("pgpass"), format!("*:*:*:*:{SECRET}\n")).unwrap();
        Self { folder }
    }

    /// Runs `target` with each output. No output has the secret. Returns the log as text.
    #[track_caller]
    fn hides(&self, target: &str, at: SocketAddr, more: &[&str]) -> String {
        self.hides_in(OUTPUTS, target, at, more)
    }

    #[track_caller]
    fn hides_in(&self, outputs: &[&[&str]], target: &str, at: SocketAddr, more: &[&str]) -> String {
        let folder = self.folder.path().display().to_string();
        let filled = |text: &str| text.replace("ADDR", &at.to_string()).replace("DIR", &folder);
        let target = filled(target);
        // They wait for most of the time, so they run at the same time.
        let start = |(number, output): (usize, &&[&str])| {
            let message = self.folder.path().join(format!("message-{number}"));
            fs::write(&message, "").unwrap();
            let run = Run::new(*output).arg(format!("--termination-log={}", message.display())).arg(&target);
            let run = more.iter().fold(run, |run, argument| match argument.split_once('=') {
                Some((name, value)) if !name.starts_with('-') => run.env(name, filled(value)),
                _ => run.arg(filled(argument)),
            });
            (run.env("TOK", SECRET).env("USR", "u").start(), message)
        };
        let running: Vec<_> = outputs.iter().enumerate().map(start).collect();
        let mut shown = String::new();
        for (running, message) in running {
            let ended = running.end();
            let left = fs::read_to_string(&message).unwrap();
            for piece in PIECES {
                ended.nowhere(piece);
                assert!(!left.contains(piece), "{left}{ended}");
            }
            shown = if shown.is_empty() { ended.stderr.clone() } else { shown };
        }
        shown
    }

    /// The same for several targets with the same words: each output for the first one, and the log for each.
    #[track_caller]
    fn all_say(&self, targets: &[(impl AsRef<str>, &[&str])], at: SocketAddr, says: &str) {
        for (number, (target, more)) in targets.iter().enumerate() {
            let outputs = if number == 0 { OUTPUTS } else { &OUTPUTS[..1] };
            let shown = self.hides_in(outputs, target.as_ref(), at, more);
            assert!(shown.contains(says), "expected {says:?}: {shown}");
        }
    }

    /// The same, and the log says this in place of the secret.
    #[track_caller]
    fn says(&self, target: &str, at: SocketAddr, more: &[&str], says: &str) {
        let shown = self.hides(target, at, more);
        assert!(shown.contains(says), "expected {says:?}: {shown}");
    }
}

/// Every way in which a target of `http:` holds a secret that its server may repeat.
const HTTP: [&str; 13] = [
    "http://u:hunter2-correct-horse-zw0lf@ADDR/#X",
    "http://u:$(TOK)@ADDR/#X",
    "http://$(USR):hunter2-correct-horse-z%770lf@ADDR/#X",
    "http://ADDR/?token=hunter2-correct-horse-zw0lf#X",
    "http://ADDR/$(TOK)?a=$(TOK)#X",
    "http://ADDR/#X#header=Authorization:Bearer hunter2-correct-horse-zw0lf",
    "http://ADDR/#X#header=Authorization:Bearer $(TOK)",
    "http://ADDR/#X#header=Cookie:a=b; session=hunter2-correct-horse-zw0lf",
    "http://ADDR/#X#header=X-Token:@DIR/secret",
    "http://ADDR/#X#bearer=@DIR/secret",
    "http://ADDR/#X#data={\"pw\":\"hunter2-correct-horse-zw0lf\"}",
    "http://ADDR/#X#data=user=u&pw=$(TOK)",
    "http://ADDR/#X#data=@DIR/data",
];

#[cfg(feature = "http")]
#[test]
fn an_http_server_repeats_it() {
    let given = Given::new();
    let place =
        format!("HTTP/1.1 302 {SECRET}\r\nServer: {SECRET}\r\nLocation: http://{SECRET}.example/{SECRET}\r\n\r\n");
    let status = format!("HTTP/1.1 401 {SECRET}\r\nServer: {SECRET}\r\nContent-Length: 0\r\n\r\n");
    let servers = [
        (http(&place), "status=200", "which redirects to another host, ***.example"),
        (http(&status), "status=200", "401"),
        (http(&status), "status=401#answer-header=server:x", "another value in its header server"),
        (json(&format!("no {SECRET}")), "json=/said=x", "has \"no ***\" at /said"),
        // Shortened within the secret, by waitgate and by the server.
        (json(&format!("{} {SECRET}", "x".repeat(30))), "json=/said=x", "xxx ***\" at /said"),
        (json(&SECRET[..15]), "json=/said=x", "has \"***\" at /said"),
        (http(&format!("{SECRET} is not HTTP\r\n")), "status=200", "not in HTTP"),
    ];
    for (server, expectation, says) in &servers {
        let filled = |target: &str| target.replacen("#X", &format!("#{expectation}"), 1);
        let targets: Vec<(String, &[&str])> = HTTP.map(|target| (filled(target), [].as_slice())).into();
        given.all_say(&targets, server.addr, says);
    }
}

#[cfg(feature = "http")]
#[test]
fn an_http_server_repeats_a_login_or_the_url_of_a_variable() {
    let given = Given::new();
    let login = json("got dTpodW50ZXIyLWNvcnJlY3QtaG9yc2UtencwbGY=");
    given.says("http://u:$(TOK)@ADDR/#json=/said=x", login.addr, &[], "has \"got ***\"");
    let server = json(&format!("got /hook/{SECRET}, u, k3y-of-a-query"));
    let url = format!("URL=http://u:x@ADDR/hook/{SECRET}?key=k3y-of-a-query");
    given.says("env:URL#json=/said=x", server.addr, &[&url], "has \"got /***, ***, ***\"");
    // The proxy answers in place of the server.
    let proxy = json(&format!("no {SECRET}"));
    let variable = format!("http_proxy=http://u:{SECRET}@ADDR");
    given.says("http://127.9.9.9:1/#proxy#json=/said=x", proxy.addr, &[&variable], "has \"no ***\"");
}

#[cfg(feature = "grpc")]
#[test]
fn a_grpc_server_repeats_it() {
    use crate::support::h2::{END, HEAD, headers, refusal, server};
    let given = Given::new();
    let targets: [(&str, &[&str]); 5] = [
        ("grpc:ADDR#header=authorization:Bearer hunter2-correct-horse-zw0lf", &[]),
        ("grpc:ADDR#header=authorization:Bearer $(TOK)", &[]),
        ("grpc:ADDR#header=authorization:Bearer @DIR/secret#service=shop.Cart", &[]),
        ("grpc:ADDR#header=cookie:a=b; session=hunter2-correct-horse-zw0lf", &[]),
        ("env:URL#header=x-token:@DIR/secret", &["URL=grpc://ADDR"]),
    ];
    let cut = format!("{} {}", "x".repeat(190), SECRET);
    let encoded = SECRET.replace('-', "%2D");
    for (status, words, says) in [
        ("16", format!("no: {SECRET}"), "UNAUTHENTICATED: no: ***"),
        ("7", format!("no: {encoded}"), "PERMISSION_DENIED: no: ***"),
        ("14", cut, "xxx ***"),
        ("13", format!("no: {}", &SECRET[..9]), "INTERNAL: no: ***"),
        (SECRET, String::new(), "a grpc-status that is not a number: \"***\""),
    ] {
        given.all_say(&targets, server(refusal(status, &words)).addr, says);
    }
    let page = headers(END, &[(":status", "200"), ("content-type", SECRET), ("server", SECRET)]);
    given.all_say(&targets, server(page).addr, "content of the type ***");
    let loud = headers(END, &[HEAD, &[("grpc-status", "5"), (SECRET, SECRET), ("server", SECRET)]].concat());
    given.all_say(&targets, server(loud).addr, "NOT_FOUND");
}

#[cfg(all(feature = "postgres", feature = "tls"))]
#[test]
fn a_postgres_server_repeats_it() {
    let given = Given::new();
    let targets: [(&str, &[&str]); 7] = [
        ("postgres://app:hunter2-correct-horse-zw0lf@ADDR/shop?sslmode=disable", &[]),
        ("postgres://app:$(TOK)@ADDR/shop?sslmode=disable", &[]),
        ("postgres://app@ADDR/shop?sslmode=disable", &["PGPASSWORD=hunter2-correct-horse-zw0lf"]),
        ("postgres://app@ADDR/shop?sslmode=disable", &["PGPASSFILE=DIR/pgpass"]),
        ("postgres://app@ADDR/shop?sslmode=disable#password=@DIR/secret", &[]),
        ("postgres://app@ADDR/shop?sslmode=disable#query=SELECT '$(TOK)'", &[]),
        ("env:URL", &["URL=postgres://u:hunter2-correct-horse-zw0lf@ADDR/hunter2?sslmode=disable"]),
    ];
    for (code, message, detail, says) in [
        ("28P01", format!("no: {SECRET}"), format!("it was \"{SECRET}\""), "no: ***: it was \"***\" (28P01)"),
        ("XX000", format!("{} {SECRET}", "x".repeat(290)), "y".into(), "xxx ***: y"),
        ("57P03", format!("no: {}", &SECRET[..9]), "y".into(), "no: ***: y"),
        ("08P01", format!("pooler: {SECRET}"), "y".into(), "pooler: ***: y"),
    ] {
        let server = error(code, &message, &detail);
        given.all_say(&targets, server.addr, says);
    }
    // The old form of an error, from before the protocol's version 3.
    let fork = server(format!("Ecould not fork new process: {SECRET}\n\0"));
    let asking = |text: &str| text.replace("?sslmode=disable", "");
    for (target, more) in targets {
        let more: Vec<String> = more.iter().map(|variable| asking(variable)).collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        given.all_say(&[(asking(target), more.as_slice())], fork.addr, "could not fork new process: ***");
    }
}

#[cfg(feature = "kafka")]
#[test]
fn a_kafka_broker_repeats_it() {
    use crate::support::kafka::{TODAY, authenticated, broker, metadata, offer, session, versions};
    let given = Given::new();
    let targets: [(&str, &[&str]); 4] = [
        ("kafka://u:hunter2-correct-horse-zw0lf@ADDR#mechanism=PLAIN", &[]),
        ("kafka://u:$(TOK)@ADDR", &[]),
        ("kafka:ADDR#user=u#password=@DIR/secret", &[]),
        ("env:URL", &["URL=kafka://u:hunter2-correct-horse-zw0lf@ADDR"]),
    ];
    let (today, offered) = (versions(0, TODAY), offer(0, &[]));
    let refused = |words: &str| vec![today.clone(), offered.clone(), authenticated(58, words, "")];
    for (bodies, says) in [
        (refused(&format!("no: {SECRET}")), "no: ***"),
        (refused(&format!("{} {SECRET}", "x".repeat(190))), "xxx ***"),
        (refused(&format!("no: {}", &SECRET[..9])), "no: ***"),
        (vec![today.clone(), offer(33, &[SECRET])], "it offers ***"),
    ] {
        given.all_say(&targets, broker(vec![session(&bodies)]).addr, says);
    }
    // What a broker advertises is its word, too.
    let host = format!("{SECRET} x");
    let plain = vec![today.clone(), offered, authenticated(0, "", ""), metadata(&[(&host, 1)], &[])];
    given.says(targets[0].0, broker(vec![session(&plain)]).addr, &[], "advertises *** x:1, which is no host");
}

/// waitgate's own sentence stays as it is: only the server's words are masked.
#[cfg(feature = "postgres")]
#[test]
fn a_password_that_is_an_ordinary_word_is_hidden_in_the_servers_words_only() {
    let given = Given::new();
    let words = "password authentication failed for user \"postgres\"";
    for (password, says) in [
        ("postgres", "but it refuses the password: password authentication failed for user \"***\" (28P01)"),
        ("password", "but it refuses the password: *** authentication failed for user \"postgres\" (28P01)"),
        ("use", "but it refuses the password: password authentication failed for user \"postgres\" (28P01)"),
        ("for", "but it refuses the password: password authentication failed *** user \"postgres\" (28P01)"),
    ] {
        let server = error("28P01", words, "x");
        let target = format!("postgres://app:{password}@ADDR/shop?sslmode=disable");
        given.says(&target, server.addr, &[], &says.replace(" (28P01)", ": x (28P01)"));
    }
    // What the target shows is no secret.
    let server = error("28P01", "user app of shop", "x");
    given.says("postgres://app:shop@ADDR/shop?sslmode=disable", server.addr, &[], "user app of shop: x");
}

#[test]
fn a_banner_repeats_it() {
    let given = Given::new();
    let long = format!("220 {} {SECRET}\r\n", "x".repeat(40));
    let greeting = Fake::greeting(format!("220 {SECRET}\r\n"));
    given.says("tcp:ADDR#banner=$(TOK)!", greeting.addr, &[], "says \"220 ***\" first");
    given.says("tcp:ADDR#banner=$(TOK)!", Fake::greeting(long).addr, &[], "xxx ***\" first");
    let cut = Fake::greeting(format!("220 {}", &SECRET[..10]));
    given.says("tcp:ADDR#banner=$(TOK)!", cut.addr, &[], "says \"220 ***\" first");
    let refusing = |said: String| {
        Fake::new(move |mut stream| {
            let _ = stream.write_all(said.as_bytes());
        })
    };
    let closing = refusing(format!("421 no {SECRET}\r\n"));
    given.says("tcp:ADDR#hold=2s#banner-match=$(TOK)|.", closing.addr, &[], "said \"421 no ***\"");
    let long = refusing(format!("421 {} {SECRET}", "x".repeat(90)));
    given.says("tcp:ADDR#hold=2s#banner-match=$(TOK)|.", long.addr, &[], "xxx ***\"");
    let answering = server(format!("-ERR no {SECRET}\r\n"));
    for text in ["$(TOK)", "AUTH $(TOK)%0D%0APING%0D%0A", "AUTH hunter2-correct-horse-zw0lf%0D%0APING%0D%0A"] {
        given.says(&format!("tcp:ADDR#send={text}#banner=+PONG"), answering.addr, &[], "answers \"-ERR no ***\"");
    }
    // A plain word is one of waitgate's own, too.
    let own = refusing("421 closed\r\n".to_owned());
    let says = "accepted the connection, said \"421 ***\" and closed it";
    given.says("tcp:ADDR#hold=2s#banner-match=$(WORD)|.", own.addr, &["WORD=closed"], says);
}

/// One TXT record for every question (RFC 1035 section 4).
#[cfg(feature = "dns")]
#[test]
fn a_record_repeats_it() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((_, peer)) = socket.recv_from(&mut query) {
            let question = query[12..].iter().position(|byte| *byte == 0).unwrap() + 12 + 5;
            let text = format!("key={SECRET}\"\\");
            let length = u8::try_from(text.len()).unwrap();
            let head = [&query[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &query[12..question]].concat();
            let record = [0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 5, 0, length + 1, length];
            let _ = socket.send_to(&[&head[..], &record, text.as_bytes()].concat(), peer);
        }
    });
    let given = Given::new();
    given.says("dns://ADDR/db.test?type=TXT#has=$(TOK)", at, &[], "but \"key=***\\\"\\\\\"");
}

#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn a_certificate_repeats_it() {
    let given = Given::new();
    let authority = Authority::new();
    let config = authority.server(&[&format!("{SECRET}.example"), "closed.example"]);
    let web = crate::support::web::Web::on(crate::support::free_port(), Some(config), |_, _| {
        crate::support::web::Reply::status(200)
    });
    let ca = format!("--ca-file={}", authority.file().display());
    let send = "tls:ADDR#send=AUTH $(TOK)%0D%0A";
    for target in ["https://u:$(TOK)@ADDR/", "https://ADDR/#header=Authorization:Bearer $(TOK)", send] {
        let shown = given.hides(target, web.fake.addr, &[&ca]);
        assert!(shown.contains("***.example") && shown.contains("closed.example"), "{shown}");
    }
    // A plain word is hidden in the server's names, and not in waitgate's own words.
    let target = format!("https://u:example@{}/", web.fake.addr);
    let ended = Run::new(["--once", &ca, &target]).end();
    ended.failure().stderr_has("closed.***").nowhere("example");
}

/// The next host is the server's word in every stage, and here also a plain word.
#[cfg(feature = "http")]
#[test]
fn a_redirect_leads_to_it() {
    let given = Given::new();
    let server = http("HTTP/1.1 302 x\r\nLocation: http://unsaid.localhost:1/\r\n\r\n");
    let target = format!("http://u:unsaid@{}/#follow", server.addr);
    for output in OUTPUTS {
        let ended = Run::new(*output).arg(&target).end();
        ended.nowhere("unsaid");
    }
    let shown = given.hides("http://u:unsaid@ADDR/#follow", server.addr, &[]);
    assert!(shown.contains("after a redirect to ***.localhost:1"), "{shown}");
}
