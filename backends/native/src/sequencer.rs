//! Puts units in order: plans each, writes its records into the open frame, applies them, and when
//! a frame is where it was promised to be shows what it appended and answers those who waited.
//!
//! A frame is synced when somebody waits for that: a receipt, a message that is not to be seen
//! before, or a reader of a document. Otherwise it is written, and the next sync covers it; one
//! follows within [`SYNC_WITHIN`].
//!
//! Knows no threads: [`crate::engine`] drives it, and so can a test.

mod apply;
mod flight;
mod herd;
mod lone;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fairlead_canon::{Promise, SyncMode, Timestamp};
use fairlead_ports::{Appended, Clock, Committed, Lsn, Ops, Outcomes, StoreError, Unit, Watcher};
use smallvec::SmallVec;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backup::Holds;
use crate::buffer::{Buffer, Buffers, Records};
use crate::call::Job;
use crate::checkpoint::Desk;
use crate::condition::Told;
use crate::file_wal::{Flush, Frame, place};
use crate::frame::{FRAME_BYTES_MAX, HEADER_BYTES};
use crate::homes::Sealed;
use crate::inbox::{First, Inbox};
use crate::limits::{FRAME_BYTES_TARGET, FRAME_UNITS_TARGET, LINGER_MAX, Limits, SYNC_WITHIN};
use crate::lsn::{FileNo, file_of, padded, position_of};
use crate::meter::Meter;
use crate::mutation::{Mutation, is_on};
use crate::plan::{Draft, Plan, Planner, Room, len_max};
use crate::pool::Pool;
use crate::record::Record;
use crate::seal::Bench;
use crate::state::{Known, Progress, State};
use crate::tail::Tail;
use crate::waiting::{Stages, Unsynced, Waiting};
use herd::Herd;

/// What readers and the engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: State,
    pub(crate) tail: Tail,
    pub(crate) watcher: OnceLock<Arc<dyn Watcher>>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) inbox: Inbox,
    pub(crate) meter: Arc<Meter>,
    /// When a durable promise is kept, for entities that ask for no weaker mode themselves.
    pub(crate) sync: SyncMode,
    pub(crate) desk: Desk,
    pub(crate) bench: Bench,
    pub(crate) told: Told,
    /// Who holds back what the store needs no more.
    pub(crate) holds: Arc<Holds>,
}

#[derive(Debug)]
pub(crate) struct Sequencer {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    /// Where the log ends, the open frame not counted.
    file: FileNo,
    position: u64,
    draft: Draft,
    plan: Plan,
    begun: Begun,
    open: Open,
    buffers: Buffers,
    flying: Option<Flying>,
    unsynced: Option<Unsynced>,
    herd: Herd,
    /// What has landed and is not settled.
    done: Stages,
    /// For the next frame: empty, and with the room that the last one took.
    spare: Stages,
    durable: Option<Lsn>,
    /// Where those who committed last are told.
    callers: Option<Handle>,
    /// What the watcher is to be told; empty in between, and kept for its room.
    shown: Vec<Appended>,
    /// Somebody waits for the next sync who has nothing in a frame.
    is_hurried: bool,
}

/// What is to be done to the log next: write a frame, make it durable, or both.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) frame: Option<Frame>,
    pub(crate) flush: Flush,
}

/// What may not wait for company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    Nothing,
    /// The open frame takes no more.
    Frame,
    /// The store is being closed.
    All,
}

/// The job that was begun and not answered.
#[derive(Debug, Default)]
struct Begun {
    /// How many of its units are in order or refused.
    taken: usize,
    /// What became of these.
    outcomes: Outcomes,
}

/// The frame that units are added to.
#[derive(Debug, Default)]
struct Open {
    lsn: Lsn,
    /// As it was when the frame was begun.
    room: Room,
    /// When the first record was added: the time of everything in it.
    wall: Timestamp,
    records: Buffer,
    count: u32,
    units: u32,
    /// There are batches in it, which somebody may read.
    is_readable: bool,
    /// Somebody waits for it.
    is_urgent: bool,
    /// Somebody waits for it to be durable.
    owes_sync: bool,
    since: Option<Instant>,
    stages: Stages,
}

/// The frame that is being written, or all before the open one that is being synced.
#[derive(Debug)]
struct Flying {
    /// Of the frame; nothing for a sync alone.
    records: Option<Records>,
    end: Lsn,
    flush: Flush,
    stages: Stages,
}

/// How far a job came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All its units are in order.
    All,
    /// The rest has to wait until the open frame is closed or a file is ready.
    Part,
}

