//! The newest part of the log in memory: most readers are close behind the writers.

use std::collections::VecDeque;

use fairlead_canon::Batch;
use fairlead_ports::Lsn;
use parking_lot::RwLock;

use crate::block::Blocks;
use crate::buffer::Records;
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
    records: Records,
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

    /// Adds a frame that was closed; the oldest ones make room. Returns the last of these, whose memory may be
    /// used again.
    pub(crate) fn push(&self, lsn: Lsn, records: Records) -> Option<Records> {
        let mut content = self.content.write();
        content.early.clear();
        content.bytes += records.cost();
        content.frames.push_back(Held { lsn, records });
        let mut last = None;
        while content.bytes > self.bytes_max && content.frames.len() > KEPT_MIN {
            last = content.frames.pop_front().map(|held| held.records);
            content.bytes -= last.as_ref().map_or(0, Records::cost);
        }
        last
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
        // One small message that a slow reader holds must not hold the whole frame with it.
        let record = if at.len as usize >= SHARED_MIN {
            held.records.slice(start..end)?
        } else {
            blocks.copy(held.records.get(start..end)?)
        };
        record::batch_of(&record)
    }
}
