//! What waits for the engine: commits, and news from those who work for it. The engine itself
//! rests here while no thread has it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use crate::call::{Job, Weight};
use crate::engine::Engine;
use crate::file_wal::FileWal;
use crate::limits::{LINE_BYTES_MAX, LINE_UNITS_MAX};

/// Jobs for which a line that is empty keeps room.
const ROOM_KEPT: usize = 1_024;

/// Hands over to one taker, who takes everything at once.
///
/// Commits have to be in line as soon as they are made, so this never refuses one. Beyond its
/// limits it says that it is [`Inbox::is_busy`], and callers hold back their peers.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    content: Mutex<Content>,
    changed: Condvar,
    /// Of all jobs that came.
    came: Total,
    /// Of those that are wholly in order.
    done: Total,
    /// A write or sync has ended, which the engine was not told yet.
    has_landed: AtomicBool,
}

/// What jobs weigh in all. Changed by one thread at a time, in a line of the cache of its own: who looks at one
/// does not hold up who changes the other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Total {
    units: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Content {
    resting: Option<Resting>,
    jobs: VecDeque<Job>,
    first: Option<First>,
    /// Jobs among them that are answered as soon as they are in order.
    impatient: usize,
    landed: Option<io::Result<Box<FileWal>>>,
    is_nudged: bool,
    is_hurried: bool,
    /// A thread was woken for what is here.
    is_called: bool,
    end: Option<End>,
    /// The engine is gone for good.
    is_over: bool,
}

/// The first of the jobs that came.
#[derive(Debug)]
pub(crate) struct First {
    pub(crate) since: Instant,
    /// The runtime of its caller, if that is one that goes on whatever its callers do.
    pub(crate) runtime: Option<Handle>,
}

/// The engine while no thread has it.
#[derive(Debug)]
pub(crate) struct Resting {
    pub(crate) engine: Box<Engine>,
    pub(crate) wants: Wants,
    /// When it has something to do although nothing comes.
    pub(crate) until: Option<Instant>,
}

/// Which jobs it should be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// It has something to do at once.
    Turn,
    Jobs,
    /// So many: while a frame is in flight, durable commits wait for it anyhow.
    Crowd(usize),
    /// The open frame takes no more.
    Landing,
}

/// What a thread has for the inbox when it asks for a turn.
#[derive(Debug)]
pub(crate) enum Back {
    Nothing,
    Engine(Resting),
    /// The log, after a write or sync.
    Log(io::Result<Box<FileWal>>),
}

/// Why no more jobs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The store is being closed: what is here is still done.
    Closed,
    /// A write failed.
    Poisoned,
}

/// What arrived besides jobs.
#[derive(Debug)]
pub(crate) struct News {
    /// How the write or sync in flight ended.
    pub(crate) landed: Option<io::Result<Box<FileWal>>>,
    /// `None` when no jobs came.
    pub(crate) first: Option<First>,
    /// Of these jobs, how many are answered as soon as they are in order.
    pub(crate) impatient: usize,
    /// Somebody waits for what was sequenced to be durable.
    pub(crate) is_hurried: bool,
    pub(crate) is_closing: bool,
}

impl First {
    pub(crate) fn now() -> Self {
        // One of a single thread stands still while nobody blocks on it.
        let goes_on = |runtime: &Handle| runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
        Self {
            since: Instant::now(),
            runtime: Handle::try_current().ok().filter(goes_on),
        }
    }
}

impl Inbox {
    /// Puts a job in line; it is dropped when the engine takes no more.
    pub(crate) fn push(&self, job: Job) {
        self.change(|content| {
            if content.end.is_none() {
                self.came.add(job.weight);
                content.first.get_or_insert_with(First::now);
                content.impatient += usize::from(!job.is_durable);
                content.jobs.push_back(job);
            }
        });
    }

    /// Jobs of this weight are wholly in order, and take no more room in the line.
    pub(crate) fn done(&self, jobs: Weight) {
        self.done.add(jobs);
    }

    /// Whether the line is longer than it should be.
    pub(crate) fn is_busy(&self) -> bool {
        let Weight { units, bytes } = self.line();
        units > LINE_UNITS_MAX || bytes > LINE_BYTES_MAX
    }

    /// Whether nothing waits to be sequenced.
    pub(crate) fn is_empty(&self) -> bool {
        self.line().units == 0
    }

    /// What jobs weigh that are not wholly in order.
    fn line(&self) -> Weight {
        // First: what is done has come before.
        let done = self.done.get();
        let came = self.came.get();
        Weight {
            units: came.units.wrapping_sub(done.units),
            bytes: came.bytes.wrapping_sub(done.bytes),
        }
    }

    /// Whether the disk is free again, for an engine that is at work.
    pub(crate) fn has_landed(&self) -> bool {
        self.has_landed.load(Ordering::Relaxed)
    }

    /// Adds jobs that came to those of an engine at work.
    pub(crate) fn more(&self, jobs: &mut VecDeque<Job>) -> Option<First> {
        if self.is_empty() {
            return None;
        }
        let mut content = self.content.lock();
        take_jobs(jobs, &mut content.jobs);
        content.impatient = 0;
        content.first.take()
    }

