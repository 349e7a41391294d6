//! Room on the disk: when it is short, nothing new is taken, and a file kept for that moment is
//! given up so that checkpoints and sealing, which free space, have some to begin with.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::index::Shortage;
use crate::settings::Spare;
use crate::vfs::Vfs;

const NAME: &str = "ballast";

/// Looked at by the engine for each unit, and kept up to date by the thread that prepares files.
#[derive(Debug)]
pub(crate) struct Space {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    spare: Spare,
    index: Arc<Shortage>,
    is_short: AtomicBool,
    /// Bytes that are free beyond what must be.
    beyond: AtomicU64,
    has_ballast: AtomicBool,
}

impl Space {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: PathBuf, spare: Spare, index: Arc<Shortage>) -> Self {
        // A crash may have left one that has nothing in it yet.
        let length = vfs.open(&dir.join(NAME)).and_then(|file| file.length());
        let has_ballast = length.is_ok_and(|length| length >= spare.ballast_bytes);
        Self {
            vfs,
            dir,
            spare,
            index,
            is_short: AtomicBool::new(false),
            beyond: AtomicU64::new(u64::MAX),
            has_ballast: AtomicBool::new(has_ballast),
        }
    }

    /// Whether the disk has less room than it must, or the index none to grow.
    pub(crate) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed) || self.index.is_short()
    }

    /// Whether the disk has so many bytes more than must stay free.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        self.beyond.load(Ordering::Relaxed) >= bytes
    }

    /// Looks at the disk. `is_refusing`: it did not take a file.
    pub(crate) fn look(&self, is_refusing: bool) {
        let room = match self.vfs.room(&self.dir) {
            Ok(room) => room,
            Err(error) => {
                tracing::warn!(%error, "the free space of the disk is not known");
                return;
            }
        };
        // Some file systems have no size, and say that they have no room.
        let free = if room.total > 0 { room.free } else { u64::MAX };
        let mark = self.spare.mark(room.total);
        self.beyond
            .store(free.saturating_sub(mark), Ordering::Relaxed);
        let was_short = self.is_short.load(Ordering::Relaxed);
        // What giving up the ballast gains must not look like an end of the need.
        let ended = mark.saturating_add(self.spare.ballast_bytes.saturating_mul(2));
        let enough = if was_short { ended } else { mark };
        // To take it must not look like a need.
        let plenty = mark
            .saturating_mul(2)
            .max(ended.saturating_add(self.spare.ballast_bytes));
        let is_short = free < enough;
        self.is_short.store(is_short, Ordering::Relaxed);
        match (was_short, is_short) {
            (false, true) => {
                tracing::error!(free, mark, "the disk is nearly full: nothing new is taken")
            }
            (true, false) => tracing::info!(free, "the disk has room again"),
            (false, false) | (true, true) => {}
        }
        if is_short || is_refusing || self.index.is_short() {
            self.give_up_ballast();
        } else if free >= plenty {
            self.take_ballast();
        }
    }

    fn give_up_ballast(&self) {
        if !self.has_ballast.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.vfs.remove(&self.dir.join(NAME)) {
            tracing::warn!(%error, "the ballast could not be given up");
        }
    }

    fn take_ballast(&self) {
        if self.spare.ballast_bytes == 0 || self.has_ballast.swap(true, Ordering::Relaxed) {
            return;
        }
        let path = self.dir.join(NAME);
        let made = self
            .vfs
            .create(&path)
            .and_then(|file| file.reserve(self.spare.ballast_bytes));
        if let Err(error) = made {
            tracing::warn!(%error, "no room was set aside for a full disk");
            self.give_up_ballast();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::Room;
    use crate::vfs::sim::SimFs;

    fn space(fs: &SimFs) -> Space {
        let spare = Spare {
            bytes: 1,
            ballast_bytes: 200,
            ..Spare::NOTHING
        };
        let vfs = Arc::new(fs.clone());
        vfs.make_dir("data".as_ref()).unwrap();
        Space::new(vfs, "data".into(), spare, Arc::default())
    }

    fn length(fs: &SimFs) -> Option<u64> {
        let ballast = fs.open("data/ballast".as_ref()).ok()?;
        Some(ballast.length().unwrap())
    }

    #[test]
    fn a_disk_that_has_no_room_for_the_ballast_is_left_without_one() {
        let fs = SimFs::default();
        let space = space(&fs);
        fs.set_free(600);
        space.look(false);
        assert_eq!(length(&fs), None);
        fs.set_free(601);
        space.look(false);
        assert_eq!(length(&fs), Some(200));
    }

    #[test]
    fn a_ballast_that_a_crash_has_left_empty_is_made_anew() {
        let fs = SimFs::default();
        space(&fs);
        fs.create("data/ballast".as_ref()).unwrap();
        let space = space(&fs);
        fs.set_free(601);
        space.look(false);
        assert_eq!(length(&fs), Some(200));
    }

    #[test]
    fn a_disk_that_does_not_know_its_size_is_not_taken_for_a_full_one() {
        let fs = SimFs::default();
        let spare = Spare {
            bytes: 1,
            ..Spare::NOTHING
        };
        let space = Space::new(Arc::new(fs.clone()), "data".into(), spare, Arc::default());
        fs.set_room(Room { free: 0, total: 9 });
        space.look(false);
        assert!(space.is_short());
        fs.set_room(Room { free: 0, total: 0 });
        space.look(false);
        assert!(!space.is_short());
    }
}
