//! What moves have done so far, counted where it happens and read from anywhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of moves. Each is exact.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    moves: AtomicU64,
    rounds: AtomicU64,
    bytes: AtomicU64,
    pauses: AtomicU64,
    pause_micros: AtomicU64,
    longest_pause_micros: AtomicU64,
}

/// What the moves of a store between its places have done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Units that moved entities.
    pub moves: u64,
    /// Rounds in which they were copied, complete or not.
    pub rounds: u64,
    /// Bytes of messages that were copied.
    pub bytes: u64,
    /// How often commits waited.
    pub pauses: u64,
    /// How long they did, together, in microseconds.
    pub pause_micros: u64,
    /// The longest of these, in microseconds.
    pub longest_pause_micros: u64,
}

impl Meter {
    pub(crate) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn copied(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn paused(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.pauses.fetch_add(1, Ordering::Relaxed);
        self.pause_micros.fetch_add(micros, Ordering::Relaxed);
        self.longest_pause_micros
            .fetch_max(micros, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Moves {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Moves {
            moves: read(&self.moves),
            rounds: read(&self.rounds),
            bytes: read(&self.bytes),
            pauses: read(&self.pauses),
            pause_micros: read(&self.pause_micros),
            longest_pause_micros: read(&self.longest_pause_micros),
        }
    }
}
