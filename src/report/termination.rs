//! The termination message: what `kubectl describe pod` shows.
//!
//! The kubelet keeps the last 4096 bytes of the file. The Pod's status keeps 12288 bytes, which all containers share,
//! and cuts each message at its end (kubernetes: kuberuntime_container.go getTerminationMessage, status_manager.go
//! normalizeStatus). So the message is short, and the most important words come first.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::verdict_text::{headline, missing};
use crate::event::Standing;
use crate::text::cut;
use crate::verdict::Verdict;

/// The longest message in bytes. In a Pod with twelve containers each has 1024 bytes.
const MESSAGE_MAX: usize = 1000;

/// The message of a run that is not ready; `None` for one that is.
pub(crate) fn message(verdict: &Verdict, standings: &[Standing], at: &str) -> Option<String> {
    let text = match verdict {
        Verdict::Ready => return None,
        Verdict::Invalid(why) => cut(format!("waitgate: {why}"), MESSAGE_MAX),
        _ => {
            let text = format!("waitgate: {}: ", headline(verdict, at));
            let missing = missing(verdict, standings, MESSAGE_MAX - text.len());
            text + &missing
        }
    };
    Some(text)
}

/// Writes `message` to the file at `path`, if the file exists.
///
/// waitgate never creates the file and ignores a failure: outside Kubernetes there is no such file. The open does not
/// wait, so a FIFO without a reader does not block waitgate.
pub(crate) fn leave(path: &Path, message: &str) {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).custom_flags(nonblocking).open(path) {
        let _ = file.write_all(message.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, Reason};
    use std::time::Duration;

    #[test]
    fn the_message_is_short_and_begins_with_the_verdict() {
        let standings: Vec<Standing> = (0..40)
            .map(|n| Standing {
                target: format!("tcp:ü{n}.example:80"),
                attempts: 9,
                waited: None,
                in_a_row: 0,
                successes: 1,
                ready: false,
                reason: Some(Reason::new(Code::ConnectRefused, "refused by 10.0.0.1:80 ä")),
            })
            .collect();
        let text = message(&Verdict::TimedOut(Duration::from_secs(1), None), &standings, "1s").unwrap();
        assert!(text.len() <= MESSAGE_MAX && text.len() > MESSAGE_MAX - 70, "{}", text.len());
        assert!(text.starts_with("waitgate: timed out after 1s: 0 of 40 targets ready; tcp:ü0.example:80"));
        assert_eq!(message(&Verdict::Ready, &standings, "1s"), None);
    }

    #[test]
    fn a_file_is_overwritten_and_never_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        leave(&path, "x");
        assert!(!path.exists());
        std::fs::write(&path, "something longer").unwrap();
        leave(&path, "short");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
    }
}
