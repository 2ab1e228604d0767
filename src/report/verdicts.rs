//! What a person and a machine read at the end of a run. A person has reviewed verdicts.txt, and this test keeps it as
//! it is.
//!
//! Each entry has a name, the last line, the termination message if it is different, and the JSON verdict.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use tracing::Level;

use super::verdict_text::LAST_LINE_MAX;
use super::{json::Json, termination, text::Text};
use crate::event::{Event, Standing};
use crate::reason::{Code, Hint, Reason};
use crate::signal::Signal;
use crate::verdict::Verdict;

fn untried(target: &str) -> Standing {
    let target = target.to_owned();
    Standing { target, attempts: 0, waited: None, ready: false, in_a_row: 0, successes: 1, reason: None }
}

fn ready(target: &str) -> Standing {
    Standing { attempts: 1, waited: Some(Duration::from_secs(1)), ready: true, ..untried(target) }
}

fn missing(target: &str, attempts: u32, reason: Reason) -> Standing {
    Standing { attempts, waited: Some(Duration::from_secs(9)), reason: Some(reason), ..untried(target) }
}

fn refused(by: &str) -> Reason {
    Reason::new(Code::ConnectRefused, format!("refused by {by}")).with_hint(Hint::NoReadyPod)
}

/// Targets whose names do not exist, as --parallel leaves them.
fn unknown(count: usize) -> Vec<Standing> {
    let target = |n| {
        let search = format!("db{n}.shop.svc.cluster.local, db{n}.svc.cluster.local, db{n}.cluster.local and db{n}");
        let text = format!("no such name: {search} do not exist (NXDOMAIN)");
        let reason = Reason::new(Code::ResolveNoSuchName, text).with_hint(Hint::OtherNamespace);
        missing(&format!("tcp:db{n}:5432"), 14, reason)
    };
    (0..count).map(target).collect()
}

/// The table so far.
#[derive(Default)]
struct Table(String);

impl Table {
    fn row(&mut self, name: &str, verdict: &Verdict, standings: &[Standing]) {
        let start = Instant::now();
        let event = Event::Verdict { verdict, standings };
        let text = Text::new(start, false, false).lines(&event).concat();
        let mut lines = vec![text.clone()];
        lines.extend(
            termination::message(verdict, standings, &crate::text::duration(start.elapsed()))
                .filter(|line| *line != text),
        );
        let json = Json::new(start).lines(&event, Level::ERROR, true).concat();
        assert!(text.len() <= LAST_LINE_MAX && json.len() <= LAST_LINE_MAX, "{name}");
        assert!(lines.len() == 1 || lines[1].len() <= 1000, "{name}");
        // The time is the first field.
        let (_, rest) = json.split_once(',').expect("an object");
        lines.push(format!("{{\"time\":\"TIME\",{rest}"));
        let _ = writeln!(self.0, "## {name}\n{}\n", lines.join("\n"));
    }
}

fn timed_out(own: Option<&str>) -> Verdict {
    Verdict::TimedOut(Duration::from_secs(if own.is_some() { 5 } else { 900 }), own.map(str::to_owned))
}

#[tokio::test(start_paused = true)]
async fn every_verdict_reads_as_reviewed() {
    let mut table = Table::default();
    let interrupted = Verdict::Interrupted(Signal::Terminate);
    let three = [ready("dns:api"), missing("tcp:redis:6379", 123, refused("10.96.14.7:6379")), untried("http://api/")];
    table.row("ready", &Verdict::Ready, &three[..1]);
    table.row("timed out, in order", &timed_out(None), &three);
    table.row("interrupted, in order", &interrupted, &three);
    table.row("interrupted during --initial-delay", &interrupted, &[untried("tcp:a:1"), untried("tcp:b:1")]);
    table.row("interrupted once all is ready", &interrupted, &[ready("tcp:a:1"), ready("tcp:b:1")]);
    table.row("invalid", &Verdict::Invalid("target 1: the port is missing: expected tcp:HOST:PORT".into()), &[]);

    let own = [missing("tcp:redis:6379#timeout=5s", 23, refused("10.96.14.7:6379"))];
    table.row("a target's own timeout", &timed_out(Some("tcp:redis:6379#timeout=5s")), &own);
    let [redis] = own;
    let others = [missing("tcp:a:1", 9, refused("10.96.0.1:1")), ready("tcp:b:1"), redis, untried("tcp:c:1")];
    table.row("a target's own timeout, one of several", &timed_out(Some("tcp:redis:6379#timeout=5s")), &others);

    let streak = Standing { in_a_row: 2, successes: 3, reason: None, ..missing("dns:db", 8, refused("")) };
    table.row(
        "--once, one of two",
        &Verdict::NotReady,
        &[missing("tcp:a:1", 1, refused("10.96.0.1:1")), ready("dns:b")],
    );
    table.row("--successes", &interrupted, &[streak]);
    let long = format!("http://api/search?q={}", "wörter+".repeat(300));
    table.row("a long target", &timed_out(None), &[missing(&long, 41, refused("10.96.0.1:80")), untried(&long)]);

    for count in [3, 10, 40, 400] {
        table.row(&format!("--parallel, {count} without a name"), &timed_out(None), &unknown(count));
    }
    let own = "tcp:late:1#timeout=5s";
    let mut many = unknown(40);
    many.push(missing(own, 23, refused("10.96.14.7:1")));
    many.extend((0..40).map(|n| ready(&format!("tcp:ready{n}:80"))));
    table.row("--parallel, the own timeout of the last of many", &timed_out(Some(own)), &many);

    expect_test::expect_file!["verdicts.txt"].assert_eq(&table.0);
}
