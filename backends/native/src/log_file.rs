//! One file of the log: its header, and how it is prepared.
//!
//! | at | size | header (the first page) | at | size | |
//! |---|---|---|---|---|---|
//! | 0 | 8 | magic `FLWALF01` | 32 | 8 | file number |
//! | 8 | 4 | CRC of bytes 12..64 | 40 | 8 | salt, random |
//! | 12 | 4 | format version | 48 | 8 | epoch when prepared |
//! | 16 | 16 | log id | 56 | 8 | prepared at, ms |

use std::io;
use std::path::Path;
use std::sync::Arc;

use fairlead_canon::Timestamp;

use crate::crc;
use crate::field::{array, is_zero, u32_at, u64_at};
use crate::frame::Salt;
use crate::lsn::{FileNo, PAGE, PAGE_BYTES};
use crate::superblock::{Epoch, LogId};
use crate::vfs::{File, Vfs};
use crate::zeros;

const MAGIC: [u8; 8] = *b"FLWALF01";
const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 64;
/// A file is written under this name and renamed when it is whole.
const NAME_NEW: &str = "next.new";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) log: LogId,
    pub(crate) number: FileNo,
    pub(crate) salt: Salt,
    pub(crate) epoch: Epoch,
    pub(crate) prepared: Timestamp,
}

/// A file that frames can be read from and written to.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    pub(crate) number: FileNo,
    pub(crate) salt: Salt,
    pub(crate) file: Arc<dyn File>,
    pub(crate) bytes: u64,
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let fields: [&[u8]; 6] = [
            &VERSION.to_le_bytes(),
            &self.log.0,
            &self.number.0.to_le_bytes(),
            &self.salt.0.to_le_bytes(),
            &self.epoch.0.to_le_bytes(),
            &self.prepared.0.to_le_bytes(),
        ];
        let covered = fields.concat();
        let crc = crc::of(&covered).to_le_bytes();
        let mut header = [0; HEADER_BYTES];
        let bytes = MAGIC.iter().chain(&crc).chain(&covered);
        header
            .iter_mut()
            .zip(bytes)
            .for_each(|(place, byte)| *place = *byte);
        header
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let is_whole = u32_at(bytes, 8)? == crc::of(bytes.get(12..HEADER_BYTES)?);
        let is_known = array(bytes, 0)? == MAGIC && u32_at(bytes, 12)? == VERSION;
        (is_whole && is_known).then_some(Self {
            log: LogId(array(bytes, 16)?),
            number: FileNo(u64_at(bytes, 32)?),
            salt: Salt(u64_at(bytes, 40)?),
            epoch: Epoch(u64_at(bytes, 48)?),
            prepared: Timestamp(u64_at(bytes, 56)?),
        })
    }
}

impl LogFile {
    /// Makes a file of `bytes` zeros behind its header, durable under its name on return.
    pub(crate) fn prepare(
        vfs: &dyn Vfs,
        dir: &Path,
        header: &FileHeader,
        bytes: u64,
    ) -> io::Result<Self> {
        let new = dir.join(NAME_NEW);
        let file = vfs.create_paged(&new)?;
        if let Err(error) = fill(file.as_ref(), header, bytes) {
            // What it took so far may be what others lack; an error of that adds nothing.
            drop(vfs.remove(&new));
            return Err(error);
        }
        vfs.rename(&new, &dir.join(header.number.name()))?;
        vfs.sync_dir(dir)?;
        Ok(Self {
            number: header.number,
            salt: header.salt,
            file,
            bytes,
        })
    }

    /// Makes a file whose content is needed no more into the one that `header` says, durable under
    /// its name on return. What else lay in it stays: its salt and its addresses were others.
    pub(crate) fn recycle(
        self,
        vfs: &dyn Vfs,
        dir: &Path,
        header: &FileHeader,
    ) -> io::Result<Self> {
        // Its old name goes first: under it the new header would be damage.
        let new = dir.join(NAME_NEW);
        vfs.rename(&dir.join(self.number.name()), &new)?;
        vfs.sync_dir(dir)?;
        self.file.write_at(0, &[&header.encode()])?;
        self.file.sync()?;
        vfs.rename(&new, &dir.join(header.number.name()))?;
        vfs.sync_dir(dir)?;
        Ok(Self {
            number: header.number,
            salt: header.salt,
            ..self
        })
    }

    /// Whether somebody else has it open, to read from it.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.file) > 1
    }

    /// Opens a file by its number; `None` when its header is not one of this log and number.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        dir: &Path,
        number: FileNo,
        log: LogId,
    ) -> io::Result<Option<Self>> {
        let file = vfs.open_paged(&dir.join(number.name()))?;
        let bytes = file.length()?;
        let mut page = [0; PAGE_BYTES];
        file.read_at(0, &mut page)?;
        let is_ours =
            |header: &FileHeader| header.log == log && header.number == number && bytes >= PAGE;
        let is_whole = is_zero(&page, HEADER_BYTES, PAGE_BYTES);
        let header = FileHeader::decode(&page).filter(|header| is_whole && is_ours(header));
        Ok(header.map(|header| Self {
            number,
            salt: header.salt,
            file,
            bytes,
        }))
    }
}

/// Writes a header and zeros behind it, durable on return.
fn fill(file: &dyn File, header: &FileHeader, bytes: u64) -> io::Result<()> {
    file.write_at(0, &[&header.encode()])?;
    zeros::write(file, PAGE, bytes)?;
    file.sync()
}
