//! Patterns of one realm as a tree: matching a path costs its segments, not the number of patterns.

use std::num::NonZeroU32;

use bytes::Bytes;
use fairlead_canon::{Part, Path};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// A multimap from pattern to values.
#[derive(Debug)]
pub struct Trie<T> {
    nodes: Vec<Node<T>>,
    free: Vec<Child>,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    literals: Literals,
    one: Option<Child>,
    many: Option<Child>,
    /// Reached through `Many`: any further segment leads here again.
    loops: bool,
    /// Most patterns lead to one place and never to more.
    values: SmallVec<[Held<T>; 1]>,
}

/// A node that is not the root.
type Child = NonZeroU32;

/// The children of a node that are reached by a literal. Most nodes have one at most, for which a map
/// would take room for several.
#[derive(Debug)]
enum Literals {
    None,
    Only(Bytes, Child),
    Several(Box<HashMap<Bytes, Child, RandomState>>),
}

#[derive(Debug)]
struct Held<T> {
    value: T,
    /// Not shown for a first segment that begins with `$`.
    hides_dollar: bool,
}

type Active = SmallVec<[u32; 16]>;

const ROOT: u32 = 0;

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(false)],
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Node<T> {
    fn new(loops: bool) -> Self {
        Self {
            literals: Literals::None,
            one: None,
            many: None,
            loops,
            values: SmallVec::new(),
        }
    }

    fn is_bare(&self) -> bool {
        self.values.is_empty()
            && self.literals.is_empty()
            && self.one.is_none()
            && self.many.is_none()
    }

    fn child(&self, part: &Part) -> Option<Child> {
        match part {
            Part::Literal(segment) => self.literals.get(segment),
            Part::One => self.one,
            Part::Many => self.many,
        }
    }

    fn set_child(&mut self, part: &Part, child: Option<Child>) {
        match (part, child) {
            (Part::Literal(segment), Some(id)) => self.literals.insert(segment.clone(), id),
            (Part::Literal(segment), None) => self.literals.remove(segment),
            (Part::One, _) => self.one = child,
            (Part::Many, _) => self.many = child,
        }
    }
}

impl Literals {
    fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    fn get(&self, segment: &[u8]) -> Option<Child> {
        match self {
            Self::None => None,
            Self::Only(only, child) => (*only == segment).then_some(*child),
            Self::Several(all) => all.get(segment).copied(),
        }
    }

    /// Adds a child whose segment is new.
    fn insert(&mut self, segment: Bytes, child: Child) {
        *self = match std::mem::replace(self, Self::None) {
            Self::None => Self::Only(segment, child),
            Self::Only(other, held) => {
                let all = [(other, held), (segment, child)];
                Self::Several(Box::new(all.into_iter().collect()))
            }
            Self::Several(mut all) => {
                all.insert(segment, child);
                Self::Several(all)
            }
        };
    }

    fn remove(&mut self, segment: &[u8]) {
        match self {
            Self::None => {}
            Self::Only(only, _) if *only == segment => *self = Self::None,
            Self::Only(..) => {}
            Self::Several(all) => {
                all.remove(segment);
                if all.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }
}

impl<T: PartialEq> Trie<T> {
    /// Adds a value under a pattern's parts.
    pub fn insert(&mut self, parts: &[Part], hides_dollar: bool, value: T) {
        let mut at = ROOT;
        for part in parts {
            at = match self.node(at).and_then(|node| node.child(part)) {
                Some(child) => child.get(),
                None => self.grow(at, part).get(),
            };
        }
        let leading_wildcard = matches!(parts.first(), Some(Part::One | Part::Many));
        let held = Held {
            value,
            hides_dollar: hides_dollar && leading_wildcard,
        };
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.values.push(held);
            self.len += 1;
        }
    }

    /// Removes one value under a pattern's parts; whether it was there.
    pub fn remove(&mut self, parts: &[Part], value: &T) -> bool {
        let mut way: SmallVec<[u32; 16]> = SmallVec::new();
        let mut at = ROOT;
        for part in parts {
            way.push(at);
            match self.node(at).and_then(|node| node.child(part)) {
                Some(child) => at = child.get(),
                None => return false,
            }
        }
        let Some(node) = self.nodes.get_mut(at as usize) else {
            return false;
        };
        let Some(index) = node.values.iter().position(|held| held.value == *value) else {
            return false;
        };
        node.values.swap_remove(index);
        self.len -= 1;
        self.prune(at, &way, parts);
        true
    }

    /// Gives bare nodes back, from the end of the way to its beginning.
    fn prune(&mut self, mut at: u32, way: &[u32], parts: &[Part]) {
        for (parent, part) in way.iter().zip(parts).rev() {
            if !self.node(at).is_some_and(Node::is_bare) {
                return;
            }
            if let Some(node) = self.nodes.get_mut(*parent as usize) {
                node.set_child(part, None);
            }
            self.free.extend(Child::new(at));
            at = *parent;
        }
    }

    fn grow(&mut self, parent: u32, part: &Part) -> Child {
        let fresh = Node::new(*part == Part::Many);
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(node) = self.nodes.get_mut(id.get() as usize) {
                    *node = fresh;
                }
                id
            }
            None => {
                // The root is there before any other.
                let id = u32::try_from(self.nodes.len()).ok().and_then(Child::new);
                self.nodes.push(fresh);
                id.unwrap_or(Child::MAX)
            }
        };
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.set_child(part, Some(id));
        }
        id
    }
}

