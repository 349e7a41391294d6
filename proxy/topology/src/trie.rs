//! Patterns of one realm as a tree: matching a path costs its segments, not the number of patterns.
//!
//! Where only one pattern goes on below a literal there is no node for it: it lies there as a leaf, and is asked itself.

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::Arc;

use fairlead_canon::{Part, Path, Pattern};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

/// What lies in a [`Trie`].
pub trait Patterned {
    /// What it takes. Without one it cannot be put in.
    fn pattern(&self) -> Option<&Pattern>;
}

/// A multimap from patterns to values, which know theirs.
#[derive(Debug)]
pub struct Trie<T> {
    nodes: Vec<Node<T>>,
    free: Vec<Child>,
    hasher: RandomState,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    literals: HashTable<Branch<T>>,
    one: Option<Child>,
    many: Option<Child>,
    /// Reached through `Many`: any further segment leads here again.
    loops: bool,
    /// Reached behind `Many`, after any number of segments. A leaf here would be found more than once.
    roams: bool,
    /// Most patterns lead to one place and never to more.
    values: SmallVec<[T; 1]>,
}

/// A node that is not the root.
type Child = NonZeroU32;

/// Where a literal leads.
#[derive(Debug)]
enum Branch<T> {
    /// To the only value below, wherever that may be.
    Leaf(T),
    Node(Box<(Box<[u8]>, Child)>),
}

/// What there is for a part of a pattern.
enum Step {
    Nothing,
    Leaf,
    Node(Child),
}

type Active = SmallVec<[u32; 16]>;

const ROOT: u32 = 0;

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(false, false)],
            free: Vec::new(),
            hasher: RandomState::default(),
            len: 0,
        }
    }
}

impl<T> Node<T> {
    fn new(loops: bool, roams: bool) -> Self {
        Self {
            literals: HashTable::new(),
            one: None,
            many: None,
            loops,
            roams,
            values: SmallVec::new(),
        }
    }

    fn is_bare(&self) -> bool {
        self.values.is_empty()
            && self.literals.is_empty()
            && self.one.is_none()
            && self.many.is_none()
    }
}

impl<T: Patterned> Branch<T> {
    /// The literal of that depth by which it is reached.
    fn segment(&self, depth: usize) -> &[u8] {
        match self {
            Self::Leaf(value) => literal_of(value, depth),
            Self::Node(named) => &named.0,
        }
    }
}

/// A part of the pattern of a value that lies behind a literal there.
fn literal_of<T: Patterned>(value: &T, depth: usize) -> &[u8] {
    match value.pattern().and_then(|pattern| pattern.parts.get(depth)) {
        Some(Part::Literal(segment)) => segment,
        Some(Part::One | Part::Many) | None => &[],
    }
}

impl<T: Patterned + PartialEq> Trie<T> {
    /// Adds a value under its pattern.
    pub fn insert(&mut self, value: T) {
        if value.pattern().is_some() {
            self.place(value, ROOT, 0);
            self.len += 1;
        }
    }

    /// Removes one value; whether it was there.
    pub fn remove(&mut self, value: &T) -> bool {
        let Some(pattern) = value.pattern() else {
            return false;
        };
        let mut way: SmallVec<[u32; 16]> = SmallVec::new();
        let mut at = ROOT;
        let mut is_removed = false;
        for (depth, part) in pattern.parts.iter().enumerate() {
            match self.step(at, depth, part) {
                Step::Node(child) => {
                    way.push(at);
                    at = child.get();
                }
                Step::Leaf => {
                    let leaf = self.take_leaf(at, depth, part, |held| held == value);
                    is_removed = leaf.is_some();
                    break;
                }
                Step::Nothing => return false,
            }
        }
        // A leaf ends the way before the parts do.
        if !is_removed && way.len() == pattern.parts.len() {
            is_removed = self.take_value(at, value);
        }
        if is_removed {
            self.len -= 1;
            self.prune(at, &way, &pattern.parts);
        }
        is_removed
    }

