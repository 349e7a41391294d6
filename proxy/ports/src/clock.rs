//! Time and randomness, which only enter through here.

use std::fmt::Debug;

use fairlead_canon::Timestamp;

/// All time that is stored, compared or decided upon. Waiting is done with the runtime's timers.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock. May jump: for stamps and deadlines only.
    fn wall(&self) -> Timestamp;
}

/// Randomness.
pub trait Entropy: Debug + Send + Sync {
    /// Fills `out` with unpredictable bytes.
    fn fill(&self, out: &mut [u8]);
}
