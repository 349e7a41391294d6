//! What moves have done so far, counted where it happens and read from anywhere.

use std::time::Duration;

use fairlead_canon::{Batch, EntityId, Kind};
use fairlead_ports::Progress;
use parking_lot::Mutex;

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

/// Counters of all moves, and of the last one.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    all: Moves,
    last: Progress,
    /// Whom the last one moves.
    entities: Vec<EntityId>,
}

impl Meter {
    pub(crate) fn begin(&self, entities: &[EntityId]) {
        let mut counted = self.0.lock();
        counted.entities = entities.to_vec();
        counted.last = Progress {
            number: counted.last.number + 1,
            ..Progress::default()
        };
    }

    pub(crate) fn moved(&self) {
        self.0.lock().all.moves += 1;
    }

    pub(crate) fn over(&self) {
        self.0.lock().last.is_over = true;
    }

    /// A round begins, and so many messages and bytes are held.
    pub(crate) fn round(&self, (messages, bytes): (u64, u64)) {
        let mut counted = self.0.lock();
        counted.all.rounds += 1;
        counted.last.rounds += 1;
        counted.last.messages_held = messages;
        counted.last.bytes_held = bytes;
    }

    pub(crate) fn copied(&self, batch: &Batch, kind: Kind) {
        let mut counted = self.0.lock();
        let bytes = u64::from(batch.weight(kind));
        counted.all.bytes += bytes;
        counted.last.bytes += bytes;
        counted.last.messages += u64::from(batch.count);
    }

    pub(crate) fn paused(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut counted = self.0.lock();
        counted.all.pauses += 1;
        counted.all.pause_micros += micros;
        let Counted { all, last, .. } = &mut *counted;
        for longest in [
            &mut all.longest_pause_micros,
            &mut last.longest_pause_micros,
        ] {
            *longest = micros.max(*longest);
        }
    }

    pub(crate) fn read(&self) -> Moves {
        self.0.lock().all
    }

    /// The last move, if it is one of this entity.
    pub(crate) fn progress(&self, entity: EntityId) -> Option<Progress> {
        let counted = self.0.lock();
        counted.entities.contains(&entity).then_some(counted.last)
    }
}
