//! The YAML of a kubeconfig: maps, lists and scalars in blocks, as kubectl, kind, k3s and the clouds write it.
//!
//! A whole YAML parser would weigh more than the rest of the kind. What is not read here is an error with its line.

use anyhow::{Result, bail};

use super::objects::Node;

/// How deep the blocks may be.
const DEPTH_MAX: usize = 32;

/// A line that is not empty and no comment.
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Node> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let content = line.trim_start_matches(' ');
        if content.starts_with('\t') {
            bail!("line {}: a tab cannot indent a line of YAML", at + 1);
        }
        let content = content.trim_end();
        if content == "---" && lines.is_empty() || content.is_empty() || content.starts_with('#') {
            continue;
        }
        if matches!(content, "---" | "...") {
            break;
        }
        lines.push(Line { number: at + 1, indent: line.len() - line.trim_start_matches(' ').len(), text: content });
    }
    let mut reader = Reader { lines, at: 0 };
    let node = reader.block(0, DEPTH_MAX)?;
    match reader.lines.get(reader.at) {
        Some(line) => bail!("line {}: its indentation fits no line before it", line.number),
        None => Ok(node),
    }
}

struct Reader<'a> {
    lines: Vec<Line<'a>>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn here(&self) -> Option<&Line<'a>> {
        self.lines.get(self.at)
    }

    /// The block that begins here, if it is indented by at least `least`.
    fn block(&mut self, least: usize, depth: usize) -> Result<Node> {
        let Some(line) = self.here().filter(|line| line.indent >= least) else { return Ok(Node::Null) };
        let (indent, number) = (line.indent, line.number);
        if depth == 0 {
            bail!("line {number}: the blocks are too deep");
        }
        if is_item(line.text) { self.list(indent, depth) } else { self.map(indent, depth) }
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Node> {
        let mut items = Vec::new();
        while let Some(line) = self.here().filter(|line| line.indent == indent && is_item(line.text)) {
            let rest = line.text[1..].trim_start();
            let inner = indent + (line.text.len() - rest.len());
            if rest.is_empty() || rest.starts_with('#') {
                self.at += 1;
                items.push(self.block(indent + 1, depth - 1)?);
            } else if is_item(rest) || member(rest).is_some() {
                // The item's first member is on the line of its dash.
                let line = &mut self.lines[self.at];
                (line.indent, line.text) = (inner, rest);
                items.push(self.block(inner, depth - 1)?);
            } else {
                items.push(self.scalar(rest, indent)?);
            }
        }
        Ok(Node::List(items))
    }

    fn map(&mut self, indent: usize, depth: usize) -> Result<Node> {
        let mut members = Vec::new();
        while let Some(line) = self.here().filter(|line| line.indent == indent && !is_item(line.text)) {
            let Some((name, rest)) = member(line.text) else {
                if line.text.starts_with(NOT_PLAIN) || line.text.starts_with("? ") {
                    return Err(not_plain(line.number));
                }
                bail!("line {}: found no NAME: VALUE", line.number);
            };
            if rest.is_empty() || rest.starts_with('#') {
                self.at += 1;
                // A list may be as far to the left as its name.
                let is_list = self.here().is_some_and(|line| line.indent == indent && is_item(line.text));
                members.push((name, self.block(indent + usize::from(!is_list), depth - 1)?));
            } else {
                members.push((name, self.scalar(rest, indent)?));
            }
        }
        Ok(Node::Map(members))
    }

    /// The scalar `first` with the lines that continue it: those that are further to the right than `indent`.
    fn scalar(&mut self, first: &str, indent: usize) -> Result<Node> {
        let number = self.here().map_or(0, |line| line.number);
        self.at += 1;
        let mut text = if first.starts_with(['|', '>']) { String::new() } else { first.to_owned() };
        while let Some(line) = self.here().filter(|line| line.indent > indent) {
            if !text.is_empty() {
                text.push(if first.starts_with('|') { '\n' } else { ' ' });
            }
            text.push_str(line.text);
            self.at += 1;
        }
        let plain = |text: &str| Ok(Node::Text(text.to_owned()));
        match first.as_bytes()[0] {
            b'|' | b'>' => plain(&text),
            b'"' => match text.rfind('"').filter(|end| *end > 0) {
                // The escapes of JSON are those of YAML that occur.
                Some(end) => Node::of_document(&text.as_bytes()[..=end])
                    .ok_or_else(|| anyhow::anyhow!("line {number}: the text in quotation marks is not valid")),
                None => bail!("line {number}: a quotation mark is missing"),
            },
            b'\'' => match single_quoted(&text[1..]) {
                Some(inner) => plain(&inner),
                None => bail!("line {number}: a quotation mark is missing"),
            },
            _ if first.starts_with(NOT_PLAIN) => match text.as_str() {
                "{}" => Ok(Node::Map(Vec::new())),
                "[]" => Ok(Node::List(Vec::new())),
                _ => Err(not_plain(number)),
            },
            _ => Ok(match text.split(" #").next().unwrap_or_default().trim_end() {
                "null" | "~" => Node::Null,
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                text => Node::Text(text.to_owned()),
            }),
        }
    }
}

/// What begins a flow, an anchor, an alias, a tag or a directive, and what YAML reserves (YAML 1.2.2 section 5.3).
const NOT_PLAIN: [char; 8] = ['{', '[', '&', '*', '!', '%', '@', '`'];

