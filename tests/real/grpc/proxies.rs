//! Proxies before a dead server, and servers of HTTP/2 that know no gRPC.

use crate::support::grpc::{Grpc, envoy};
use crate::support::run::Ended;
use crate::support::server::nginx;
use crate::support::{Run, free_port};

fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

#[test]
fn nginx_is_a_web_server_or_a_proxy() {
    let (web, http1, proxy, dead, upstream) = (free_port(), free_port(), free_port(), free_port(), free_port());
    let server = Grpc::started_at(upstream, &["=SERVING", "shop.Cart=NOT_SERVING"]);
    let nginx = nginx(
        &[web, http1, proxy, dead],
        &format!(
            "server {{ listen {web} http2; return 200; }}
             server {{ listen {http1}; return 200; }}
             server {{ listen {proxy} http2; location / {{ grpc_pass grpc://{upstream}; }} }}
             server {{ listen {dead} http2; location / {{ grpc_pass grpc://{}; }} }}",
            free_port()
        ),
        &[],
    );
    once(&format!("grpc:{proxy}")).success().stderr_has("SERVING from");
    once(&format!("grpc:{proxy}#service=shop.Cart")).failure().stderr_has("NOT_SERVING");
    once(&format!("grpc:{proxy}#service=none")).failure().stderr_has("NOT_FOUND");
    let ended = once(&format!("grpc:{web}"));
    ended.failure().stderr_has("answered in HTTP/2 and not in gRPC").stderr_has("[protocol.other]");
    let ended = once(&format!("grpc:{http1}"));
    ended.failure().stderr_has("answered in HTTP, not in gRPC").stderr_has("use http:");
    let ended = once(&format!("grpc:{dead}"));
    ended.failure().stderr_has("502 Bad Gateway, and not in gRPC: probably a proxy's own answer");
    let log = std::fs::read_to_string(nginx.path().join("error.log")).unwrap();
    let unexpected = log.lines().filter(|line| !line.contains("Connection refused"));
    assert_eq!(unexpected.collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(server.complaints(), "");
}

#[test]
fn envoy_before_a_server_that_comes_and_goes() {
    let (front, upstream) = (free_port(), free_port());
    let _envoy = envoy(front, upstream);
    let ended = once(&format!("grpc:{front}"));
    ended.failure().stderr_has("cannot serve now: UNAVAILABLE: upstream connect error");
    ended.stderr_has("probably a proxy's own answer").stderr_has("[protocol.not-accepting]");
    let _server = Grpc::started_at(upstream, &["=SERVING", "shop.Cart=NOT_SERVING"]);
    Run::new(["-t", "20s", &format!("grpc:{front}")]).end().success().stderr_has("SERVING from");
    once(&format!("grpc:{front}#service=shop.Cart")).failure().stderr_has("NOT_SERVING");
}
