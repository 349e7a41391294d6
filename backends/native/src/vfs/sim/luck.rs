//! What a crash leaves of what was not synced.

use std::sync::Arc;

use super::{Change, write};

/// A write becomes durable in pieces of this size.
const SECTOR_BYTES: usize = 512;

/// What is left of changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of them are lost.
    All,
    /// None of them is.
    Nothing,
    /// Each one by itself, as the seed says.
    Some(u64),
    /// Each sector of each write by itself, as the seed says.
    Torn(u64),
}

/// Decides what survives.
pub(super) struct Luck {
    loss: Loss,
    state: u64,
}

impl Luck {
    pub(super) fn new(loss: Loss) -> Self {
        let state = match loss {
            Loss::All | Loss::Nothing => 0,
            Loss::Some(seed) | Loss::Torn(seed) => seed,
        };
        Self { loss, state }
    }

    pub(super) fn has_kept(&mut self) -> bool {
        match self.loss {
            Loss::All => false,
            Loss::Nothing => true,
            Loss::Some(_) | Loss::Torn(_) => self.toss(),
        }
    }

    pub(super) fn keep(&mut self, durable: &mut Arc<Vec<u8>>, change: &Change) {
        let Change::Write(at, bytes) = change else {
            if self.has_kept() {
                change.apply(Arc::make_mut(durable));
            }
            return;
        };
        let piece = match self.loss {
            Loss::Torn(_) => SECTOR_BYTES,
            Loss::All | Loss::Nothing | Loss::Some(_) => bytes.len().max(1),
        };
        for (n, piece_bytes) in bytes.chunks(piece).enumerate() {
            if self.has_kept() {
                write(Arc::make_mut(durable), at + n * piece, piece_bytes);
            }
        }
    }

    /// SplitMix64: small, seeded, and the same everywhere.
    fn toss(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) & 1 == 1
    }
}
