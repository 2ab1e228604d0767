//! Targets in declared order, one deadline for all, and the options that bend the loop.

use std::{
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::support::{
    Fake, Run,
    fake::linger,
    free_port,
    run::{Ended, Running},
};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn tcp(fake: &Fake) -> String {
    format!("tcp:{}", fake.addr)
}

#[test]
fn second_waits_for_the_first() {
    let (late, second) = (free_port(), Fake::silent());
    let running = Run::new([format!("tcp:{late}"), tcp(&second)]).start();
    running.line("refused");
    assert_eq!(second.hits(), 0, "{running}");
    let first = Fake::on(late, linger);
    running.end().success();
    let (first, second) = (first.arrivals(), second.arrivals());
    assert!(first[0] < second[0], "{first:?} {second:?}");
}

/// The report is in declared order too, and the first is not asked again once it was ready.
#[test]
fn ready_ones_are_left_alone() {
    let (first, late) = (Fake::silent(), free_port());
    let running = Run::new([tcp(&first), format!("tcp:{late}")]).start();
    running.line("refused");
    let second = Fake::on(late, linger);
    let ended = running.end();
    ended.success();
    assert_eq!((first.hits(), second.hits()), (1, 1), "{ended}");
    let at = |addr: &str| ended.stderr.find(addr);
    ended.expect("the first before the second", at(&first.addr.to_string()) < at(&late.to_string()));
}

#[test]
fn parallel_probes_all() {
    let (late, second) = (free_port(), Fake::silent());
    let running = Run::new(["--parallel".to_owned(), format!("tcp:{late}"), tcp(&second)]).start();
    running.line("refused");
    running.line(&second.addr.to_string());
    assert_eq!(second.hits(), 1, "{running}");
    let _first = Fake::on(late, linger);
    running.end().success();
}

/// Sixty attempts at a time would need more descriptors than there are: they take turns.
#[test]
fn parallel_stays_below_the_descriptor_limit() {
    let fakes: [Fake; 60] = std::array::from_fn(|_| Fake::silent());
    let targets = fakes.iter().map(tcp);
    let ended = Run::new(["-v", "--parallel", "-t", "20s"].map(str::to_owned).into_iter().chain(targets))
        .through(["prlimit", "--nofile=32", "--"])
        .end();
    ended.success();
    // Each was ready at its first attempt, so none of them ran out of descriptors on the way.
    assert!(fakes.iter().all(|fake| fake.hits() == 1), "{ended}");
}

#[test]
fn one_deadline_for_all() {
    let (first, second) = (Fake::silent(), free_port());
    let ended = Run::new(["-t", "1s", &tcp(&first), &format!("tcp:{second}")]).end();
    ended.failure().took(secs(1.0)..secs(2.0));
    assert!(ended.last_line().contains(&second.to_string()), "{ended}");
}

/// The verdict names all that is missing, also what was never tried.
#[test]
fn a_second_target_that_was_never_tried_is_missing_too() {
    let (first, second) = (free_port(), Fake::silent());
    let ended = Run::new(["-t", "500ms", &format!("tcp:{first}"), &tcp(&second)]).end();
    ended.failure().took(secs(0.5)..secs(1.5)).stderr_has(&first.to_string()).stderr_has(&second.addr.to_string());
    assert_eq!(second.hits(), 0, "{ended}");
}

#[test]
fn a_targets_own_timeout_ends_the_run() {
    let closed = free_port();
    let ended = Run::new(["-t", "20s", &format!("tcp:{closed}#timeout=500ms")]).end();
    ended.failure().took(secs(0.5)..secs(1.5)).stderr_has(&closed.to_string());
}

/// It starts with the target's first attempt, not with the run.
#[test]
fn a_targets_own_timeout_starts_with_its_first_attempt() {
    let (late, second) = (free_port(), Fake::silent());
    let running = Run::new(["-t", "20s", &format!("tcp:{late}"), &format!("{}#timeout=500ms", tcp(&second))]).start();
    running.line("refused");
    thread::sleep(secs(0.7));
    let _first = Fake::on(late, linger);
    running.end().success();
}

#[test]
fn a_targets_own_timeout_never_extends_the_deadline() {
    let ended = Run::new(["-t", "500ms", &format!("tcp:{}#timeout=20s", free_port())]).end();
    ended.failure().took(secs(0.5)..secs(1.5));
}

#[test]
fn once_stops_at_the_first_that_is_not_ready() {
    let (closed, second) = (free_port(), Fake::silent());
    let ended = Run::new(["--once", &format!("tcp:{closed}"), &tcp(&second)]).end();
    ended.failure().took(secs(0.0)..secs(1.0)).stderr_has("refused");
    assert_eq!(second.hits(), 0, "{ended}");
}

#[test]
fn once_in_parallel_asks_all() {
    let (closed, second) = (free_port(), Fake::silent());
    let ended = Run::new(["--once", "--parallel", &format!("tcp:{closed}"), &tcp(&second)]).end();
    ended.failure();
    assert_eq!(second.hits(), 1, "{ended}");
}

#[test]
fn once_is_one_attempt() {
    let fake = Fake::closing();
    let ended = Run::new(["--once", &tcp(&fake)]).end();
    ended.failure();
    assert_eq!(fake.hits(), 1, "{ended}");
    let (first, second) = (Fake::silent(), Fake::silent());
    Run::new(["--once", &tcp(&first), &tcp(&second)]).end().success();
    assert_eq!((first.hits(), second.hits()), (1, 1));
}

#[test]
fn initial_delay_comes_before_the_first_attempt() {
    let fake = Fake::silent();
    let ended = Run::new(["--initial-delay=700ms", &tcp(&fake)]).end();
    ended.success();
    let waited = fake.arrivals()[0] - ended.started;
    assert!(waited >= secs(0.7), "{waited:?}: {ended}");
}

#[test]
fn deadline_includes_the_initial_delay() {
    let ended = Run::new(["--initial-delay=700ms", "-t", "1s", &format!("tcp:{}", free_port())]).end();
    ended.failure().took(secs(1.0)..secs(2.0));
}

/// Four runs at a time: that all of them draw less than a twentieth happens once in 160,000 tries.
#[test]
fn settle_sleeps_a_random_part_after_ready() {
    let fake = Fake::silent();
    let target = format!("{}#hold=0", tcp(&fake));
    let running: [Running; 4] = std::array::from_fn(|_| Run::new(["--settle=1s", &target]).start());
    let ended: Vec<Ended> = running.map(Running::end).into();
    for run in &ended {
        run.success().took(secs(0.0)..secs(2.0));
    }
    let longest = ended.iter().map(|run| run.elapsed).max().unwrap();
    let shortest = ended.iter().map(|run| run.elapsed).min().unwrap();
    assert!(longest > secs(0.05), "{longest:?}");
    assert!(longest.checked_sub(shortest).unwrap() > secs(0.01), "{shortest:?} to {longest:?} is hardly random");
}

/// The deadline is over by then, and the run is a success all the same.
#[test]
fn settle_is_not_part_of_the_deadline() {
    let fake = Fake::silent();
    let target = format!("{}#hold=0", tcp(&fake));
    let running: [Running; 4] = std::array::from_fn(|_| Run::new(["-t", "200ms", "--settle=1s", &target]).start());
    for run in running {
        run.end().success();
    }
}

/// What a pause may be is a bound on how often a server is bothered.
#[test]
fn successes_are_a_full_cap_apart() {
    let fake = Fake::silent();
    let ended = Run::new(["--successes=3", "--max-pause=300ms", &tcp(&fake)]).end();
    ended.success();
    let arrivals = fake.arrivals();
    assert_eq!(arrivals.len(), 3, "{ended}");
    for pair in arrivals.windows(2) {
        assert!(pair[1] - pair[0] >= secs(0.29), "{:?}: {ended}", pair[1] - pair[0]);
    }
}

#[test]
fn successes_count_in_a_row() {
    let count = AtomicUsize::new(0);
    let fake = Fake::new(move |stream: TcpStream| {
        // ready, not ready, ready, ready
        if count.fetch_add(1, Ordering::Relaxed) != 1 {
            linger(stream);
        }
    });
    let ended = Run::new(["--max-pause=100ms", &format!("{}#successes=2", tcp(&fake))]).end();
    ended.success();
    assert_eq!(fake.hits(), 4, "{ended}");
}

#[test]
fn attempts_pause_and_the_pauses_grow() {
    let fake = Fake::closing();
    let ended = Run::new(["-t", "4s", "--max-pause=800ms", &tcp(&fake)]).end();
    ended.failure();
    let arrivals = fake.arrivals();
    let gaps: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] < secs(0.38), "the first pause is short: {gaps:?}");
    // With equal jitter a pause is at least half of its base.
    let last = gaps.last().unwrap();
    assert!(*last >= secs(0.38), "the last one is not: {gaps:?}");
    assert!(gaps.iter().all(|gap| *gap < secs(2.0)), "none is far beyond the cap: {gaps:?}");
}

