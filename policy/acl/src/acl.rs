//! The rule: grants decide, from the first one on.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Pattern, Principal};
use fairlead_ports::{Action, Denied, Directory, Policy, Verdict};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::grants::{Grants, Says};
use crate::weighing::{Weighing, Weight};

/// The name space of the directory in which grants are kept, one document under each user's name.
pub const NAMESPACE: &str = "grants";

/// The name under which everybody's grants are.
pub const EVERYBODY: &str = "*";

/// Grants remembered in their compiled form; beyond it all are read anew.
const REMEMBERED_MAX: usize = 4096;

/// Lets through what grants allow.
#[derive(Debug)]
pub struct Acl {
    directory: Arc<dyn Directory>,
    /// By user, with the document that they were read from.
    compiled: RwLock<HashMap<Bytes, Compiled, RandomState>>,
}

#[derive(Clone, Debug)]
struct Compiled {
    document: Bytes,
    /// `None`: the document is damaged, and grants nothing.
    grants: Option<Arc<Grants>>,
}

impl Acl {
    /// The rule over these grants.
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        let compiled = RwLock::default();
        Self {
            directory,
            compiled,
        }
    }

    /// The grants of the user's token, then his own, then everybody's; `None` while nothing is granted to anybody.
    fn asked(&self, who: &Principal) -> Option<impl Iterator<Item = Arc<Grants>>> {
        let of_token = who.token().and_then(|token| token.grants.as_ref());
        if of_token.is_none() && self.directory.is_empty(NAMESPACE) {
            return None;
        }
        // Remembered under itself: one user may show several.
        let shown = of_token.and_then(|document| self.compiled(document, document.clone()));
        let names = [who.name.as_bytes(), EVERYBODY.as_bytes()];
        let kept = names.into_iter().filter_map(|name| self.grants_of(name));
        Some(shown.into_iter().chain(kept))
    }

    /// What the first rule says that speaks of an address.
    fn decide(&self, who: &Principal, judge: impl Fn(&Grants) -> Option<Says>) -> Verdict {
        let Some(mut asked) = self.asked(who) else {
            return Verdict::Yes;
        };
        match asked.find_map(|grants| judge(&grants)) {
            Some(Says::Yes) => Verdict::Yes,
            Some(Says::No) | None => Verdict::No(denied("no grant allows it")),
        }
    }

    /// What all rules say of the addresses that a filter matches.
    fn weigh(&self, who: &Principal, filter: &Pattern) -> Verdict {
        let Some(mut asked) = self.asked(who) else {
            return Verdict::Yes;
        };
        let mut weighing = Weighing::of(filter);
        if !asked.any(|grants| grants.weigh(who, &mut weighing)) {
            weighing.silence();
        }
        match weighing.weight() {
            Weight::All => Verdict::Yes,
            Weight::Part => Verdict::Part(denied("grants allow a part of it")),
            Weight::Nothing => Verdict::No(denied("no grant allows any of it")),
        }
    }

    fn grants_of(&self, name: &[u8]) -> Option<Arc<Grants>> {
        self.compiled(name, self.directory.get(NAMESPACE, name)?)
    }

    /// Remembered under a name: the last document that was read for it.
    fn compiled(&self, name: &[u8], document: Bytes) -> Option<Arc<Grants>> {
        if let Some(known) = self.compiled.read().get(name)
            && known.document == document
        {
            return known.grants.clone();
        }
        let grants = Grants::from_json(&document).ok().map(Arc::new);
        let mut compiled = self.compiled.write();
        if compiled.len() >= REMEMBERED_MAX {
            compiled.clear();
        }
        let known = Compiled {
            document,
            grants: grants.clone(),
        };
        compiled.insert(Bytes::copy_from_slice(name), known);
        grants
    }
}

fn denied(why: &'static str) -> Denied {
    Denied { policy: "acl", why }
}

