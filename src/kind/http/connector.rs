//! Watches reqwest's connector: when TLS begins and when the connection is made.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::rt::Write;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use rustix::io::Errno;
use tokio::sync::Notify;
use tower_layer::Layer;
use tower_service::Service;

/// How far a connection has got. reqwest's connectors cannot use the `Attempt`: their futures must be `Send`.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The server has accepted the TCP connection, and the TLS handshake has begun.
    pub(super) tls: AtomicBool,
    /// The connection is made, so the request can go out.
    pub(super) connected: AtomicBool,
    /// One of the two above has changed.
    pub(super) changed: Notify,
    /// Whether the server has asked for a client certificate.
    #[cfg(feature = "tls")]
    pub(super) asked: std::sync::OnceLock<crate::net::tls::asked::Asked>,
}

/// Wraps reqwest's connector, to note in `Progress` when a connection is made.
#[derive(Clone)]
pub(super) struct Watch(pub(super) Arc<Progress>);

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Watched { inner, progress: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
pub(super) struct Watched<S> {
    inner: S,
    progress: Arc<Progress>,
}

/// Generic, because reqwest's request and connection types are private.
impl<S, R> Service<R> for Watched<S>
where
    S: Service<R, Response: Connection + Write + Send + Unpin, Error: From<io::Error>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.inner.call(request);
        let progress = Arc::clone(&self.progress);
        Box::pin(async move {
            let mut connection = connecting.await?;
            if is_self_connection(&connection) {
                // Bytes that are unread when the socket closes make the kernel reset the connection. After an orderly
                // close, the server could not bind its port for a minute.
                let _ = poll_fn(|cx| Pin::new(&mut connection).poll_write(cx, b"\r\n")).await;
                return Err(io::Error::from(Errno::CONNREFUSED).into());
            }
            progress.connected.store(true, Ordering::Relaxed);
            progress.changed.notify_one();
            Ok(connection)
        })
    }
}

/// Whether waitgate has connected to itself; see [`crate::net::connect::one`].
fn is_self_connection(connection: &impl Connection) -> bool {
    let mut extras = hyper::http::Extensions::new();
    connection.connected().get_extras(&mut extras);
    extras.get::<HttpInfo>().is_some_and(|info| info.local_addr() == info.remote_addr())
}
