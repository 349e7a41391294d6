//! What all entities of a store stand on: the index below them, the count of what each log file is
//! still needed for, and the memory that their chunks take together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use fairlead_canon::Timestamp;
use parking_lot::Mutex;

use crate::chores::Chores;
use crate::entity::{Location, each};
use crate::homes::{self, Homes};
use crate::index::pack::{Pack, Unpack};
use crate::index::{Batch, Index, KvError, rows};
use crate::limits::{CHUNKS_MAX, KEYS_MAX};
use crate::lsn::{FileNo, file_of};
use crate::mutation::{Mutation, is_on};
use crate::seal::Moved;
use crate::superblock::Epoch;
use crate::txn::OpenTxns;

#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) index: Index,
    /// What log files are needed for, as of the last record that was applied.
    pub(crate) uses: Mutex<Uses>,
    /// Where the records of sealed files are, as of the last record that was applied.
    pub(crate) homes: Mutex<Homes>,
    /// As the index has them.
    written_homes: Mutex<Homes>,
    /// Open transactions, as of the last record that was applied. Never locked around the lock of an
    /// entity.
    pub(crate) open_txns: Mutex<OpenTxns>,
    /// As the index has them.
    written_txns: Mutex<OpenTxns>,
    /// When entities are to be tended to.
    pub(crate) chores: Chores,
    /// Wall clock of the frame that is applied.
    now: AtomicU64,
    /// Changes belong to the checkpoint of this number.
    generation: AtomicU64,
    /// The newest generation that is in the index.
    durable: AtomicU64,
    /// Of this stay of a process.
    epoch: AtomicU64,
    /// Entities whose class changed.
    pub(crate) moved: Mutex<Moved>,
    /// Whether class `object` has a place.
    has_objects: AtomicBool,
    chunks: Arc<AtomicUsize>,
    /// Keys of latest values in memory.
    pub(crate) keys: Arc<AtomicUsize>,
    /// In all entities, as of the last record that was applied.
    producers: AtomicUsize,
    is_faulty: AtomicBool,
}

/// What each log file is needed for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses(pub(crate) BTreeMap<FileNo, Use>);

/// What a log file is needed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    /// Batches that an entity keeps; one that several keep counts several times.
    pub(crate) references: u64,
    /// Bytes of their records, divided among those that keep them.
    pub(crate) bytes: u64,
}

/// Counts one chunk in memory for as long as it lives.
#[derive(Debug)]
pub(crate) struct Tally(Arc<AtomicUsize>);

impl Ground {
    /// The ground as an index has it.
    pub(crate) fn new(index: Index) -> Result<Self, KvError> {
        let homes = Homes::load(&index)?;
        let open_txns = OpenTxns::load(&index)?;
        let moved = Moved::load(&index)?;
        let mut producers = 0;
        each(&index, &rows::all_producers(), &mut |_, _| {
            producers += 1;
            Some(())
        })?;
        Ok(Self {
            open_txns: Mutex::new(open_txns.clone()),
            written_txns: Mutex::new(open_txns),
            chores: Chores::default(),
            now: AtomicU64::new(0),
            uses: Mutex::new(Uses::load(&index)?),
            homes: Mutex::new(homes.clone()),
            written_homes: Mutex::new(homes),
            index,
            generation: AtomicU64::new(1),
            durable: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            moved: Mutex::new(moved),
            has_objects: AtomicBool::new(false),
            chunks: Arc::default(),
            keys: Arc::default(),
            producers: AtomicUsize::new(producers),
            is_faulty: AtomicBool::new(false),
        })
    }

    /// When the frame that is applied was begun: the time of everything in it, also when it is read
    /// again.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    /// A frame is applied from here on. Called by the engine alone.
    pub(crate) fn set_now(&self, wall: Timestamp) {
        self.now.store(wall.0, Ordering::Relaxed);
    }

    /// Adds what the index does not have of these open transactions.
    pub(crate) fn write_txns(&self, open: &OpenTxns, batch: &mut Batch) {
        open.write(&self.written_txns.lock(), batch);
    }