    /// Puts a value where its pattern leads from a node of that depth.
    fn place(&mut self, value: T, mut at: u32, from: usize) {
        let parts = value.pattern().map(|pattern| Arc::clone(&pattern.parts));
        for (depth, part) in parts
            .iter()
            .flat_map(|parts| parts.iter())
            .enumerate()
            .skip(from)
        {
            at = match self.step(at, depth, part) {
                Step::Node(child) => child.get(),
                Step::Nothing if self.may_end(at, part) => {
                    return self.put_branch(at, depth, Branch::Leaf(value));
                }
                Step::Nothing => self.grow(at, depth, part).get(),
                Step::Leaf => self.split(at, depth, part),
            };
        }
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.values.push(value);
        }
    }

    /// Whether a value may lie below this part as a leaf.
    fn may_end(&self, at: u32, part: &Part) -> bool {
        matches!(part, Part::Literal(_)) && self.node(at).is_some_and(|node| !node.roams)
    }

    /// Makes a node where a leaf is, and puts that below it.
    fn split(&mut self, at: u32, depth: usize, part: &Part) -> u32 {
        let leaf = self.take_leaf(at, depth, part, |_| true);
        let child = self.grow(at, depth, part).get();
        if let Some(leaf) = leaf {
            self.place(leaf, child, depth + 1);
        }
        child
    }

    fn take_leaf(
        &mut self,
        at: u32,
        depth: usize,
        part: &Part,
        is_meant: impl Fn(&T) -> bool,
    ) -> Option<T> {
        match self.take_branch(at, depth, part, |branch| match branch {
            Branch::Leaf(value) => is_meant(value),
            Branch::Node(_) => false,
        }) {
            Some(Branch::Leaf(value)) => Some(value),
            Some(Branch::Node(_)) | None => None,
        }
    }

    fn take_value(&mut self, at: u32, value: &T) -> bool {
        let Some(node) = self.nodes.get_mut(at as usize) else {
            return false;
        };
        let place = node.values.iter().position(|held| held == value);
        place.map(|place| node.values.swap_remove(place)).is_some()
    }

    /// Gives bare nodes back, from the end of the way to its beginning.
    fn prune(&mut self, mut at: u32, way: &[u32], parts: &[Part]) {
        for (depth, (parent, part)) in way.iter().zip(parts).enumerate().rev() {
            if !self.node(at).is_some_and(Node::is_bare) {
                return;
            }
            match part {
                Part::Literal(_) => drop(self.take_branch(*parent, depth, part, |_| true)),
                Part::One => self.change(*parent, |node| node.one = None),
                Part::Many => self.change(*parent, |node| node.many = None),
            }
            self.free.extend(Child::new(at));
            at = *parent;
        }
    }

    fn grow(&mut self, parent: u32, depth: usize, part: &Part) -> Child {
        let loops = *part == Part::Many;
        let roams = loops || self.node(parent).is_some_and(|node| node.roams);
        let fresh = Node::new(loops, roams);
        let id = match self.free.pop() {
            Some(id) => {
                self.change(id.get(), |node| *node = fresh);
                id
            }
            None => {
                // The root is there before any other.
                let id = u32::try_from(self.nodes.len()).ok().and_then(Child::new);
                self.nodes.push(fresh);
                id.unwrap_or(Child::MAX)
            }
        };
        match part {
            Part::Literal(segment) => {
                let branch = Branch::Node(Box::new((segment.clone(), id)));
                self.put_branch(parent, depth, branch);
            }
            Part::One => self.change(parent, |node| node.one = Some(id)),
            Part::Many => self.change(parent, |node| node.many = Some(id)),
        }
        id
    }

    fn put_branch(&mut self, at: u32, depth: usize, branch: Branch<T>) {
        let hasher = &self.hasher;
        let hash = |branch: &Branch<T>| hasher.hash_one(branch.segment(depth));
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.literals.insert_unique(hash(&branch), branch, hash);
        }
    }

    fn take_branch(
        &mut self,
        at: u32,
        depth: usize,
        part: &Part,
        is_meant: impl Fn(&Branch<T>) -> bool,
    ) -> Option<Branch<T>> {
        let Part::Literal(segment) = part else {
            return None;
        };
        let hash = self.hasher.hash_one(&**segment);
        let is_it = |held: &Branch<T>| *held.segment(depth) == **segment && is_meant(held);
        let node = self.nodes.get_mut(at as usize)?;
        let held = node.literals.find_entry(hash, is_it).ok()?;
        Some(held.remove().0)
    }

    fn change(&mut self, at: u32, change: impl FnOnce(&mut Node<T>)) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            change(node);
        }
    }

    fn step(&self, at: u32, depth: usize, part: &Part) -> Step {
        let Some(node) = self.node(at) else {
            return Step::Nothing;
        };
        let child = match part {
            Part::Literal(segment) => {
                let hash = self.hasher.hash_one(&**segment);
                let is_it = |held: &Branch<T>| *held.segment(depth) == **segment;
                match node.literals.find(hash, is_it) {
                    Some(Branch::Leaf(_)) => return Step::Leaf,
                    Some(Branch::Node(named)) => Some(named.1),
                    None => None,
                }
            }
            Part::One => node.one,
            Part::Many => node.many,
        };
        child.map_or(Step::Nothing, Step::Node)
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

    /// Every value, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().flat_map(|node| {
            let leaves = node.literals.iter().filter_map(|branch| match branch {
                Branch::Leaf(value) => Some(value),
                Branch::Node(_) => None,
            });
            node.values.iter().chain(leaves)
        })
    }

    fn node(&self, id: u32) -> Option<&Node<T>> {
        self.nodes.get(id as usize)
    }
}