impl Policy for Acl {
    fn name(&self) -> &'static str {
        "acl"
    }

    fn admit(&self, who: &Principal, action: &Action<'_>) -> Verdict {
        match action {
            Action::Publish(to) => self.decide(who, |grants| grants.judge_publish(who, to)),
            Action::Subscribe(filter) => self.weigh(who, filter),
            Action::Receive { by, from } => {
                self.decide(who, |grants| grants.judge_receive(who, by, from))
            }
            Action::Connect(_) | Action::Stay | Action::Consume(_) | Action::Declare(_) => {
                Verdict::Yes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fairlead_canon::{Address, Part, Path, Proof, RealmId, Text, Token};
    use parking_lot::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Papers(Mutex<BTreeMap<Vec<u8>, Bytes>>);

    impl Papers {
        fn put(&self, name: &str, document: &'static str) {
            let document = Bytes::from_static(document.as_bytes());
            self.0.lock().insert(name.as_bytes().to_vec(), document);
        }
    }

    impl Directory for Papers {
        fn get(&self, namespace: &str, key: &[u8]) -> Option<Bytes> {
            assert_eq!(namespace, NAMESPACE);
            self.0.lock().get(key).cloned()
        }
        fn is_empty(&self, _: &str) -> bool {
            self.0.lock().is_empty()
        }
    }

    #[test]
    fn everything_is_allowed_until_the_first_grant_and_then_only_what_is_granted() {
        let papers = Arc::new(Papers::default());
        let acl = Acl::new(Arc::clone(&papers) as Arc<dyn Directory>);
        let ada = Principal {
            name: Text::from_static("ada"),
            ..Principal::anonymous()
        };
        let path = Path::from_segments([b"a".as_slice()]).unwrap();
        let address = Address::new(RealmId::SHARED, path);
        let may = || acl.admit(&ada, &Action::Publish(&address)) == Verdict::Yes;
        assert!(may());
        papers.put("bob", r##"{"rules":[{"allow":"both","at":"#"}]}"##);
        assert!(!may());
        papers.put("*", r##"{"rules":[{"allow":"both","at":"#"}]}"##);
        assert!(may());
        papers.put("ada", r#"{"rules":[{"deny":"publish","at":"a"}]}"#);
        assert!(!may(), "her own go before everybody's");
        papers.put("ada", r#"{"rules":[{"allow":"publish","at":"a"}]}"#);
        assert!(may(), "a change counts at once");
        papers.put("ada", "damaged");
        papers.put("*", "damaged");
        assert!(!may());
        assert_eq!(acl.admit(&ada, &Action::Declare("q")), Verdict::Yes);
    }

    #[test]
    fn a_filter_is_weighed_over_all_grants_that_are_asked() {
        let papers = Arc::new(Papers::default());
        let acl = Acl::new(Arc::clone(&papers) as Arc<dyn Directory>);
        let ada = Principal {
            name: Text::from_static("ada"),
            ..Principal::anonymous()
        };
        let all = Pattern {
            realm: RealmId::SHARED,
            parts: [Part::Many].into(),
            hides_dollar: true,
        };
        let subscribe = || match acl.admit(&ada, &Action::Subscribe(&all)) {
            Verdict::Yes => "all",
            Verdict::Part(_) => "a part",
            Verdict::No(_) => "nothing",
        };
        let receive = |from: &'static str| {
            let path = Path::from_segments([from]).unwrap();
            let from = &Address::new(RealmId::SHARED, path);
            acl.admit(&ada, &Action::Receive { by: &all, from }) == Verdict::Yes
        };
        assert!(subscribe() == "all" && receive("a"));
        papers.put("bob", r##"{"rules":[{"allow":"both","at":"#"}]}"##);
        assert!(subscribe() == "nothing" && !receive("a"));
        papers.put("ada", r#"{"rules":[{"deny":"both","at":"a"}]}"#);
        assert_eq!(subscribe(), "nothing");
        papers.put("*", r##"{"rules":[{"allow":"subscribe","at":"#"}]}"##);
        assert!(subscribe() == "a part" && receive("b") && !receive("a"));
        papers.put("ada", r#"{"rules":[{"deny":"publish","at":"a"}]}"#);
        assert!(subscribe() == "all" && receive("a"));
    }

    #[test]
    fn the_grants_of_a_token_go_before_those_that_are_kept_and_alone_they_are_all() {
        let papers = Arc::new(Papers::default());
        let acl = Acl::new(Arc::clone(&papers) as Arc<dyn Directory>);
        let ada = |grants: &'static str| {
            let token = Token {
                grants: Some(Bytes::from_static(grants.as_bytes())),
                ..Token::default()
            };
            Principal {
                proof: Proof::Token(Arc::new(token)),
                name: Text::from_static("ada"),
                ..Principal::anonymous()
            }
        };
        let may = |who: &Principal, to: &'static str| {
            let path = Path::from_segments([to]).unwrap();
            let address = Address::new(RealmId::SHARED, path);
            acl.admit(who, &Action::Publish(&address)) == Verdict::Yes
        };
        let one = ada(r#"{"rules":[{"allow":"publish","at":"a"},{"deny":"both","at":"c"}]}"#);
        let other = ada(r#"{"rules":[{"allow":"publish","at":"b"}]}"#);
        assert!(may(&one, "a") && !may(&one, "b") && !may(&other, "a") && may(&other, "b"));
        papers.put("ada", r##"{"rules":[{"allow":"publish","at":"#"}]}"##);
        assert!(may(&one, "b") && !may(&one, "c") && may(&other, "c"));
    }
}
