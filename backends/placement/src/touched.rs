//! What commits change of entities while these are copied: where to look once more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fairlead_canon::{EntityId, Kind};
use fairlead_ports::{CursorId, Op, Unit};
use parking_lot::Mutex;

/// What was touched of one entity since it was last looked at: at least that.
#[derive(Debug)]
pub(crate) struct Touched {
    kind: Kind,
    /// Offsets that were settled or returned, of each cursor, from the first to the last.
    pub(crate) views: BTreeMap<CursorId, Range<u64>>,
    /// Keys that were cleared, in an entity of latest values.
    pub(crate) cleared: BTreeSet<Bytes>,
}

/// Notes what is touched of the entities on their way, of which there are mostly none.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    is_on: AtomicBool,
    entities: Mutex<BTreeMap<EntityId, Touched>>,
}

impl Touched {
    fn nothing(kind: Kind) -> Self {
        Self {
            kind,
            views: BTreeMap::new(),
            cleared: BTreeSet::new(),
        }
    }

    fn settle(&mut self, cursor: CursorId, range: &Range<u64>) {
        // What is dead in a queue is a part of its only view.
        let cursor = match self.kind {
            Kind::Queue => CursorId::default(),
            Kind::Log | Kind::Latest => cursor,
        };
        let view = self.views.entry(cursor).or_insert_with(|| range.clone());
        *view = view.start.min(range.start)..view.end.max(range.end);
    }
}

impl Notes {
    /// Begins with these, and forgets others.
    pub(crate) fn begin(&self, entities: impl Iterator<Item = (EntityId, Kind)>) {
        let nothing = |(entity, kind)| (entity, Touched::nothing(kind));
        *self.entities.lock() = entities.map(nothing).collect();
        self.is_on.store(true, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.is_on.store(false, Ordering::Release);
        self.entities.lock().clear();
    }

    /// Whether it is on its way.
    pub(crate) fn has(&self, entity: EntityId) -> bool {
        self.is_on.load(Ordering::Acquire) && self.entities.lock().contains_key(&entity)
    }

    /// Looks at units before they are handed over.
    pub(crate) fn note(&self, units: &[Unit]) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        let mut entities = self.entities.lock();
        for op in units.iter().flat_map(|unit| &unit.ops) {
            note(&mut entities, op);
        }
    }

    /// What was touched of an entity, which begins anew. To be called while no commit passes.
    pub(crate) fn take(&self, entity: EntityId, kind: Kind) -> Touched {
        let fresh = Touched::nothing(kind);
        let mut entities = self.entities.lock();
        entities
            .insert(entity, fresh)
            .unwrap_or(Touched::nothing(kind))
    }
}

fn note(entities: &mut BTreeMap<EntityId, Touched>, op: &Op) {
    match op {
        Op::Settle {
            entity,
            cursor,
            ranges,
            ..
        } => {
            if let Some(touched) = entities.get_mut(entity) {
                let ranges = ranges.iter().filter(|range| !range.is_empty());
                ranges.for_each(|range| touched.settle(*cursor, range));
            }
        }
        Op::Append { to, batch } => {
            for target in to {
                if let Some(touched) = entities.get_mut(&target.entity)
                    && touched.kind == Kind::Latest
                {
                    let cleared = batch.keys.iter().filter(|key| !key.has_value);
                    touched
                        .cleared
                        .extend(cleared.filter_map(|key| key.key.clone()));
                }
            }
        }
        // Bounds, and what is remembered of writers, are looked at as a whole in the end.
        Op::Create { .. }
        | Op::Alter { .. }
        | Op::Delete { .. }
        | Op::Trim { .. }
        | Op::Mark { .. }
        | Op::Restore { .. }
        | Op::EndTxn { .. }
        | Op::Expect { .. }
        | Op::Put { .. } => {}
    }
}