impl<T> Trie<T> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Shows every value whose pattern matches `path`, each once. Costs at most
    /// segments × nodes that are alive at a segment, however many wildcards there are.
    pub fn matches<'a>(&'a self, path: &Path, mut visit: impl FnMut(&'a T)) {
        let mut active = Active::new();
        self.enter(&mut active, ROOT);
        let mut first = None;
        for segment in path.segments() {
            first = first.or(Some(segment));
            let mut next = Active::new();
            for id in active {
                let Some(node) = self.node(id) else { continue };
                if node.loops {
                    self.enter(&mut next, id);
                }
                let literal = node.literals.get(segment);
                for child in [literal, node.one].into_iter().flatten() {
                    self.enter(&mut next, child.get());
                }
            }
            if next.is_empty() {
                return;
            }
            active = next;
        }
        let dollar = first.and_then(<[u8]>::first) == Some(&b'$');
        for held in active
            .iter()
            .filter_map(|id| self.node(*id))
            .flat_map(|node| &node.values)
        {
            if !(dollar && held.hides_dollar) {
                visit(&held.value);
            }
        }
    }

    /// Makes a node alive, and the one that its `Many` reaches with no segment at all.
    fn enter(&self, active: &mut Active, id: u32) {
        let mut at = Some(id);
        while let Some(id) = at {
            if active.contains(&id) {
                return;
            }
            active.push(id);
            at = self.node(id).and_then(|node| node.many).map(Child::get);
        }
    }

    fn node(&self, id: u32) -> Option<&Node<T>> {
        self.nodes.get(id as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_canon::{Pattern, RealmId};
    use proptest::prelude::*;

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof![
            3 => prop::sample::select(vec!["a", "b", "", "$s"]).prop_map(|s| Part::Literal(Bytes::from_static(s.as_bytes()))),
            1 => Just(Part::One),
            1 => Just(Part::Many),
        ]
    }

    proptest! {
        #[test]
        fn finds_what_each_pattern_by_itself_matches(
            patterns in prop::collection::vec((prop::collection::vec(part(), 0..5), any::<bool>()), 0..12),
            removed in prop::collection::vec(any::<bool>(), 12),
            path in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$s"]), 0..6),
        ) {
            let path = Path::from_segments(path).unwrap();
            let mut trie = Trie::default();
            for (id, (parts, hides)) in patterns.iter().enumerate() {
                trie.insert(parts, *hides, id);
            }
            for (id, (parts, _)) in patterns.iter().enumerate() {
                if removed[id] {
                    prop_assert!(trie.remove(parts, &id));
                }
            }
            let mut found = Vec::new();
            trie.matches(&path, |id| found.push(*id));
            found.sort_unstable();
            let expected: Vec<usize> = patterns.iter().enumerate().filter(|(id, (parts, hides))| {
                let pattern = Pattern { realm: RealmId::SHARED, parts: parts.clone().into(), hides_dollar: *hides };
                !removed[*id] && pattern.matches(&path)
            }).map(|(id, _)| id).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn gives_back_what_it_no_longer_needs() {
        let mut trie = Trie::default();
        let parts = [Part::Literal(Bytes::from_static(b"a")), Part::One];
        for _ in 0..3 {
            trie.insert(&parts, false, 1);
            assert!(trie.remove(&parts, &1));
        }
        assert!(trie.is_empty());
        assert_eq!(
            trie.nodes.len(),
            3,
            "two nodes and the root serve all three rounds"
        );
    }
}
