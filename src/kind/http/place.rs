//! Where waitgate connects to: an address, or a unix socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::kind::path::TargetPath;
use crate::net::connect;
use crate::reason::Reason;

#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Address(SocketAddr),
    Socket(&'a TargetPath),
}

impl Place<'_> {
    /// The address. Nothing looks at a unix socket a second time: no other server takes its place.
    pub(super) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Socket(_) => None,
        }
    }

    /// What an error of `socket` or `connect` means here.
    pub(super) fn failure(self, error: &io::Error) -> Reason {
        match self {
            Self::Address(address) => connect::failure(address, error),
            Self::Socket(socket) => connect::unix_failure(&socket.name, error),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(socket) => f.write_str(&socket.name),
        }
    }
}
