//! Puts units in order: plans each, writes its records into the open frame, applies them, and when
//! a frame is durable shows what it appended and answers those who waited for it.
//!
//! Knows no threads: [`crate::engine`] drives it, and so can a test.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use fairlead_canon::Promise;
use fairlead_ports::{Appended, Clock, Committed, Lsn, StoreError, Unit, Watcher};
use smallvec::SmallVec;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::entity::Location;
use crate::file_wal::{Frame, place};
use crate::frame::{FRAME_BYTES_MAX, HEADER_BYTES};
use crate::inbox::{Job, Outcomes};
use crate::limits::{FRAME_BYTES_TARGET, FRAME_UNITS_TARGET, LINGER_MAX, Limits};
use crate::lsn::{FileNo, file_of, padded, position_of};
use crate::plan::{Draft, Planner, Room, len_max};
use crate::pool::Pool;
use crate::record::Record;
use crate::state::{Hidden, Progress, State};
use crate::tail::Tail;

/// What readers and the engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: State,
    pub(crate) tail: Tail,
    pub(crate) watcher: OnceLock<Arc<dyn Watcher>>,
    pub(crate) progress: watch::Sender<Progress>,
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
    open: Open,
    flying: Option<Flying>,
}

/// The frame that units are added to.
#[derive(Debug, Default)]
struct Open {
    lsn: Lsn,
    records: BytesMut,
    count: u32,
    units: usize,
    /// Somebody waits for it to be durable.
    is_urgent: bool,
    since: Option<Instant>,
    waiting: Waiting,
}

/// The frame that is being written.
#[derive(Debug)]
struct Flying {
    end: Lsn,
    waiting: Waiting,
}

/// What happens once a frame is durable.
#[derive(Debug, Default)]
struct Waiting {
    hidden: Vec<Hidden>,
    replies: Vec<(oneshot::Sender<Outcomes>, Outcomes)>,
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
        let (draft, open) = (Draft::default(), Open::default());
        Self {
            shared,
            pool,
            clock,
            limits,
            file,
            position,
            draft,
            open,
            flying: None,
        }
    }

    /// Takes as many units of a job as the open frame has room for.
    pub(crate) fn take(&mut self, job: &mut Job) -> Taken {
        while let Some(unit) = job.units.front() {
            match self.fit_unit(unit) {
                Fit::Later => return Taken::Part,
                Fit::Never(error) => {
                    job.units.pop_front();
                    job.outcomes.push(Err(error));
                }
                Fit::Now => {
                    let unit = job.units.pop_front();
                    job.outcomes.extend(unit.map(|unit| self.sequence(unit)));
                }
            }
        }
        Taken::All
    }

    /// Answers a job that was taken whole, at once or when what it waits for is durable.
    pub(crate) fn answer(&mut self, job: Job) {
        let Job {
            outcomes, reply, ..
        } = job;
        let waiting = match (&mut self.open, &mut self.flying) {
            _ if !job.is_durable => None,
            (open, _) if open.count > 0 => {
                open.is_urgent = true;
                Some(&mut open.waiting)
            }
            (_, flying) => flying.as_mut().map(|flying| &mut flying.waiting),
        };
        match waiting {
            Some(waiting) => waiting.replies.push((reply, outcomes)),
            // The caller may have gone; what it asked for is done.
            None => drop(reply.send(outcomes)),
        }
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
            return Fit::Now;
        }
        match self.pool.room() {
            Room::Full => Fit::Never(StoreError::Full { limit: "log" }),
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

    fn sequence(&mut self, unit: Unit) -> Result<Committed, StoreError> {
        let promise = unit.promise;
        let planner = Planner::new(&self.shared.state, &mut self.draft, self.pool.room());
        let plan = planner.plan(unit)?;
        let first = self.open.waiting.hidden.len();
        let mut lsn = self.open.lsn;
        for record in &plan.records {
            lsn = self.write(record, promise);
        }
        if !plan.records.is_empty() {
            self.open.units += 1;
            self.open.is_urgent |= promise == Promise::Durable;
            self.open.since.get_or_insert_with(Instant::now);
        }
        if promise < Promise::Durable {
            self.show_early(first);
        }
        Ok(Committed {
            lsn,
            placed: plan.placed,
        })
    }

    fn write(&mut self, record: &Record, promise: Promise) -> Lsn {
        let open = &mut self.open;
        let start = open.records.len();
        record.encode(&mut open.records);
        let len = u32::try_from(open.records.len() - start).unwrap_or(u32::MAX);
        let lsn = Lsn(open.lsn.0 + (HEADER_BYTES + start) as u64);
        open.count += 1;
        if let Record::Data(data) = record
            && promise < Promise::Durable
        {
            self.shared.tail.push_early(lsn, data.batch.clone());
        }
        self.shared
            .state
            .apply(Location { lsn, len }, record, &mut open.waiting.hidden);
        lsn
    }

    /// Shows what may be seen before it is durable.
    fn show_early(&mut self, first: usize) {
        let hidden = &mut self.open.waiting.hidden;
        let shown: SmallVec<[Appended; 4]> = hidden
            .extract_if(first.., |hidden| hidden.show_early())
            .map(|hidden| hidden.appended)
            .collect();
        self.tell(&shown);
    }

    fn tell(&self, shown: &[Appended]) {
        if let Some(watcher) = self.shared.watcher.get().filter(|_| !shown.is_empty()) {
            watcher.appended(shown);
        }
    }

    pub(crate) fn is_flying(&self) -> bool {
        self.flying.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.count == 0
    }

    /// How long the open frame may still wait for company; `None` when it is empty.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let since = self.open.since?;
        let linger = if self.open.is_urgent {
            Duration::ZERO
        } else {
            LINGER_MAX
        };
        Some(linger.saturating_sub(since.elapsed()))
    }

    /// Closes the open frame, which is in flight from now on.
    pub(crate) fn close(&mut self) -> Frame {
        let open = std::mem::take(&mut self.open);
        let cost = open.records.capacity();
        let frame = Frame {
            lsn: open.lsn,
            wall: self.clock.wall(),
            flags: 0,
            count: open.count,
            records: open.records.freeze(),
        };
        self.shared
            .tail
            .push(frame.lsn, frame.records.clone(), cost);
        self.file = file_of(frame.lsn);
        self.position = position_of(frame.lsn).saturating_add(frame.padded_len());
        self.flying = Some(Flying {
            end: frame.end(),
            waiting: open.waiting,
        });
        frame
    }

    /// The frame in flight is durable.
    pub(crate) fn written(&mut self) {
        let Some(Flying { end, waiting }) = self.flying.take() else {
            return;
        };
        waiting.hidden.iter().for_each(Hidden::show);
        let shown: Vec<_> = waiting
            .hidden
            .iter()
            .map(|hidden| hidden.appended)
            .collect();
        self.tell(&shown);
        self.shared.progress.send_replace(Progress::Durable(end));
        for (reply, outcomes) in waiting.replies {
            // The caller may have gone; what it asked for is done.
            drop(reply.send(outcomes));
        }
    }
}
