//! What the index says about itself: which log it belongs to, and up to which frame that is applied.

use std::path::{Path, PathBuf};

use fairlead_ports::Lsn;

use super::pack::{Pack, Unpack};
use super::{Batch, Index, KvError, rows};
use crate::error::OpenError;
use crate::superblock::{Epoch, LogId};
use crate::vfs::Vfs;

/// The file in the data directory.
pub(crate) const NAME: &str = "index.redb";
/// Of the rows; the first had another layout for those of batches, which are still read.
const VERSION: u64 = 2;

/// The last frame that the index has, and what the next one must say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// 0: none yet.
    pub(crate) frame: Lsn,
    pub(crate) crc: u32,
    pub(crate) epoch: Epoch,
}

impl Applied {
    pub(crate) fn write(&self, batch: &mut Batch) {
        let mut pack = Pack::default();
        pack.uint(self.frame.0);
        pack.uint(self.crc);
        pack.uint(self.epoch.0);
        batch.put(rows::APPLIED.to_vec(), pack.done());
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let mut unpack = Unpack::new(row);
        let applied = Self {
            frame: Lsn(unpack.uint()?),
            crc: unpack.uint32()?,
            epoch: Epoch(unpack.uint()?),
        };
        unpack.done(applied)
    }
}

impl Index {
    /// Makes the index of a new log, in place of what is left of one that was never finished.
    pub(crate) fn create(vfs: &dyn Vfs, dir: &Path, log: LogId) -> Result<Self, OpenError> {
        let path = dir.join(NAME);
        let io = |error| OpenError::io(&path, error);
        let file = vfs.create(&path).map_err(io)?;
        let make = || -> Result<Self, KvError> {
            let index = Self::in_file(file)?;
            let mut batch = Batch::default();
            write_log(log, &mut batch);
            Applied::default().write(&mut batch);
            index.checkpoint(batch)?;
            Ok(index)
        };
        let index = make().map_err(|error| refused(path.clone(), error))?;
        vfs.sync_dir(dir).map_err(io)?;
        Ok(index)
    }

    /// Opens the index of a log. Refuses one that is not there, damaged, or of another log.
    pub(crate) fn open(vfs: &dyn Vfs, dir: &Path, log: LogId) -> Result<Self, OpenError> {
        let path = dir.join(NAME);
        let file = vfs.open(&path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                OpenError::Missing { file: path.clone() }
            } else {
                OpenError::io(&path, error)
            }
        })?;
        let index = Self::in_file(file).map_err(|error| refused(path.clone(), error))?;
        let version = index.check_log(&path, log)?;
        if version < VERSION {
            // Before a row of this version is written: who knows only the earlier ones then refuses it.
            let mut batch = Batch::default();
            write_log(log, &mut batch);
            let written = index.checkpoint(batch);
            written.map_err(|error| refused(path, error))?;
        }
        Ok(index)
    }

    /// The version of an index. Refuses one of another log or of a later version.
    pub(crate) fn check_log(&self, path: &Path, log: LogId) -> Result<u64, OpenError> {
        let row = self.get(rows::LOG);
        let row = row.map_err(|error| refused(path.into(), error))?;
        let version = row.and_then(|row| {
            let mut unpack = Unpack::new(&row);
            let version = unpack.uint()?;
            let is_known = (1..=VERSION).contains(&version);
            let is_ours = is_known && unpack.bytes() == Some(&log.0);
            is_ours.then_some(version)
        });
        version.ok_or_else(|| {
            OpenError::damaged(path, 0, "the index of this log, in a version that is known")
        })
    }

    /// Up to where the log is applied.
    pub(crate) fn applied(&self) -> Result<Applied, KvError> {
        let row = self.get(rows::APPLIED)?;
        let applied = row.and_then(|row| Applied::decode(&row));
        applied.ok_or_else(|| KvError::damaged(rows::APPLIED, "a row"))
    }
}

fn write_log(log: LogId, batch: &mut Batch) {
    let mut pack = Pack::default();
    pack.uint(VERSION);
    pack.bytes(&log.0);
    batch.put(rows::LOG.to_vec(), pack.done());
}

/// Why an index was not opened, with its file.
pub(crate) fn refused(file: PathBuf, error: KvError) -> OpenError {
    match error {
        KvError::Io(source) => OpenError::Io { file, source },
        KvError::Closed => OpenError::Io {
            file,
            source: std::io::ErrorKind::NotConnected.into(),
        },
        KvError::Damaged { what } => OpenError::Index { file, what },
    }
}
