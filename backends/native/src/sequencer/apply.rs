//! What was judged: written into the open frame, and applied.

use bytes::BytesMut;
use fairlead_canon::{Batch, Promise, SyncMode};
use fairlead_ports::{Committed, Lsn};
use tokio::time::Instant;

use super::Sequencer;
use crate::entity::Location;
use crate::frame::HEADER_BYTES;
use crate::mutation::{Mutation, is_on};
use crate::plan::Plan;
use crate::record::Record;
use crate::state::{Hidden, Known};

impl Sequencer {
    /// Writes and applies what was planned.
    pub(super) fn carry_out(
        &mut self,
        plan: &mut Plan,
        promise: Promise,
        sync: SyncMode,
    ) -> Committed {
        let first = self.open.stages.of(sync).hidden.len();
        let mut lsn = self.open.lsn;
        for (record, known) in &mut plan.records {
            lsn = self.write((record, known), promise, sync);
        }
        if !plan.records.is_empty() {
            self.count(promise);
        }
        self.open.stages.of(sync).died.append(&mut plan.died);
        self.hide(first, promise, sync);
        Committed {
            lsn,
            placed: std::mem::take(&mut plan.placed),
        }
    }

    /// A unit is in the open frame.
    pub(super) fn count(&mut self, promise: Promise) {
        self.open.units += 1;
        self.open.is_urgent |= promise == Promise::Durable;
        self.open.since.get_or_insert_with(Instant::now);
    }

    /// What a unit appended, from `first` of what is hidden on, stays hidden unless it may be seen early.
    pub(super) fn hide(&mut self, first: usize, promise: Promise, sync: SyncMode) {
        if promise < Promise::Durable {
            self.show_early(first, sync);
        }
        let hidden = &self.open.stages.of(sync).hidden;
        if is_on(Mutation::ShowBeforeDurable) {
            hidden.iter().for_each(Hidden::show);
        }
        let hides = hidden.len() > first;
        self.open.owes_sync |= sync == SyncMode::Always && hides;
    }

    pub(super) fn write(
        &mut self,
        (record, known): (&Record, &mut Known),
        promise: Promise,
        sync: SyncMode,
    ) -> Lsn {
        let at = self.add(|out| record.encode(out));
        if let Record::Data(data) = record {
            self.keep_readable((at.lsn, &data.batch), promise);
        }
        let hidden = &mut self.open.stages.of(sync).hidden;
        self.shared.state.apply_to(known, (at, record), hidden);
        at.lsn
    }

    /// Adds a record to the open frame; returns where it is to lie.
    pub(super) fn add(&mut self, encode: impl FnOnce(&mut BytesMut)) -> Location {
        let open = &mut self.open;
        if open.count == 0 {
            open.wall = self.clock.wall();
            self.shared.state.ground.set_now(open.wall);
        }
        let start = open.records.len();
        encode(&mut open.records);
        open.count += 1;
        Location {
            lsn: Lsn(open.lsn.0 + (HEADER_BYTES + start) as u64),
            len: u32::try_from(open.records.len() - start).unwrap_or(u32::MAX),
        }
    }

    /// There is a batch in the open frame, which somebody may read, perhaps before that is closed.
    pub(super) fn keep_readable(&mut self, (lsn, batch): (Lsn, &Batch), promise: Promise) {
        self.open.is_readable = true;
        if promise < Promise::Durable {
            self.shared.tail.push_early(lsn, batch.clone());
        }
    }

    /// Shows what may be seen before it is written.
    fn show_early(&mut self, first: usize, sync: SyncMode) {
        let hidden = &mut self.open.stages.of(sync).hidden;
        let early = hidden.extract_if(first.., |hidden| hidden.show_early());
        self.shown.extend(early.map(|hidden| hidden.appended));
        self.tell_shown();
    }
}
