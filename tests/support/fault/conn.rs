//! A server's end of a connection over TCP, a unix socket or TLS, which can end in each way that the kernel knows.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(super) enum Conn {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Conn {
    /// TLS from here on.
    pub(super) fn upgraded(self, config: &Arc<ServerConfig>) -> Option<Self> {
        let Self::Tcp(socket) = self else { return None };
        let mut session = ServerConnection::new(Arc::clone(config)).expect("the configuration is complete");
        let mut socket = socket;
        while session.is_handshaking() {
            session.complete_io(&mut socket).ok()?;
        }
        Some(Self::Tls(Box::new(StreamOwned::new(session, socket))))
    }

    /// Ends with a RST. A unix socket has none.
    pub(super) fn reset(self) {
        let socket = match &self {
            Self::Tcp(socket) => socket,
            Self::Tls(stream) => &stream.sock,
            Self::Unix(_) => return,
        };
        let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
    }

    /// Ends with a FIN. TLS gets no close_notify.
    pub(super) fn close(self) {
        let _ = match &self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
            Self::Unix(socket) => socket.shutdown(Shutdown::Both),
            Self::Tls(stream) => stream.sock.shutdown(Shutdown::Both),
        };
    }

    /// Reads whatever comes until the peer closes.
    pub(super) fn linger(mut self) {
        let mut chunk = [0; 4096];
        while matches!(self.read(&mut chunk), Ok(count) if count > 0) {}
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
