//! What was judged: written into the open frame, and applied.

use fairlead_canon::{Batch, Promise, SyncMode};
use fairlead_ports::{Appended, Committed, Lsn};
use tokio::time::Instant;

use super::{Open, Sequencer};
use crate::entity::Location;
use crate::frame::HEADER_BYTES;
use crate::mutation::{Mutation, is_on};
use crate::plan::Plan;
use crate::record::Record;
use crate::state::{Hidden, Known};

/// Where that goes which a unit appends.
pub(super) struct Outlet<'a> {
    pub(super) promise: Promise,
    pub(super) sync: SyncMode,
    pub(super) open: &'a mut Open,
    /// What the watcher is to be told when the whole unit is applied.
    pub(super) shown: &'a mut Vec<Appended>,
}

impl Outlet<'_> {
    /// Shows what may be seen before it is written; the rest stays hidden until the frame is where it was
    /// promised to be.
    pub(super) fn add(&mut self, hidden: Hidden) {
        if self.promise < Promise::Durable && hidden.show_early() {
            self.shown.push(hidden.appended);
            return;
        }
        if is_on(Mutation::ShowBeforeDurable) {
            hidden.show();
        }
        self.open.stages.of(self.sync).hidden.push(hidden);
        self.open.owes_sync |= self.sync == SyncMode::Always;
    }
}

impl Sequencer {
    /// Writes and applies what was planned.
    pub(super) fn carry_out(
        &mut self,
        plan: &mut Plan,
        promise: Promise,
        sync: SyncMode,
    ) -> Committed {
        let mut lsn = self.open.lsn;
        for (record, known) in &mut plan.records {
            lsn = self.write((record, known), promise, sync);
        }
        if !plan.records.is_empty() {
            self.count(promise);
        }
        self.open.stages.of(sync).died.append(&mut plan.died);
        self.tell_shown();
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
        let Self {
            shared,
            open,
            shown,
            ..
        } = self;
        let mut outlet = Outlet {
            promise,
            sync,
            open,
            shown,
        };
        let state = &shared.state;
        state.apply_to(known, (at, record), &mut |it| outlet.add(it));
        at.lsn
    }

    /// Adds a record to the open frame; returns where it is to lie.
    pub(super) fn add(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Location {
        let open = &mut self.open;
        if open.count == 0 {
            open.wall = self.clock.wall();
            self.shared.state.ground.set_now(open.wall);
        }
        let place = open.records.add(encode);
        open.count += 1;
        Location {
            lsn: Lsn(open.lsn.0 + (HEADER_BYTES + place.start) as u64),
            len: u32::try_from(place.len()).unwrap_or(u32::MAX),
        }
    }

    /// There is a batch in the open frame, which somebody may read, perhaps before that is closed.
    pub(super) fn keep_readable(&mut self, (lsn, batch): (Lsn, &Batch), promise: Promise) {
        self.open.is_readable = true;
        if promise < Promise::Durable {
            self.shared.tail.push_early(lsn, batch.clone());
        }
    }
}
