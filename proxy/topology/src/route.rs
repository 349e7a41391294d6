//! From an address to the streams that are bound to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairlead_canon::{Address, Headers, Pattern, RealmId, Value};

use crate::{Binding, Destination, HeaderMatch, Match, Patterned, Rule, Stream, StreamKey, Trie};

/// The streams that an address leads to, each once, in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Stream, and whether *every* way to it passes over its owner's own messages.
    pub streams: Vec<(Arc<Stream>, bool)>,
    /// Whether it also depended on the headers of the message.
    pub by_headers: bool,
}

/// The bindings of one realm, ready for matching.
#[derive(Debug, Default)]
pub struct Router {
    patterns: Trie<Arc<Binding>>,
    everything: Vec<Arc<Binding>>,
    headers: Vec<(HeaderMatch, Arc<Binding>)>,
}

impl Patterned for Arc<Binding> {
    fn pattern(&self) -> Option<&Pattern> {
        match &self.on {
            Match::Pattern(pattern) => Some(pattern),
            Match::Headers(_) => None,
        }
    }
}

/// What routing looks things up in.
pub(crate) trait Atlas {
    fn router(&self, realm: RealmId) -> Option<&Router>;
    fn stream(&self, key: &StreamKey) -> Option<&Arc<Stream>>;
    /// The realm that gets what no binding of this one takes.
    fn alternate(&self, realm: RealmId) -> Option<RealmId>;
}

impl Router {
    /// Adds a binding of a realm with this rule.
    pub fn insert(&mut self, rule: Rule, binding: &Arc<Binding>) {
        let way = Arc::clone(binding);
        match &binding.on {
            Match::Headers(wanted) => self.headers.push((wanted.clone(), way)),
            Match::Pattern(_) if rule == Rule::All => self.everything.push(way),
            Match::Pattern(_) => self.patterns.insert(way),
        }
    }

    /// Removes a binding that was added with this rule.
    pub fn remove(&mut self, rule: Rule, binding: &Arc<Binding>) {
        match &binding.on {
            Match::Headers(_) => {
                remove_first(&mut self.headers, |held| held.1 == *binding);
            }
            Match::Pattern(_) if rule == Rule::All => {
                remove_first(&mut self.everything, |held| held == binding);
            }
            Match::Pattern(_) => {
                self.patterns.remove(binding);
            }
        }
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.everything.is_empty() && self.headers.is_empty()
    }

    /// Every binding, in no particular order.
    pub fn bindings(&self) -> impl Iterator<Item = &Arc<Binding>> {
        let by_headers = self.headers.iter().map(|(_, way)| way);
        self.patterns
            .iter()
            .chain(&self.everything)
            .chain(by_headers)
    }
}

/// Follows bindings from an address; realms lead to realms, each visited once. A realm whose bindings
/// take nothing leads to its alternate.
pub(crate) fn route(atlas: &impl Atlas, address: &Address, headers: &Headers) -> Route {
    let mut found: BTreeMap<&StreamKey, (&Arc<Stream>, bool)> = BTreeMap::new();
    let mut realms = vec![address.realm];
    let mut by_headers = false;
    let mut next = 0;
    while let Some(realm) = realms.get(next).copied() {
        next += 1;
        let Some(router) = atlas.router(realm) else {
            continue;
        };
        by_headers |= !router.headers.is_empty();
        let mut is_taken = false;
        let mut follow = |way: &Arc<Binding>| {
            is_taken = true;
            match &way.to {
                Destination::Realm(to) if !realms.contains(to) => realms.push(*to),
                Destination::Realm(_) => {}
                Destination::Stream(key) => {
                    if let Some(stream) = atlas.stream(key) {
                        let held = found.entry(&stream.key).or_insert((stream, true));
                        held.1 &= way.no_local;
                    }
                }
            }
        };
        router.patterns.matches(&address.path, &mut follow);
        router.everything.iter().for_each(&mut follow);
        let by_header = router
            .headers
            .iter()
            .filter(|(wanted, _)| wanted.matches(headers));
        by_header.for_each(|(_, way)| follow(way));
        if !is_taken
            && let Some(to) = atlas.alternate(realm)
            && !realms.contains(&to)
        {
            realms.push(to);
        }
    }
    let streams = found
        .into_values()
        .map(|(s, no_local)| (Arc::clone(s), no_local))
        .collect();
    Route {
        streams,
        by_headers,
    }
}

impl HeaderMatch {
    /// Whether a message with these headers is wanted. Nothing wanted: `all` matches, `any` does not.
    pub fn matches(&self, headers: &Headers) -> bool {
        let is_there = |wanted: &fairlead_canon::Header| {
            headers.iter().any(|header| {
                header.name == wanted.name
                    && (matches!(wanted.value, Value::Null) || header.value == wanted.value)
            })
        };
        if self.wants_all {
            self.wanted.iter().all(|wanted| is_there(&wanted))
        } else {
            self.wanted.iter().any(|wanted| is_there(&wanted))
        }
    }
}

fn remove_first<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool) {
    if let Some(index) = list.iter().position(is_it) {
        list.swap_remove(index);
    }
}
