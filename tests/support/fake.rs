//! Servers that speak bytes and misbehave in one way each.

use std::{
    hash::{BuildHasher, RandomState},
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::PATIENCE;

/// A loopback address that no other test uses: the whole of 127.0.0.0/8 is local. A connection to
/// it comes from 127.0.0.1, so it cannot connect to itself either.
pub(crate) fn loopback() -> Ipv4Addr {
    let [a, b, c, ..] = RandomState::new().hash_one(std::process::id()).to_le_bytes();
    Ipv4Addr::new(127, a, b, c | 2)
}

/// A closed port on an address that is this test's own.
pub(crate) fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((loopback(), 0)).expect("must be able to listen on loopback");
    listener.local_addr().expect("a listener has an address")
}

/// A TCP server; each connection is handed to a thread of its own. Dropping it closes the port.
pub(crate) struct Fake {
    pub(crate) addr: SocketAddr,
    listener: TcpListener,
    arrivals: Arc<Mutex<Vec<Instant>>>,
}

impl Fake {
    /// Serves on a free port of this test's own address.
    pub(crate) fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::on((loopback(), 0).into(), serve)
    }

    /// Serves on a given address, for a port that opens late.
    #[track_caller]
    pub(crate) fn on(addr: SocketAddr, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener =
            TcpListener::bind(addr).unwrap_or_else(|error| panic!("must be able to listen on {addr}: {error}"));
        Self::of(listener, serve)
    }

    /// Serves on a socket that is listening already.
    pub(crate) fn of(listener: TcpListener, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let addr = listener.local_addr().expect("a listener has an address");
        let (incoming, seen) = (listener.try_clone().expect("a listener can be cloned"), Arc::clone(&arrivals));
        let serve = Arc::new(serve);
        thread::spawn(move || {
            loop {
                let _ = poll(&mut [PollFd::new(&incoming, PollFlags::IN)], None);
                // Taken and counted in one step, for whoever counts meanwhile.
                let mut seen = seen.lock().expect("no thread panics with this lock");
                let Ok((stream, _)) = incoming.accept() else { return };
                seen.push(Instant::now());
                drop(seen);
                // A stuck peer must not keep a thread of ours alive.
                let _ = stream.set_read_timeout(Some(PATIENCE));
                let _ = stream.set_write_timeout(Some(PATIENCE));
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Self { addr, listener, arrivals }
    }

    /// Accepts, reads and says nothing until the peer goes away.
    pub(crate) fn silent() -> Self {
        Self::new(linger)
    }

    /// Accepts and closes at once.
    pub(crate) fn closing() -> Self {
        Self::new(drop)
    }

    /// Accepts and resets the connection once the peer has said something: bytes are left unread.
    pub(crate) fn resetting() -> Self {
        Self::new(|stream| {
            let _ = stream.peek(&mut [0]);
        })
    }

    /// Sends `greeting` as soon as it accepts, and is silent from then on.
    pub(crate) fn greeting(greeting: impl Into<Vec<u8>>) -> Self {
        let greeting = greeting.into();
        Self::new(move |mut stream| {
            let _ = stream.write_all(&greeting);
            linger(stream);
        })
    }

    /// Sends `start` once the peer has said something, then `again` over and over.
    pub(crate) fn endless(start: impl Into<Vec<u8>>, again: impl Into<Vec<u8>>) -> Self {
        let (start, again) = (start.into(), again.into());
        Self::new(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let mut sent = stream.write_all(&start);
            while sent.is_ok() {
                // Slow enough not to eat a processor, fast enough never to look idle.
                thread::sleep(Duration::from_millis(5));
                sent = stream.write_all(&again);
            }
        })
    }

    /// Sends `bytes` once the peer has said something, and is silent from then on.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&bytes);
            linger(stream);
        })
    }

    /// A PostgreSQL server that answers whatever comes first with this error (protocol 3: ErrorResponse).
    #[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls"))]
    pub(crate) fn postgres_error(code: &str, message: &str) -> Self {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
        let length = u32::try_from(fields.len() + 4).expect("it is short").to_be_bytes();
        Self::answering([&b"E"[..], &length, fields.as_bytes()].concat())
    }

    /// How many connections it has accepted.
    pub(crate) fn hits(&self) -> usize {
        self.arrivals().len()
    }

    /// When it accepted each of them. What the kernel has accepted already is waited for.
    pub(crate) fn arrivals(&self) -> Vec<Instant> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let arrivals = self.arrivals.lock().expect("no thread panics with this lock");
            let pending = poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], Some(&Timespec::default()));
            if pending != Ok(1) {
                return arrivals.clone();
            }
            drop(arrivals);
            assert!(Instant::now() < limit, "the thread that accepts must still be there");
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.addr.ip()
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // Ends the accept that the thread is blocked in.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }
}

/// Reads whatever comes until the peer closes.
pub(crate) fn linger(mut stream: TcpStream) {
    let mut chunk = [0; 4096];
    while matches!(stream.read(&mut chunk), Ok(count) if count > 0) {}
    let _ = stream.shutdown(Shutdown::Both);
}
