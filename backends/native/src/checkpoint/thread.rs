//! The thread that writes checkpoints.

use std::io;
use std::sync::Arc;

use fairlead_ports::Lsn;
use tokio::runtime::Builder;

use super::Checkpoint;
use crate::engine::poison;
use crate::file_wal::Files;
use crate::frame::{HEADER_BYTES, Header};
use crate::index::{Applied, KvError};
use crate::lsn::{file_of, position_of};
use crate::mutation::{Mutation, is_on};
use crate::pool::{Filled, Pool};
use crate::seal::View;
use crate::sequencer::Shared;
use crate::state::Progress;

#[derive(Debug)]
pub(crate) struct Checkpointer {
    shared: Arc<Shared>,
    files: Arc<Files>,
    pool: Arc<Pool>,
}

impl Checkpointer {
    pub(crate) fn new(shared: Arc<Shared>, files: Arc<Files>, pool: Arc<Pool>) -> Self {
        Self {
            shared,
            files,
            pool,
        }
    }

    /// Writes checkpoints until the store is closed, and one of what is left then. If it cannot, the
    /// store is poisoned: the log would never be freed.
    pub(crate) fn run(self) {
        if let Err(error) = self.write_all() {
            poison(&self.shared, &io::Error::other(error));
        }
    }

    fn write_all(&self) -> Result<(), KvError> {
        // For nothing but waiting until frames are durable.
        let runtime = Builder::new_current_thread().build().map_err(KvError::Io)?;
        let desk = &self.shared.desk;
        while desk.wait_until_due() {
            desk.want();
            self.shared.inbox.nudge();
            let Some(checkpoint) = desk.take() else { break };
            let durable = self.shared.durable(checkpoint.frame);
            if runtime.block_on(durable).is_err() {
                // Poisoned or closed: what is not durable is not to be in the index.
                return Ok(());
            }
            match self.write(checkpoint) {
                // It was closed while there was no room: the log has everything.
                Err(error) if self.shared.state.ground.index.shortage.is_closed() => {
                    tracing::warn!(%error, "the disk had no room for a checkpoint; the next start reads more of the log");
                    return Ok(());
                }
                written => written?,
            }
        }
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "the last checkpoint failed; the next start reads more of the log");
        }
        Ok(())
    }

    /// Writes a checkpoint whose last frame is durable, and frees what it leaves without use.
    pub(crate) fn write(&self, checkpoint: Checkpoint) -> Result<(), KvError> {
        let applied = applied(&self.files, checkpoint.frame)?;
        if is_on(Mutation::RecycleBeforeCheckpoint) {
            self.release(&View {
                uses: checkpoint.uses.clone(),
                homes: checkpoint.homes.clone(),
                applied: applied.frame,
            });
            while matches!(self.pool.fill(), Ok(Filled::More)) {}
        }
        let view = checkpoint.write(&self.shared.state, &applied)?;
        self.release(&view);
        self.shared.bench.put(view);
        self.pool.look();
        Ok(())
    }

    /// Nobody else is at work any more.
    fn finish(&self) -> Result<(), KvError> {
        let last = self.shared.desk.last();
        let progress = *self.shared.progress.borrow();
        let is_durable = matches!(progress, Progress::Durable(end) if end > last);
        if !is_durable || !self.shared.state.is_ahead() {
            return Ok(());
        }
        self.write(Checkpoint::begin(&self.shared.state, last))
    }

    /// Gives back log files that lie wholly below what the index has, when nothing in it refers to
    /// them, or their records are in segments.
    fn release(&self, view: &View) {
        for number in self.files.below(file_of(view.applied)) {
            if view.uses.is_free(number) || !view.homes.of(number).is_empty() {
                self.pool.release(number);
            }
        }
    }
}

/// What the frame that ends a generation looks like, read back from the log.
fn applied(files: &Files, frame: Lsn) -> Result<Applied, KvError> {
    let missing = || KvError::Io(io::ErrorKind::NotFound.into());
    let file = files.get(file_of(frame)).ok_or_else(missing)?;
    let mut bytes = [0; HEADER_BYTES];
    let read = file.file.read_at(position_of(frame), &mut bytes);
    read.map_err(KvError::Io)?;
    let header = Header::decode(&bytes).filter(|header| header.lsn == frame);
    let header = header.ok_or_else(|| KvError::Io(io::ErrorKind::InvalidData.into()))?;
    Ok(Applied {
        frame,
        crc: header.crc,
        epoch: header.epoch,
    })
}
