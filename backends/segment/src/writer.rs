//! Making a segment, in memory: it is at most as large as the files that it replaces.

use bytes::{Bytes, BytesMut};
use fairlead_ports::Lsn;

use crate::block::{self, Compression};
use crate::footer::{Footer, HEADER};
use crate::id::{LogId, SegmentId};
use crate::map::Map;
use crate::page::{self, Entry};
use crate::reader::Stamp;

/// A segment in the making.
#[derive(Debug)]
pub struct Writer {
    log: LogId,
    id: SegmentId,
    compression: Compression,
    /// The finished parts and where the next one goes.
    parts: Vec<Bytes>,
    position: u64,
    /// Where each block ends.
    ends: Vec<u64>,
    /// The block that records are added to.
    open: BytesMut,
    entries: Vec<Entry>,
}

impl Writer {
    /// An empty segment of a log.
    pub fn new(log: LogId, id: SegmentId, compression: Compression) -> Self {
        let mut writer = Self {
            log,
            id,
            compression,
            parts: Vec::new(),
            position: 0,
            ends: Vec::new(),
            open: BytesMut::new(),
            entries: Vec::new(),
        };
        writer.add(Bytes::from_static(&HEADER));
        writer
    }

    /// Adds the record of an LSN, once. Records that are read together should come together.
    pub fn push(&mut self, lsn: Lsn, record: &[u8]) {
        if !self.open.is_empty() && self.open.len() + record.len() > block::TARGET_BYTES {
            self.close_block();
        }
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.entries.push(Entry {
            lsn,
            block: number(self.ends.len()),
            place: number(self.open.len()),
        });
        self.open.extend_from_slice(record);
    }

    /// Whether it holds nothing yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The segment's parts, in order, and what a reader has to know of it.
    pub fn finish(mut self) -> (Stamp, Vec<Bytes>) {
        if !self.open.is_empty() {
            self.close_block();
        }
        self.entries.sort_unstable_by_key(|entry| entry.lsn);
        let entries = std::mem::take(&mut self.entries);
        let mut first = Vec::new();
        for entries in entries.chunks(page::ENTRIES_MAX) {
            first.extend(entries.first().map(|entry| entry.lsn.0));
            self.add(page::encode(entries).into());
        }
        let directory = self.position;
        let map = Map::encode(&first, &self.ends);
        let footer = Footer {
            log: self.log,
            id: self.id,
            directory,
            directory_bytes: u32::try_from(map.len()).unwrap_or(u32::MAX),
        };
        self.add(map.into());
        self.add(footer.encode().into());
        let stamp = Stamp {
            id: self.id,
            bytes: self.position,
        };
        (stamp, self.parts)
    }

    fn close_block(&mut self) {
        let block = block::encode(&self.open, self.compression);
        self.open.clear();
        self.add(block);
        self.ends.push(self.position);
    }

    fn add(&mut self, part: Bytes) {
        self.position = self.position.saturating_add(part.len() as u64);
        self.parts.push(part);
    }
}
