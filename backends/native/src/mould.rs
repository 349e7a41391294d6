//! What every log file of a store is made with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fairlead_ports::{Clock, Entropy};

use crate::frame::Salt;
use crate::log_file::{FileHeader, LogFile};
use crate::lsn::FileNo;
use crate::superblock::{Epoch, LogId};
use crate::vfs::Vfs;

#[derive(Debug)]
pub(crate) struct Mould {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) dir: PathBuf,
    pub(crate) file_bytes: u64,
    pub(crate) log: LogId,
    pub(crate) epoch: Epoch,
}

impl Mould {
    /// Makes one file, durable on return.
    pub(crate) fn cast(&self, number: FileNo) -> io::Result<LogFile> {
        LogFile::prepare(
            self.vfs.as_ref(),
            &self.dir,
            &self.header(number),
            self.file_bytes,
        )
    }

    /// Makes a file that is needed no more into another, durable on return. Nobody else may have it.
    pub(crate) fn recast(&self, file: LogFile, number: FileNo) -> io::Result<LogFile> {
        file.recycle(self.vfs.as_ref(), &self.dir, &self.header(number))
    }

    /// Removes a file that is needed no more.
    pub(crate) fn remove(&self, number: FileNo) -> io::Result<()> {
        self.vfs.remove(&self.dir.join(number.name()))?;
        self.vfs.sync_dir(&self.dir)
    }

    /// The salt is new each time, so that nothing that lay in a file before can be taken for a frame.
    fn header(&self, number: FileNo) -> FileHeader {
        FileHeader {
            log: self.log,
            number,
            salt: Salt(random(self.entropy.as_ref())),
            epoch: self.epoch,
            prepared: self.clock.wall(),
        }
    }
}

pub(crate) fn random(entropy: &dyn Entropy) -> u64 {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
