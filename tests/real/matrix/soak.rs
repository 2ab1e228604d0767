//! A soak: every kind against a server that goes through every fault, one with each connection, as fast as waitgate asks.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::kinds;
use super::row::Source;
use super::world::World;
use crate::support::fault::Fault;
use crate::support::run::Running;
use crate::support::{Fake, Run};

const LASTS: Duration = Duration::from_secs(20);

/// What a process has at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    descriptors: usize,
    threads: usize,
    anonymous_kb: usize,
}

fn used(running: &Running) -> Used {
    let at = format!("/proc/{}", running.pid().as_raw_nonzero());
    let status = fs::read_to_string(format!("{at}/status")).unwrap();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let descriptors = fs::read_dir(format!("{at}/fd")).unwrap().count();
    Used { descriptors, threads: number("Threads:"), anonymous_kb: number("RssAnon:") }
}

/// The most of each.
fn most(all: &[Used]) -> Used {
    all.iter().fold(Used::default(), |most, used| Used {
        descriptors: most.descriptors.max(used.descriptors),
        threads: most.threads.max(used.threads),
        anonymous_kb: most.anonymous_kb.max(used.anonymous_kb),
    })
}

#[expect(clippy::print_stdout, reason = "the table and the numbers are for whoever runs it with --nocapture")]
#[test]
fn thousands_of_attempts_leave_nothing_behind_and_the_first_right_answer_is_seen() {
    let world = World::new();
    let well = Arc::new(AtomicBool::new(false));
    let mut fakes = Vec::new();
    let options =
        ["-v", "--parallel", "--timeout=60s", "--max-pause=1ms", "--attempt-timeout=200ms"].map(str::to_owned);
    let mut args = options.to_vec();
    for row in kinds::rows(&world).iter().filter(|row| row.faults.contains(&Fault::None)) {
        // One run has one kubeconfig, and each fake would need its own.
        if row.api.is_some() {
            continue;
        }
        let Source::Tcp(script) = &row.source else { continue };
        let (script, well, turn) = (Arc::clone(script), Arc::clone(&well), AtomicUsize::new(0));
        let fake = world.pod.within(|| {
            Fake::on(([127, 0, 0, 1], 0).into(), move |stream| {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                let fault = Fault::SPOKEN[turn % Fault::SPOKEN.len()];
                script.serve(stream, if well.load(Ordering::Relaxed) { Fault::None } else { fault });
            })
        });
        args.push(row.target.replace("ADDR", &fake.addr.to_string()));
        args.extend(row.options.iter().cloned());
        fakes.push(fake);
    }
    args.sort_by_key(|arg| !arg.starts_with('-'));
    args.dedup();
    let running = Run::new(&args).through(["prlimit", "--data=16777216", "--"]).inside(&world.pod).start();
    let mut samples = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < LASTS {
        thread::sleep(Duration::from_millis(100));
        samples.push(used(&running));
    }
    let attempts: usize = fakes.iter().map(Fake::hits).sum();
    well.store(true, Ordering::Relaxed);
    let healed = Instant::now();
    let ended = running.end();
    ended.success().nowhere("hunter2");
    // The attempt that was on its way, and those in which a busy machine was late.
    assert!(healed.elapsed() < Duration::from_secs(5), "{:?} after the last fault", healed.elapsed());
    let third = samples.len() / 3;
    let (first, last) = (most(&samples[..third]), most(&samples[2 * third..]));
    println!("{attempts} attempts on {} targets: at first {first:?}, at last {last:?}", fakes.len());
    assert!(attempts > 1000, "{attempts} attempts");
    let flat = last.descriptors <= first.descriptors + 10
        && last.threads <= first.threads + 1
        && last.anonymous_kb <= first.anonymous_kb + 1024;
    assert!(flat, "at first {first:?}, at last {last:?}");
    world.has_no_connection_left();
}
