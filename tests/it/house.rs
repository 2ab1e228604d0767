//! The house (docs/architecture.md): no two modules import each other, and the arrows run downwards only.
//!
//! This reads the `crate::` and `super::` paths of the source. A folder's own mod.rs is apart: it declares its
//! modules, and they use what it says to all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules that import others: for each folder of src (by its path, "" is src itself) its modules, each with those
/// beside it that it uses.
type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The code of a file without its unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut code = text.as_str();
    for tests in ["mod tests {", "pub(super) mod tests {"] {
        code = code.split(&format!("#[cfg(test)]\n{tests}")).next().unwrap_or_default();
    }
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every path that begins with `crate::` or `super::`, braces opened: `crate::net::{Net, race}` is two.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            if code[..at].ends_with("::") {
                continue;
            }
            let path: String =
                code[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
            let rest = &code[at + path.len()..];
            let names = |text: &str| text.split("::").filter(|n| !n.is_empty()).map(str::to_owned).collect::<Vec<_>>();
            let list = if path.ends_with("::") {
                rest.strip_prefix('{').and_then(|rest| rest.split('}').next())
            } else {
                None
            };
            match list {
                None => found.push(names(&path)),
                Some(list) => found.extend(list.split(',').map(|item| {
                    let mut all = names(&path);
                    all.extend(names(item.trim().split([' ', '{']).next().unwrap_or_default()));
                    all
                })),
            }
        }
    }
    found
}

fn walk(folder: &Path, at: &[String], imports: &mut Imports) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                walk(&path, &[at, &[name]].concat(), imports);
            }
            continue;
        }
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if !is_rust || name == "tests" || name == "verdicts" || name == "scripted_server" {
            continue;
        }
        let own: Vec<String> =
            if matches!(name.as_str(), "mod" | "lib" | "main") { at.to_vec() } else { [at, &[name]].concat() };
        for found in paths(&code(&path)) {
            let ups = found.iter().take_while(|part| *part == "super").count();
            let target: Vec<String> = match found.first().map(String::as_str) {
                Some("crate") => found[1..].to_vec(),
                _ if ups <= own.len() => [&own[..own.len() - ups], &found[ups..]].concat(),
                _ => continue,
            };
            let shared = own.iter().zip(&target).take_while(|(a, b)| a == b).count();
            // Into or out of a folder's mod.rs.
            let (Some(from), Some(to)) = (own.get(shared), target.get(shared)) else { continue };
            let modules = imports.entry(own[..shared].join("/")).or_default();
            // A name in capitals is an item of the folder's mod.rs, not a module.
            if to.starts_with(char::is_lowercase) {
                modules.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
}

fn imports() -> Imports {
    let mut imports = Imports::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut imports);
    imports
}

/// The modules on the way from `from` back to itself, if there is one.
fn circle(modules: &BTreeMap<String, BTreeSet<String>>, from: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| modules.get(last)).into_iter().flatten() {
            if next == from {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

#[test]
fn no_two_modules_import_each_other() {
    let imports = imports();
    assert!(imports[""].len() > 10 && imports["net"].len() > 5 && imports["kind/http"].len() > 3, "{imports:?}");
    for (folder, modules) in &imports {
        for module in modules.keys() {
            let circle = circle(modules, module);
            assert!(circle.is_none(), "src/{folder}: a circle: {}", circle.unwrap_or_default().join(" → "));
        }
    }
}

#[test]
fn arrows_run_downwards() {
    let top = &imports()[""];
    let uses = |from: &str, to: &str| top.get(from).is_some_and(|used| used.contains(to));
    for module in top.keys().filter(|module| !matches!(module.as_str(), "app" | "report")) {
        assert!(!uses(module, "report"), "{module} knows report: only app may");
    }
    assert!(!uses("net", "kind"), "nothing in net knows a kind");
    for module in ["cli", "plan", "gate", "report", "net", "reason"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module);
        let file = folder.with_extension("rs");
        let files = if folder.is_dir() {
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
        } else {
            vec![file]
        };
        for path in files.iter().filter(|path| path.is_file()) {
            for kind in ["kind::dns", "kind::tcp", "kind::unix", "kind::file", "kind::http", "kind::postgres"] {
                assert!(!code(path).contains(kind), "{} names {kind}: only the table may", path.display());
            }
        }
    }
}

/// Each `.rs` file below `folder`, with its text.
fn sources(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            out.push((path, text));
        }
    }
}

#[test]
fn no_file_is_too_long() {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    assert!(files.len() > 100, "{} files", files.len());
    for (path, text) in files {
        let lines = text.lines().count();
        assert!(lines <= 450, "{} has {lines} lines: a file near 400 wants to be two", path.display());
    }
}

/// Nothing from outside can panic here: where a value must be there, the code says what happens if it is not. The door's
/// functions panic on purpose, for the fuzzers.
#[test]
fn nothing_is_unwrapped() {
    // A configuration that is the same in every run.
    const CONSTANT: [&str; 2] = ["src/kind/http/tls.rs", "src/net/tls/mod.rs"];
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&root.join("src"), &mut files);
    for (path, _) in files {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let for_tests =
            ["/tests", "/door", "scripted_server", "numbers", "verdicts"].iter().any(|part| name.contains(part));
        if for_tests || CONSTANT.contains(&name.as_str()) {
            continue;
        }
        let panics = [".unwrap()", ".expect(\"", "panic!(", "unreachable!("];
        let code = code(&path);
        let line = code.lines().find(|line| panics.iter().any(|word| line.contains(word)));
        assert_eq!(line, None, "{name}");
    }
}

/// What a run knows is in `Net`, in the gate or in a target, so that two runs in one process do not meet.
#[test]
fn there_is_no_global_state() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for (path, text) in files {
        let global = |line: &&str| {
            let line = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            line.starts_with("static ") || line.contains("thread_local!")
        };
        assert_eq!(text.lines().find(global), None, "{}", path.display());
    }
}
