//! Frames on their way to the disk: closed, written, synced, and then told of.

use std::time::Duration;

use fairlead_canon::EntityId;

use super::{Flying, Order, Press, Sequencer};
use crate::checkpoint::Checkpoint;
use crate::file_wal::{Flush, Frame};
use crate::limits::SYNC_WITHIN;
use crate::lsn::{at, file_of, position_of};
use crate::mutation::{Mutation, is_on};
use crate::state::{Hidden, Progress};
use crate::waiting::{Receipts, Stages, Unsynced};

impl Sequencer {
    /// What is to be done next, if anything is and nothing is in flight. It is in flight from now on.
    pub(crate) fn order(&mut self, press: Press) -> Option<Order> {
        self.checkpoint();
        if self.is_flying() {
            return None;
        }
        let is_pressed = press != Press::Nothing || self.is_hurried;
        let is_past = |patience: Option<Duration>| patience.is_some_and(|left| left.is_zero());
        if !self.is_empty() && (is_pressed || is_past(self.open.patience())) {
            return Some(self.close());
        }
        let is_pressed = press == Press::All || self.is_hurried;
        let owed = self.unsynced.as_ref();
        let owed = owed.filter(|owed| is_pressed || owed.patience(SYNC_WITHIN).is_zero());
        let is_owed = owed.is_some();
        self.is_hurried = false;
        is_owed.then(|| {
            self.fly(Flush::Now, Stages::default());
            Order {
                frame: None,
                flush: Flush::Now,
            }
        })
    }

    /// Closes the open frame, which is in flight from now on.
    fn close(&mut self) -> Order {
        let open = std::mem::take(&mut self.open);
        let cost = open.records.capacity();
        let frame = Frame {
            lsn: open.lsn,
            wall: open.wall,
            flags: 0,
            units: open.units,
            count: open.count,
            records: open.records.freeze(),
        };
        self.shared
            .tail
            .push(frame.lsn, frame.records.clone(), cost);
        self.file = file_of(frame.lsn);
        self.position = position_of(frame.lsn).saturating_add(frame.padded_len());
        let is_waited_for = |unsynced: &Unsynced| !unsynced.waiting.is_empty();
        let owes = open.owes_sync || self.is_hurried;
        let flush = if owes || self.unsynced.as_ref().is_some_and(is_waited_for) {
            Flush::Now
        } else {
            Flush::Later
        };
        self.is_hurried = false;
        let mut stages = open.stages;
        if is_on(Mutation::AnswerBeforeSync) {
            stages.synced.receipts.give();
        }
        let changes = self.shared.state.changes();
        let desk = &self.shared.desk;
        desk.framed(frame.lsn, frame.padded_len(), changes);
        self.checkpoint();
        self.fly(flush, stages);
        Order {
            frame: Some(frame),
            flush,
        }
    }

    /// Ends a generation where one is wanted: between two frames.
    fn checkpoint(&self) {
        let desk = &self.shared.desk;
        if self.is_empty() && desk.is_wanted() {
            desk.put(Checkpoint::begin(&self.shared.state, desk.last()));
        }
    }

    fn fly(&mut self, flush: Flush, stages: Stages) {
        let end = at(self.file, self.position);
        self.flying = Some(Flying { end, flush, stages });
    }

    /// What was ordered is done. [`Sequencer::settle`] tells those who waited for it.
    pub(crate) fn landed(&mut self) {
        let Some(Flying { end, flush, stages }) = self.flying.take() else {
            return;
        };
        self.done.written.append(stages.written);
        match flush {
            Flush::Later => {
                let unsynced = self.unsynced.get_or_insert_with(Unsynced::begin);
                unsynced.waiting.append(stages.synced);
            }
            Flush::Now => {
                if let Some(unsynced) = self.unsynced.take() {
                    self.done.synced.append(unsynced.waiting);
                }
                self.done.synced.append(stages.synced);
                self.durable = Some(end);
            }
        }
    }

    /// Shows what may be seen of what has landed, and returns the receipts to be given for it.
    pub(crate) fn settle(&mut self) -> Receipts {
        let Stages {
            mut written,
            mut synced,
        } = std::mem::take(&mut self.done);
        self.tell_died(&written.died);
        let hidden = &mut written.hidden;
        let in_turn: Vec<_> = hidden
            .extract_if(.., |hidden| hidden.show_in_turn())
            .collect();
        self.tell_all(&in_turn);
        if !written.hidden.is_empty() {
            // These stand behind something that only a sync shows.
            let unsynced = self.unsynced.get_or_insert_with(Unsynced::begin);
            unsynced.waiting.hidden.append(&mut written.hidden);
        }
        synced.hidden.iter().for_each(Hidden::show);
        self.tell_all(&synced.hidden);
        self.tell_died(&synced.died);
        if let Some(end) = self.durable.take() {
            self.shared.progress.send_replace(Progress::Durable(end));
        }
        synced.receipts.append(written.receipts);
        synced.receipts
    }

    fn tell_died(&self, died: &[EntityId]) {
        if let Some(watcher) = self.shared.watcher.get().filter(|_| !died.is_empty()) {
            watcher.died(died);
        }
    }

    fn tell_all(&self, shown: &[Hidden]) {
        if !shown.is_empty() {
            let shown: Vec<_> = shown.iter().map(|hidden| hidden.appended).collect();
            self.tell(&shown);
        }
    }
}
