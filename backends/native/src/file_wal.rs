//! The commit log as files: appending to it. How it is read again after a stop is in
//! [`crate::recovery`].

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use fairlead_canon::Timestamp;
use fairlead_ports::Lsn;
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::buffer::Records;
use crate::frame::{HEADER_BYTES, Header};
use crate::log_file::LogFile;
use crate::lsn::{FileNo, PAGE_BYTES, at, file_of, padded, position_of};
use crate::meter::Meter;
use crate::mutation::{Mutation, is_on};
use crate::pages::Pages;
use crate::pool::Pool;
use crate::superblock::Epoch;
pub(crate) use crate::vfs::Flush;

const PADDING: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// What one write makes durable. Its place was fixed when it was begun.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) lsn: Lsn,
    pub(crate) wall: Timestamp,
    pub(crate) flags: u32,
    /// Units that it holds; not in the file.
    pub(crate) units: u32,
    pub(crate) count: u32,
    pub(crate) records: Records,
}

/// Open files by number, shared with those who read.
#[derive(Debug, Default)]
pub(crate) struct Files(RwLock<BTreeMap<FileNo, LogFile>>);

/// Where the chain of frames ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub(crate) previous: Lsn,
    pub(crate) previous_crc: u32,
    pub(crate) epoch: Epoch,
    /// End of what completed syncs covered.
    pub(crate) synced: Lsn,
}

/// The end of the log, for its one writer.
#[derive(Debug)]
pub(crate) struct FileWal {
    pool: Arc<Pool>,
    files: Arc<Files>,
    current: LogFile,
    chain: Chain,
    /// End of what was written; above `chain.synced` while a sync is owed.
    written: Lsn,
    pages: Pages,
    meter: Arc<Meter>,
}

impl Frame {
    /// What it takes in its file, padding included.
    pub(crate) fn padded_len(&self) -> u64 {
        padded((HEADER_BYTES + self.records.len()) as u64)
    }

    /// Where the next frame may begin.
    pub(crate) fn end(&self) -> Lsn {
        Lsn(self.lsn.0.saturating_add(self.padded_len()))
    }
}

impl Files {
    pub(crate) fn add(&self, file: LogFile) {
        self.0.write().insert(file.number, file);
    }

    /// Numbers below this one, in order.
    pub(crate) fn below(&self, number: FileNo) -> Vec<FileNo> {
        self.0
            .read()
            .range(..number)
            .map(|(number, _)| *number)
            .collect()
    }

    /// Nobody finds it any more.
    pub(crate) fn remove(&self, number: FileNo) -> Option<LogFile> {
        self.0.write().remove(&number)
    }

    /// The highest number; the first where there is no file.
    pub(crate) fn last(&self) -> FileNo {
        let files = self.0.read();
        files.keys().next_back().copied().unwrap_or(FileNo::FIRST)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.read().len() as u64
    }

    pub(crate) fn get(&self, number: FileNo) -> Option<LogFile> {
        self.0.read().get(&number).cloned()
    }
}

impl FileWal {
    pub(crate) fn new(pool: Arc<Pool>, files: Arc<Files>, current: LogFile, chain: Chain) -> Self {
        Self {
            pool,
            files,
            current,
            written: chain.synced,
            chain,
            pages: Pages::default(),
            meter: Arc::default(),
        }
    }

    pub(crate) fn synced(&self) -> Lsn {
        self.chain.synced
    }

    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.chain.epoch
    }

    /// Writes a frame; with [`Flush::Now`] it and everything before it is durable on return. After
    /// an error the log is poisoned, and nothing may be appended any more.
    pub(crate) fn append(&mut self, frame: &Frame, flush: Flush) -> io::Result<()> {
        self.turn_to(file_of(frame.lsn))?;
        let len = HEADER_BYTES + frame.records.len();
        let mut header = Header {
            len: u32::try_from(len).map_err(|_too_long| io::ErrorKind::InvalidInput)?,
            crc: 0,
            previous_crc: self.chain.previous_crc,
            lsn: frame.lsn,
            previous: self.chain.previous,
            epoch: self.chain.epoch,
            wall: frame.wall,
            records: frame.count,
            flags: frame.flags,
            synced: self.chain.synced,
        };
        let head = header.seal(self.current.salt, &frame.records);
        // One call writes and syncs what it is given, and nothing that was written before.
        let is_at_once = flush == Flush::Now && self.written == self.chain.synced;
        if is_at_once {
            self.write_durably(frame, &head)?;
        } else {
            self.write(position_of(frame.lsn), [&head, &frame.records])?;
        }
        self.chain.previous = frame.lsn;
        self.chain.previous_crc = header.crc;
        self.written = frame.end();
        self.meter.wrote(frame.padded_len(), u64::from(frame.units));
        match flush {
            Flush::Now if is_at_once => self.chain.synced = self.written,
            Flush::Now => self.sync()?,
            Flush::Later => {}
        }
        Ok(())
    }

    /// Through the cache of the system: nobody waits for the disk yet.
    fn write(&self, position: u64, [head, records]: [&[u8]; 2]) -> io::Result<()> {
        let len = head.len() + records.len();
        let (padding, _) = PADDING.split_at(len.next_multiple_of(PADDING.len()) - len);
        let parts = [head, records, padding];
        self.current.file.write_at(position, &parts)
    }

    fn write_durably(&mut self, frame: &Frame, head: &[u8; HEADER_BYTES]) -> io::Result<()> {
        let begin = Instant::now();
        let flush = match is_on(Mutation::SkipSync) {
            true => Flush::Later,
            false => Flush::Now,
        };
        let (position, file) = (position_of(frame.lsn), &self.current.file);
        let pages = self.pages.of_frame(head, &frame.records);
        let written = file.write_pages(position, &pages, flush);
        if !is_on(Mutation::IgnoreSyncError) {
            written?;
        }
        self.meter.synced(begin.elapsed());
        Ok(())
    }

    /// Makes everything that was written durable. An error poisons the log as in
    /// [`FileWal::append`].
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        if !is_on(Mutation::SkipSync) {
            let synced = self.current.file.sync();
            if !is_on(Mutation::IgnoreSyncError) {
                synced?;
            }
        }
        self.meter.synced(begin.elapsed());
        self.chain.synced = self.written;
        Ok(())
    }

    fn turn_to(&mut self, number: FileNo) -> io::Result<()> {
        if number == self.current.number {
            return Ok(());
        }
        // A sync covers one file only.
        if self.written > self.chain.synced {
            self.sync()?;
        }
        let next = self.pool.take().filter(|file| file.number == number);
        self.current = next.ok_or(io::ErrorKind::StorageFull)?;
        self.files.add(self.current.clone());
        Ok(())
    }
}

/// The place of a frame of `len` bytes when the log ends at a position of a file.
pub(crate) fn place(file: FileNo, position: u64, len: u64, file_bytes: u64) -> Lsn {
    if position.saturating_add(padded(len)) <= file_bytes {
        at(file, position)
    } else {
        file.next().first_frame()
    }
}
