//! The connection under HTTP/2. h2 turns an error of the connection into words, and a reason needs the error itself: with
//! TLS 1.3, the first read says that the server does not accept the client's certificate.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::stream::Stream;

/// A connection that keeps the error that ended its reading.
pub(super) struct Wire {
    pub(super) stream: Stream,
    pub(super) failed: Option<io::Error>,
    /// How many bytes have been read.
    pub(super) read: usize,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, failed: None, read: 0 }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            Ok(()) => {
                self.read += buf.filled().len() - before;
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                let kind = error.kind();
                self.failed.get_or_insert(error);
                Poll::Ready(Err(kind.into()))
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
