//! Cuts what the API sends into single objects while it comes, so that a list of any length takes the memory of one object.

/// The longest object, in bytes. etcd takes at most 1.5 MiB (etcd: server/embed/config.go, DefaultMaxRequestBytes).
const OBJECT_MAX: usize = 3 * 1024 * 1024;

/// The longest rest of a list around its items, in bytes.
const REST_MAX: usize = 64 * 1024;

/// An object, or the rest of a list, is longer than waitgate reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Finds the objects by their braces. It is no parser: each object goes to serde_json afterwards.
#[derive(Debug)]
pub(super) struct Pieces {
    /// How deep the objects are: 2 for the items of a list, 0 for the events of a watch.
    base: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the array of items is open.
    in_items: bool,
    /// The last text at the depth of a list's members: the name of the member that follows.
    name: Vec<u8>,
    piece: Vec<u8>,
    rest: Vec<u8>,
}

impl Pieces {
    /// For a list: its pieces are the objects in `items`.
    pub(super) fn of_list() -> Self {
        Self::new(2)
    }

    /// For a watch: its pieces are the events, which follow each other.
    pub(super) fn of_watch() -> Self {
        Self::new(0)
    }

    fn new(base: usize) -> Self {
        Self {
            base,
            depth: 0,
            in_string: false,
            escaped: false,
            in_items: base == 0,
            name: Vec::new(),
            piece: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Takes the next bytes, and gives each object that is complete to `each`.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), TooLong> {
        for byte in bytes {
            let in_piece = self.in_items && self.depth > self.base;
            let was_text = self.in_string;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ if self.depth == 1 && self.name.len() < "items".len() + 1 => self.name.push(*byte),
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => {
                        self.in_string = true;
                        if self.depth == 1 {
                            self.name.clear();
                        }
                    }
                    b'{' | b'[' => {
                        if self.depth == 1 && self.base == 2 && *byte == b'[' && self.name == b"items" {
                            self.in_items = true;
                            self.rest.push(b'[');
                        }
                        self.depth += 1;
                    }
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.in_items && self.depth < self.base {
                            self.in_items = false;
                        }
                    }
                    _ => {}
                }
            }
            let begins = self.in_items && !was_text && *byte == b'{' && self.depth == self.base + 1;
            if in_piece || begins {
                self.piece.push(*byte);
                if self.piece.len() > OBJECT_MAX {
                    return Err(TooLong);
                }
                if self.depth == self.base {
                    each(&self.piece);
                    self.piece.clear();
                }
            } else if !self.in_items {
                self.rest.push(*byte);
                if self.rest.len() > REST_MAX {
                    return Err(TooLong);
                }
            }
        }
        Ok(())
    }

    /// What is around the items of a list: an object with an empty `items`.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(mut pieces: Pieces, text: &str, by: usize) -> (Vec<String>, String) {
        let mut found = Vec::new();
        for chunk in text.as_bytes().chunks(by) {
            pieces.feed(chunk, |piece| found.push(String::from_utf8(piece.to_vec()).unwrap())).unwrap();
        }
        (found, String::from_utf8(pieces.rest().to_vec()).unwrap())
    }

    #[test]
    fn a_list_is_cut_into_its_items_wherever_the_bytes_are_cut() {
        let list = r#"{"kind":"L","x":{"items":[{"no":1}]},"s":"items\"[{","items":[{"a":"}]\\"}, {"b":[{"c":{}}]}],"metadata":{"resourceVersion":"7"}}"#;
        for by in 1..list.len() {
            let (found, rest) = cut(Pieces::of_list(), list, by);
            assert_eq!(found, [r#"{"a":"}]\\"}"#, r#"{"b":[{"c":{}}]}"#], "by {by}");
            assert!(rest.ends_with(r#""items":[],"metadata":{"resourceVersion":"7"}}"#), "{rest}");
        }
    }

    #[test]
    fn a_watch_is_cut_into_its_events() {
        let events = "{\"type\":\"A\",\"object\":{\"x\":\"{\"}}\n{\"type\":\"B\"}\n{\"cut";
        for by in 1..events.len() {
            let (found, _) = cut(Pieces::of_watch(), events, by);
            assert_eq!(found, ["{\"type\":\"A\",\"object\":{\"x\":\"{\"}}", "{\"type\":\"B\"}"], "by {by}");
        }
    }

    #[test]
    fn what_is_too_long_is_an_error() {
        let mut pieces = Pieces::of_watch();
        let chunk = vec![b' '; 1024 * 1024];
        pieces.feed(b"{", |_| {}).unwrap();
        pieces.feed(&chunk, |_| {}).unwrap();
        pieces.feed(&chunk, |_| {}).unwrap();
        assert_eq!(pieces.feed(&chunk, |_| {}), Err(TooLong));
        assert_eq!(Pieces::of_list().feed(&chunk, |_| {}), Err(TooLong));
    }
}