impl<T: Patterned> Trie<T> {
    /// Shows every value whose pattern matches `path`, each once. Costs at most
    /// segments × nodes that are alive at a segment, however many wildcards there are, and the
    /// patterns of the leaves among them.
    pub fn matches<'a>(&'a self, path: &Path, mut visit: impl FnMut(&'a T)) {
        let mut active = Active::new();
        self.enter(&mut active, ROOT);
        for (depth, segment) in path.segments().enumerate() {
            let hash = self.hasher.hash_one(segment);
            let mut next = Active::new();
            for id in active {
                let Some(node) = self.node(id) else { continue };
                if node.loops {
                    self.enter(&mut next, id);
                }
                let is_it = |held: &Branch<T>| held.segment(depth) == segment;
                match node.literals.find(hash, is_it) {
                    Some(Branch::Node(named)) => self.enter(&mut next, named.1.get()),
                    Some(Branch::Leaf(value)) if takes(value, path) => visit(value),
                    Some(Branch::Leaf(_)) | None => {}
                }
                if let Some(child) = node.one {
                    self.enter(&mut next, child.get());
                }
            }
            if next.is_empty() {
                return;
            }
            active = next;
        }
        active
            .iter()
            .filter_map(|id| self.node(*id))
            .flat_map(|node| &node.values)
            .filter(|value| value.pattern().is_some_and(|pattern| !pattern.hides(path)))
            .for_each(visit);
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
}

fn takes<T: Patterned>(value: &T, path: &Path) -> bool {
    value.pattern().is_some_and(|pattern| pattern.matches(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_canon::RealmId;
    use proptest::prelude::*;

    #[derive(PartialEq)]
    struct Told(usize, Pattern);

    impl Patterned for Told {
        fn pattern(&self) -> Option<&Pattern> {
            Some(&self.1)
        }
    }

    fn told(number: usize, parts: &[Part], hides_dollar: bool) -> Told {
        let pattern = Pattern {
            realm: RealmId::SHARED,
            parts: parts.into(),
            hides_dollar,
        };
        Told(number, pattern)
    }

    fn literal(segment: &'static str) -> Part {
        Part::Literal(segment.as_bytes().into())
    }

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof![
            3 => prop::sample::select(vec!["a", "b", "", "$s"]).prop_map(literal),
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
            let all = || patterns.iter().enumerate().map(|(id, (parts, hides))| told(id, parts, *hides));
            all().for_each(|one| trie.insert(one));
            for one in all().filter(|one| removed[one.0]) {
                prop_assert!(trie.remove(&one));
                prop_assert!(!trie.remove(&one));
            }
            prop_assert_eq!(trie.iter().count(), trie.len());
            let mut found = Vec::new();
            trie.matches(&path, |one| found.push(one.0));
            found.sort_unstable();
            let expected: Vec<usize> = all().filter(|one| !removed[one.0] && one.1.matches(&path)).map(|one| one.0).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn gives_back_what_it_no_longer_needs() {
        let mut trie = Trie::default();
        let of = |first| told(1, &[literal("a"), literal(first), Part::One], false);
        for _ in 0..3 {
            trie.insert(of("b"));
            trie.insert(of("c"));
            assert!(trie.remove(&of("b")) && trie.remove(&of("c")));
        }
        assert!(trie.is_empty());
        assert_eq!(trie.nodes.len(), 2, "one and the root serve all rounds");
    }

    #[test]
    fn a_pattern_that_goes_its_own_way_takes_no_node() {
        let mut trie = Trie::default();
        for own in ["b", "c", "d", "e"] {
            let parts = [
                literal("a"),
                literal(own),
                Part::One,
                literal("f"),
                Part::Many,
            ];
            trie.insert(told(1, &parts, false));
        }
        assert_eq!(trie.nodes.len(), 2, "the root and what is common");
    }
}