/// `0` waits without an end: nothing but a signal ends it.
#[test]
fn timeout_zero_has_no_deadline() {
    let running = Run::new(["-t", "0", &format!("tcp:{}", free_port())]).start();
    running.line("refused");
    thread::sleep(secs(0.5));
    running.signal(Signal::TERM);
    running.end().failure();
}

/// A fleet of one: several gates wait on the same server at once, and all get through.
#[test]
fn many_gates_on_one_server() {
    let late = crate::support::free_port();
    let target = format!("tcp:{late}");
    let gates: Vec<_> = (0..12).map(|_| Run::new([&target]).start()).collect();
    for gate in &gates {
        gate.line("refused");
    }
    let _fake = Fake::on(late, linger);
    let ended = thread::scope(|scope| {
        let waiting: Vec<_> = gates.into_iter().map(|gate| scope.spawn(|| gate.end())).collect();
        waiting.into_iter().map(|gate| gate.join().unwrap()).collect::<Vec<_>>()
    });
    for gate in ended {
        gate.success();
    }
}

/// A Pod with a memory limit of 16 MiB may wait for a thousand targets of any kind. Only attempts that run cost much.
#[test]
fn a_thousand_targets_fit_into_16_mebibytes() {
    let closed = free_port();
    for target in
        [format!("tcp:{closed}"), "unix:/nowhere".into(), format!("http://{closed}/"), format!("postgres:{closed}")]
    {
        if (target.starts_with("http") && !cfg!(feature = "http"))
            || (target.starts_with("postgres") && !cfg!(feature = "postgres"))
        {
            continue;
        }
        let options = ["--parallel", "-q", "-t", "1500ms"];
        let running = Run::new(options.into_iter().chain([target.as_str(); 1000])).start();
        let status = format!("/proc/{}/status", running.pid().as_raw_nonzero());
        let mut most = 0;
        while !running.has_ended() {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
            let kib: u64 = memory.trim().trim_end_matches(" kB").parse().unwrap_or_default();
            most = most.max(kib);
            std::thread::sleep(Duration::from_millis(10));
        }
        running.end().failure();
        assert!((1..12 * 1024).contains(&most), "{target}: {most} KiB");
    }
}
