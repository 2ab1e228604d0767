//! One server of a target: how the target names it, and how a password file, a socket's path and the log do.

use std::fmt;
use std::net::IpAddr;

use crate::net::address::Host;

/// How the target names one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostOrFolder {
    /// Its name or address. waitgate looks the name up, and the server's certificate must be for it.
    Host(Host),
    /// The folder of its unix socket.
    Folder(String),
}

/// One server of the target, and where to connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: HostOrFolder,
    /// `hostaddr=`: waitgate connects to this address and does not look the name up.
    pub(super) hostaddr: Option<IpAddr>,
    /// The port. The name of a unix socket contains it too.
    pub(super) port: u16,
}

/// libpq's default folders for sockets, upstream and in Debian. A password file calls both of them localhost.
const SOCKET_FOLDERS: [&str; 2] = ["/tmp", "/var/run/postgresql"];

impl Server {
    /// The host as a password file names it: an IPv6 address has no brackets (fe-connect.c: passwordFromFile).
    pub(super) fn in_passfile(&self) -> String {
        match &self.host {
            HostOrFolder::Host(Host::Ip(ip)) => ip.to_string(),
            HostOrFolder::Host(Host::Name(name)) => name.clone(),
            HostOrFolder::Folder(folder) if SOCKET_FOLDERS.contains(&folder.as_str()) => "localhost".into(),
            HostOrFolder::Folder(folder) => folder.clone(),
        }
    }

    /// The path of the unix socket (libpq: UNIXSOCK_PATH).
    pub(super) fn socket_path(folder: &str, port: u16) -> String {
        format!("{}/.s.PGSQL.{port}", folder.trim_end_matches('/'))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostOrFolder::Host(host) => write!(f, "{host}:{}", self.port),
            // Encoded as in a URI, so that a person can paste it into one.
            HostOrFolder::Folder(folder) => {
                for byte in folder.bytes() {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                            write!(f, "{}", char::from(byte))?;
                        }
                        other => write!(f, "%{other:02X}")?,
                    }
                }
                write!(f, ":{}", self.port)
            }
        }
    }
}
