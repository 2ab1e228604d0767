//! The packed corpus of the fuzzers, replayed: each input once, in the function that its fuzz target calls.

use std::fs;
use std::path::Path;
use std::process::Command;

use waitgate::door;

/// A fuzz target's name, and what it does with an input.
type Replayed = (&'static str, fn(&[u8]));

/// Every fuzz target. The archive has a folder for each.
const TARGETS: &[Replayed] = &[
    ("address", |data| as_text(data, door::address)),
    ("amqp", door::amqp),
    ("argument", |data| as_text(data, door::target)),
    ("content", door::content),
    ("expectations", |data| as_text(data, door::expectations)),
    ("grpc", door::grpc),
    ("k8s", door::k8s),
    ("kafka", door::kafka),
    ("mongodb", door::mongodb),
    ("mounted", door::mounted),
    ("mysql", door::mysql),
    ("names", door::names),
    ("peer", door::peer),
    ("redis", door::redis),
];

/// In a child process: the folder that it replays.
const FOLDER: &str = "WAITGATE_TEST_CORPUS";

/// As libFuzzer's crate gives a text to a target: up to the first byte that is not UTF-8.
fn as_text(data: &[u8], replay: fn(&str)) {
    replay(&String::from_utf8_lossy(data.utf8_chunks().next().map_or(b"", |chunk| chunk.valid().as_bytes())));
}

fn inputs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// A failed assertion names the folder; the last input that is printed is the one that failed.
#[test]
#[expect(clippy::disallowed_methods, reason = "a variable tells the child that it is one")]
#[expect(clippy::print_stderr, reason = "the parent reads it")]
fn each_input_once() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = Path::new(&folder);
        let (_, replay) = TARGETS.iter().find(|(name, _)| folder.ends_with(name)).unwrap();
        for (name, data) in inputs(folder) {
            eprintln!("input {name}");
            replay(&data);
        }
        return;
    }
    let unpacked = tempfile::tempdir().unwrap();
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus.tar.gz");
    let status = Command::new("tar").args(["xzf", archive, "-C"]).arg(unpacked.path()).status().unwrap();
    assert!(status.success(), "tar: {status}");
    let corpus = unpacked.path().join("corpus");
    let folders = folders_of(&corpus);
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders, names, "a folder of the archive for each row of TARGETS");
    for name in names {
        // Below 32 descriptors, no thread for HTTP is started, which would last as long as the process.
        let child = Command::new("sh")
            .args(["-c", r#"ulimit -Sn 31 && exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap())
            .args(["corpus::each_input_once", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, corpus.join(name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{name}: {}", &said[said.rfind("input ").unwrap_or(0)..]);
        assert!(said.contains("input "), "{name} has no input");
    }
}

/// The names of the folders, sorted.
fn folders_of(corpus: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
