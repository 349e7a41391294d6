//! When an entity has to be looked at although nobody asks: as the oldest batch of a log becomes too
//! old, when enough was appended to be compacted, and when a producer was idle for too long.

use fairlead_canon::{Compaction, Kind, Offset, Timestamp};

use super::Content;

/// Between two compactions of a log, in milliseconds.
const COMPACTION_PAUSE_MS: u64 = 15_000;

/// Only of logs that forget by age, or are compacted, and of what has producers.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// As it is known to whoever does it.
    due: Option<Timestamp>,
    /// As the index has it.
    written: Option<Timestamp>,
    clean_at: Option<Timestamp>,
    /// Appended since the last compaction.
    dirty_bytes: u64,
}

/// What is to be done to an entity. A trim also forgets idle producers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) trim: Option<Offset>,
    pub(crate) clean: Option<Compaction>,
}

impl Content {
    fn needs_upkeep(&self) -> bool {
        let forgets = self.spec.retention.age_ms.is_some() || self.spec.compaction.is_some();
        forgets && self.spec.kind == Kind::Log
    }

    fn upkeep(&mut self) -> &mut Upkeep {
        let (source, bytes) = (&self.source, self.bytes);
        self.upkeep.get_or_insert_with(|| {
            let due = source.ground.chores.get(source.entity);
            // What an earlier process compacted is not known.
            Box::new(Upkeep {
                due,
                written: due,
                clean_at: None,
                dirty_bytes: bytes,
            })
        })
    }

    /// A batch of so many bytes was appended.
    pub(super) fn grown(&mut self, bytes: u32) {
        if !self.needs_upkeep() {
            return;
        }
        let (all, is_compacted) = (self.bytes, self.spec.compaction.is_some());
        let now = self.source.ground.now();
        let pause = self.compaction_pause();
        let upkeep = self.upkeep();
        upkeep.dirty_bytes = upkeep.dirty_bytes.saturating_add(u64::from(bytes));
        let is_dirty = is_compacted && upkeep.dirty_bytes >= all / 2;
        let is_new = is_dirty && upkeep.clean_at.is_none();
        if is_new {
            upkeep.clean_at = Some(Timestamp(now.0.saturating_add(pause)));
        }
        if is_new || upkeep.due.is_none() {
            self.reschedule();
        }
    }

    fn compaction_pause(&self) -> u64 {
        let lag = self.spec.compaction.map_or(0, |rules| rules.lag_min_ms);
        COMPACTION_PAUSE_MS.max(lag)
    }

    /// What is at its head or in its settings has changed.
    pub(super) fn reschedule(&mut self) {
        let idle = self.producers.due();
        if !self.needs_upkeep() && self.upkeep.is_none() && idle.is_none() {
            return;
        }
        let age = self.head_due();
        let is_compacted = self.spec.compaction.is_some();
        let upkeep = self.upkeep();
        let clean = upkeep.clean_at.filter(|_| is_compacted);
        let due = age.into_iter().chain(clean).chain(idle).min();
        if due != upkeep.due {
            upkeep.due = due;
            self.source.ground.chores.set(self.source.entity, due);
        }
    }

    /// When the oldest batch is too old. While a transaction is open there, nothing is.
    fn head_due(&mut self) -> Option<Timestamp> {
        let age = self
            .spec
            .retention
            .age_ms
            .filter(|_| self.spec.kind == Kind::Log)?;
        let first = self.batches.next(&self.source, 0)?;
        let open = self.source.first_open().unwrap_or(self.end);
        let due = first.time.0.saturating_add(age).saturating_add(1);
        (first.base < open.0).then_some(Timestamp(due))
    }

    /// It was due: what is to be done now. [`Content::tended`] follows.
    pub(crate) fn task(&mut self, now: Timestamp) -> Task {
        let is_idle = self.producers.due().is_some_and(|due| due <= now);
        let trim = self.outlived(now).or(is_idle.then_some(self.floor));
        let rules = self.spec.compaction.filter(|_| self.needs_upkeep());
        let is_known = self.upkeep.is_some();
        let upkeep = self.upkeep();
        upkeep.due = None;
        // There is a row that says that it is due by now, or was one.
        upkeep.written.get_or_insert(now);
        // An earlier process may have meant compaction.
        let is_due = !is_known || upkeep.clean_at.is_some_and(|at| at <= now);
        let clean = rules.filter(|_| is_due);
        if clean.is_some() {
            upkeep.clean_at = None;
            upkeep.dirty_bytes = 0;
        }
        Task { trim, clean }
    }

    /// It was tended to at `now`; if it was compacted, more can go at `clean_at`.
    pub(crate) fn tended(&mut self, now: Timestamp, clean_at: Option<Timestamp>) {
        let pause = self.compaction_pause();
        if let Some(clean_at) = clean_at {
            let earliest = Timestamp(now.0.saturating_add(pause));
            let upkeep = self.upkeep();
            upkeep.clean_at.get_or_insert(clean_at.max(earliest));
        }
        self.reschedule();
    }

    /// When it is due, if the index has another time or none.
    pub(super) fn capture_upkeep(&mut self) -> Option<Option<Timestamp>> {
        let upkeep = self.upkeep.as_mut()?;
        let is_new = upkeep.written != upkeep.due;
        upkeep.written = upkeep.due;
        is_new.then_some(upkeep.due)
    }
}
