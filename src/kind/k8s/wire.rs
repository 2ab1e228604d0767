//! HTTP/1.1 over one connection, as far as the API needs it: GET, and an answer that is read piece by piece while it comes.
//!
//! A watch is one answer that goes on for minutes. httparse, which hyper uses too, reads the heads and the sizes of chunks.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::net::stream::{Peer, Stream};

/// An answer with more headers than this is an error.
const HEADERS_MAX: usize = 100;

/// The longest head, and how much is read at once, in bytes.
const BUFFER: usize = 16 * 1024;

/// Why there is no valid answer, or no more of it.
#[derive(Debug)]
pub(super) enum Broken {
    /// The server closed the connection before the answer was complete.
    Closed,
    /// The connection failed.
    Failed(io::Error),
    /// What came is not HTTP/1.1.
    NotHttp,
    /// The head, or an object, is longer than waitgate reads.
    TooLong,
}

/// The head of an answer, as far as it matters.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Retry-After in seconds (RFC 9110 section 10.2.3). The API server sends no dates.
    pub(super) retry_after: Option<u64>,
}

/// How much of the body is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Done,
    Length(u64),
    /// So much of the chunk is left.
    Chunk(u64),
    /// The next chunk's size comes next.
    ChunkSize,
    /// The end of the chunk's line comes next.
    ChunkEnd,
    UntilClose,
}

/// A connection, with what was read and not used yet.
pub(super) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    used: usize,
    body: Body,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new(), used: 0, body: Body::Done }
    }

    pub(super) fn peer(&self) -> Peer {
        self.stream.peer().clone()
    }

    /// Sends a request, and reads the head of the answer. The body of the answer before it must have been read.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<Head, Broken> {
        let sent = async {
            self.stream.write_all(request).await?;
            self.stream.flush().await
        };
        sent.await.map_err(broken)?;
        loop {
            match head(&self.buffer[self.used..])? {
                // 100 to 199 come before the answer (RFC 9110 section 15.2).
                Some((Head { status: 100..=199, .. }, _, length)) => self.used += length,
                Some((head, body, length)) => {
                    self.used += length;
                    self.body = body;
                    return Ok(head);
                }
                None => self.more().await?,
            }
        }
    }

    /// The next piece of the body, or `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<&[u8]>, Broken> {
        let length = loop {
            let there = self.buffer.len() - self.used;
            match self.body {
                Body::Done | Body::Length(0) => return Ok(None),
                Body::ChunkSize => match chunk_size(&self.buffer[self.used..])? {
                    Some((length, 0)) => {
                        self.used += length;
                        self.trailers().await?;
                        return Ok(None);
                    }
                    Some((length, size)) => {
                        self.used += length;
                        self.body = Body::Chunk(size);
                    }
                    None => self.more().await?,
                },
                Body::ChunkEnd if there >= 2 => {
                    if !self.buffer[self.used..].starts_with(b"\r\n") {
                        return Err(Broken::NotHttp);
                    }
                    self.used += 2;
                    self.body = Body::ChunkSize;
                }
                Body::UntilClose if there == 0 => match self.more().await {
                    Err(Broken::Closed) => return Ok(None),
                    other => other?,
                },
                Body::Length(left) | Body::Chunk(left) if there > 0 => {
                    let taken = there.min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - taken as u64;
                    self.body = match self.body {
                        Body::Chunk(_) if left == 0 => Body::ChunkEnd,
                        Body::Chunk(_) => Body::Chunk(left),
                        _ => Body::Length(left),
                    };
                    break taken;
                }
                Body::UntilClose => break there,
                Body::Length(_) | Body::Chunk(_) | Body::ChunkEnd => self.more().await?,
            }
        };
        self.used += length;
        Ok(Some(&self.buffer[self.used - length..self.used]))
    }

    /// Reads and drops what follows the last chunk: trailers, and an empty line.
    async fn trailers(&mut self) -> Result<(), Broken> {
        loop {
            let rest = &self.buffer[self.used..];
            match rest.windows(2).position(|end| end == b"\r\n") {
                Some(0) => {
                    self.used += 2;
                    self.body = Body::Done;
                    return Ok(());
                }
                Some(length) => self.used += length + 2,
                None => self.more().await?,
            }
        }
    }

    /// Reads more. What is not used yet has at most the length of the buffer.
    async fn more(&mut self) -> Result<(), Broken> {
        self.buffer.drain(..self.used);
        self.used = 0;
        if self.buffer.len() >= BUFFER {
            return Err(Broken::TooLong);
        }
        self.buffer.reserve_exact(BUFFER - self.buffer.len());
        match self.stream.read_buf(&mut self.buffer).await.map_err(broken)? {
            0 => Err(Broken::Closed),
            _ => Ok(()),
        }
    }
}

