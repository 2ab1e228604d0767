//! The one way to read a file: a regular file, up to a limit.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Take};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::reason::{Code, Hint, Reason};
use crate::text::os_error;

/// The largest file with a password, a header or a body to send, in bytes.
pub(crate) const SECRET_MAX: u64 = 64 * 1024;

/// The largest file with certificates, in bytes. The Mozilla bundle has 0.2 MB.
pub(crate) const PEM_MAX: u64 = 1024 * 1024;

/// Why a file cannot be read, in words.
#[derive(Debug)]
pub(crate) struct Unreadable {
    why: String,
    /// No descriptor was left for it, so it says nothing about the file.
    descriptors: bool,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        let descriptors = matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE));
        Self { why: os_error(&error), descriptors }
    }
}

impl From<String> for Unreadable {
    fn from(why: String) -> Self {
        Self { why, descriptors: false }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Unreadable {
    /// The reason of an attempt that needs the file. `what` is its name.
    pub(crate) fn reason(self, what: &str) -> Reason {
        if self.descriptors {
            let text = format!("no file descriptor left for {what}");
            return Reason::new(Code::LocalDescriptors, text).with_hint(Hint::Limits);
        }
        Reason::new(Code::LocalFile, format!("{what} cannot be read: {}", self.why)).with_key(self.why)
    }
}

/// Opens a regular file; at most `max` bytes of it can be read. An error says why it cannot be read.
///
/// The open does not wait, so a FIFO instead of a file does not block an attempt.
pub(crate) fn open(path: &Path, max: u64) -> Result<Take<File>, Unreadable> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file.take(max)) } else { Err("it is not a regular file".to_owned().into()) }
}

/// The content of a regular file of at most `max` bytes. An error says why it cannot be read.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, Unreadable> {
    let mut content = Vec::new();
    open(path, max + 1)?.read_to_end(&mut content)?;
    if content.len() as u64 > max {
        return Err(format!("it is longer than {} KiB", max / 1024).into());
    }
    Ok(content)
}

/// The same for a file that each attempt of a target reads again. `what` is its name in the reason.
pub(crate) fn read_for(path: impl AsRef<Path>, max: u64, what: &str) -> Result<Vec<u8>, Reason> {
    read(path.as_ref(), max).map_err(|why| why.reason(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_regular_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let reason = |path: &Path, max| read_for(path, max, "#x=@F").unwrap_err().text().to_owned();
        assert!(reason(&path, 8).starts_with("#x=@F cannot be read: no such file"));
        std::fs::write(&path, "12345678").unwrap();
        assert_eq!(read(&path, 8).unwrap(), b"12345678");
        assert!(reason(&path, 7).contains("longer"));
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert!(reason(&fifo, 8).contains("not a regular file"));
        assert!(reason(dir.path(), 8).contains("not a regular file"));
    }
}
