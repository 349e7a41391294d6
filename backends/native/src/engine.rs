//! The two threads of the log. The engine gathers units into a frame while the writer makes the
//! frame before it durable, so one sync pays for everything that came meanwhile.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;

use tokio::sync::watch;

use crate::file_wal::{FileWal, Frame};
use crate::inbox::{End, Inbox, Job};
use crate::sequencer::{Sequencer, Taken};
use crate::state::Progress;
use crate::superblock::SuperblockFile;

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) sequencer: Sequencer,
    /// One frame at a time; the writer ends when this is dropped.
    pub(crate) frames: SyncSender<Frame>,
    pub(crate) progress: watch::Sender<Progress>,
}

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) wal: FileWal,
    pub(crate) superblock: SuperblockFile,
    pub(crate) frames: Receiver<Frame>,
}

impl Engine {
    /// Runs until the inbox is closed and empty, or a write fails.
    pub(crate) fn run(mut self) {
        let mut jobs = VecDeque::new();
        loop {
            let patience = self
                .sequencer
                .patience()
                .filter(|_| !self.sequencer.is_flying());
            let news = self.inbox.wait(&mut jobs, patience);
            let went_on = match news.written {
                Some(Ok(())) => {
                    self.sequencer.written();
                    self.fill(&mut jobs, news.is_closing)
                }
                Some(Err(error)) => Err(error),
                None => self.fill(&mut jobs, news.is_closing),
            };
            if let Err(error) = went_on {
                return self.poison(&error);
            }
            if news.is_closing && jobs.is_empty() && !self.sequencer.is_flying() {
                return;
            }
        }
    }

    /// Takes jobs, and closes a frame if there is one to close and none in flight.
    fn fill(&mut self, jobs: &mut VecDeque<Job>, is_closing: bool) -> io::Result<()> {
        loop {
            let taken = self.take(jobs);
            let is_due = taken == Taken::Part
                || is_closing
                || self.sequencer.patience().is_some_and(|left| left.is_zero());
            if self.sequencer.is_flying() || self.sequencer.is_empty() || !is_due {
                return Ok(());
            }
            let frame = self.sequencer.close();
            self.frames
                .send(frame)
                .map_err(|_writer_ended| io::ErrorKind::BrokenPipe)?;
        }
    }

    fn take(&mut self, jobs: &mut VecDeque<Job>) -> Taken {
        while let Some(job) = jobs.front_mut() {
            if self.sequencer.take(job) == Taken::Part {
                return Taken::Part;
            }
            if let Some(job) = jobs.pop_front() {
                self.sequencer.answer(job);
            }
        }
        Taken::All
    }

    /// Nothing is acknowledged from here on: what the disk holds is not known any more.
    fn poison(&self, error: &io::Error) {
        tracing::error!(%error, "a write or sync of the log failed: the log is poisoned");
        self.inbox.end(End::Poisoned);
        self.progress.send_replace(Progress::Poisoned);
    }
}

impl Writer {
    /// Writes frames until there are no more, then says in the superblock how far it came.
    pub(crate) fn run(mut self) {
        while let Ok(frame) = self.frames.recv() {
            let result = self.wal.append(&frame);
            let has_failed = result.is_err();
            self.inbox.written(result);
            if has_failed {
                return;
            }
        }
        if let Err(error) = self.superblock.write(self.wal.epoch(), self.wal.synced()) {
            tracing::warn!(%error, "the superblock was not written; the next start reads more of the log");
        }
    }
}

// A thread that panics must not leave others waiting for it: to them the log is poisoned.
impl Drop for Engine {
    fn drop(&mut self) {
        if thread::panicking() {
            self.poison(&io::ErrorKind::Other.into());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if thread::panicking() {
            self.inbox.written(Err(io::ErrorKind::Other.into()));
        }
    }
}
