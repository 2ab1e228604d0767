//! The tables of docs/fleet.md, in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use super::simulation::rules::{Rule, text};
use super::simulation::target::{Flapping, Recovering, Restarting, Target, Until};
use super::simulation::{BIN, Fleet, Outcome, bins};

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// When a target that the fleet does not slow down becomes ready. It is no multiple of a loop's pause.
pub(crate) const READY: Duration = Duration::from_millis(60_700);

/// From then on, all Pods have started and their pauses have grown.
pub(crate) const STEADY: Duration = s(40);

/// The time over which a rollout starts its Pods.
pub(crate) const ROLLOUT: Duration = s(30);

/// A recovery without anyone who asks.
pub(crate) const ALONE: Duration = s(10);

/// What a backend that says "not yet" costs: `benches/fleet/real` found 2 ms for PostgreSQL 15.
pub(crate) const COST: Duration = Duration::from_millis(2);

pub(crate) const RULES: [Rule; 8] = [
    Rule::Waitgate(None),
    Rule::Waitgate(Some(s(1))),
    Rule::Waitgate(Some(s(5))),
    Rule::Loop(s(2)),
    Rule::Loop(s(1)),
    Rule::Fixed(s(1)),
    Rule::Holdon,
    Rule::Grpc,
];

/// A table of the page, by the name in its marker.
pub(crate) struct Block {
    pub(crate) name: &'static str,
    pub(crate) table: fn() -> String,
    /// Whether tests/it/fleet.rs makes it again. The others take too long without optimisation.
    #[allow(dead_code, reason = "only the test reads it")]
    pub(crate) tested: bool,
}

pub(crate) const BLOCKS: [Block; 9] = [
    Block { name: "at-once", table: at_once, tested: false },
    Block { name: "rollout", table: || rollout(10_000), tested: false },
    Block { name: "rollout-large", table: || rollout(100_000), tested: false },
    Block { name: "dns", table: dns, tested: false },
    Block { name: "flapping", table: flapping, tested: false },
    Block { name: "recovery", table: recovery, tested: false },
    Block { name: "restart", table: restart, tested: false },
    Block { name: "frontier", table: frontier, tested: true },
    Block { name: "release", table: release, tested: true },
];

/// Puts each table that `wanted` picks between its markers.
pub(crate) fn filled(page: &str, wanted: impl Fn(&Block) -> bool) -> String {
    let mut page = page.to_owned();
    for block in BLOCKS.iter().filter(|block| wanted(block)) {
        let begin = format!("<!-- benches/fleet: {} -->\n", block.name);
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no {begin}"));
        let (_, after) = rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("{begin} has no end"));
        page = format!("{before}{begin}\n{}\n<!-- end -->{after}", (block.table)());
    }
    page
}

fn head(columns: &[&str]) -> String {
    format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

fn row(out: &mut String, name: &str, cells: &[String]) {
    let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
}

/// A whole number with commas.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn delays(outcome: &Outcome) -> [String; 3] {
    [50, 99, 100].map(|percent| seconds(outcome.delay(percent)))
}

pub(crate) fn run(pods: u32, rule: Rule, spread: Duration, target: &mut dyn Target) -> Outcome {
    Fleet { pods, rule, spread }.run(target)
}

fn crowd(pods: u32, spread: Duration, from: Duration) -> String {
    let mut out = head(&["", "attempts a second", "busiest 100 ms, of the mean", "sees it: median", "99 %", "last"]);
    for rule in RULES {
        let outcome = run(pods, rule, spread, &mut Until::refused(READY));
        let mut cells =
            vec![whole(outcome.attempts_per_second(STEADY)), format!("{:.2}", outcome.peak_over_mean(from))];
        cells.extend(delays(&outcome));
        row(&mut out, &rule.name(), &cells);
    }
    out
}

fn at_once() -> String {
    crowd(10_000, Duration::ZERO, s(10))
}

fn rollout(pods: u32) -> String {
    crowd(pods, ROLLOUT, STEADY)
}

fn dns() -> String {
    let mut out = head(&["", "the name exists, its port refuses", "there is no such name"]);
    for rule in RULES {
        let queries = |target: &mut dyn Target| whole(run(10_000, rule, ROLLOUT, target).queries_per_second(STEADY));
        row(&mut out, &rule.name(), &[queries(&mut Until::refused(READY)), queries(&mut Until::no_name(READY))]);
    }
    out
}

