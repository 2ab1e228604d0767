//! The simulation of fleets: writes the tables of docs/fleet.md and the plots in docs/fleet/.

mod plots;
mod simulation;
mod tables;

use std::{env, fs, path::PathBuf};

fn main() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let only: Vec<String> = env::args().skip(1).collect();
    if !only.is_empty() {
        for block in tables::BLOCKS.iter().filter(|block| only.iter().any(|name| name == block.name)) {
            println!("{}:\n\n{}", block.name, (block.table)());
        }
        return;
    }
    let page = root.join("docs/fleet.md");
    let text = fs::read_to_string(&page).expect("docs/fleet.md is there");
    fs::write(&page, tables::filled(&text, |_| true)).expect("docs/fleet.md can be written");
    plots::all(&root.join("docs/fleet")).expect("the plots can be written");
}
