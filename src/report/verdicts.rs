//! What a person and a machine read at the end of a run: verdicts.txt, reviewed by eye, held by this test.
//!
//! Each is a name, the last line, the termination message where it is another, and the JSON verdict.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::{Event, LAST, json::Json, termination, text::Text};
use crate::reason::{Code, Hint, Reason};
use crate::signal::Signal;
use crate::trail::short;
use crate::verdict::{Standing, Verdict};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/verdicts.txt");

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
    Reason::new(Code::ConnectRefused, format!("refused by {by}")).hint(Hint::NoReadyPod)
}

/// Targets whose names do not exist, as --parallel leaves them.
fn unknown(count: usize) -> Vec<Standing> {
    let target = |n| {
        let search = format!("db{n}.shop.svc.cluster.local, db{n}.svc.cluster.local, db{n}.cluster.local and db{n}");
        let text = format!("no such name: {search} do not exist (NXDOMAIN)");
        let reason = Reason::new(Code::ResolveNoSuchName, text).hint(Hint::OtherNamespace);
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
        let text = Text::new(start, false).line(&event);
        let mut lines = vec![text.clone()];
        lines.extend(termination::message(verdict, standings, &short(start.elapsed())).filter(|line| *line != text));
        let json = Json::new(start).line(&event, true);
        assert!(text.len() <= LAST && json.len() <= LAST, "{name}");
        assert!(lines.len() == 1 || lines[1].len() <= 1000, "{name}");
        let mut object: serde_json::Value = serde_json::from_str(&json).expect("an object");
        object["time"] = "TIME".into();
        lines.push(object.to_string());
        let _ = writeln!(self.0, "## {name}\n{}\n", lines.join("\n"));
    }
}

fn timed_out(own: Option<&str>) -> Verdict {
    Verdict::TimedOut(Duration::from_secs(if own.is_some() { 5 } else { 900 }), own.map(str::to_owned))
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "a developer's switch, not the program's")]
async fn every_verdict_reads_as_reviewed() {
    let mut table = Table::default();
    let interrupted = Verdict::Interrupted(Signal::Terminate);
    let three = [ready("dns:api"), missing("tcp:redis:6379", 123, refused("10.96.14.7:6379")), untried("http://api/")];
    table.row("ready", &Verdict::Ready, &three[..1]);
    table.row("timed out, in order", &timed_out(None), &three);
    table.row("interrupted, in order", &interrupted, &three);
    table.row("interrupted during --initial-delay", &interrupted, &[untried("tcp:a:1"), untried("tcp:b:1")]);
    table.row("interrupted once all is ready", &interrupted, &[ready("tcp:a:1"), ready("tcp:b:1")]);
    table.row("refused", &Verdict::Refused("expected tcp:HOST:PORT".into()), &[]);

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

    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(SHIPPED, &table.0).expect("a file");
    }
    let shipped = std::fs::read_to_string(SHIPPED).unwrap_or_default();
    for (is, was) in table.0.lines().zip(shipped.lines()) {
        assert_eq!(is, was, "UPDATE_DOCS=1 cargo test verdict_reads writes src/report/verdicts.txt anew");
    }
    assert_eq!(table.0.len(), shipped.len());
}
