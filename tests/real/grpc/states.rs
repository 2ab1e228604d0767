//! The states of a health service, as grpcio has them, and what it sees of a call.

use std::fs;

use crate::support::grpc::Grpc;
use crate::support::h2::{self, frame, health, refusal};
use crate::support::run::Ended;
use crate::support::{Pod, Run, free_port};

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn each_state_of_the_health_service() {
    let server = Grpc::started(&["=SERVING", "shop.Cart=NOT_SERVING", "new=UNKNOWN", "odd=SERVICE_UNKNOWN"]);
    let target = format!("grpc:{}", server.addr);
    once(&target).success().stderr_has("SERVING from");
    let localhost = format!("grpc://{}", server.addr);
    once(&localhost).success();
    for (service, says, code, client) in [
        ("shop.Cart", "says NOT_SERVING for the service \"shop.Cart\"", "expect.state", "NOT_SERVING"),
        ("new", "says UNKNOWN for the service \"new\": its health is not set yet", "expect.state", "UNKNOWN"),
        ("odd", "says SERVICE_UNKNOWN for the service \"odd\"", "expect.state", "SERVICE_UNKNOWN"),
        ("none", "does not know the service \"none\": NOT_FOUND", "expect.missing", "NOT_FOUND"),
    ] {
        let ended = once(&format!("{target}#service={service}"));
        ended.failure().stderr_has(says).stderr_has(&format!("[{code}]"));
        // gRPC's own client says the same.
        assert!(Grpc::client_says(server.addr, &[service]).starts_with(client));
    }
    // A connection that ends badly would leave a line: the C core logs it.
    assert_eq!(server.complaints(), "", "each session ended in order");
    drop(server);
    once(&target).failure().stderr_has("refused by");
    once(&format!("{target}#gone")).success();
}

#[test]
fn no_health_service() {
    let server = Grpc::started(&["--no-health"]);
    let ended = once(&format!("grpc:{}", server.addr));
    let says = format!("speaks gRPC and has no health service: tcp:{} would prove", server.addr);
    ended.failure().stderr_has(&says).stderr_has("UNIMPLEMENTED: Method not found!").stderr_has("[protocol.error]");
    // What the reason says is true.
    once(&format!("tcp:{}", server.addr)).success();
}

#[test]
fn a_server_without_a_health_of_its_own() {
    let server = Grpc::started(&["shop.Cart=SERVING"]);
    // grpcio sets the whole server to SERVING by itself, so this one is asked for another name.
    once(&format!("grpc:{}#service=shop.Cart", server.addr)).success();
    once(&format!("grpc:{}#service=shop", server.addr)).failure().stderr_has("NOT_FOUND");
}

#[test]
fn a_server_that_serves_later() {
    let addr = free_port();
    let run = Run::new(["-t", "20s", "--max-pause=100ms", &format!("grpc:{addr}")]).start();
    let server = Grpc::started_at(addr, &["=SERVING"]);
    run.end().success().stderr_has("refused by").stderr_has("SERVING from");
    drop(server);
}

#[test]
fn metadata_and_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let (echo, token) = (folder.path().join("echo"), folder.path().join("token"));
    fs::write(&token, "hunter2-zw0lf\n").unwrap();
    let server = Grpc::started(&["=SERVING", "--token", "hunter2-zw0lf", "--echo", echo.to_str().unwrap()]);
    let target = format!("grpc:{}", server.addr);
    let ended = once(&target);
    ended.failure().stderr_has("asks for credentials, and none are given: UNAUTHENTICATED: bad credentials: None");
    let wrong = once(&format!("{target}#header=authorization:Bearer wrong-zw0lf"));
    wrong.failure().stderr_has("refuses the credentials: UNAUTHENTICATED: bad credentials: ***").nowhere("zw0lf");
    wrong.stderr_has("[protocol.password]");
    once(&format!("{target}#header=Authorization:Bearer hunter2-zw0lf")).success().nowhere("hunter2");
    let with_file = format!("{target}#header=authorization:Bearer @{}", token.display());
    once(&with_file).success().nowhere("hunter2");
    once(&format!("{with_file}#header=x-a: 1#header=x-b:2#header=user-agent:me")).success();
    let seen = fs::read_to_string(&echo).unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(
        lines[0],
        concat!("/grpc.health.v1.Health/Check [('user-agent', 'waitgate/", env!("CARGO_PKG_VERSION"), "')]")
    );
    assert!(lines[3].contains("('authorization', 'Bearer hunter2-zw0lf')"), "{seen}");
    assert!(lines[4].contains("('user-agent', 'me'), ('x-a', '1'), ('x-b', '2')"), "{seen}");
}

/// Of several addresses of a name one is enough. Without one, the reason has all of them.
#[test]
fn one_address_that_serves_is_enough() {
    let pod = Pod::new();
    pod.etc("hosts", "127.0.0.2 cart\n127.0.0.3 cart\n");
    let at = |ip: u8, status| {
        let addr = ([127, 0, 0, ip], 50051).into();
        pod.within(|| h2::server_at(addr, frame(h2::SETTINGS, 0, 0, &[]), health(status)))
    };
    let (_not, second) = (at(2, 2), at(3, 1));
    for _ in 0..4 {
        let ended = Run::new(["--once", "grpc:cart:50051"]).inside(&pod).end();
        ended.success().stderr_has("SERVING from 127.0.0.3:50051");
    }
    drop(second);
    let ended = Run::new(["--once", "grpc:cart:50051"]).inside(&pod).end();
    ended.failure().stderr_has("127.0.0.2:50051 says NOT_SERVING").stderr_has("refused by 127.0.0.3:50051");
    ended.stderr_has("[expect.state]");
}

/// The server of the tests that speaks bytes is one for gRPC's own client too.
#[test]
fn grpcio_takes_the_fake_for_real() {
    for (answer, client, waitgate) in [
        (health(1), "SERVING", "SERVING from"),
        (health(2), "NOT_SERVING", "says NOT_SERVING"),
        (refusal("5", "no such%20service"), "NOT_FOUND no such service", "NOT_FOUND: no such service"),
        (refusal("14", "later"), "UNAVAILABLE later", "UNAVAILABLE: later"),
        (
            h2::answer(b"", &[("grpc-status", "12"), ("grpc-message", "none")]),
            "UNIMPLEMENTED none",
            "UNIMPLEMENTED: none",
        ),
        (h2::answer(&[0, 0, 0, 0, 0], &[("grpc-status", "0")]), "UNKNOWN", "says UNKNOWN"),
        (frame(h2::RST_STREAM, 0, 1, &[0, 0, 0, 2]), "INTERNAL", "broke the call off: INTERNAL_ERROR"),
    ] {
        let fake = h2::server(answer);
        let said = Grpc::client_says(fake.addr, &[]);
        assert!(said.starts_with(client), "{client}: {said}");
        let ended = once(&format!("grpc:{}", fake.addr));
        ended.stderr_has(waitgate);
    }
}
