//! Files that a target reads anew each attempt: the way to a mounted Secret.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use crate::reason::{Code, Reason};

/// Reads a regular file of at most `max` bytes. `what` names it in the reason: "#password=@/run/secret".
///
/// It is opened without waiting, so that a FIFO put in its place cannot hold up the attempt.
pub fn read(path: &Path, max: u64, what: &str) -> Result<Vec<u8>, Reason> {
    let failed = |why: &str| Reason::new(Code::LocalFile, format!("{what} cannot be read: {why}")).key(why);
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) => return Err(failed(&words(&error))),
    };
    match file.metadata() {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(failed("it is not a regular file")),
        Err(error) => return Err(failed(&words(&error))),
    }
    let mut content = Vec::new();
    match file.take(max + 1).read_to_end(&mut content) {
        Err(error) => Err(failed(&words(&error))),
        Ok(_) if content.len() as u64 > max => Err(failed(&format!("it is longer than {} KiB", max / 1024))),
        Ok(_) => Ok(content),
    }
}

fn words(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => crate::net::connect::describe(rustix::io::Errno::from_raw_os_error(errno)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_regular_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert!(read(&path, 8, "#x=@F").unwrap_err().text().contains("no such file"));
        std::fs::write(&path, "12345678").unwrap();
        assert_eq!(read(&path, 8, "#x=@F").unwrap(), b"12345678");
        assert!(read(&path, 7, "#x=@F").unwrap_err().text().contains("longer"));
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert!(read(&fifo, 8, "#x=@F").unwrap_err().text().contains("not a regular file"));
        assert!(read(dir.path(), 8, "#x=@F").unwrap_err().text().contains("not a regular file"));
    }
}
