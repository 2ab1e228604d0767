//! The files that attempts read: a file has every fault, one after the other, and then it is right.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};

use super::kinds;
use super::path;
use super::row::{Row, Source};
use super::world::World;
use crate::support::fault::Fault;
use crate::support::run::Running;
use crate::support::{Fake, PATIENCE, Run};

/// A target that names a file, and the server that would be ready.
struct Reader {
    target: String,
    options: Vec<String>,
    path: PathBuf,
    right: Vec<u8>,
    server: Fake,
}

impl Reader {
    fn of(row: &Row, world: &World) -> Option<Self> {
        let Source::Read(right, script) = &row.source else { return None };
        let script = Arc::clone(script);
        let serve = move |stream| script.serve(stream, Fault::None);
        let server = world.pod.within(|| Fake::on(([127, 0, 0, 1], 0).into(), serve));
        let path = world.folder.path().join(format!("file-{}-", row.number));
        let target = row.target.replace("ADDR", &server.addr.to_string()).replace("PATH", &path.display().to_string());
        Some(Self { target, options: row.options.clone(), path, right: right.clone(), server })
    }

    /// In one step as the kubelet does, so that no attempt reads a half of it.
    fn becomes(&self, fault: Fault) {
        let _ = fs::remove_dir(&self.path);
        let _ = fs::remove_file(&self.path);
        let new = self.path.with_extension("new");
        path::file(&new, fault, &self.right);
        let _ = fs::rename(&new, &self.path);
    }
}

fn start(run: Run, readers: &[Reader], world: &World) -> Running {
    let mut options: Vec<&String> = readers.iter().flat_map(|reader| &reader.options).collect();
    options.dedup();
    let run = options.into_iter().chain(readers.iter().map(|reader| &reader.target)).fold(run, Run::arg);
    run.inside(&world.pod).start()
}

/// Waits until each target has a line after the first `from` lines, with the name of its file and these words.
#[track_caller]
fn each_says(words: &str, running: &Running, from: usize, readers: &[Reader]) {
    let limit = Instant::now() + PATIENCE;
    let silent = |lines: &[String]| {
        let says = |path: &str| lines.iter().skip(from).any(|line| line.contains(path) && line.contains(words));
        readers.iter().find(|reader| !says(&reader.path.display().to_string())).map(|reader| reader.target.clone())
    };
    while let Some(target) = silent(&running.lines()) {
        assert!(Instant::now() < limit, "{target} never said {words:?}: {running}");
        thread::sleep(Duration::from_millis(20));
    }
}

const OPTIONS: [&str; 4] = ["-v", "--parallel", "--timeout=2m", "--max-pause=50ms"];

#[test]
fn a_file_is_read_anew_until_it_is_right() {
    let world = World::new();
    let readers: Vec<_> = kinds::rows(&world).iter().filter_map(|row| Reader::of(row, &world)).collect();
    assert!(readers.len() > 10, "{} targets", readers.len());
    let running = start(Run::new(OPTIONS), &readers, &world);
    for (fault, words) in [
        (Fault::Missing, "no such file"),
        (Fault::Folder, "not a regular file"),
        (Fault::Sparse, "it is longer than"),
        (Fault::Fifo, "not a regular file"),
        (Fault::Oversized, "it is longer than"),
        (Fault::Device, "not a regular file"),
    ] {
        for reader in &readers {
            reader.becomes(fault);
        }
        each_says(words, &running, running.lines().len(), &readers);
    }
    for reader in &readers {
        assert_eq!(reader.server.hits(), 0, "{} asked its server without its file: {running}", reader.target);
        reader.becomes(Fault::None);
    }
    running.end().success().nowhere("hunter2").nowhere("PRIVATE KEY");
    assert!(readers.iter().all(|reader| reader.server.hits() > 0));
}

#[test]
fn descriptors_that_come_back_are_used() {
    let world = World::new();
    // With too few from the start, --ca-file is wrong input.
    let rows = kinds::rows(&world).into_iter().filter(|row| row.options.is_empty());
    let readers: Vec<_> = rows.filter_map(|row| Reader::of(&row, &world)).collect();
    for reader in &readers {
        reader.becomes(Fault::None);
    }
    // The hard limit stays: to raise it takes a capability.
    let few = format!("--nofile={}:64", world.descriptors);
    let run = Run::new(OPTIONS);
    let running = start(run.through(["prlimit", &few, "--"]), &readers, &world);
    each_says("no file descriptor left for", &running, 0, &readers);
    assert!(readers.iter().all(|reader| reader.server.hits() == 0));
    let enough = Rlimit { current: Some(64), maximum: Some(64) };
    prlimit(Some(running.pid()), Resource::Nofile, enough).unwrap();
    running.end().success().nowhere("hunter2");
}
