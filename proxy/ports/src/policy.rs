//! Rules that say who may do what.

use std::fmt::Debug;

use fairlead_canon::{Address, Pattern, Principal};
use thiserror::Error;

use crate::{ConnInfo, Login};

/// A rule. Synchronous and cheap: asked up to once per message or batch, on the connection's thread.
pub trait Policy: Debug + Send + Sync {
    /// Its word in metric labels and logs.
    fn name(&self) -> &'static str;
    /// Whether `who` may do this. The first `No` of a stack wins, then the first `Part`. Follows from the two
    /// and the directory alone: a `Yes` to a publish is remembered until the directory changes.
    fn admit(&self, who: &Principal, action: &Action<'_>) -> Verdict;
    /// The SASL mechanisms it can check, best first. Only a rule about logins has any.
    fn mechanisms(&self, _: &ConnInfo) -> &'static [&'static str] {
        &[]
    }
    /// Starts a login conversation; `None` when the mechanism is not its own.
    fn login(&self, _: &ConnInfo, _mechanism: &str) -> Option<Box<dyn Login>> {
        None
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// Use the mesh at all.
    Connect(&'a ConnInfo),
    /// Stay connected, after the directory has changed.
    Stay,
    /// Publish to an address.
    Publish(&'a Address),
    /// Read what a pattern matches.
    Subscribe(&'a Pattern),
    /// Be given what comes from an address, because of a pattern of which a part was granted.
    Receive {
        /// What was subscribed to. It matches the address.
        by: &'a Pattern,
        /// Where the message was published.
        from: &'a Address,
    },
    /// Read a named stream.
    Consume(&'a str),
    /// Create, alter or remove the named thing.
    Declare(&'a str),
}

/// The answer of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As far as this rule is concerned.
    Yes,
    /// Some of it, and why not all. Only of a [`Action::Subscribe`] to a pattern with wildcards; whoever goes on
    /// with the part asks about each message, by [`Action::Receive`].
    Part(Denied),
    /// No, and why.
    No(Denied),
}

/// A refusal by a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("denied by {policy}: {why}")]
pub struct Denied {
    /// The rule.
    pub policy: &'static str,
    /// Its reason, in words for a log.
    pub why: &'static str,
}
