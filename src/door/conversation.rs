//! A scripted server of one kind: an attempt over a stream that has all that the server says, and then ends. The attempt ends, and
//! its reason has no secret and steers nothing.
//!
//! The first byte picks a target, and whether what follows is the stream itself or the parts of it: each with its length, which is
//! then right.

use std::io::Write as _;
use std::net::Shutdown;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::runtime;

use crate::attempt::{Attempt, Bounds};
use crate::env::Env;
use crate::kind::{Given, Target};
use crate::net::Net;
use crate::net::names::resolv_conf::SystemFiles;
use crate::net::stream::Stream;

/// One kind: its targets, and how parts become a stream.
pub(super) struct Script {
    pub(super) targets: &'static [&'static str],
    pub(super) parts: fn(&[u8]) -> Vec<u8>,
}

impl Script {
    /// Runs the conversation that `data` describes.
    pub(super) fn run(&self, data: &[u8]) {
        let Some((which, data)) = data.split_first() else { return };
        let said = if which & 0x80 == 0 { data.to_vec() } else { (self.parts)(data) };
        let env = Env::default();
        let text = self.targets[usize::from(which & 0x7f) % self.targets.len()];
        let parsed = Target::parse(text, Given { env: &env, ca_file: false });
        let (Ok((target, _)), Ok(runtime)) = (parsed, runtime::Builder::new_current_thread().enable_all().build())
        else {
            return;
        };
        let net = Net::new(
            SystemFiles::default(),
            false,
            #[cfg(feature = "tls")]
            crate::net::tls::Tls::default(),
        );
        let outcome = runtime.block_on(async {
            let (server, client) = UnixStream::pair().ok()?;
            let server = server.into_std().ok()?;
            server.set_nonblocking(false).ok()?;
            (&server).write_all(&said).ok()?;
            server.shutdown(Shutdown::Write).ok()?;
            let bounds = Bounds { attempt: Duration::from_secs(5), connect: Duration::from_secs(1) };
            let (stream, attempt) = (Stream::unix(client, Path::new("/s")), Attempt::new(bounds, false));
            match &target {
                #[cfg(feature = "mysql")]
                Target::MySql(target) => Some(target.over(stream, &net, &attempt).await),
                #[cfg(feature = "amqp")]
                Target::Amqp(target) => Some(target.over(stream, &net, &attempt).await),
                #[cfg(feature = "mongodb")]
                Target::MongoDb(target) => Some(target.over(stream, &net, &attempt).await),
                // An answer as HTTP/2 has taken it apart.
                #[cfg(feature = "grpc")]
                Target::Grpc(target) if *which == 3 => crate::kind::grpc::fuzzed::answer(target, data, &attempt),
                #[cfg(feature = "grpc")]
                Target::Grpc(target) => crate::kind::grpc::fuzzed::over(target, stream, &net, &attempt).await,
                _ => None,
            }
        });
        if let Some(Err(reason)) = outcome {
            let text = reason.text();
            assert!(!text.is_empty() && !text.contains("s3cr3t") && !text.contains(char::is_control), "{text:?}");
            assert!(text.len() < 4096, "{} bytes", text.len());
        }
    }
}

/// Packets: a sequence number, a length, and a body.
#[cfg(feature = "mysql")]
pub(super) const MYSQL: Script = Script {
    targets: &["mysql:h:1", "mysql://app:s3cr3t@h/d#role=primary#query=SELECT 1", "mysql://app@h#login"],
    parts: |data| {
        let (mut stream, mut rest) = (Vec::new(), data);
        while let [sequence, length, more @ ..] = rest {
            let (body, after) = more.split_at(more.len().min(usize::from(*length)));
            stream.extend([u8::try_from(body.len()).unwrap_or_default(), 0, 0, *sequence]);
            stream.extend(body);
            rest = after;
        }
        stream
    },
};

/// Frames: a type, a channel, a length, and a payload.
#[cfg(feature = "amqp")]
pub(super) const AMQP: Script = Script {
    targets: &["amqp:h:1", "amqp://app:s3cr3t@h/v#queue=q#publish", "amqp://h#login"],
    parts: |data| {
        let (mut stream, mut rest) = (Vec::new(), data);
        while let [kind, channel, length, more @ ..] = rest {
            let (payload, after) = more.split_at(more.len().min(usize::from(*length)));
            stream.extend([*kind, 0, *channel, 0, 0, 0, u8::try_from(payload.len()).unwrap_or_default()]);
            stream.extend(payload);
            stream.push(0xce);
            rest = after;
        }
        stream
    },
};

/// Documents of messages that answer the commands in their order: a length, and the elements of a document.
#[cfg(feature = "mongodb")]
pub(super) const MONGODB: Script = Script {
    targets: &[
        "mongodb:h:1",
        "mongodb://app:s3cr3t@h/d#role=primary",
        "mongodb://app:s3cr3t@h/?loadBalanced=true",
        "mongodb://app:s3cr3t@h/?authMechanism=SCRAM-SHA-1#set=rs0",
    ],
    parts: |data| {
        let (mut stream, mut rest) = (Vec::new(), data);
        for number in 1_u32.. {
            let [length, more @ ..] = rest else { break };
            let (elements, after) = more.split_at(more.len().min(usize::from(*length)));
            // At most 255 bytes and the rest of a message.
            let document = u8::try_from(elements.len().min(200)).unwrap_or_default();
            stream.extend([document + 26, 0, 0, 0, 7, 0, 0, 0]);
            stream.extend(number.to_le_bytes());
            stream.extend(2013_u32.to_le_bytes());
            stream.extend([0, 0, 0, 0, 0, document + 5, 0, 0, 0]);
            stream.extend(&elements[..usize::from(document)]);
            stream.push(0);
            rest = after;
        }
        stream
    },
};

/// SETTINGS, and then frames: a kind, flags, a stream, a length, and a body.
#[cfg(feature = "grpc")]
pub(super) const GRPC: Script = Script {
    targets: &["grpc:h:1#service=a.B#header=authorization:Bearer s3cr3t-w0rd"],
    parts: |data| {
        let (mut stream, mut rest) = (vec![0, 0, 0, 4, 0, 0, 0, 0, 0], data);
        while let [kind, flags, id, length, more @ ..] = rest {
            let (body, after) = more.split_at(more.len().min(usize::from(*length)));
            stream.extend([0, 0, u8::try_from(body.len()).unwrap_or_default(), kind % 10, *flags, 0, 0, 0, *id]);
            stream.extend(body);
            rest = after;
        }
        stream
    },
};
