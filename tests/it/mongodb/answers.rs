//! The states of a server, logins, and the words of a server that is not ready.

use std::fs;

use crate::support::mongodb::{BOTH, Doc, Mongod, Request, User, state};
use crate::support::{Fake, Run, fake::linger, run::Ended};

fn once(target: &str) -> Ended {
    Run::new(["--once", "--attempt-timeout=2s", target]).end()
}

const APP: User = User("admin", "app", "hunter2", BOTH);

#[test]
fn each_state_has_its_reason() {
    for (name, expected) in [
        ("standalone", Ok("hello from")),
        ("primary", Ok("a primary")),
        ("secondary", Ok("a secondary")),
        ("leaderless", Ok("a secondary")),
        ("hidden", Ok("a hidden secondary")),
        ("mongos", Ok("a router")),
        ("arbiter", Err(("is an arbiter, which has no data", "[expect.state]"))),
        ("recovering", Err(("neither a primary nor a secondary", "[protocol.not-accepting]"))),
        ("uninitiated", Err(("rs.initiate() was not called", "[expect.state]"))),
    ] {
        let server = Mongod::in_state(name, &[]);
        let ended = once(&server.at("mongodb:ADDR"));
        match expected {
            Ok(says) => ended.success().stderr_has(says),
            Err((says, code)) => ended.failure().stderr_has(says).stderr_has(code),
        };
        // One command in the old way, which every server takes.
        assert_eq!(server.asked(), ["query admin isMaster"], "{name}");
    }
}

#[test]
fn a_role_is_what_a_client_can_do_there() {
    for (role, name, says) in [
        ("primary", "primary", None),
        ("primary", "standalone", None),
        ("primary", "mongos", None),
        ("primary", "secondary", Some("a secondary, not a primary (the primary is mongo-0.mongo:27017)")),
        ("primary", "leaderless", Some("not a primary (the set has no primary now)")),
        ("secondary", "secondary", None),
        ("secondary", "primary", Some("a primary, not a secondary")),
        ("secondary", "hidden", Some("a hidden secondary, which drivers do not read from")),
        ("secondary", "standalone", Some("not a member of a replica set")),
    ] {
        let server = Mongod::in_state(name, &[APP]);
        let target = server.at(&format!("mongodb://app:hunter2@ADDR#role={role}"));
        match says {
            None => {
                once(&target).success().stderr_has("logged in");
            }
            Some(says) => {
                once(&target).failure().stderr_has(says).stderr_has("[expect.role]");
                assert_eq!(server.asked().len(), 1, "no login at a server that is not the wanted one");
            }
        }
    }
}

#[test]
fn a_set_is_compared() {
    let member = Mongod::in_state("primary", &[]);
    for target in ["mongodb://ADDR/?replicaSet=rs0", "mongodb:ADDR#set=rs0", "mongodb://ADDR/?replicaset=rs0#set=rs0"] {
        once(&member.at(target)).success();
    }
    for target in ["mongodb://ADDR/?replicaSet=rs1", "mongodb:ADDR#set=rs1"] {
        let ended = once(&member.at(target));
        ended.failure().stderr_has("a member of the replica set \"rs0\"").stderr_has("[expect.state]");
    }
    for (name, says) in [
        ("standalone", "not a member of a replica set"),
        ("mongos", "a router of a sharded cluster"),
        ("uninitiated", "rs.initiate()"),
    ] {
        let server = Mongod::in_state(name, &[]);
        once(&server.at("mongodb:ADDR#set=rs0")).failure().stderr_has(says);
    }
}

