//! What can go wrong with a peer, and servers that do exactly that at a chosen point of a conversation.

mod conn;
mod nameserver;
mod script;

pub(crate) use nameserver::Nameserver;
pub(crate) use script::{Script, Step, hear, say};

/// What goes wrong with a peer, or around it, at one point of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// Nothing goes wrong: the control of a row.
    None,
    Silence,
    Reset,
    Close,
    /// Half of the right answer, and a close.
    CutAndClose,
    Garbage,
    /// The right answer, one byte a second.
    Drip,
    /// A part of an answer over and over.
    Endless,
    /// The first byte of the right answer, and silence.
    FirstByte,
    /// Half of it.
    Half,
    /// All but its last byte.
    AllButOne,
    /// The answer of a version that is too old or too new.
    Version,
    /// A length that is too large, and as many bytes.
    Oversized,
    /// The endless answer as fast as it goes, with half of the memory.
    Memory,
    /// No file descriptor is left for a socket or a file.
    Descriptors,
    /// Silence, while this process is stopped and continued.
    Signal,
    /// A router says that there is no way to the host.
    Unreachable,
    /// A rule of this machine forbids it; at a path, the permissions.
    Forbidden,
    /// At a path: nothing.
    Missing,
    /// A folder.
    Folder,
    /// A FIFO that has no writer.
    Fifo,
    /// A device without an end.
    Device,
    /// A file that has no block and a gigabyte.
    Sparse,
    /// A symbolic link to itself.
    Loop,
    /// A file where a socket is wanted.
    Plain,
    /// A socket whose server has gone.
    Stale,
    /// A socket whose server accepts nothing, and whose queue is full.
    Backlog,
}

impl Fault {
    /// Those of a conversation.
    pub(crate) const SPOKEN: [Self; 14] = [
        Self::Silence,
        Self::Reset,
        Self::Close,
        Self::CutAndClose,
        Self::Garbage,
        Self::Drip,
        Self::Endless,
        Self::FirstByte,
        Self::Half,
        Self::AllButOne,
        Self::Version,
        Self::Oversized,
        Self::Memory,
        Self::Signal,
    ];

    /// Those of a connection that is not made.
    pub(crate) const CONNECTING: [Self; 6] =
        [Self::Silence, Self::Reset, Self::Descriptors, Self::Signal, Self::Unreachable, Self::Forbidden];

    /// Those of a unix socket to which no connection is made.
    pub(crate) const SOCKET: [Self; 8] = [
        Self::Descriptors,
        Self::Forbidden,
        Self::Missing,
        Self::Folder,
        Self::Loop,
        Self::Plain,
        Self::Stale,
        Self::Backlog,
    ];

    /// Those of a file that an attempt reads; the first one is the control.
    pub(crate) const FILE: [Self; 10] = [
        Self::None,
        Self::Oversized,
        Self::Descriptors,
        Self::Forbidden,
        Self::Missing,
        Self::Folder,
        Self::Fifo,
        Self::Device,
        Self::Sparse,
        Self::Loop,
    ];

    /// In words, for a table.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Silence => "silence",
            Self::Reset => "reset",
            Self::Close => "close",
            Self::CutAndClose => "half, then close",
            Self::Garbage => "garbage",
            Self::Drip => "one byte a second",
            Self::Endless => "endless",
            Self::FirstByte => "first byte only",
            Self::Half => "half only",
            Self::AllButOne => "all but one byte",
            Self::Version => "wrong version",
            Self::Oversized => "oversized",
            Self::Memory => "endless, 8 MiB",
            Self::Descriptors => "no descriptors",
            Self::Signal => "stop and continue",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::Missing => "nothing there",
            Self::Folder => "a folder",
            Self::Fifo => "a FIFO",
            Self::Device => "a device",
            Self::Sparse => "a gigabyte",
            Self::Loop => "a link to itself",
            Self::Plain => "a plain file",
            Self::Stale => "a socket without a server",
            Self::Backlog => "a full queue",
        }
    }

    /// As a label of a name.
    pub(crate) fn label(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}