    /// The index has these.
    pub(crate) fn set_written_txns(&self, open: OpenTxns) {
        *self.written_txns.lock() = open;
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Begins the next generation; returns the one that ended. Called by the engine alone.
    pub(crate) fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::Relaxed)
    }

    /// The newest generation that is in the index.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, generation: u64) {
        self.durable.store(generation, Ordering::Release);
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Relaxed))
    }

    pub(crate) fn set_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Relaxed);
    }

    /// What the index said; nothing when it could not be read. A decision on that ground must never
    /// become durable, so the engine asks [`Ground::is_faulty`] before it closes a frame.
    pub(crate) fn trust<T>(&self, answer: Result<Option<T>, KvError>) -> Option<T> {
        answer.unwrap_or_else(|error| {
            let first = !self.is_faulty.swap(true, Ordering::AcqRel);
            if first && !matches!(error, KvError::Closed) {
                tracing::error!(error = &error as &dyn std::error::Error, "the index failed");
            }
            None
        })
    }

    /// Whether the index has failed since it was opened.
    pub(crate) fn is_faulty(&self) -> bool {
        self.is_faulty.load(Ordering::Acquire)
    }

    /// Adds what the index does not have of these.
    pub(crate) fn write_homes(&self, homes: &Homes, batch: &mut Batch) {
        if homes.is_same(&self.written_homes.lock()) {
            return;
        }
        batch.delete_all(rows::all_homes());
        for (number, at) in homes.all() {
            batch.put(rows::homes(number), homes::encode_row(at));
        }
    }

    /// Whether the index has the homes of sealed files as they are.
    pub(crate) fn has_written_homes(&self) -> bool {
        self.homes.lock().is_same(&self.written_homes.lock())
    }

    /// The index has these.
    pub(crate) fn set_written_homes(&self, homes: &Homes) {
        *self.written_homes.lock() = homes.clone();
    }

    pub(crate) fn has_objects(&self) -> bool {
        self.has_objects.load(Ordering::Relaxed)
    }

    /// Class `object` has a place.
    pub(crate) fn set_has_objects(&self) {
        self.has_objects.store(true, Ordering::Relaxed);
    }

    /// Producers known in all entities.
    pub(crate) fn producers(&self) -> usize {
        self.producers.load(Ordering::Relaxed)
    }

    /// An entity knows so many, and knew others. Called by the engine alone.
    pub(crate) fn count_producers(&self, before: usize, after: usize) {
        let others = self.producers().saturating_sub(before);
        self.producers.store(others + after, Ordering::Relaxed);
    }

    /// Whether more is in memory than should be, of what is in the index as well.
    pub(crate) fn is_crowded(&self) -> bool {
        self.has_many_chunks() || self.has_many_keys()
    }

    pub(crate) fn has_many_chunks(&self) -> bool {
        self.chunks() > CHUNKS_MAX
    }

    pub(crate) fn has_many_keys(&self) -> bool {
        self.keys.load(Ordering::Relaxed) > KEYS_MAX
    }

    /// Chunks in memory.
    fn chunks(&self) -> usize {
        self.chunks.load(Ordering::Relaxed)
    }

    /// Counts one more.
    pub(crate) fn tally(&self) -> Tally {
        self.chunks.fetch_add(1, Ordering::Relaxed);
        Tally(Arc::clone(&self.chunks))
    }
}

impl Homes {
    /// What the index says.
    fn load(index: &Index) -> Result<Self, KvError> {
        let mut loaded = BTreeMap::new();
        each(index, &rows::all_homes(), &mut |key, row| {
            let number = FileNo(rows::number_in(key, 0)?);
            loaded.insert(number, homes::decode_row(row)?);
            Some(())
        })?;
        Ok(Self::of_rows(loaded))
    }
}

impl Uses {
    /// What the index says.
    pub(crate) fn load(index: &Index) -> Result<Self, KvError> {
        let mut uses = BTreeMap::new();
        each(index, &rows::files(), &mut |key, row| {
            uses.insert(FileNo(rows::number_in(key, 0)?), Use::decode(row)?);
            Some(())
        })?;
        Ok(Self(uses))
    }

    /// A batch is kept, whose share of its record is so many bytes.
    pub(crate) fn add(&mut self, at: Location, share: u32) {
        self.add_shares(at, share, 1);
    }

    /// A batch is kept by so many entities, each with an equal share of its record.
    pub(crate) fn add_shares(&mut self, at: Location, share: u32, entities: u32) {
        let needed = self.0.entry(file_of(at.lsn)).or_default();
        needed.references += u64::from(entities);
        needed.bytes += u64::from(share) * u64::from(entities);
    }

    /// It is no longer kept.
    pub(crate) fn remove(&mut self, at: Location, share: u32) {
        if is_on(Mutation::NoLiveCountDecrement) {
            return;
        }
        let number = file_of(at.lsn);
        let Some(needed) = self.0.get_mut(&number) else {
            return;
        };
        needed.references = needed.references.saturating_sub(1);
        needed.bytes = needed.bytes.saturating_sub(u64::from(share));
        if needed.references == 0 {
            self.0.remove(&number);
        }
    }
}

impl Use {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut pack = Pack::default();
        pack.uint(self.references);
        pack.uint(self.bytes);
        pack.done()
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let mut unpack = Unpack::new(row);
        let (references, bytes) = (unpack.uint()?, unpack.uint()?);
        unpack.done(Self { references, bytes })
    }
}

impl Clone for Tally {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
