//! The two threads of the log. They take turns at the engine: whoever has it puts what came in
//! order, and when a frame is to be written leaves the engine to the other and writes. So one
//! sync pays for everything that came meanwhile, and a lone commit meets one thread only.
//!
//! ```text
//!            jobs, a file, an end              nothing is due
//!   resting ─────────────────────▶ one thread ────────────────▶ resting
//!      ▲                               │ a frame is due
//!      └── the other may take it ◀─────┴──▶ write, sync ──▶ back with the log
//! ```

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;

use fairlead_ports::Condition;
use tokio::time::Instant;

use crate::call::{Job, Weight};
use crate::file_wal::FileWal;
use crate::inbox::{Back, End, News, Resting, Wants};
use crate::sequencer::{Order, Press, Sequencer, Shared, Taken};
use crate::state::Progress;
use crate::superblock::SuperblockFile;

/// What one thread at a time has.
#[derive(Debug)]
pub(crate) struct Engine {
    /// In line, oldest first.
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) sequencer: Sequencer,
    /// `None` while a frame is in flight.
    pub(crate) wal: Option<Box<FileWal>>,
    pub(crate) superblock: SuperblockFile,
}

/// What the thread that has the engine does next.
enum Step {
    Rest(Resting),
    /// Lets it rest, and does this.
    Fly(Resting, Flight),
    End,
}

/// A write or sync under way.
struct Flight {
    wal: Box<FileWal>,
    order: Order,
}

/// What each of the two threads runs, until the store is closed or a write fails.
pub(crate) fn run(shared: &Arc<Shared>) {
    let _guard = Guard(shared);
    let mut back = Back::Nothing;
    while let Some((engine, news)) = shared.inbox.turn(back) {
        back = match engine.turn(news) {
            Ok(Step::Rest(resting)) => Back::Engine(resting),
            Ok(Step::Fly(resting, flight)) => {
                shared.inbox.rest(resting);
                Back::Log(flight.run())
            }
            Ok(Step::End) => {
                shared.inbox.end(End::Closed);
                return;
            }
            Err(error) => return poison(shared, &error),
        };
    }
}

/// Nothing is acknowledged from here on: what the disk holds is not known any more.
pub(crate) fn poison(shared: &Shared, error: &io::Error) {
    tracing::error!(%error, "a write or sync of the log failed: the log is poisoned");
    shared.progress.send_replace(Progress::Poisoned);
    shared.tell_condition(Condition::Poisoned);
    shared.inbox.end(End::Poisoned);
}

impl Engine {
    fn turn(mut self: Box<Self>, news: News) -> io::Result<Step> {
        if let Some(wal) = news.landed {
            self.wal = Some(wal?);
            let callers = self.jobs.len().saturating_sub(news.impatient);
            self.sequencer.landed(callers);
        }
        if news.is_hurried {
            self.sequencer.hurry();
        }
        if let Some(first) = news.first {
            self.sequencer.begin(first);
        }
        // The disk does not wait while those who waited for it are told: the other thread does that.
        if let Some(order) = self.early() {
            return self.fly(order);
        }
        self.sequencer.settle();
        let taken = self.take_gathering();
        self.sequencer.reap();
        if self.sequencer.is_faulty() {
            return Err(io::Error::other("the index failed"));
        }
        let press = match taken {
            _ if news.is_closing => Press::All,
            Taken::Part => Press::Frame,
            Taken::All => Press::Nothing,
        };
        if let Some(order) = self.sequencer.order(press) {
            return self.fly(order);
        }
        if news.is_closing && self.jobs.is_empty() && self.wal.is_some() {
            self.finish();
            return Ok(Step::End);
        }
        Ok(Step::Rest(self.rest(taken)))
    }

    fn fly(mut self: Box<Self>, order: Order) -> io::Result<Step> {
        let wal = self.wal.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let flight = Flight { wal, order };
        // A frame that was full has left room for what did not fit.
        Ok(Step::Fly(self.rest(Taken::All), flight))
    }

    /// The next frame, if those that it waits for are here.
    fn early(&mut self) -> Option<Order> {
        let absent = self.sequencer.absent();
        if absent.is_some_and(|absent| absent <= self.jobs.len()) {
            self.take();
        }
        let is_ready = self.sequencer.is_ready();
        is_ready.then(|| self.sequencer.order(Press::Nothing))?
    }

    /// Takes jobs until they are all in order, the open frame has no room for the next, or the disk
    /// waits for it.
    fn take(&mut self) -> Taken {
        let mut done = Weight::default();
        let mut taken = Taken::All;
        while !self.is_awaited()
            && let Some(job) = self.jobs.front_mut()
        {
            taken = self.sequencer.take(job);
            if taken == Taken::Part {
                break;
            }
            if let Some(job) = self.jobs.pop_front() {
                done += job.weight;
                self.sequencer.answer(job);
            }
        }
        // Once for all of them: those who put jobs in line count there too.
        self.sequencer.shared().inbox.done(done);
        self.sequencer.came();
        taken
    }

    /// Stays awake for those who were just told, if they are back at once: neither they nor this thread need anybody to
    /// wake it then, and what they bring is put in order while the others come.
    fn take_gathering(&mut self) -> Taken {
        let mut taken = self.take();
        while taken == Taken::All && self.wal.is_some() && self.sequencer.is_gathering() {
            thread::yield_now();
            if let Some(first) = self.sequencer.shared().inbox.more(&mut self.jobs) {
                self.sequencer.begin(first);
                taken = self.take();
            }
        }
        taken
    }

    /// Whether the disk is free, and there is a crowd for it.
    fn is_awaited(&self) -> bool {
        let is_free = self.wal.is_some() || self.sequencer.shared().inbox.has_landed();
        is_free && !self.sequencer.is_prompt() && self.sequencer.is_ready()
    }

    fn rest(self: Box<Self>, taken: Taken) -> Resting {
        let is_flying = self.wal.is_none();
        let wants = match taken {
            // What did not fit the last frame, those who wait to be told, or what was deleted.
            Taken::All if !self.jobs.is_empty() || self.sequencer.is_unsettled() => Wants::Turn,
            Taken::All if self.sequencer.is_reaping() => Wants::Turn,
            Taken::All if is_flying => Wants::Crowd(self.sequencer.crowd()),
            Taken::All => self.sequencer.absent().map_or(Wants::Jobs, Wants::Crowd),
            Taken::Part => Wants::Landing,
        };
        let patience = self.sequencer.patience().filter(|_| !is_flying);
        Resting {
            wants,
            until: patience.map(|patience| Instant::now() + patience),
            engine: self,
        }
    }

    /// Says in the superblock how far the log came.
    fn finish(&mut self) {
        let Some(wal) = &self.wal else { return };
        if let Err(error) = self.superblock.write(wal.epoch(), wal.synced()) {
            tracing::warn!(%error, "the superblock was not written; the next start reads more of the log");
        }
    }
}

impl Flight {
    /// Carries out the order, and gives the log back if it may be written again.
    fn run(mut self) -> io::Result<Box<FileWal>> {
        let Order { frame, flush } = &self.order;
        match frame {
            Some(frame) => self.wal.append(frame, *flush)?,
            None => self.wal.sync()?,
        }
        Ok(self.wal)
    }
}

/// A thread that panics must not leave others waiting for it: to them the log is poisoned.
struct Guard<'a>(&'a Arc<Shared>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            poison(self.0, &io::ErrorKind::Other.into());
        }
    }
}
