//! What is at a path: a file or a socket, or something else in its place.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::fault::Fault;

/// A file with this fault, which has `right` in it otherwise.
pub(super) fn file(path: &Path, fault: Fault, right: &[u8]) {
    let write = |bytes: &[u8]| fs::write(path, bytes).unwrap();
    match fault {
        Fault::FirstByte => write(&right[..1]),
        Fault::Half => write(&right[..right.len() / 2]),
        Fault::AllButOne => write(&right[..right.len() - 1]),
        Fault::Garbage => write(&[0xff; 96]),
        Fault::Version => write(b"state: ready\n"),
        // More than any file may have, and no end of its first line.
        Fault::Oversized => write(&b"[1, ".repeat((1 << 18) + 1)),
        Fault::Fifo => mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap(),
        Fault::Device => symlink("/dev/urandom", path).unwrap(),
        Fault::Sparse => fs::File::create(path).and_then(|file| file.set_len(1 << 30)).unwrap(),
        Fault::Forbidden => {
            write(right);
            forbid(path);
        }
        Fault::None | Fault::Descriptors => write(right),
        _ => anything(path, fault),
    }
}

/// A socket with this fault, to which no connection can be made. It is there until what is returned is dropped.
pub(super) fn socket(path: &Path, fault: Fault) -> Vec<OwnedFd> {
    let listen = || UnixListener::bind(path).unwrap();
    match fault {
        Fault::Plain => fs::write(path, "no socket").unwrap(),
        Fault::Stale => drop(listen()),
        Fault::Descriptors => return vec![listen().into()],
        Fault::Forbidden => {
            let listener = listen();
            forbid(path);
            return vec![listener.into()];
        }
        Fault::Backlog => {
            let listener = listen();
            rustix::net::listen(&listener, 0).unwrap();
            return vec![listener.into(), UnixStream::connect(path).unwrap().into()];
        }
        _ => anything(path, fault),
    }
    Vec::new()
}

fn anything(path: &Path, fault: Fault) {
    match fault {
        Fault::Missing => {}
        Fault::Folder => fs::create_dir(path).unwrap(),
        Fault::Loop => symlink(path, path).unwrap(),
        _ => unreachable!("{fault:?} is not at a path"),
    }
}

fn forbid(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}
