//! One connection over TCP, a unix socket or TLS. It counts the bytes that it reads and keeps the first ones.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
#[cfg(any(feature = "kafka", feature = "mongodb", feature = "redis"))]
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// How many of the first bytes are kept: enough to tell which protocol the server speaks.
const FIRST_MAX: usize = 64;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    /// The path of a unix socket, printable.
    Unix(String),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

/// A connection that one attempt owns. Dropping it closes it.
pub(crate) struct Stream {
    io: Io,
    peer: Peer,
    first: Vec<u8>,
    read: u64,
    limit: u64,
    #[cfg(feature = "tls")]
    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "only grpcs: looks at it"))]
    asked_in_vain: bool,
}

enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<Stream>>),
}

impl Stream {
    /// A connected TCP socket.
    pub(crate) fn tcp(socket: TcpStream, peer: SocketAddr) -> Self {
        Self::new(Io::Tcp(socket), Peer::Tcp(peer))
    }

    /// A connected unix socket.
    pub(crate) fn unix(socket: UnixStream, path: &std::path::Path) -> Self {
        Self::new(Io::Unix(socket), Peer::Unix(crate::text::printable(&path.to_string_lossy())))
    }

    fn new(io: Io, peer: Peer) -> Self {
        Self {
            io,
            peer,
            first: Vec::new(),
            read: 0,
            limit: u64::MAX,
            #[cfg(feature = "tls")]
            asked_in_vain: false,
        }
    }

    /// TLS over another stream. `asked_in_vain`: the server asked for a client certificate and got none.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(session: tokio_rustls::client::TlsStream<Self>, asked_in_vain: bool) -> Self {
        let peer = session.get_ref().0.peer.clone();
        Self { asked_in_vain, ..Self::new(Io::Tls(Box::new(session)), peer) }
    }

    /// Whether this is TLS, and the server asked for a client certificate and got none. With TLS 1.3 it may refuse that
    /// after the handshake.
    #[cfg(all(feature = "grpc", feature = "tls"))]
    pub(crate) fn asked_in_vain(&self) -> bool {
        self.asked_in_vain
    }

    /// After more than `bytes` in all, reading is an error, and [`Stream::over_limit`] is true.
    pub(crate) fn limited(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Whether the limit ended the reading.
    pub(crate) fn over_limit(&self) -> bool {
        self.read > self.limit
    }

    /// Ends the stream, the session of TLS too, within `bound`. What is cut off in TLS may leave a line in the server's log.
    #[cfg(any(feature = "kafka", feature = "mongodb", feature = "redis"))]
    pub(crate) async fn end(&mut self, bound: Duration) {
        let ending = tokio::io::AsyncWriteExt::shutdown(self);
        let _ = tokio::time::timeout(bound, ending).await;
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The first bytes that were read, at most 64.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// The TLS session, if this is TLS. It has the server's certificate.
    #[cfg(feature = "tls")]
    pub(crate) fn session(&self) -> Option<&rustls::ClientConnection> {
        match &self.io {
            Io::Tcp(_) | Io::Unix(_) => None,
            Io::Tls(session) => Some(session.get_ref().1),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("peer", &self.peer).field("read", &self.read).finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(match &mut this.io {
            Io::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Io::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            #[cfg(feature = "tls")]
            Io::Tls(session) => Pin::new(session).poll_read(cx, buf),
        })?;
        let new = &buf.filled()[before..];
        this.read += new.len() as u64;
        if this.first.len() < FIRST_MAX {
            let room = FIRST_MAX - this.first.len();
            this.first.extend(&new[..new.len().min(room)]);
        }
        if this.over_limit() {
            return Poll::Ready(Err(io::Error::other("the peer sent more than the limit")));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Io::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            #[cfg(feature = "tls")]
            Io::Tls(session) => Pin::new(session).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Io::Unix(socket) => Pin::new(socket).poll_flush(cx),
            #[cfg(feature = "tls")]
            Io::Tls(session) => Pin::new(session).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Io::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Io::Tls(session) => Pin::new(session).poll_shutdown(cx),
        }
    }
}