    /// Makes the engine look again at what it could not do.
    pub(crate) fn nudge(&self) {
        self.change(|content| content.is_nudged = true);
    }

    /// Asks for a sync that nobody's unit asks for.
    pub(crate) fn hurry(&self) {
        self.change(|content| content.is_hurried = true);
    }

    /// Lets the engine rest while the thread that had it does something else.
    pub(crate) fn rest(&self, resting: Resting) {
        self.change(|content| content.take_back(Back::Engine(resting)));
    }

    pub(crate) fn close(&self) {
        self.change(|content| {
            content.end.get_or_insert(End::Closed);
            content.is_nudged = true;
        });
    }

    /// Ends everything: who waits is told by what is dropped.
    pub(crate) fn end(&self, end: End) {
        let mut content = self.content.lock();
        content.end = Some(end);
        content.is_over = true;
        let dropped = (std::mem::take(&mut content.jobs), content.resting.take());
        drop(content);
        drop(dropped);
        self.changed.notify_all();
    }

    fn change(&self, change: impl FnOnce(&mut Content)) {
        let mut content = self.content.lock();
        change(&mut content);
        let calls = !content.is_called && content.has_news();
        content.is_called |= calls;
        drop(content);
        if calls {
            self.changed.notify_one();
        }
    }

    /// Waits until the engine rests and has something to do, and takes it. The jobs that came are
    /// added to its own. `None` when there is nothing to do any more.
    pub(crate) fn turn(&self, back: Back) -> Option<(Box<Engine>, News)> {
        let mut content = self.content.lock();
        content.take_back(back);
        self.has_landed
            .store(content.landed.is_some(), Ordering::Relaxed);
        while !content.is_over {
            let until = content.resting.as_ref().and_then(|resting| resting.until);
            let is_due = until.is_some_and(|until| until <= Instant::now());
            if (is_due || content.has_news())
                && let Some(Resting { mut engine, .. }) = content.resting.take()
            {
                take_jobs(&mut engine.jobs, &mut content.jobs);
                self.has_landed.store(false, Ordering::Relaxed);
                return Some((engine, content.news()));
            }
            match until {
                Some(until) => {
                    self.changed.wait_until(&mut content, until.into_std());
                }
                None => self.changed.wait(&mut content),
            }
        }
        None
    }
}

impl Total {
    fn add(&self, weight: Weight) {
        let Weight { units, bytes } = self.get();
        let (units, bytes) = (
            units.wrapping_add(weight.units),
            bytes.wrapping_add(weight.bytes),
        );
        self.units.store(units, Ordering::Release);
        self.bytes.store(bytes, Ordering::Release);
    }

    fn get(&self) -> Weight {
        Weight {
            units: self.units.load(Ordering::Acquire),
            bytes: self.bytes.load(Ordering::Acquire),
        }
    }
}

/// Adds what came to the jobs of the engine. Mostly it has none, and the two lines change places.
fn take_jobs(jobs: &mut VecDeque<Job>, came: &mut VecDeque<Job>) {
    if jobs.is_empty() {
        jobs.shrink_to(ROOM_KEPT);
        std::mem::swap(jobs, came);
    } else {
        jobs.append(came);
    }
}

impl Content {
    fn take_back(&mut self, back: Back) {
        match back {
            Back::Engine(resting) if !self.is_over => self.resting = Some(resting),
            // It was poisoned meanwhile, and whoever waits for it is told by its end.
            Back::Engine(_) | Back::Nothing => {}
            Back::Log(landed) => self.landed = Some(landed),
        }
    }

    fn has_news(&self) -> bool {
        let Some(resting) = &self.resting else {
            return false;
        };
        let has_jobs = match resting.wants {
            Wants::Turn => true,
            Wants::Jobs => !self.jobs.is_empty(),
            Wants::Crowd(most) => self.impatient > 0 || self.jobs.len() >= most,
            Wants::Landing => false,
        };
        has_jobs || self.landed.is_some() || self.is_nudged || self.is_hurried
    }

    fn news(&mut self) -> News {
        self.is_nudged = false;
        self.is_called = false;
        News {
            landed: self.landed.take(),
            first: self.first.take(),
            impatient: std::mem::take(&mut self.impatient),
            is_hurried: std::mem::take(&mut self.is_hurried),
            is_closing: self.end == Some(End::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use fairlead_canon::Promise;
    use fairlead_ports::{Ops, Unit};

    use super::*;

    #[test]
    fn the_engine_is_told_how_many_jobs_wait_for_no_frame() {
        let inbox = Inbox::default();
        for promise in [Promise::Durable, Promise::Accepted, Promise::Durable] {
            let ops = Ops::new();
            inbox.push(Job::new([Unit { ops, promise }].into()).0);
        }
        let news = || inbox.content.lock().news();
        assert_eq!(news().impatient, 1);
        assert_eq!(news().impatient, 0, "told once");
    }
}