#[test]
fn logins() {
    let users = [
        User("admin", "both", "hunter2", BOTH),
        User("admin", "old", "hunter2", &["SCRAM-SHA-1"]),
        User("admin", "new", "hunter2", &["SCRAM-SHA-256"]),
        User("shop", "app", "hunter2", BOTH),
        User("admin", "a,b=c", "p:w/@", BOTH),
        User("admin", "roman", "IX", &["SCRAM-SHA-256"]),
    ];
    let server = Mongod::in_state("primary", &users);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "hunter2\n").unwrap();
    for target in [
        "mongodb://both:hunter2@ADDR",
        "mongodb://both:hunter2@ADDR/?authMechanism=SCRAM-SHA-1",
        "mongodb://both:hunter2@ADDR/?authMechanism=SCRAM-SHA-256",
        "mongodb://old:hunter2@ADDR",
        "mongodb://new:hunter2@ADDR",
        "mongodb://app:hunter2@ADDR/shop",
        "mongodb://app:hunter2@ADDR/?authSource=shop",
        "mongodb://app:hunter2@ADDR/other?authSource=shop",
        "mongodb://both:hunter2@ADDR/shop?authSource=admin&retryWrites=true&w=majority",
        "mongodb://a%2Cb%3Dc:p%3Aw%2F%40@ADDR",
        // SASLprep: U+2168 is IX.
        "mongodb://roman:%E2%85%A8@ADDR",
        "mongodb://both@ADDR#password=@FILE",
        "mongodb://both:hunter2@ADDR#login",
    ] {
        let target = server.at(target).replace("FILE", &file.display().to_string());
        once(&target).success().stderr_has("logged in at").nowhere("hunter2");
    }
    for target in [
        "mongodb://both:wrong@ADDR",
        "mongodb://both:wrong@ADDR/?authMechanism=SCRAM-SHA-1",
        "mongodb://nobody:hunter2@ADDR",
        "mongodb://app:hunter2@ADDR",
        "mongodb://both:hunter2@ADDR/shop",
        "mongodb://old:hunter2@ADDR/?authMechanism=SCRAM-SHA-256",
    ] {
        let ended = once(&server.at(target));
        ended
            .failure()
            .stderr_has("it refuses the login: Authentication failed. (18)")
            .stderr_has("[protocol.password]");
    }
}

#[test]
fn a_login_is_sent_as_the_server_can_read_it() {
    let server = Mongod::in_state("primary", &[APP]);
    once(&server.at("mongodb://app:hunter2@ADDR")).success();
    let expected = ["query admin isMaster", "msg admin saslStart", "msg admin saslContinue", "msg admin saslContinue"];
    assert_eq!(server.asked(), expected);
    // MongoDB 3.4 knows no OP_MSG.
    let old = Doc::ok().int("maxWireVersion", 5).bool("ismaster", true);
    let server = Mongod::new(old, &[APP]);
    once(&server.at("mongodb://app:hunter2@ADDR")).success();
    assert!(server.asked().iter().all(|asked| asked.starts_with("query ")), "{:?}", server.asked());
}

#[test]
fn a_load_balancer() {
    let behind = Doc::ok().bool("isWritablePrimary", true).text("msg", "isdbgrid").bytes("serviceId", b"123456789012");
    let server = Mongod::new(behind, &[]);
    once(&server.at("mongodb://ADDR/?loadBalanced=true")).success();
    assert_eq!(server.asked(), ["msg admin hello"]);
    let server = Mongod::in_state("mongos", &[]);
    once(&server.at("mongodb://ADDR/?loadBalanced=true")).failure().stderr_has("not behind a load balancer");
}

#[test]
fn errors_of_a_server() {
    for (code, name, words, expected) in [
        (91, "ShutdownInProgress", "The server is in quiesce mode and will shut down", "[protocol.not-accepting]"),
        (11600, "InterruptedAtShutdown", "interrupted at shutdown", "[protocol.not-accepting]"),
        (211, "KeyNotFound", "Cache Reader No keys found for HMAC", "[protocol.not-accepting]"),
        (13436, "NotPrimaryOrSecondary", "node is recovering", "[protocol.not-accepting]"),
        (13, "Unauthorized", "command hello requires authentication", "[protocol.not-authorized]"),
        (59, "CommandNotFound", "no such command", "[protocol.error]"),
    ] {
        let server = Mongod::new(Doc::error(code, name, words), &[]);
        let ended = once(&server.at("mongodb:ADDR"));
        ended.failure().stderr_has(&format!("{words} ({code})")).stderr_has(expected);
    }
}

/// A server whose first login answer is `first`.
fn leading(first: Doc) -> Fake {
    Fake::new(move |mut stream| {
        while let Some(request) = Request::read(&mut stream) {
            let answer = match request.command().as_str() {
                "isMaster" => state("primary", "x:1"),
                _ => first.clone(),
            };
            let _ = std::io::Write::write_all(&mut stream, &request.answer(&answer));
        }
    })
}