enum Fit {
    Now,
    Later,
    Never(StoreError),
}

impl Sequencer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        pool: Arc<Pool>,
        clock: Arc<dyn Clock>,
        end: (FileNo, u64),
    ) -> Self {
        let limits = Limits::of_file(pool.file_bytes());
        let (file, position) = end;
        Self {
            shared,
            pool,
            clock,
            limits,
            file,
            position,
            draft: Draft::default(),
            plan: Plan::default(),
            begun: Begun::default(),
            open: Open::default(),
            buffers: Buffers::default(),
            flying: None,
            unsynced: None,
            herd: Herd::default(),
            done: Stages::default(),
            spare: Stages::default(),
            durable: None,
            callers: None,
            shown: Vec::new(),
            is_hurried: false,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Jobs came, this one first.
    pub(crate) fn begin(&mut self, first: First) {
        let First { since, runtime } = first;
        self.shared.meter.waited(since.elapsed());
        self.callers = runtime;
    }

    /// Takes as many units of a job as the open frame has room for. The next job is not begun before this one is
    /// answered.
    pub(crate) fn take(&mut self, job: &mut Job) -> Taken {
        if self.take_sealed(job) == Taken::Part {
            return Taken::Part;
        }
        let left = job.units.len().saturating_sub(self.begun.taken);
        self.begun.outcomes.reserve(left);
        while let Some(unit) = job.units.get_mut(self.begun.taken) {
            if is_on(Mutation::SplitUnits) && self.open.count > 0 {
                return Taken::Part;
            }
            let outcome = match self.fit_unit(unit) {
                Fit::Later => return Taken::Part,
                Fit::Never(error) => Err(error),
                Fit::Now => self.sequence(unit, &mut job.sync),
            };
            self.begun.outcomes.push(outcome);
            self.begun.taken += 1;
        }
        Taken::All
    }

    /// Takes what a job says about sealing.
    fn take_sealed(&mut self, job: &mut Job) -> Taken {
        let Some(sealed) = job.sealed.take() else {
            return Taken::All;
        };
        match self.fit(sealed.len_max()) {
            Fit::Later => {
                job.sealed = Some(sealed);
                return Taken::Part;
            }
            Fit::Never(error) => self.begun.outcomes.push(Err(error)),
            Fit::Now => {
                let committed = self.seal(sealed);
                job.sync = SyncMode::Always;
                self.begun.outcomes.push(Ok(committed));
            }
        }
        Taken::All
    }

    fn seal(&mut self, sealed: Sealed) -> Committed {
        let record = Record::Sealed(sealed);
        let lsn = self.write(
            (&record, &mut Known::new()),
            Promise::Durable,
            SyncMode::Always,
        );
        self.open.units += 1;
        self.open.is_urgent = true;
        self.open.owes_sync = true;
        self.open.since.get_or_insert_with(Instant::now);
        Committed {
            lsn,
            placed: SmallVec::new(),
        }
    }

    /// Answers a job that was taken whole, at once or when what it waits for is there.
    pub(crate) fn answer(&mut self, job: Job) {
        let Begun { outcomes, .. } = std::mem::take(&mut self.begun);
        let (is_durable, sync) = (job.is_durable, job.sync);
        let receipt = job.into_receipt(outcomes);
        let waiting = match is_durable {
            true => self.waiting(sync),
            false => None,
        };
        match waiting {
            Some(waiting) => waiting.receipts.add(receipt),
            None => receipt.give(),
        }
    }

    /// Where that waits which depends on everything sequenced so far; `None` when all of it is
    /// where it was promised to be.
    fn waiting(&mut self, sync: SyncMode) -> Option<&mut Waiting> {
        if self.open.count > 0 {
            self.open.is_urgent = true;
            self.open.owes_sync |= sync == SyncMode::Always;
            return Some(self.open.stages.of(sync));
        }
        if let Some(flying) = &mut self.flying {
            return Some(flying.stages.of(sync));
        }
        let unsynced = self.unsynced.as_mut();
        unsynced
            .filter(|_| sync == SyncMode::Always)
            .map(|unsynced| &mut unsynced.waiting)
    }

    fn fit_unit(&mut self, unit: &Unit) -> Fit {
        match len_max(unit, &self.limits) {
            Ok(len) => self.fit(len),
            Err(error) => Fit::Never(error),
        }
    }

    fn fit(&mut self, len: usize) -> Fit {
        let len = len.saturating_add(HEADER_BYTES);
        if self.open.count > 0 {
            return self.fit_open(len);
        }
        let lsn = place(self.file, self.position, len as u64, self.pool.file_bytes());
        if file_of(lsn) == self.file || self.pool.holds(file_of(lsn)) {
            self.open.lsn = lsn;
            self.open.room = self.pool.room();
            return Fit::Now;
        }
        match self.pool.files() {
            Room::Full(limit) => Fit::Never(StoreError::Full { limit }),
            Room::Free => Fit::Later,
        }
    }

    fn fit_open(&self, len: usize) -> Fit {
        let open = &self.open;
        let grown = open.records.len().saturating_add(len);
        let end = position_of(open.lsn).saturating_add(padded(grown as u64));
        let has_room = grown <= FRAME_BYTES_MAX && end <= self.pool.file_bytes();
        let is_small = open.records.len() < FRAME_BYTES_TARGET && open.units < FRAME_UNITS_TARGET;
        if has_room && is_small {
            Fit::Now
        } else {
            Fit::Later
        }
    }

    /// Puts a unit in order. The mode in which its receipt is given weakens none in `job_sync`.
    fn sequence(
        &mut self,
        unit: &mut Unit,
        job_sync: &mut SyncMode,
    ) -> Result<Committed, StoreError> {
        if let Some(committed) = self.lone(unit, job_sync) {
            return Ok(committed);
        }
        let Unit { ops, promise } = unit;
        let mut plan = std::mem::take(&mut self.plan);
        let judged = self.judge(ops, &mut plan, job_sync);
        let sequenced = judged.map(|sync| self.carry_out(&mut plan, *promise, sync));
        plan.clear();
        self.plan = plan;
        sequenced
    }

    /// Plans a unit; returns when what it does may be shown.
    fn judge(
        &mut self,
        ops: &mut Ops,
        plan: &mut Plan,
        job_sync: &mut SyncMode,
    ) -> Result<SyncMode, StoreError> {
        let planner = Planner::new(&self.shared.state, &mut self.draft, plan, self.open.room);
        let planned = planner.plan(ops);
        // A refusal may rest on what is not durable yet, and is not to be less sure than that.
        let sync = match &planned {
            Ok(()) => self.shared.sync.max(self.draft.sync()),
            Err(_) => self.shared.sync,
        };
        *job_sync = sync.min(*job_sync);
        if self.shared.state.ground.is_faulty() {
            // The plan may rest on what the index did not give.
            return Err(StoreError::Poisoned);
        }
        planned.map(|()| sync)
    }

    fn tell_shown(&mut self) {
        if let Some(watcher) = self.shared.watcher.get().filter(|_| !self.shown.is_empty()) {
            watcher.appended(&self.shown);
        }
        self.shown.clear();
    }

    /// Whether what was sequenced may rest on what the index did not give.
    pub(crate) fn is_faulty(&self) -> bool {
        self.shared.state.ground.is_faulty()
    }

    pub(crate) fn is_flying(&self) -> bool {
        self.flying.is_some()
    }

    /// Gives up a part of what was deleted.
    pub(crate) fn reap(&mut self) {
        if self.is_reaping() {
            let Shared { state, desk, .. } = self.shared.as_ref();
            state.reap();
            desk.framed(desk.last(), 0, state.changes());
        }
    }

    /// Whether something is left of what was deleted.
    pub(crate) fn is_reaping(&self) -> bool {
        self.shared.state.graves().len() > 0
    }

    /// Whether something has landed that is not settled.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.durable.is_some() || !self.done.written.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.count == 0
    }

    /// Lets the next sync cover everything sequenced so far, soon.
    pub(crate) fn hurry(&mut self) {
        self.is_hurried = true;
    }

    /// How long until something is to be ordered although nothing comes; `None`: for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let sync = self.unsynced.as_ref();
        let sync = sync.map(|unsynced| unsynced.patience(SYNC_WITHIN));
        let frame = self.open.patience(&self.herd);
        let left = sync.into_iter().chain(frame).min();
        left.map(|left| {
            if self.is_hurried {
                Duration::ZERO
            } else {
                left
            }
        })
    }
}

impl Open {
    /// How long it may still wait for company; `None` when it is empty.
    fn patience(&self, herd: &Herd) -> Option<Duration> {
        let since = self.since?;
        Some(if self.is_urgent {
            herd.patience(self.stages.callers(), Instant::now())
        } else {
            LINGER_MAX.saturating_sub(since.elapsed())
        })
    }
}
