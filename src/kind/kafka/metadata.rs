//! The answer to Metadata, read piece by piece: a broker may know a hundred thousand partitions. Pure.
//!
//! Of each piece only what the target asks for is kept: how many brokers there are, what some of them advertise, and how the
//! partitions of the target's topics are.

use super::wire::{Fields, METADATA_FLEXIBLE, Unread};

/// So many advertised addresses are kept. More of them tell nothing new.
pub(super) const ADVERTISED_MAX: usize = 8;

/// The longest host that is kept, in bytes: a name in the DNS has 253.
const HOST_MAX: usize = 255;

/// So many partitions without a leader are named.
const NAMED_MAX: usize = 4;

/// A broker, as it wants clients to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertised {
    /// The server's own text.
    pub(super) host: String,
    pub(super) port: i32,
}

/// What the answer says of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) error: i16,
    pub(super) partitions: u32,
    /// How many partitions have no leader.
    pub(super) leaderless: u32,
    /// The first of them.
    pub(super) named: Vec<i32>,
    /// The error of the first of them.
    pub(super) partition_error: i16,
}

/// Which part of the answer comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Head,
    /// So many brokers are left.
    Broker(u32),
    /// What is between the brokers and the topics.
    Middle,
    /// So many topics are left.
    Topic(u32),
    /// So many partitions of this topic are left, and so many topics after it.
    Partition {
        of: Option<usize>,
        partitions: u32,
        topics: u32,
    },
    /// What ends a topic.
    TopicEnd(u32),
    Done,
}

/// What is known of an answer so far.
pub(super) struct Metadata<'a> {
    version: i16,
    wanted: &'a [String],
    next: Next,
    pub(super) brokers: u32,
    pub(super) advertised: Vec<Advertised>,
    /// One for each topic of the target; `None` if the answer does not have it.
    pub(super) topics: Vec<Option<Topic>>,
}

impl<'a> Metadata<'a> {
    pub(super) fn new(version: i16, wanted: &'a [String]) -> Self {
        let topics = wanted.iter().map(|_| None).collect();
        Self { version, wanted, next: Next::Head, brokers: 0, advertised: Vec::new(), topics }
    }

    /// Whether the answer has to be read to its end: the topics come last.
    pub(super) fn needs_the_end(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether all that the target asks for is known. What follows does not matter.
    pub(super) fn is_done(&self) -> bool {
        self.next == Next::Done
    }

    /// Reads what is complete in `bytes`, and returns how many bytes that is. When all is known, it is all of them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Unread> {
        let mut fields = Fields { left: bytes, flexible: self.version >= METADATA_FLEXIBLE };
        while !self.is_done() {
            let before = fields.left;
            match self.step(&mut fields) {
                Ok(next) => self.next = next,
                Err(Unread::Short) => {
                    fields.left = before;
                    break;
                }
                Err(malformed) => return Err(malformed),
            }
        }
        Ok(if self.is_done() { bytes.len() } else { bytes.len() - fields.left.len() })
    }

    /// Reads one part. If it is not complete, nothing has changed.
    fn step(&mut self, fields: &mut Fields<'_>) -> Result<Next, Unread> {
        Ok(match self.next {
            Next::Head => {
                // The header of a flexible answer has tagged fields.
                fields.tags()?;
                if self.version >= 3 {
                    fields.int()?;
                }
                let brokers = fields.array()?;
                self.brokers = brokers;
                Next::Broker(brokers)
            }
            Next::Broker(0) if self.wanted.is_empty() => Next::Done,
            Next::Broker(0) => Next::Middle,
            Next::Broker(left) => {
                self.broker(fields)?;
                Next::Broker(left - 1)
            }
            Next::Middle => {
                if self.version >= 2 {
                    fields.string()?;
                }
                fields.int()?;
                Next::Topic(fields.array()?)
            }
            Next::Topic(0) | Next::Done => Next::Done,
            Next::Topic(left) => self.topic(fields, left - 1)?,
            Next::Partition { partitions: 0, topics, .. } => Next::TopicEnd(topics),
            Next::Partition { of, partitions, topics } => {
                self.partition(fields, of)?;
                Next::Partition { of, partitions: partitions - 1, topics }
            }
            Next::TopicEnd(topics) => {
                if self.version >= 8 {
                    fields.int()?;
                }
                fields.tags()?;
                Next::Topic(topics)
            }
        })
    }

    fn broker(&mut self, fields: &mut Fields<'_>) -> Result<(), Unread> {
        fields.int()?;
        let (host, port) = (fields.string()?, fields.int()?);
        fields.string()?;
        fields.tags()?;
        let host = String::from_utf8_lossy(&host[..host.len().min(HOST_MAX)]).into_owned();
        let advertised = Advertised { host, port };
        if self.advertised.len() < ADVERTISED_MAX && !self.advertised.contains(&advertised) {
            self.advertised.push(advertised);
        }
        Ok(())
    }

    fn topic(&mut self, fields: &mut Fields<'_>, topics: u32) -> Result<Next, Unread> {
        let (error, name) = (fields.short()?, fields.string()?);
        if self.version >= 10 {
            fields.skip(16)?;
        }
        fields.skip(1)?;
        let partitions = fields.array()?;
        let of = self.wanted.iter().position(|wanted| wanted.as_bytes() == name);
        if let Some(of) = of {
            self.topics[of] = Some(Topic { error, partitions, ..Topic::default() });
        }
        Ok(Next::Partition { of, partitions, topics })
    }

    fn partition(&mut self, fields: &mut Fields<'_>, of: Option<usize>) -> Result<(), Unread> {
        let (error, index, leader) = (fields.short()?, fields.int()?, fields.int()?);
        if self.version >= 7 {
            fields.int()?;
        }
        // Replicas, those in sync, and those that are offline.
        for _ in 0..if self.version >= 5 { 3 } else { 2 } {
            fields.ints()?;
        }
        fields.tags()?;
        // REPLICA_NOT_AVAILABLE of old versions: the leader is where it was.
        let led = leader >= 0 && matches!(error, 0 | 9);
        if let Some(topic) = of.and_then(|of| self.topics[of].as_mut()).filter(|_| !led) {
            if topic.leaderless == 0 {
                topic.partition_error = error;
            }
            topic.leaderless += 1;
            if topic.named.len() < NAMED_MAX {
                topic.named.push(index);
            }
        }
        Ok(())
    }
}
