//! What waits for the engine thread: commits, and news from the threads that work for it.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use fairlead_canon::Promise;
use fairlead_ports::{Committed, StoreError, Unit};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

pub(crate) type Outcomes = Vec<Result<Committed, StoreError>>;

/// One call of `commit`.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) units: VecDeque<Unit>,
    pub(crate) outcomes: Outcomes,
    /// Whether its receipt waits for durability.
    pub(crate) is_durable: bool,
    pub(crate) reply: oneshot::Sender<Outcomes>,
}

/// Hands over to one taker, who takes everything at once.
///
/// Commits have to be in line as soon as they are made, so this never refuses one. It bounds
/// nothing by itself: each caller waits for its receipts, and holds back its peer meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    content: Mutex<Content>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Content {
    jobs: VecDeque<Job>,
    written: Option<io::Result<()>>,
    is_nudged: bool,
    end: Option<End>,
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
    pub(crate) written: Option<io::Result<()>>,
    pub(crate) is_closing: bool,
}

impl Job {
    pub(crate) fn new(units: Vec<Unit>) -> (Self, oneshot::Receiver<Outcomes>) {
        let (reply, replied) = oneshot::channel();
        let outcomes = Vec::with_capacity(units.len());
        let is_durable = units.iter().any(|unit| unit.promise == Promise::Durable);
        (
            Self {
                units: units.into(),
                outcomes,
                is_durable,
                reply,
            },
            replied,
        )
    }
}

impl Inbox {
    /// Puts a job in line; it is dropped when the engine takes no more.
    pub(crate) fn push(&self, job: Job) {
        let mut content = self.content.lock();
        if content.end.is_none() {
            content.jobs.push_back(job);
            drop(content);
            self.arrived.notify_one();
        }
    }

    /// Says how the write of the frame in flight ended.
    pub(crate) fn written(&self, result: io::Result<()>) {
        self.content.lock().written = Some(result);
        self.arrived.notify_one();
    }

    /// Makes the engine look again at what it could not do.
    pub(crate) fn nudge(&self) {
        self.content.lock().is_nudged = true;
        self.arrived.notify_one();
    }

    pub(crate) fn end(&self, end: End) {
        let mut content = self.content.lock();
        content.end = Some(end);
        if end == End::Poisoned {
            content.jobs.clear();
        }
        drop(content);
        self.arrived.notify_one();
    }

    /// Waits for something to do, at most so long, and adds the jobs that came to `jobs`.
    pub(crate) fn wait(&self, jobs: &mut VecDeque<Job>, at_most: Option<Duration>) -> News {
        let mut content = self.content.lock();
        while content.is_quiet() {
            match at_most {
                Some(at_most) => {
                    if self.arrived.wait_for(&mut content, at_most).timed_out() {
                        break;
                    }
                }
                None => self.arrived.wait(&mut content),
            }
        }
        jobs.append(&mut content.jobs);
        content.is_nudged = false;
        News {
            written: content.written.take(),
            is_closing: content.end == Some(End::Closed),
        }
    }
}

impl Content {
    fn is_quiet(&self) -> bool {
        self.jobs.is_empty() && self.written.is_none() && !self.is_nudged && self.end.is_none()
    }
}