#[test]
fn a_server_that_leads_a_login_astray_gets_no_password() {
    let payload = |text: &str| Doc::ok().int("conversationId", 1).bool("done", false).bytes("payload", text.as_bytes());
    for (first, says, code) in [
        (Doc::ok(), "sent a message that SCRAM does not have in the login by SCRAM-SHA-1", "[protocol.error]"),
        (payload("r=other,s=YQ==,i=4096"), "sent a message that SCRAM does not have", "[protocol.error]"),
        (payload("r=other,s=YQ==,i=1"), "fewer than 4096 times", "[protocol.auth-method]"),
        (
            Doc::error(334, "MechanismUnavailable", "not enabled"),
            "does not have this way to log in",
            "[protocol.auth-method]",
        ),
        (
            Doc::error(8000, "AtlasError", "bad auth : no"),
            "refuses the login: bad auth : no (8000)",
            "[protocol.password]",
        ),
    ] {
        let fake = leading(first);
        let ended = once(&format!("mongodb://app:hunter2@{}", fake.addr));
        ended.failure().stderr_has(says).stderr_has(code).nowhere("hunter2");
    }
}

/// Any server of several suffices, and a refused login is not tried at the next one.
#[test]
fn several_servers() {
    let (secondary, primary) = (Mongod::in_state("secondary", &[APP]), Mongod::in_state("primary", &[APP]));
    let list = |login: &str| format!("mongodb://{login}{},{}", secondary.fake.addr, primary.fake.addr);
    once(&format!("{}/?replicaSet=rs0#role=primary", list(""))).success().stderr_has(&primary.fake.addr.to_string());
    once(&list("app:hunter2@")).success().stderr_has(&secondary.fake.addr.to_string());
    let before = primary.asked().len();
    once(&list("app:wrong@")).failure().stderr_has("[protocol.password]");
    assert_eq!(primary.asked().len(), before);
    let closed = crate::support::free_port();
    let target = format!("mongodb://{closed},{}", primary.fake.addr);
    once(&target).success().stderr_has("a primary");
    let target = format!("mongodb://{closed},{}#role=primary", secondary.fake.addr);
    let ended = once(&target);
    ended.failure().stderr_has(&format!("{closed}: refused")).stderr_has("a secondary, not a primary");
}

#[test]
fn a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mongodb-27017.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while let Some(request) = Request::read(&mut stream) {
                let answer = request.answer(&state("standalone", ""));
                let _ = std::io::Write::write_all(&mut stream, &answer);
            }
        }
    });
    let written = path.display().to_string().replace('/', "%2F");
    once(&format!("mongodb://{written}")).success().stderr_has("mongodb-27017.sock");
    once(&format!("mongodb://{written}.gone")).failure().stderr_has("[local.missing]");
}

#[cfg(all(feature = "http", feature = "mysql", feature = "redis", feature = "tls"))]
#[test]
fn other_protocols_are_named() {
    for (first, says) in [
        ("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "answered in HTTP, not in MongoDB's protocol"),
        ("-ERR unknown command\r\n", "use redis:"),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}F", "wants TLS on this port"),
    ] {
        let fake = Fake::answering(first);
        once(&format!("mongodb:{}", fake.addr)).failure().stderr_has(says);
    }
    let mysql = Fake::greeting(
        b"\x4a\0\0\0\x0a8.0.36\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".as_slice(),
    );
    once(&format!("mongodb:{}", mysql.addr)).failure().stderr_has("use mysql:");
}

/// What a MongoDB says to a browser (and to `curl`, which many take for a check).
const TO_HTTP: &str = "HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 85\r\n\r\nIt looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n";

