//! `http:`, `https:` and `tcp:` against servers that people run: nginx, haproxy, docker-proxy.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::server::{Server, nginx};
use crate::support::{Fake, Run, free_port, tool};

fn once(target: &str) -> crate::support::run::Ended {
    Run::new(["--once", target]).end()
}

#[cfg(feature = "http")]
#[test]
fn nginx_busy_then_ready() {
    let port = free_port();
    let nginx = nginx(
        &[port],
        &format!(
            "server {{ listen {port};
               location / {{ if (!-f FOLDER/ready) {{ return 503; }} return 200 ready; }}
               location = /loop {{ return 302 /loop; }}
               location = /moved {{ return 301 /; }}
               location = /away {{ return 302 https://login.example.org/?next=hunter2; }}
             }}"
        ),
        &[],
    );
    let running = Run::new([format!("http://{port}/moved#body=ready#status=200")]).start();
    running.line("503 Service Unavailable");
    fs::write(nginx.path().join("ready"), "").unwrap();
    running.end().success().stderr_has("after 1 redirect");
    once(&format!("http://{port}/loop")).failure().stderr_has("more than 10 redirects");
    once(&format!("http://{port}/away")).success().stderr_has("login.example.org").nowhere("hunter2");
    once(&format!("http://{port}/#method=HEAD")).success();
    once(&format!("http://{port}/#gone")).failure().stderr_has("still there");
}

