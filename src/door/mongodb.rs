//! A scripted MongoDB: an attempt over a stream that has all that the server says.

use std::io::Write as _;
use std::net::Shutdown;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;

use crate::attempt::{Attempt, Bounds};
use crate::env::Env;
use crate::kind::{Given, Target};
use crate::net::Net;
use crate::net::names::resolv_conf::SystemFiles;
use crate::net::stream::Stream;

const TARGETS: [&str; 4] = [
    "mongodb:h:1",
    "mongodb://app:s3cr3t@h/d#role=primary",
    "mongodb://app:s3cr3t@h/?loadBalanced=true",
    "mongodb://app:s3cr3t@h/?authMechanism=SCRAM-SHA-1#set=rs0",
];

/// The first byte picks a target, and whether what follows is the stream itself or the documents of messages that answer the
/// commands in their order: a length, and the elements of a document.
pub(super) fn says(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let said = if which & 0x80 == 0 { data.to_vec() } else { messages(data) };
    let env = Env::default();
    let parsed = Target::parse(TARGETS[usize::from(which & 0x7f) % TARGETS.len()], Given { env: &env, ca_file: false });
    let (Ok((Target::MongoDb(target), _)), Ok(runtime)) =
        (parsed, tokio::runtime::Builder::new_current_thread().enable_all().build())
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
        let stream = Stream::unix(client, Path::new("/s"));
        Some(target.over(stream, &net, &Attempt::new(bounds, false)).await)
    });
    if let Some(Err(reason)) = outcome {
        let text = reason.text();
        assert!(!text.is_empty() && !text.contains("s3cr3t") && !text.contains(char::is_control), "{text:?}");
        assert!(text.len() < 4096, "{} bytes", text.len());
    }
}

/// OP_MSG after OP_MSG, each with the lengths that it has and the number of the command that it answers.
fn messages(data: &[u8]) -> Vec<u8> {
    let (mut stream, mut rest) = (Vec::new(), data);
    for number in 1_u32.. {
        let [length, more @ ..] = rest else { break };
        let (elements, after) = more.split_at(more.len().min(usize::from(*length)));
        // At most 255 bytes and the rest of a message.
        let document = u8::try_from(elements.len().min(200)).unwrap_or_default();
        let elements = &elements[..usize::from(document)];
        stream.extend([document + 26, 0, 0, 0, 7, 0, 0, 0]);
        stream.extend(number.to_le_bytes());
        stream.extend(2013_u32.to_le_bytes());
        stream.extend([0, 0, 0, 0, 0, document + 5, 0, 0, 0]);
        stream.extend(elements);
        stream.push(0);
        rest = after;
    }
    stream
}