#[cfg(feature = "http")]
#[test]
fn http_names_mongodb() {
    let mongodb = Fake::answering(TO_HTTP);
    let ended = once(&format!("http://{}/", mongodb.addr));
    ended.failure().stderr_has("answered in MongoDB, not in HTTP").stderr_has("use mongodb:");
    once(&format!("http://{}/#status=200", mongodb.addr)).failure().stderr_has("use mongodb:");
    // Another short text is an answer.
    let other = Fake::answering(TO_HTTP.replace("MongoDB", "a thing"));
    once(&format!("http://{}/", other.addr)).success();
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::support::web::Authority;

    #[test]
    fn certificates_are_verified_as_the_url_says() {
        let authority = Authority::new();
        let server = Mongod::over_tls("primary", &[APP], authority.server(&["mongo.test"]));
        let ca = authority.file().display().to_string();
        let login = "mongodb://app:hunter2@ADDR";
        let run = |target: &str| once(&server.at(target).replace("@CA", &ca));
        run(&format!("{login}/?tls=true&tlsCAFile=@CA#servername=mongo.test")).success().stderr_has("logged in");
        run(&format!("{login}/?tlsCAFile=@CA#servername=mongo.test")).success();
        run(&format!("{login}#ca=@CA#servername=mongo.test")).success();
        run(&format!("{login}/?tlsCAFile=@CA&tlsAllowInvalidHostnames=true")).success();
        run(&format!("{login}/?tlsInsecure=true")).success().stderr_has("not verified");
        run(&format!("{login}/?ssl=true&tlsAllowInvalidCertificates=true")).success().stderr_has("not verified");
        run(&format!("{login}#insecure")).success().stderr_has("not verified");
        let seen = server.asked().len();
        run(&format!("{login}/?tls=true")).failure().stderr_has("an issuer that is not trusted");
        run(&format!("{login}/?tlsCAFile=@CA")).failure().stderr_has("not for");
        run(&format!("{login}/?tlsCAFile=/nowhere")).failure().stderr_has("tlsCAFile=/nowhere cannot be read");
        run(login).failure().stderr_has("wants TLS on this port (tls=true");
        assert_eq!(server.asked().len(), seen, "nothing is asked before the certificate is verified");
    }

    #[test]
    fn a_server_without_tls() {
        // A MongoDB closes after a ClientHello, and answers a request in HTTP.
        let plain = Fake::new(|mut stream| {
            let mut first = [0; 16];
            if std::io::Read::read_exact(&mut stream, &mut first).is_ok() && first.starts_with(b"GET ") {
                let _ = std::io::Write::write_all(&mut stream, TO_HTTP.as_bytes());
                linger(stream);
            }
        });
        let ended = once(&format!("mongodb://{}/?tls=true", plain.addr));
        ended.failure().stderr_has("is a MongoDB without TLS").stderr_has("[tls.not-tls]");
    }

    /// The password itself goes out only where the certificate is verified.
    #[test]
    fn plain_and_x509() {
        let authority = Authority::new();
        let users = [User("$external", "ldap", "hunter2", &["PLAIN"])];
        let server = Mongod::over_tls("primary", &users, authority.server(&["mongo.test"]));
        let ca = authority.file().display().to_string();
        let run = |target: &str| once(&server.at(target).replace("@CA", &ca));
        let plain = "mongodb://ldap:hunter2@ADDR/?authMechanism=PLAIN";
        run(&format!("{plain}&tlsCAFile=@CA#servername=mongo.test")).success().stderr_has("logged in");
        assert_eq!(server.asked().last().unwrap(), "msg $external saslStart");
        for refused in [plain.to_owned(), format!("{plain}&tlsInsecure=true"), format!("{plain}#insecure")] {
            run(&refused).failure().stderr_has("needs TLS with a verified certificate").nowhere("hunter2");
        }
        let target = server.at(&format!("{plain}&tls=true"));
        let ended = Run::new(["--once", "--insecure", &target]).end();
        ended.failure().stderr_has("--insecure verifies no certificate").nowhere("hunter2");
        let folder = tempfile::tempdir().unwrap();
        let both = folder.path().join("client.pem");
        let (certificate, key) = authority.sign(&["app.test"]);
        fs::write(&both, certificate + &key).unwrap();
        let both = both.display();
        let x509 = format!("mongodb://ADDR/?authMechanism=MONGODB-X509&tlsCertificateKeyFile={both}");
        run(&format!("{x509}&tlsCAFile=@CA#servername=mongo.test")).success().stderr_has("logged in");
        assert_eq!(server.asked().last().unwrap(), "msg $external authenticate");
    }
}

#[test]
fn gone() {
    let server = Mongod::in_state("primary", &[]);
    once(&server.at("mongodb://app:hunter2@ADDR#gone")).failure().stderr_has("still there");
    let closed = crate::support::free_port();
    let ended = Run::new(["-t", "10s", &format!("mongodb://app:hunter2@{closed}#gone")]).end();
    ended.success();
}