fn flapping() -> String {
    let mut out = head(&["", "it only refuses", "it only says \"not yet\"", "it goes back and forth"]);
    for rule in RULES {
        let attempts = |target: &mut dyn Target| whole(run(10_000, rule, ROLLOUT, target).attempts_per_second(STEADY));
        let cells = [
            attempts(&mut Until::refused(READY)),
            attempts(&mut Until::starting(READY)),
            attempts(&mut Flapping(READY)),
        ];
        row(&mut out, &rule.name(), &cells);
    }
    out
}

/// The numbers of Pods in the table of recoveries.
const GATES: [u32; 5] = [1, 50, 200, 500, 1000];

/// The recovery of a server, and the median delay after it.
pub(crate) fn recovered(pods: u32, rule: Rule, alone: Duration, cores: u32) -> (Duration, Duration) {
    let outcome = run(pods, rule, s(2), &mut Recovering::new(alone, cores, COST));
    (outcome.ready, outcome.delay(50))
}

/// How long a server is down before it recovers. All Pods have started, and wait for it.
const DOWN: Duration = s(5);

/// The same if the server was down before.
pub(crate) fn restarted(pods: u32, rule: Rule, alone: Duration, cores: u32) -> (Duration, Duration) {
    let outcome = run(pods, rule, s(2), &mut Restarting::new(DOWN, Recovering::new(alone, cores, COST)));
    (outcome.ready.saturating_sub(DOWN), outcome.delay(50))
}

fn recovery() -> String {
    recoveries(recovered)
}

fn restart() -> String {
    recoveries(restarted)
}

fn recoveries(run: impl Fn(u32, Rule, Duration, u32) -> (Duration, Duration)) -> String {
    let mut columns = vec!["Pods".to_owned()];
    columns.extend(GATES.map(|pods| whole(pods.into())));
    let mut out = String::new();
    for (alone, cores) in [(ALONE, 1), (ALONE, 2), (s(60), 1)] {
        let what = format!("{} alone, {cores} core{}", text(alone), if cores == 1 { "" } else { "s" });
        columns[0] = what;
        let _ = writeln!(out, "{}", head(&columns.iter().map(String::as_str).collect::<Vec<_>>()).trim_end());
        for rule in RULES {
            let cells = GATES.map(|pods| {
                let (ready, delay) = run(pods, rule, alone, cores);
                format!("{:.1} s + {:.2} s", ready.as_secs_f64(), delay.as_secs_f64())
            });
            row(&mut out, &rule.name(), &cells);
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len() + 1);
    out
}

/// The longest pauses of the frontier.
pub(crate) const PAUSES: [u64; 8] = [100, 250, 500, 1000, 2000, 3000, 5000, 10_000];

/// A thousand Pods in the long run.
pub(crate) fn frontier_point(rule: Rule) -> Outcome {
    run(1000, rule, ROLLOUT, &mut Until::refused(READY))
}

fn frontier() -> String {
    let mut out = head(&["", "attempts a second of 1,000 Pods", "sees it: median", "99 %", "last"]);
    let pauses = PAUSES.map(|millis| Rule::Waitgate(Some(Duration::from_millis(millis))));
    for rule in pauses.into_iter().chain(RULES.into_iter().filter(|rule| !matches!(rule, Rule::Waitgate(_)))) {
        let outcome = frontier_point(rule);
        let mut cells = vec![whole(outcome.attempts_per_second(STEADY))];
        cells.extend(delays(&outcome));
        row(&mut out, &rule.name(), &cells);
    }
    out
}

/// The values of --settle in the table and in the plot.
pub(crate) const SETTLES: [u64; 5] = [0, 5, 10, 30, 60];

/// 10,000 gates in front of a server that has started.
pub(crate) fn released() -> Outcome {
    run(10_000, Rule::Waitgate(None), ROLLOUT, &mut Until::starting(READY))
}

fn release() -> String {
    let mut out =
        head(&["`--settle`", "starts in the busiest 100 ms", "the median Pod starts after", "the last one after"]);
    let outcome = released();
    for settle in SETTLES {
        let mut starts = outcome.released(s(settle));
        starts.sort_unstable();
        let most = bins(&starts, READY).into_iter().max().unwrap_or(0);
        let after = |at: usize| seconds(starts[at].saturating_sub(READY));
        let name = if settle == 0 { "none".to_owned() } else { format!("{settle}s") };
        row(&mut out, &name, &[whole(most.into()), after(starts.len() / 2), after(starts.len() - 1)]);
    }
    out
}

/// Times in bins, as points of a plot: seconds, and how many a second.
pub(crate) fn points(bins: &[u32]) -> Vec<(f64, f64)> {
    let each = BIN.as_secs_f64();
    bins.iter().enumerate().map(|(at, count)| (at as f64 * each, f64::from(*count) / each)).collect()
}