fn not_plain(number: usize) -> anyhow::Error {
    anyhow::anyhow!(
        "line {number}: waitgate reads only plain YAML in blocks, without {{}}, [], anchors, aliases and tags"
    )
}

/// The text up to the quotation mark that ends it. Two of them are one that belongs to the text.
fn single_quoted(text: &str) -> Option<String> {
    let mut inner = String::new();
    let mut parts = text.split('\'');
    // After the last mark comes what is no part of the text, such as a comment.
    let mut last = parts.next()?;
    loop {
        inner.push_str(last);
        match (parts.next()?, parts.clone().next()) {
            ("", Some(_)) => {
                inner.push('\'');
                last = parts.next()?;
            }
            _ => return Some(inner),
        }
    }
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// The name and the value of `NAME: VALUE` or `NAME:`. The name may be in quotation marks.
fn member(text: &str) -> Option<(String, &str)> {
    if let Some(quote) = text.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
        let (name, rest) = text[1..].split_once(quote)?;
        let rest = rest.strip_prefix(':')?;
        return (rest.is_empty() || rest.starts_with(' ')).then(|| (name.to_owned(), rest.trim_start()));
    }
    let (name, rest) = text.split_once(": ").or_else(|| Some((text.strip_suffix(':')?, "")))?;
    (!name.is_empty() && !name.starts_with(NOT_PLAIN) && !name.starts_with(['#', '?']))
        .then(|| (name.to_owned(), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"---
# a comment
apiVersion: v1
clusters:
- cluster:
    server: https://10.0.0.1:6443  # here
    certificate-authority-data: LS0t=
  name: "a: b"
users:
  - name: 'it''s'
    user:
      exec:
        args:
        - --region
        - eu
        -
          x: y
        env: null
        installHint: Install it
          by hand: see https://x
        text: |
          one
          two
preferences: {}
empty:
on: true
quoted: 'it''s' # not the user's
marks: ''''
none: ''
"#;

    #[test]
    fn a_kubeconfig() {
        let it = parse(CONFIG).unwrap();
        let cluster = &it.get("clusters").items()[0];
        assert_eq!(cluster.get("name").text(), "a: b");
        assert_eq!(cluster.at(&["cluster", "server"]).text(), "https://10.0.0.1:6443");
        assert_eq!(cluster.at(&["cluster", "certificate-authority-data"]).text(), "LS0t=");
        let user = &it.get("users").items()[0];
        assert_eq!(user.get("name").text(), "it's");
        let exec = user.at(&["user", "exec"]);
        assert_eq!(exec.get("args").items()[0].text(), "--region");
        assert_eq!(exec.get("args").items()[2].get("x").text(), "y");
        assert_eq!(exec.get("installHint").text(), "Install it by hand: see https://x");
        assert_eq!(exec.get("text").text(), "one\ntwo");
        assert_eq!(*it.get("preferences"), Node::Map(Vec::new()));
        assert!(it.get("empty").is_null() && *it.get("on") == Node::Bool(true));
        assert_eq!([it.get("quoted").text(), it.get("marks").text(), it.get("none").text()], ["it's", "'", ""]);
    }

    #[test]
    fn what_is_not_read_is_an_error_with_its_line() {
        for (text, words) in [
            ("a: 1\n  - b", "line 1"),
            ("a: {b: c}", "line 1: waitgate reads only plain YAML"),
            ("a: [b,\nc]", "line 1: waitgate reads only plain YAML"),
            ("a: {b: c,\n  d: e}", "line 1: waitgate reads"),
            ("- {a: b}", "line 1: waitgate reads"),
            ("- a: b\n- &x\n  a: b", "line 2: waitgate reads"),
            ("- &x a: b", "line 1: waitgate reads"),
            ("a: &x\n  b: c", "line 1: waitgate reads"),
            ("a: &x b", "line 1: waitgate reads"),
            ("&x a: b", "line 1: waitgate reads"),
            ("a:\n  <<: *x", "line 2: waitgate reads"),
            ("a:\n  *x : b", "line 2: waitgate reads"),
            ("a:\n  b: *x", "line 2: waitgate reads"),
            ("a: !!str b", "line 1: waitgate reads"),
            ("? a: b\n: c", "line 1: waitgate reads"),
            ("%YAML 1.2\n---\na: b", "line 1: waitgate reads"),
            ("---\n{\n  a: b}", "line 2: waitgate reads"),
            ("[a, b]", "line 1: waitgate reads"),
            ("a\n", "line 1: found no NAME: VALUE"),
            ("a: 'x''", "line 1: a quotation mark"),
            ("a: 'x", "line 1: a quotation mark"),
            ("a: \"x\\q\"", "line 1: the text"),
            ("\ta: b", "line 1: a tab"),
            ("  a: b\nc: d", "line 2: its indentation"),
        ] {
            match parse(text) {
                Err(error) => assert!(error.to_string().contains(words), "{text:?}: {error}"),
                Ok(node) => assert!(text.starts_with("a: 1"), "{text:?}: {node:?}"),
            }
        }
        let deep = (0..40).fold(String::new(), |text, at| text + &" ".repeat(at) + "a:\n");
        assert!(parse(&deep).unwrap_err().to_string().contains("too deep"));
    }
}
