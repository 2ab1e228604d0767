//! The fault matrix: every kind, every stage that it has, every fault, and every bound that may end the run.
//!
//! Each cell is one run of waitgate in 16 MiB. It ends in time with status 1, a reason of the right stage, no secret in
//! its output, and no socket and no process left. docs/faults.md is the table of the reasons. A new kind is one file in
//! `kinds/` and one line in `kinds/mod.rs`.

mod bound;
mod cell;
mod files;
mod kinds;
mod path;
mod row;
mod soak;
mod table;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use bound::Bound;
use cell::{Cell, Outcome};
use world::World;

use crate::support::fault::Fault;

/// How many runs are in flight: most of them wait.
const AT_ONCE: usize = 48;

/// A cell that was wrong or late among the others has so many tries alone.
const TRIES: usize = 3;

#[expect(clippy::print_stdout, reason = "the table and the numbers are for whoever runs it with --nocapture")]
#[test]
fn every_kind_every_stage_every_fault() {
    let begun = Instant::now();
    let world = World::new();
    let rows = kinds::rows(&world);
    let cells: Vec<Cell<'_>> = rows.iter().flat_map(Cell::of).collect();
    let controls = cells.iter().filter(|cell| cell.fault == Fault::None).count();
    assert!(cells.len() - controls >= 500, "{} cells", cells.len());

    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = cell.run(&world);
                    outcomes.lock().unwrap().insert(cell.key(), outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    let mut wrong = Vec::new();
    for cell in &cells {
        // A reason that differs between the bounds may be that of a busy machine.
        let codes = cell.siblings().map(|key| outcomes.get(&key).map(|outcome| &outcome.code));
        let differs = cell.fault != Fault::None && codes.windows(2).any(|pair| pair[0] != pair[1]);
        let mut outcome = if differs { cell.run(&world) } else { outcomes[&cell.key()].clone() };
        for _ in 0..TRIES {
            if outcome.wrong.is_none() {
                break;
            }
            outcome = cell.run(&world);
        }
        wrong.extend(outcome.wrong.clone());
        outcomes.insert(cell.key(), outcome);
    }
    world.has_no_connection_left();
    let table = table::of(&rows, &outcomes);
    println!("{table}");
    println!("{} cells and {controls} controls in {:.1?}", cells.len() - controls, begun.elapsed());
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
    expect_test::expect_file!["../../../docs/faults.md"].assert_eq(&table);
}

/// What the cells have shown, by row, fault and bound.
type Outcomes = BTreeMap<(usize, Fault, Bound), Outcome>;
