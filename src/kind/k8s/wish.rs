//! `condition=` and `json=`: what the target expects of an object in place of its resource's own rule.

use anyhow::{Result, bail};

use super::objects::Node;
use super::ready::{self, Judged};
use super::resource::Rule;
use super::why::Why;
use crate::attempt::Attempt;
use crate::kind::content::{self, json};
use crate::kind::expect::{Expectations, Spec};

pub(super) const CONDITION: Spec =
    Spec::value("condition", "TYPE[=STATUS]").says("the object has this condition [STATUS: True]");

/// What the target expects of each object. Empty: the rule of the resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    condition: Option<(String, String)>,
    values: Vec<json::Value>,
}

impl Wish {
    pub(super) fn parse(it: &Expectations) -> Result<Self> {
        let condition = it.get(CONDITION.name).map(|text| {
            let (kind, status) = text.split_once('=').unwrap_or((text, "True"));
            if kind.is_empty() || status.is_empty() {
                bail!(
                    "#condition: the type or the status is missing (expected TYPE or TYPE=STATUS, such as Ready=False)"
                );
            }
            Ok((kind.to_owned(), status.to_owned()))
        });
        let values = it.written(content::JSON.name).map(|(text, written)| json::Value::parse(text, written));
        let values = values.collect::<Result<_>>().map_err(|error| error.context("#json"))?;
        Ok(Self { condition: condition.transpose()?, values })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.condition.is_none() && self.values.is_empty()
    }

    /// Judges an object; `json` is its text. With `json=` alone, an object that is being deleted counts as any other.
    pub(super) fn judge(&self, rule: Rule, object: &Node, json: &[u8], attempt: &Attempt) -> Judged {
        let has = match &self.condition {
            None if self.values.is_empty() => return ready::judge(rule, object),
            None => "has the expected values".to_owned(),
            Some(_) if ready::is_leaving(object) => return Err(Why::new("leaving", "is being deleted")),
            Some((kind, status)) => ready::condition(object, kind, status)?,
        };
        for value in &self.values {
            value.check(json, attempt).map_err(|has| Why::new("json", has))?;
        }
        Ok(has)
    }
}
