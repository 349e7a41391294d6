//! What a store is given from outside.

use std::sync::atomic::{AtomicU64, Ordering};

use fairlead_canon::Timestamp;
use fairlead_ports::{Clock, Entropy};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// Wall time that moves when it is told to.
#[derive(Debug)]
pub struct Time(AtomicU64);

/// Bytes that nobody knows in advance.
#[derive(Debug)]
pub struct Chance;

impl Time {
    /// Stands at `ms` after the epoch.
    pub fn at(ms: u64) -> Self {
        Self(AtomicU64::new(ms))
    }

    /// Stands there from now on.
    pub fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }

    /// Goes on by so many milliseconds.
    pub fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Time {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

impl Entropy for Chance {
    fn fill(&self, out: &mut [u8]) {
        StdRng::from_os_rng().fill_bytes(out);
    }
}
