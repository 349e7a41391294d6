//! Frames on their way to the disk: closed, written, synced, and then told of.

use std::time::Duration;

use super::{Flying, Open, Order, Press, Sequencer};
use fairlead_canon::EntityId;
use tokio::time::Instant;

use crate::buffer::Records;
use crate::checkpoint::Checkpoint;
use crate::file_wal::{Flush, Frame};
use crate::limits::{FRAME_BYTES_KEPT, SYNC_WITHIN};
use crate::lsn::{at, file_of, position_of};
use crate::mutation::{Mutation, is_on};
use crate::state::{Hidden, Progress};
use crate::waiting::{Stages, Unsynced};

impl Sequencer {
    /// What is to be done next, if anything is and nothing is in flight. It is in flight from now on.
    pub(crate) fn order(&mut self, press: Press) -> Option<Order> {
        self.checkpoint();
        if self.is_flying() {
            return None;
        }
        let is_pressed = press != Press::Nothing || self.is_hurried;
        let is_past = |patience: Option<Duration>| patience.is_some_and(|left| left.is_zero());
        if !self.is_empty() && (is_pressed || is_past(self.open.patience(&self.herd))) {
            return Some(self.close());
        }
        let is_pressed = press == Press::All || self.is_hurried;
        let owed = self.unsynced.as_ref();
        let owed = owed.filter(|owed| is_pressed || owed.patience(SYNC_WITHIN).is_zero());
        let is_owed = owed.is_some();
        self.is_hurried = false;
        is_owed.then(|| {
            self.fly(None, Flush::Now, Stages::default());
            Order {
                frame: None,
                flush: Flush::Now,
            }
        })
    }

    /// Closes the open frame, which is in flight from now on.
    fn close(&mut self) -> Order {
        let open = std::mem::take(&mut self.open);
        let frame = Frame {
            lsn: open.lsn,
            wall: open.wall,
            flags: 0,
            units: open.units,
            count: open.count,
            records: self.buffers.close(open.records),
        };
        if open.is_readable {
            let records = frame.records.clone();
            if let Some(oldest) = self.shared.tail.push(frame.lsn, records) {
                self.buffers.give_back(oldest);
            }
        }
        self.open = self.next_open(frame.records.len());
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
            stages.synced.receipts.give(None);
        }
        let changes = self.shared.state.changes();
        let desk = &self.shared.desk;
        desk.framed(frame.lsn, frame.padded_len(), changes);
        self.checkpoint();
        self.fly(Some(frame.records.clone()), flush, stages);
        Order {
            frame: Some(frame),
            flush,
        }
    }

    /// An open frame with as much room as the one before it took, if that is not exceptional.
    fn next_open(&mut self, len: usize) -> Open {
        Open {
            records: self.buffers.open(len, FRAME_BYTES_KEPT),
            stages: std::mem::take(&mut self.spare),
            ..Open::default()
        }
    }

    /// Ends a generation where one is wanted: between two frames.
    fn checkpoint(&self) {
        let desk = &self.shared.desk;
        if self.is_empty() && desk.is_wanted() {
            desk.put(Checkpoint::begin(&self.shared.state, desk.last()));
        }
    }

    fn fly(&mut self, records: Option<Records>, flush: Flush, stages: Stages) {
        self.herd.flown(stages.callers());
        let end = at(self.file, self.position);
        self.flying = Some(Flying {
            records,
            end,
            flush,
            stages,
        });
    }

    /// What was ordered is done, while so many callers are in line who will wait for a frame. [`Sequencer::settle`] tells those who waited for it.
    pub(crate) fn landed(&mut self, in_line: usize) {
        let Some(Flying {
            records,
            end,
            flush,
            mut stages,
        }) = self.flying.take()
        else {
            return;
        };
        let callers = (stages.callers(), self.open.stages.callers() + in_line);
        self.herd.landed(callers, Instant::now());
        if let Some(records) = records {
            self.buffers.give_back(records);
        }
        self.done.written.append(&mut stages.written);
        match flush {
            Flush::Later => {
                let unsynced = self.unsynced.get_or_insert_with(Unsynced::begin);
                unsynced.waiting.append(&mut stages.synced);
            }
            Flush::Now => {
                if let Some(mut unsynced) = self.unsynced.take() {
                    self.done.synced.append(&mut unsynced.waiting);
                }
                self.done.synced.append(&mut stages.synced);
                self.durable = Some(end);
            }
        }
        stages.shrink();
        self.spare = stages;
    }

    /// Shows what may be seen of what has landed, and answers those who waited for it.
    pub(crate) fn settle(&mut self) {
        let mut done = std::mem::take(&mut self.done);
        let Stages { written, synced } = &mut done;
        self.tell_died(&mut written.died);
        let in_turn = written.hidden.extract_if(.., |it| it.show_in_turn());
        self.shown.extend(in_turn.map(|hidden| hidden.appended));
        self.tell_shown();
        if !written.hidden.is_empty() {
            // These stand behind something that only a sync shows.
            let unsynced = self.unsynced.get_or_insert_with(Unsynced::begin);
            unsynced.waiting.hidden.append(&mut written.hidden);
        }
        Hidden::show_all(&synced.hidden);
        let shown = synced.hidden.drain(..);
        self.shown.extend(shown.map(|hidden| hidden.appended));
        self.tell_shown();
        self.tell_died(&mut synced.died);
        if let Some(end) = self.durable.take() {
            self.shared.progress.send_replace(Progress::Durable(end));
        }
        let callers = self.callers.as_ref();
        synced.receipts.give(callers);
        written.receipts.give(callers);
        done.shrink();
        self.done = done;
    }

    fn tell_died(&self, died: &mut Vec<EntityId>) {
        if let Some(watcher) = self.shared.watcher.get().filter(|_| !died.is_empty()) {
            watcher.died(died);
        }
        died.clear();
    }
}
