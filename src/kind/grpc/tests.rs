//! What a server gets, by the server of h2.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_types::{HeaderMap, Request, Response};
use tokio::net::TcpListener;

use crate::attempt::{Attempt, Bounds};
use crate::env::Env;
use crate::kind::{Given, Ready, Target};
use crate::net::Net;
use crate::net::names::resolv_conf::SystemFiles;
use crate::reason::Reason;

/// Takes one call and says SERVING. Returns the head of the call, and its body.
async fn serve(listener: TcpListener) -> (Request<()>, Vec<u8>) {
    let (socket, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(socket).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    let conversation = async {
        while let Some(data) = incoming.data().await {
            body.extend(data.unwrap());
        }
        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut stream = respond.send_response(head, false).unwrap();
        stream.send_data(Bytes::from_static(b"\0\0\0\0\x02\x08\x01"), false).unwrap();
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        stream.send_trailers(trailers).unwrap();
    };
    tokio::select! {
        biased;
        () = conversation => {}
        other = connection.accept() => panic!("one call, and not {other:?}"),
    }
    // The client ends the connection in order: no error, and no second call.
    assert!(connection.accept().await.is_none());
    (Request::from_parts(head, ()), body)
}

/// One attempt at `target`, in which `ADDR` is the server.
async fn called(target: &str) -> (Result<Ready, Reason>, Request<()>, Vec<u8>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let env: Env = [("TOK", "s3cr3t"), ("SVC", "shop.Cart")].into_iter().collect();
    let given = Given { env: &env, ca_file: false };
    let (target, _) = Target::parse(&target.replace("ADDR", &addr.to_string()), given).unwrap();
    let net = Net::new(
        SystemFiles::default(),
        false,
        #[cfg(feature = "tls")]
        crate::net::tls::Tls::default(),
    );
    let bounds = Bounds { attempt: Duration::from_secs(20), connect: Duration::from_secs(5) };
    let attempt = Attempt::new(bounds, false);
    let (outcome, (head, body)) = tokio::join!(target.probe(&net, &attempt), serve(listener));
    (outcome, head, body, addr)
}

#[tokio::test]
async fn a_call_has_the_head_of_grpc() {
    let (outcome, head, body, addr) = called("grpc:ADDR").await;
    assert_eq!(outcome.unwrap().note.unwrap(), format!("SERVING from {addr}"));
    assert_eq!(head.method(), "POST");
    assert_eq!(head.uri().to_string(), format!("http://{addr}/grpc.health.v1.Health/Check"));
    let value = |name: &str| head.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!((value("te"), value("content-type")), (Some("trailers"), Some("application/grpc")));
    assert_eq!(value("user-agent"), Some(concat!("waitgate/", env!("CARGO_PKG_VERSION"))));
    let timeout: u64 = value("grpc-timeout").unwrap().strip_suffix('m').unwrap().parse().unwrap();
    assert!((10_000..20_000).contains(&timeout), "within the attempt: {timeout} ms");
    assert_eq!(head.headers().len(), 4, "{head:?}");
    assert_eq!(body, b"\0\0\0\0\0");
}

#[tokio::test]
async fn a_call_has_the_service_and_the_metadata_of_the_target() {
    let target = "grpc://ADDR/#service=$(SVC)#header=Authorization:Bearer $(TOK)#header=x-a: 1#header=x-a:2#header=Host:shop.test:443#header=User-Agent:me";
    let (outcome, head, body, _) = called(target).await;
    outcome.unwrap();
    assert_eq!(head.uri().authority().unwrap(), "shop.test:443");
    let values = |name: &str| -> Vec<&str> {
        head.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    };
    assert_eq!(values("authorization"), ["Bearer s3cr3t"]);
    assert_eq!(values("x-a"), ["1", "2"]);
    assert_eq!(values("user-agent"), ["me"]);
    assert!(values("host").is_empty(), "HTTP/2 has :authority in its place");
    assert_eq!(body, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
}

/// Headers that do not fit into one frame, and a service with the longest name.
#[tokio::test]
async fn a_long_call() {
    let (service, value) = ("s".repeat(1024), "v".repeat(40_000));
    let (outcome, head, body, _) = called(&format!("grpc:ADDR#service={service}#header=x-long:{value}")).await;
    outcome.unwrap();
    assert_eq!(head.headers()["x-long"], value);
    assert_eq!(body.len(), 5 + 3 + 1024);
}
