//! `file:/path`: a file exists, of the expected type, size and content.

use std::fmt;
use std::fs::{self, FileType};
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::content::{self, Content};
use super::expect::Spec;
use super::path::TargetPath;
use super::{Kind, Parts, Ready, gone};
use crate::attempt::Attempt;
use crate::file::{self, Unreadable};
use crate::net::Net;
use crate::reason::{Code, Reason, Stage};
use crate::text::count;

/// Content is read in pieces of this many bytes.
const PIECE: usize = 8 * 1024;

/// More of a file than this is never read, in bytes: `body=` searches the first mebibyte.
const FILE_MAX: u64 = 1024 * 1024;

/// A path, and what must be there.
#[derive(Clone, Debug)]
pub(crate) struct File {
    path: PathBuf,
    /// The path for a person: `$(NAME)` stays as it was written.
    name: String,
    wanted: Option<Type>,
    min_size: Option<u64>,
    content: Content,
    gone: bool,
    shown: String,
}

/// `type=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    File,
    Directory,
    Socket,
}

impl Type {
    fn is(self, found: FileType) -> bool {
        match self {
            Self::File => found.is_file(),
            Self::Directory => found.is_dir(),
            Self::Socket => found.is_socket(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a regular file",
            Self::Directory => "a directory",
            Self::Socket => "a socket",
        })
    }
}

impl Kind for File {
    const NAMES: &'static [&'static str] = &["file"];
    const FORM: &'static str = "file:/PATH";
    const HELP: &'static [(&'static str, &'static str)] = &[("file:/PATH", "the file exists")];
    const EXPECTATIONS: &'static [Spec] = &[
        Spec::value("type", "file|directory|socket").says("it is a file, a directory or a socket"),
        Spec::value("min-size", "BYTES").says("it has at least so many bytes"),
        content::BODY,
        content::MATCH,
        content::JSON,
        gone::GONE,
    ];

    /// Parses `file:/path` or `file:///path` (RFC 8089).
    fn parse(parts: &Parts<'_>) -> Result<Self> {
        const FORM: &str = "expected file:/PATH";
        let TargetPath { path, name } = TargetPath::parse(parts, FORM)?;
        let it = &parts.expectations;
        let file_type = match it.get("type") {
            None => None,
            Some("file") => Some(Type::File),
            Some("directory") => Some(Type::Directory),
            Some("socket") => Some(Type::Socket),
            Some(_) => bail!("#type: the value is unknown (expected file, directory or socket)"),
        };
        let min_size = it.count("min-size")?.map(u64::from);
        let content = Content::parse(it)?;
        if file_type.is_some_and(|wanted| wanted != Type::File) && (min_size.is_some() || !content.is_empty()) {
            bail!("#type: only a regular file has a size and a content: leave out #type, or the others");
        }
        let gone = gone::is_given(it, Self::EXPECTATIONS)?;
        Ok(Self { path, name, wanted: file_type, min_size, content, gone, shown: it.shown() })
    }

    /// Looks at the file. A symbolic link counts as what it points to.
    async fn probe(&self, net: &Net, attempt: &Attempt) -> Result<Ready, Reason> {
        let name = &self.name;
        attempt.enter(Stage::Local, name);
        let about = match fs::metadata(&self.path) {
            Ok(_) if self.gone => return Err(Reason::new(Code::ExpectGone, format!("still there: {name}"))),
            Ok(about) => about,
            Err(error) => return self.absent(error),
        };
        let wanted = if self.min_size.is_some() || !self.content.is_empty() { Some(Type::File) } else { self.wanted };
        if let Some(wanted) = wanted.filter(|wanted| !wanted.is(about.file_type())) {
            return Err(Reason::new(Code::ExpectFile, format!("{name} is not {wanted}")).with_key("type"));
        }
        if let Some(min) = self.min_size.filter(|min| about.len() < *min) {
            let text =
                format!("{name} has {} of at least {min}", count(about.len().try_into().unwrap_or(usize::MAX), "byte"));
            return Err(Reason::new(Code::ExpectFile, text).with_key("size"));
        }
        if !self.content.is_empty() {
            self.check_content(net, attempt).await?;
        }
        Ok(Ready::noted(format!("{name} exists")))
    }
}

