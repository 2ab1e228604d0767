//! One object of the API as a small tree: serde's visitor keeps the parts that readiness needs and drops the rest as it reads.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The longest text that is kept of an object, in bytes. Names have at most 253, and messages are shortened anyway.
const TEXT_MAX: usize = 1024;

/// A value of JSON or YAML.
///
/// It takes any type at any place: an object of a CustomResourceDefinition may have a text where a Deployment has a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

const NULL: &Node = &Node::Null;

impl Node {
    /// Reads one object. `None`: it is not JSON.
    pub(super) fn of_object(json: &[u8]) -> Option<Self> {
        Self::read(json, Part::Object)
    }

    /// Reads the whole document.
    pub(super) fn of_document(json: &[u8]) -> Option<Self> {
        Self::read(json, Part::All)
    }

    /// Reads one event of a watch: its type, and the parts of its object.
    pub(super) fn of_event(json: &[u8]) -> Option<Self> {
        Self::read(json, Part::Event)
    }

    fn read(json: &[u8], part: Part) -> Option<Self> {
        part.deserialize(&mut serde_json::Deserializer::from_slice(json)).ok()
    }

    /// The member `name`, or null.
    pub(super) fn get(&self, name: &str) -> &Self {
        match self {
            Self::Map(members) => members.iter().find(|(known, _)| known == name).map_or(NULL, |(_, node)| node),
            _ => NULL,
        }
    }

    /// The member at the end of `path`, or null.
    pub(super) fn at(&self, path: &[&str]) -> &Self {
        path.iter().fold(self, |node, name| node.get(name))
    }

    /// The text, or an empty one.
    pub(super) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The whole number, if it is one.
    pub(super) fn number(&self) -> Option<i64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The number, or zero: the API leaves zeros out.
    pub(super) fn count(&self) -> i64 {
        self.number().unwrap_or(0)
    }

    pub(super) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// The items of a list, or none.
    pub(super) fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }
}

/// Which members of a map are kept.
#[derive(Clone, Copy, Debug)]
enum Part {
    All,
    Event,
    Object,
    Metadata,
    Spec,
    /// As `All`, with texts of a bounded length.
    Inside,
}

impl Part {
    /// How the member `name` is read. `None`: it is dropped.
    fn below(self, name: &str) -> Option<Self> {
        match (self, name) {
            (Self::All, _) => Some(Self::All),
            (Self::Event, "object") => Some(Self::Object),
            (Self::Object, "metadata") => Some(Self::Metadata),
            (Self::Object, "spec") => Some(Self::Spec),
            // Those of a Status are here too (API conventions, "Response Status Kind").
            (Self::Inside, _)
            | (Self::Event, "type")
            | (Self::Object, "kind" | "status" | "endpoints" | "message" | "reason" | "details" | "code")
            | (
                Self::Metadata,
                "name" | "namespace" | "labels" | "generation" | "resourceVersion" | "deletionTimestamp" | "continue",
            )
            | (Self::Spec, "replicas" | "updateStrategy" | "suspend") => Some(Self::Inside),
            _ => None,
        }
    }

    fn text(self, text: &str) -> Node {
        let end = if matches!(self, Self::All) { text.len() } else { text.floor_char_boundary(TEXT_MAX) };
        Node::Text(text[..end].to_owned())
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::Null, Node::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(self.text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            match self.below(&name) {
                Some(part) => map.push((name, members.next_value_seed(part)?)),
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Node::Map(map))
    }
}
