//! Names, as a Pod's application would find them: hosts file, search list, nameservers, both families, aliases.

pub(crate) mod answer;
mod ask;
mod explain;
pub(crate) mod hosts;
pub(crate) mod message;
mod query;
pub(crate) mod resolv_conf;
pub(crate) mod resolver;
#[cfg(test)]
pub(crate) mod scripted_server;
pub(crate) mod search;
