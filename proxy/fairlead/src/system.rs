//! Time and randomness of this machine, which enter the rooms through here alone.

use std::time::{SystemTime, UNIX_EPOCH};

use fairlead_canon::Timestamp;
use fairlead_ports::{Clock, Entropy};
use parking_lot::Mutex;
use rand::rngs::{OsRng, StdRng};
use rand::{RngCore, SeedableRng, TryRngCore};

/// The machine's wall clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

/// A generator fit for keys, seeded once from the machine.
#[derive(Debug)]
pub(crate) struct SystemEntropy(Mutex<StdRng>);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port's own clock")]
    fn wall(&self) -> Timestamp {
        // A clock set before 1970 counts as 1970.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl SystemEntropy {
    pub(crate) fn new() -> Result<Self, <OsRng as TryRngCore>::Error> {
        Ok(Self(Mutex::new(StdRng::try_from_rng(&mut OsRng)?)))
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().fill_bytes(out);
    }
}
