//! The newest part of the log in memory: most readers are close behind the writers.

use std::collections::VecDeque;

use bytes::Bytes;
use fairlead_canon::Batch;
use fairlead_ports::Lsn;
use parking_lot::RwLock;

use crate::block::Blocks;
use crate::entity::Location;
use crate::frame::HEADER_BYTES;
use crate::record;

/// Frames that stay whatever the budget says: the one being written and the one before it, which
/// may not be on disk yet. Frames without a batch are not kept at all.
const KEPT_MIN: usize = 2;

/// Records from this size on are shared with their frame instead of copied, in bytes.
const SHARED_MIN: usize = 16 * 1024;

/// The records of recent frames, within a budget of bytes.
#[derive(Debug)]
pub(crate) struct Tail {
    bytes_max: usize,
    content: RwLock<Content>,
}

#[derive(Debug, Default)]
struct Content {
    /// Oldest first, so that a place is found by bisection.
    frames: VecDeque<Held>,
    bytes: usize,
    /// Batches of the open frame that are visible before it is closed.
    early: Vec<(Lsn, Batch)>,
}

#[derive(Debug)]
struct Held {
    lsn: Lsn,
    records: Bytes,
    /// What it really takes: a buffer may be larger than what is in it.
    cost: usize,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            content: RwLock::default(),
        }
    }

    /// Keeps a batch of the open frame at hand until the frame is closed.
    pub(crate) fn push_early(&self, lsn: Lsn, batch: Batch) {
        self.content.write().early.push((lsn, batch));
    }

    /// Adds a frame that was closed; the oldest ones make room.
    pub(crate) fn push(&self, lsn: Lsn, records: Bytes, cost: usize) {
        let mut content = self.content.write();
        content.early.clear();
        content.bytes += cost;
        content.frames.push_back(Held { lsn, records, cost });
        while content.bytes > self.bytes_max && content.frames.len() > KEPT_MIN {
            let oldest = content.frames.pop_front();
            content.bytes -= oldest.map_or(0, |oldest| oldest.cost);
        }
    }

    /// The batches at these places, those that are here.
    pub(crate) fn get(&self, places: impl Iterator<Item = Location> + Clone) -> Vec<Option<Batch>> {
        let lens = places.clone().map(|at| at.len as usize);
        let mut blocks = Blocks::new(lens.filter(|len| *len < SHARED_MIN).sum());
        let content = self.content.read();
        places.map(|at| content.batch(at, &mut blocks)).collect()
    }
}

impl Content {
    fn batch(&self, at: Location, blocks: &mut Blocks) -> Option<Batch> {
        if let Ok(early) = self.early.binary_search_by_key(&at.lsn, |(lsn, _)| *lsn) {
            return self.early.get(early).map(|(_, batch)| batch.clone());
        }
        let after = self.frames.partition_point(|held| held.lsn <= at.lsn);
        let held = self.frames.get(after.checked_sub(1)?)?;
        let start = usize::try_from(at.lsn.0 - held.lsn.0)
            .ok()?
            .checked_sub(HEADER_BYTES)?;
        let end = start.checked_add(at.len as usize)?;
        let record = held
            .records
            .get(start..end)
            .map(|_| held.records.slice(start..end))?;
        let batch = record::batch_of(&record)?;
        let is_small = record.len() < SHARED_MIN && record.len() < held.cost / 4;
        Some(if is_small {
            detached(batch, blocks)
        } else {
            batch
        })
    }
}

/// The same batch outside its frame: one small message that a slow reader holds must not hold the
/// whole frame with it.
fn detached(mut batch: Batch, blocks: &mut Blocks) -> Batch {
    batch.bytes = blocks.copy(&batch.bytes);
    for key in &mut batch.keys {
        key.key = key.key.as_deref().map(|key| blocks.copy(key));
    }
    batch
}