/// A server may end a TLS session without a word; rustls says so by this error.
fn broken(error: io::Error) -> Broken {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Broken::Closed,
        _ => Broken::Failed(error),
    }
}

/// The head in `bytes` and its length, if it is complete.
fn head(bytes: &[u8]) -> Result<Option<(Head, Body, usize)>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Broken::TooLong),
        Err(_) => return Err(Broken::NotHttp),
    };
    let status = response.code.unwrap_or_default();
    let value = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let body = if (100..200).contains(&status) || status == 204 || status == 304 {
        Body::Done
    } else if let Some(coding) = value("transfer-encoding") {
        if !coding.eq_ignore_ascii_case("chunked") {
            return Err(Broken::NotHttp);
        }
        Body::ChunkSize
    } else if let Some(length) = value("content-length") {
        Body::Length(length.parse().map_err(|_| Broken::NotHttp)?)
    } else {
        Body::UntilClose
    };
    let retry_after = value("retry-after").and_then(|seconds| seconds.parse().ok());
    Ok(Some((Head { status, retry_after }, body, length)))
}

/// The length of the line with a chunk's size, and the size, if the line is complete.
fn chunk_size(bytes: &[u8]) -> Result<Option<(usize, u64)>, Broken> {
    match httparse::parse_chunk_size(bytes) {
        Ok(httparse::Status::Complete((length, size))) => Ok(Some((length, size))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(Broken::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    async fn read(answer: &'static str) -> (Result<u16, Broken>, Result<String, Broken>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let serve = async {
            for byte in answer.as_bytes() {
                let _ = server.write_all(&[*byte]).await;
                tokio::task::yield_now().await;
            }
            let mut request = [0; 3];
            let _ = server.read_exact(&mut request).await;
            drop(server);
        };
        let client = async {
            let mut wire = Wire::new(Stream::tcp(stream, address));
            let head = match wire.ask(b"GET").await {
                Ok(head) => head.status,
                Err(broken) => return (Err(broken), Ok(String::new())),
            };
            let mut body = String::new();
            loop {
                match wire.piece().await {
                    Ok(Some(piece)) => body.push_str(std::str::from_utf8(piece).unwrap()),
                    Ok(None) => return (Ok(head), Ok(body)),
                    Err(broken) => return (Ok(head), Err(broken)),
                }
            }
        };
        tokio::join!(client, serve).0
    }

    #[tokio::test]
    async fn bodies_of_every_framing() {
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", 200, "abc"),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: x\r\n\r\n",
                404,
                "abc",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ] {
            let (head, read) = read(answer).await;
            assert_eq!((head.unwrap(), read.unwrap().as_str()), (status, body));
        }
    }

    #[tokio::test]
    async fn what_is_not_http_or_is_cut() {
        assert!(matches!(read("SSH-2.0-x\r\n\r\n").await.0, Err(Broken::NotHttp)));
        assert!(matches!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").await.0, Err(Broken::NotHttp)));
        assert!(matches!(read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab").await.1, Err(Broken::Closed)));
        assert!(matches!(
            read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await.1,
            Err(Broken::NotHttp)
        ));
        assert!(matches!(read("").await.0, Err(Broken::Closed)));
    }
}
