//! For the fuzzer: whatever the API or a kubeconfig says, it is read within bounds.

use super::objects::Node;
use super::pieces::{Pieces, TooLong};
use super::ready::{condition, judge};
use super::resource::Rule;
use super::{kubeconfig, yaml};

/// The first byte picks a list, a watch or a kubeconfig; the rest is what it says.
///
/// # Panics
/// If the objects depend on the pieces in which the bytes come, or a message steers a terminal.
pub(crate) fn heard(data: &[u8]) {
    let Some((which, said)) = data.split_first() else { return };
    match which % 3 {
        0 => objects(said, Pieces::of_list, Node::of_object),
        1 => objects(said, Pieces::of_watch, Node::of_event),
        _ => document(&String::from_utf8_lossy(said)),
    }
}

fn objects(said: &[u8], new: fn() -> Pieces, read: fn(&[u8]) -> Option<Node>) {
    let cut = |by: usize| -> Result<(Vec<Vec<u8>>, Vec<u8>), TooLong> {
        let (mut pieces, mut found) = (new(), Vec::new());
        for chunk in said.chunks(by) {
            pieces.feed(chunk, |piece| found.push(piece.to_vec()))?;
        }
        Ok((found, pieces.rest().to_vec()))
    };
    let whole = cut(said.len().max(1));
    assert_eq!(whole, cut(1));
    let Ok((found, _)) = whole else { return };
    assert!(found.iter().map(Vec::len).sum::<usize>() <= said.len());
    for node in found.iter().filter_map(|json| read(json)) {
        let object = if node.get("object").is_null() { &node } else { node.get("object") };
        for rule in [
            Rule::Job,
            Rule::Pod,
            Rule::Deployment,
            Rule::StatefulSet,
            Rule::DaemonSet,
            Rule::ReplicaSet,
            Rule::Phase("Bound"),
            Rule::Exists,
        ] {
            let _ = judge(rule, object);
        }
        let _ = condition(object, "Ready", "True");
    }
}

fn document(text: &str) {
    let source = |document| kubeconfig::Source { path: "/nowhere/config".into(), document };
    let read = yaml::parse(text).and_then(|document| kubeconfig::context(&[source(document)]));
    if let Err(why) = read {
        let message = format!("{why:#}");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}