impl File {
    /// The outcome if the file cannot be looked at.
    fn absent(&self, error: std::io::Error) -> Result<Ready, Reason> {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        let name = &self.name;
        if !matches!(error.kind(), NotFound | NotADirectory) {
            return Err(Unreadable::from(error).reason(name));
        }
        let text = format!("there is no {name}");
        if self.gone { Ok(Ready::noted(text)) } else { Err(Reason::new(Code::LocalMissing, text)) }
    }

    async fn check_content(&self, net: &Net, attempt: &Attempt) -> Result<(), Reason> {
        attempt.enter(Stage::Expect, &self.name);
        let mut file = file::open(&self.path, FILE_MAX).map_err(|why| why.reason(&self.name))?;
        let mut reading = self.content.reading();
        let mut piece = [0; PIECE];
        while reading.needs_more() {
            match file.read(&mut piece) {
                Ok(0) => reading.end(),
                Ok(read) => reading.feed(&piece[..read]),
                Err(error) => return Err(Unreadable::from(error).reason(&self.name)),
            }
        }
        reading.check(net, &self.name, attempt).await
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{}{}", self.name, self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Bounds;
    use crate::env::Env;
    use crate::kind::{Given, Target};
    use crate::net::names::resolv_conf::SystemFiles;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::time::Duration;

    fn parse(text: &str) -> Result<File> {
        let env: Env = [("DATA", "/data/a b")].into_iter().collect();
        let (target, _) = Target::parse(text, Given { env: &env, ca_file: false })?;
        let Target::File(file) = target else { bail!("{target} is of another kind") };
        Ok(*file)
    }

    async fn probe(path: &Path, expectations: &str) -> Result<Ready, Reason> {
        let bounds = Bounds { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };
        let net = Net::plain(SystemFiles::default());
        let file = parse(&format!("file:{}{expectations}", path.display())).unwrap();
        file.probe(&net, &Attempt::new(bounds, false)).await
    }

    #[test]
    fn paths_and_expectations_are_parsed() {
        for (text, shown) in [
            ("file:/run/ready", "file:/run/ready"),
            ("file:///run/ready#min-size=1", "file:/run/ready#min-size=1"),
            ("file:$(DATA)/x#type=file#body=done", "file:$(DATA)/x#type=file#body=done"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown);
        }
        for (text, says) in [
            ("file:run/ready", "not absolute"),
            ("file://host/ready", "not absolute"),
            ("file:", "not absolute"),
            ("file:/a%00", "NUL"),
            ("file:/a b", "%20"),
            ("file:/a#type=fifo", "file, directory or socket"),
            ("file:/a#type=directory#body=x", "leave out #type"),
            ("file:/a#gone#type=file", "#gone excludes"),
            ("file:/a#hold=1s", "expectation 1"),
        ] {
            let message = format!("{:#}", parse(text).unwrap_err());
            assert!(message.contains(says), "{text}: {message}");
        }
    }

    #[tokio::test]
    async fn a_file_is_checked_for_type_size_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert_eq!(probe(&path, "").await.unwrap_err().code(), Code::LocalMissing);
        assert_eq!(probe(&path.join("below"), "").await.unwrap_err().code(), Code::LocalMissing);
        assert!(probe(&path, "#gone").await.is_ok());
        std::fs::write(&path, "{\"state\": \"done\"}\n").unwrap();
        assert_eq!(probe(&path, "#gone").await.unwrap_err().code(), Code::ExpectGone);
        for good in ["", "#type=file", "#min-size=18", "#body=done", "#match=^\\{", "#json=/state=done"] {
            assert!(probe(&path, good).await.is_ok(), "{good}");
        }
        for (bad, code) in [
            ("#type=directory", Code::ExpectFile),
            ("#type=socket", Code::ExpectFile),
            ("#min-size=19", Code::ExpectFile),
            ("#body=failed", Code::ExpectBody),
            ("#json=/state=new", Code::ExpectBody),
        ] {
            assert_eq!(probe(&path, bad).await.unwrap_err().code(), code, "{bad}");
        }
        let reason = probe(&path, "#min-size=19").await.unwrap_err();
        assert!(reason.text().ends_with("has 18 bytes of at least 19"), "{}", reason.text());
        assert!(probe(dir.path(), "#type=directory").await.is_ok());
        assert_eq!(probe(dir.path(), "#min-size=1").await.unwrap_err().code(), Code::ExpectFile);
        let socket = dir.path().join("s");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(probe(&socket, "#type=socket").await.is_ok());
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert_eq!(probe(&fifo, "#body=x").await.unwrap_err().code(), Code::ExpectFile, "a FIFO is never opened");
    }
}
