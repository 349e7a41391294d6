//! Where a store lives, how much it may take, and what it gets from outside.

use std::path::PathBuf;
use std::sync::Arc;

use fairlead_canon::SyncMode;
use fairlead_ports::{Clock, Entropy};
use fairlead_segment::Segments;

use crate::error::OpenError;
use crate::lsn::{FILE_BYTES_MAX, PAGE};
use crate::vfs::{Disk, Vfs};

/// Smallest log file: room for its header and a few frames.
const FILE_BYTES_MIN: u64 = 64 * 1024;

/// Where a store lives and how much it may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; made if it is not there.
    pub dir: PathBuf,
    /// Bytes of a log file: whole pages, at most 64 MiB. Half of it bounds a unit. It only
    /// concerns files that are made from now on.
    pub file_bytes: u64,
    /// Bytes of log at which appends are refused. From half of it on, the oldest files of the log
    /// are sealed.
    pub log_bytes_max: u64,
    /// Bytes of recent log kept in memory for readers.
    pub tail_bytes_max: usize,
    /// Where class `object` is sealed to; without it no entity can be of that class.
    pub objects: Option<Arc<dyn Segments>>,
    /// What must stay free on the disk.
    pub spare: Spare,
    /// When a durable promise is kept. [`SyncMode::Interval`] here weakens every entity.
    pub sync: SyncMode,
}

/// Room on the disk that a store leaves to others, and to what frees space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spare {
    /// With less than this free, nothing new is taken.
    pub bytes: u64,
    /// The same, as a part of the disk; the greater holds.
    pub percent: u8,
    /// The most that the part may be: what frees space needs no more of a larger disk.
    pub percent_bytes_max: u64,
    /// Taken in advance, and given up at that moment.
    pub ballast_bytes: u64,
}

/// Time and randomness of a store.
#[derive(Clone, Debug)]
pub struct World {
    /// Stamps frames.
    pub clock: Arc<dyn Clock>,
    /// Identifies logs and files.
    pub entropy: Arc<dyn Entropy>,
    /// Holds the files.
    pub vfs: Arc<dyn Vfs>,
}

impl World {
    /// One whose files are those of this machine.
    pub fn on_disk(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            clock,
            entropy,
            vfs: Arc::new(Disk),
        }
    }
}

impl Default for Spare {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            percent: 5,
            percent_bytes_max: 4 << 30,
            ballast_bytes: 64 << 20,
        }
    }
}

impl Spare {
    /// Nothing is left free: for tests, and for disks that somebody else watches.
    pub const NOTHING: Self = Self {
        bytes: 0,
        percent: 0,
        percent_bytes_max: 0,
        ballast_bytes: 0,
    };

    pub(crate) fn mark(self, total: u64) -> u64 {
        let part = (total / 100).saturating_mul(u64::from(self.percent));
        self.bytes.max(part.min(self.percent_bytes_max))
    }
}

/// Descriptors that a log of so many bytes has open at most: two for each of its files.
pub const fn open_files_max(log_bytes: u64) -> u64 {
    2 * log_bytes.div_ceil(FILE_BYTES_MAX)
}

impl Settings {
    /// A store in a directory, with the usual sizes.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            file_bytes: FILE_BYTES_MAX,
            log_bytes_max: 8 << 30,
            tail_bytes_max: 64 << 20,
            objects: None,
            spare: Spare::default(),
            sync: SyncMode::Always,
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let is_size = (FILE_BYTES_MIN..=FILE_BYTES_MAX).contains(&self.file_bytes);
        if !is_size || !self.file_bytes.is_multiple_of(PAGE) {
            return Err(OpenError::Setting {
                what: "a log file has 64 KiB to 64 MiB, in pages of 4 KiB",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_stay_free_grows_with_the_disk_up_to_a_bound() {
        let mark = |gib: u64| Spare::default().mark(gib << 30).div_ceil(1 << 30);
        assert_eq!([10, 60, 252, 8_192].map(mark), [1, 3, 4, 4]);
    }

    #[test]
    fn a_log_has_two_descriptors_for_each_of_its_files() {
        assert_eq!(open_files_max(1), 2);
        assert_eq!(open_files_max(8 << 30), 256);
        assert_eq!(open_files_max((8 << 30) + 1), 258);
    }
}
