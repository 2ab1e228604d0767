//! docs/fleet.md says what the simulation in benches/fleet gives, and draws the conclusions that hold there.

#![allow(clippy::cast_precision_loss, reason = "counts of attempts are far below 2^52")]

use std::{env, fs, path::Path, time::Duration};

#[path = "../../benches/fleet/src/simulation/mod.rs"]
#[allow(dead_code, reason = "the plots use the rest")]
mod simulation;
#[path = "../../benches/fleet/src/tables.rs"]
#[allow(dead_code, reason = "the plots use the rest")]
mod tables;

use simulation::rules::Rule;
use simulation::target::Until;
use tables::{recovered, restarted, s};

const WAITGATE: Rule = Rule::Waitgate(None);

/// `benches/fleet/run` writes the other tables: they take long without optimisation.
#[test]
fn the_page_has_the_figures_of_the_simulation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet.md");
    let page = fs::read_to_string(&path).unwrap();
    expect_test::expect_file![&path].assert_eq(&tables::filled(&page, |block| block.tested));
}

/// Pods that start in step are spread evenly after 10 s. Shell loops are not.
#[test]
fn the_jitter_spreads_a_fleet_that_starts_at_once() {
    let peak = |rule| tables::run(10_000, rule, Duration::ZERO, &mut Until::refused(s(15))).peak_over_mean(s(10));
    assert!(peak(WAITGATE) <= 1.1, "{}", peak(WAITGATE));
    assert!(peak(Rule::Loop(s(2))) > 10.0);
}

/// The shared cost of a refused port is DNS: a kept address spares it.
#[test]
fn a_refused_port_costs_few_dns_queries() {
    let run = |rule| tables::run(1000, rule, tables::ROLLOUT, &mut Until::refused(s(60)));
    let (gate, shell) = (run(WAITGATE), run(Rule::Loop(s(2))));
    assert!(gate.attempts_per_second(tables::STEADY) > 5.0 * shell.attempts_per_second(tables::STEADY));
    assert!(gate.queries_per_second(tables::STEADY) < 0.5 * shell.queries_per_second(tables::STEADY));
}

/// 200 gates make the recovery of a server with two cores less than a tenth longer. With a single core it is a fifth at most
/// if they wait already, a tenth of a minute, and no fleet makes it many times as long.
#[test]
fn a_fleet_lets_a_server_recover() {
    for alone in [s(10), s(60)] {
        for ready in [recovered(200, WAITGATE, alone, 2).0, restarted(200, WAITGATE, alone, 2).0] {
            assert!(ready < alone * 11 / 10, "{ready:?}");
        }
    }
    assert!(restarted(200, WAITGATE, s(10), 1).0 < s(12), "{:?}", restarted(200, WAITGATE, s(10), 1).0);
    assert!(restarted(200, WAITGATE, s(60), 1).0 < s(66), "{:?}", restarted(200, WAITGATE, s(60), 1).0);
    for ready in [recovered(1000, WAITGATE, s(10), 1).0, restarted(1000, WAITGATE, s(10), 1).0] {
        assert!(ready < s(20), "{ready:?}");
    }
    let by = |rule| recovered(200, rule, s(60), 1).0.saturating_sub(s(60));
    let second = by(Rule::Waitgate(Some(s(1))));
    assert!(second > 4 * by(WAITGATE), "{second:?} {:?}", by(WAITGATE));
    // One gate costs nothing that a person could notice.
    assert!(recovered(1, WAITGATE, s(10), 1).0 < s(10) * 101 / 100);
}

/// `--settle` spreads the starts: ten times as long, about a tenth in the same time.
#[test]
fn settle_spreads_the_applications() {
    let rule = Rule::Waitgate(Some(s(1)));
    let seen = tables::run(2000, rule, s(5), &mut Until::starting(s(20)));
    let most = |settle| simulation::bins(&seen.released(settle), seen.ready).into_iter().max().unwrap();
    assert!(most(s(30)) * 10 < most(Duration::ZERO), "{} {}", most(s(30)), most(Duration::ZERO));
}
