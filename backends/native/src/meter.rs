//! What the log has done so far, counted where it happens and read from anywhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fairlead_canon::SyncMode;
use fairlead_ports::Condition;

/// Upper bounds of the classes of [`Stats::sync_times`], in microseconds; what took longer is in
/// one class more.
pub const SYNC_TIMES_US: [u64; 8] = [100, 250, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000];

const CLASSES: usize = SYNC_TIMES_US.len() + 1;

/// Counters of a log. Each is exact; a snapshot may lie between two steps of one frame.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    frames: AtomicU64,
    frame_bytes: AtomicU64,
    units: AtomicU64,
    waits: AtomicU64,
    wait_micros: AtomicU64,
    sync_micros: AtomicU64,
    sync_times: [AtomicU64; CLASSES],
    corrupt: AtomicU64,
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames written to the log.
    pub frames: u64,
    /// Bytes of them, padding included.
    pub frame_bytes: u64,
    /// Units in them.
    pub units: u64,
    /// How often the engine began with commits that waited for it.
    pub waits: u64,
    /// How long the oldest of them had waited each time, together, in microseconds.
    pub wait_micros: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// How long they took together, in microseconds.
    pub sync_micros: u64,
    /// How many took up to each of [`SYNC_TIMES_US`], and how many took longer.
    pub sync_times: [u64; CLASSES],
    /// Records and segments that were read and are not what was written.
    pub corrupt: u64,
    /// Files of the log.
    pub files_live: u64,
    /// Files that are ready for it, or can be used again.
    pub files_free: u64,
    /// Entities that were deleted and whose batches are not all given up yet.
    pub graves: u64,
    /// How it is.
    pub condition: Condition,
    /// When a durable promise is kept, for entities that ask for nothing weaker.
    pub sync: SyncMode,
}

impl Meter {
    pub(crate) fn wrote(&self, bytes: u64, units: u64) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.frame_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.units.fetch_add(units, Ordering::Relaxed);
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.wait_micros.fetch_add(micros(time), Ordering::Relaxed);
    }

    pub(crate) fn synced(&self, took: Duration) {
        let micros = micros(took);
        self.sync_micros.fetch_add(micros, Ordering::Relaxed);
        let class = SYNC_TIMES_US.partition_point(|bound| *bound < micros);
        if let Some(class) = self.sync_times.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Something was read that is not what was written.
    pub(crate) fn corrupt(&self) {
        self.corrupt.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sync_times = self.sync_times.each_ref().map(read);
        Stats {
            frames: read(&self.frames),
            frame_bytes: read(&self.frame_bytes),
            units: read(&self.units),
            waits: read(&self.waits),
            wait_micros: read(&self.wait_micros),
            syncs: sync_times.iter().sum(),
            sync_micros: read(&self.sync_micros),
            sync_times,
            corrupt: read(&self.corrupt),
            ..Stats::default()
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
