//! The README and the pages: links lead somewhere, YAML is YAML, and the README is short.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode as _, Yaml};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages for people: in the root, in docs and in examples.
fn pages() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs"), root().join("examples")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    pages
}

/// The page without its code blocks, and the blocks: their language and their text.
fn parts(page: &str) -> (String, Vec<(&str, String)>) {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    let mut block: Option<(&str, String)> = None;
    for line in page.lines() {
        match (line.trim_start().strip_prefix("```"), block.take()) {
            (Some(_), Some(done)) => blocks.push(done),
            (Some(language), None) => block = Some((language, String::new())),
            (None, Some((language, text))) => block = Some((language, text + line + "\n")),
            (None, None) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    (prose, blocks)
}

/// What a heading's anchor is, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &Path) -> HashSet<String> {
    let (prose, _) = parts(&fs::read_to_string(page).expect("a page"));
    prose.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let (prose, _) = parts(&text);
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http://") || link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if let Some(anchor) = anchor {
                assert!(anchors(&target).contains(anchor), "{}: {link} has no such heading", page.display());
            }
            links += 1;
        }
    }
    assert!(links > 50, "{links} links");
}

#[test]
fn every_yaml_block_is_yaml() {
    let mut blocks = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for (_, block) in parts(&text).1.iter().filter(|(language, _)| matches!(*language, "yaml" | "yml")) {
            let parsed = Yaml::load_from_str(block);
            assert!(parsed.is_ok(), "{}: {parsed:?} in\n{block}", page.display());
            blocks += 1;
        }
    }
    assert!(blocks >= 3, "{blocks} blocks");
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(root().join("README.md")).expect("it is there");
    let words = readme.split_whitespace().count();
    assert!(words <= 1200, "the README has {words} words");
}

/// A promise in the README names the tests that show it.
#[test]
fn every_promise_has_its_tests() {
    let readme = fs::read_to_string(root().join("README.md")).expect("it is there");
    let (_, promises) = readme.split_once("| promise | shown by |").expect("the table of promises");
    let rows: Vec<&str> = promises.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 8, "{rows:?}");
    for row in rows {
        let shown = row.rsplit('|').nth(1).expect("a cell");
        for test in shown.split('`').skip(1).step_by(2) {
            assert!(root().join(test).exists(), "{row}: there is no {test}");
        }
    }
}