#[cfg(all(feature = "http", feature = "tls"))]
#[test]
fn nginx_over_tls() {
    let (plain, tls, mutual) = (free_port(), free_port(), free_port());
    let authority = crate::support::web::Authority::new();
    let (cert, key) = authority.sign(&["api.example.org"]);
    let (client_cert, client_key) = authority.sign(&["client"]);
    let ca = authority.file().display().to_string();
    let nginx = nginx(
        &[plain, tls, mutual],
        &format!(
            "ssl_certificate FOLDER/cert; ssl_certificate_key FOLDER/key; ssl_client_certificate {ca};
             server {{ listen {plain}; return 301 https://$host:{}/; }}
             server {{ listen {tls} ssl http2; return 200 ready; }}
             server {{ listen {mutual} ssl; ssl_verify_client on; return 200 ready; }}",
            tls.port()
        ),
        &[("cert", cert), ("key", key), ("client-cert", client_cert), ("client-key", client_key)],
    );
    let own = format!("#ca={ca}#servername=api.example.org");
    once(&format!("https://{tls}/{own}#body=ready")).success();
    once(&format!("https://{tls}/#insecure")).success().stderr_has("#insecure");
    once(&format!("https://{tls}/#ca={ca}")).failure().stderr_has("api.example.org").stderr_has("certificate");
    once(&format!("https://{tls}/")).failure().stderr_has("issuer").stderr_has("ca");
    once(&format!("http://{tls}/")).failure().stderr_has("TLS").stderr_has("https:");
    once(&format!("https://{plain}/{own}")).failure().stderr_has("plain HTTP").stderr_has("http:");

    let dir = nginx.path().display();
    once(&format!("https://{mutual}/{own}")).failure().stderr_has("wants a client certificate");
    once(&format!("https://{mutual}/{own}#cert={dir}/client-cert#key={dir}/client-key")).success();
    once(&format!("https://{mutual}/{own}#cert={dir}/client-cert#key={dir}/key"))
        .failure()
        .stderr_has("does not belong to the first certificate");

    Run::new(["--once", &format!("https://{tls}/#servername=api.example.org")])
        .env("SSL_CERT_FILE", &ca)
        .env("SSL_CERT_DIR", "/nonexistent")
        .end()
        .success()
        .stderr_has("SSL_CERT_DIR=/nonexistent");
    // Only where TLS is spoken.
    let ended = Run::new(["--once", &format!("tcp:{tls}")]).env("SSL_CERT_FILE", "/nonexistent").end();
    ended.success().nowhere("SSL_CERT_FILE");
}

/// What gRPC servers speak, here without TLS.
#[cfg(feature = "http")]
#[test]
fn nginx_that_speaks_http2_only() {
    let port = free_port();
    let _nginx = nginx(&[port], &format!("server {{ listen {port} http2; return 200; }}"), &[]);
    once(&format!("http://{port}/")).failure().stderr_has("speaks HTTP/2 only").stderr_has("use grpc:");
    once(&format!("tcp:{port}")).success();
}

/// haproxy accepts before it has anybody to hand the connection to.
#[test]
fn haproxy_without_a_backend() {
    let (tcp, http) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let conf = format!(
        "defaults\n timeout client 5s\n timeout connect 1s\n timeout server 5s\n\
         frontend t\n mode tcp\n bind {tcp}\n default_backend none_t\n\
         backend none_t\n mode tcp\n\
         frontend h\n mode http\n bind {http}\n default_backend none_h\n\
         backend none_h\n mode http\n"
    );
    fs::write(folder.path().join("conf"), conf).unwrap();
    let mut command = Command::new(tool("haproxy"));
    command.arg("-db").arg("-f").arg(folder.path().join("conf"));
    let _haproxy = Server::start(command, folder, &[tcp, http]);
    once(&format!("tcp:{tcp}#hold=2s")).failure().stderr_has("closed it at once").stderr_has("a proxy");
    once(&format!("tcp:{tcp}#hold=0")).success();
    // One that speaks HTTP itself keeps the connection: no tcp probe sees through it.
    once(&format!("tcp:{http}")).success();
    once(&format!("tcp:{http}#banner=220")).failure();
    #[cfg(feature = "http")]
    {
        once(&format!("http://{http}/")).failure().stderr_has("503 Service Unavailable");
        once(&format!("http://{tcp}/")).failure().stderr_has("closed it without an answer");
    }
}

/// docker-proxy, as `docker run -p` starts it: it accepts, and closes when the container refuses.
#[test]
fn docker_proxy() {
    let (proxy, back) = (free_port(), free_port());
    // It tells dockerd by descriptor 3 that it listens, and closes that.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec \"$@\" 3>/dev/null", "sh"]).arg(tool("docker-proxy"));
    let address = |port: SocketAddr| (port.ip().to_string(), port.port().to_string());
    let ((host_ip, host_port), (container_ip, container_port)) = (address(proxy), address(back));
    command.args(["-proto", "tcp", "-host-ip", &host_ip, "-host-port", &host_port]);
    command.args(["-container-ip", &container_ip, "-container-port", &container_port]);
    let _proxy = Server::start(command, tempfile::tempdir().unwrap(), &[proxy]);
    for _ in 0..10 {
        once(&format!("tcp:{proxy}#hold=2s")).failure().stderr_has("closed it at once");
    }
    let running = Run::new([format!("tcp:{proxy}#hold=1s")]).start();
    running.line("closed it at once");
    let _back = Fake::on(back, crate::support::fake::linger);
    running.end().success();
}

/// `until curl redis:6379`, which an article gives as a way to wait for Redis: it answers, but not in HTTP.
#[cfg(feature = "http")]
#[test]
fn redis_is_no_web_server() {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(tool("redis-server"));
    command.args(["--bind", &port.ip().to_string(), "--port", &port.port().to_string(), "--save", ""]);
    command.arg("--dir").arg(folder.path());
    let _redis = Server::start(command, folder, &[port]);
    let says = "answered in Redis, not in HTTP: use redis:";
    once(&format!("http://{port}/")).failure().stderr_has(says);
    once(&format!("http://{port}/#data=x")).failure().stderr_has(says);
    once(&format!("tcp:{port}")).success();
}

/// What sidecars and `kubectl port-forward` do when no server is behind them, at the level of bytes.
#[test]
fn proxies_that_close_or_keep_the_connection() {
    let after = |millis: u64| Fake::new(move |_stream| thread::sleep(Duration::from_millis(millis)));
    let reset = Fake::new(|stream| {
        // Envoy resets when its upstream refuses.
        let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    });
    for proxy in [after(0), after(5), after(30), reset] {
        once(&format!("tcp:{}", proxy.addr))
            .failure()
            .stderr_has("accepted the connection and")
            .stderr_has("it at once");
        once(&format!("tcp:{}#gone", proxy.addr)).failure();
    }
    // One that dials on is ready for every tcp: target; the other kinds see that what is behind it is not.
    let keeps = Fake::silent();
    once(&format!("tcp:{}", keeps.addr)).success();
    once(&format!("tcp:{}#banner=220#attempt-timeout=500ms", keeps.addr)).failure();
    #[cfg(feature = "http")]
    once(&format!("http://{}/#attempt-timeout=500ms", keeps.addr)).failure().stderr_has("no complete answer");
}

/// nginx on a unix socket, which `http+unix:` asks and `unix:` only connects to.
#[test]
fn nginx_on_a_unix_socket() {
    let servers = "server { listen unix:FOLDER/s.sock; location /down { return 503; } location /moved { return 301 /; }
         location /away { return 302 https://www.test/; } location / { return 200 \"up $host\"; } }
         server { listen 127.0.0.1:PORT; }";
    let addr = free_port();
    let nginx = nginx(&[addr], &servers.replace("127.0.0.1:PORT", &addr.to_string()), &[]);
    let socket = nginx.path().join("s.sock").display().to_string();
    let once = |rest: &str| Run::new(["--once", &format!("http+unix:{socket}:{rest}")]).end();
    once("/#body=up localhost").success().stderr_has(&format!("200 OK from {socket}"));
    once("/#header=Host:api.test#body=up api.test").success();
    once("/down").failure().stderr_has("503 Service Unavailable").stderr_has("[expect.status]");
    once("/away").success().stderr_has("another origin, https://www.test:443");
    // nginx writes the Host header into its own redirects.
    once("/moved#body=up").success().stderr_has("after 1 redirect");
    Run::new(["--once", &format!("unix:{socket}#hold=100ms")]).end().success();
    drop(nginx);
    once("/").failure().stderr_has("local.missing");
}
