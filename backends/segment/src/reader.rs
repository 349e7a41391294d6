//! Answering from segments.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use fairlead_ports::Lsn;
use parking_lot::Mutex;

use crate::block;
use crate::cache::{Cache, Held, Part};
use crate::footer::{self, Footer, HEADER};
use crate::id::{LogId, SegmentId};
use crate::map::Map;
use crate::page::{self, Entry};
use crate::port::{SegmentError, Segments};

/// A segment as whoever wrote it remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Its name.
    pub id: SegmentId,
    /// How long it is.
    pub bytes: u64,
}

/// Reads the segments of one log in one place, from any thread. It keeps what it read and verified
/// not long ago.
#[derive(Debug)]
pub struct Reader {
    place: Arc<dyn Segments>,
    log: LogId,
    cache: Mutex<Cache>,
}

impl Reader {
    /// Reads from a place, and keeps up to so many bytes in memory.
    pub fn new(place: Arc<dyn Segments>, log: LogId, cache_bytes_max: usize) -> Self {
        Self {
            place,
            log,
            cache: Mutex::new(Cache::new(cache_bytes_max)),
        }
    }

    /// Where it reads from.
    pub fn place(&self) -> &Arc<dyn Segments> {
        &self.place
    }

    /// The record of `len` bytes that had this LSN; `None` when the segment has none. It is a copy:
    /// who keeps it does not keep its block.
    pub fn record(&self, stamp: Stamp, lsn: Lsn, len: u32) -> Result<Option<Bytes>, SegmentError> {
        let map = self.map(stamp)?;
        let Some(number) = map.page_with(lsn) else {
            return Ok(None);
        };
        let page = self.page(stamp, &map, number)?;
        let Some(entry) = page::find(&page, lsn) else {
            return Ok(None);
        };
        let records = self.block(stamp, &map, entry.block as usize)?;
        let place = entry.place as usize;
        let record = place
            .checked_add(len as usize)
            .and_then(|end| records.get(place..end));
        let record = record.ok_or(SegmentError::damaged(stamp.bytes, "a record in its block"))?;
        Ok(Some(Bytes::copy_from_slice(record)))
    }

    /// Visits every record of a segment in the order in which they lie, until it breaks, and so
    /// verifies every byte of it. Nothing of it is kept.
    pub fn visit(
        &self,
        stamp: Stamp,
        visit: &mut dyn FnMut(Lsn, &Bytes) -> ControlFlow<()>,
    ) -> Result<(), SegmentError> {
        let head = self.read(stamp.id, 0..HEADER.len() as u64)?;
        if *head != HEADER {
            return Err(SegmentError::damaged(0, "the header of a segment"));
        }
        let map = self.load_map(stamp)?;
        let mut entries = self.entries(stamp, &map)?;
        entries.sort_unstable_by_key(|entry| (entry.block, entry.place));
        let mut rest = entries.as_slice();
        for number in 0..map.blocks() {
            let of_block = rest.partition_point(|entry| entry.block as usize <= number);
            let (here, later) = rest.split_at(of_block);
            rest = later;
            let (range, records) = self.load_block(stamp, &map, number)?;
            let cut = cut(here, &records)
                .ok_or(SegmentError::damaged(range.start, "the records of a block"))?;
            for (lsn, place) in cut {
                if visit(lsn, &records.slice(place)).is_break() {
                    return Ok(());
                }
            }
        }
        let is_done = rest.is_empty();
        is_done
            .then_some(())
            .ok_or(SegmentError::damaged(stamp.bytes, "the table of a segment"))
    }

    /// Drops what is kept of a segment that is about to go.
    pub fn forget(&self, id: SegmentId) {
        self.cache.lock().forget(id);
    }

    fn read(&self, id: SegmentId, range: Range<u64>) -> Result<Bytes, SegmentError> {
        self.place.read(self.log, id, range)
    }

    fn map(&self, stamp: Stamp) -> Result<Arc<Map>, SegmentError> {
        if let Some(Held::Map(map)) = self.cache.lock().get(stamp.id, Part::Map) {
            return Ok(map);
        }
        let map = Arc::new(self.load_map(stamp)?);
        let held = Held::Map(Arc::clone(&map));
        self.cache.lock().put(stamp.id, Part::Map, held);
        Ok(map)
    }

    fn load_map(&self, stamp: Stamp) -> Result<Map, SegmentError> {
        let at = stamp.bytes.saturating_sub(footer::BYTES as u64);
        let bytes = self.read(stamp.id, at..stamp.bytes)?;
        let footer = Footer::decode(&bytes)
            .filter(|footer| footer.id == stamp.id && footer.log == self.log)
            .ok_or(SegmentError::damaged(at, "the footer of this segment"))?;
        let damaged = SegmentError::damaged(footer.directory, "the directory of a segment");
        let end = footer
            .directory
            .saturating_add(u64::from(footer.directory_bytes));
        if end != at {
            return Err(damaged);
        }
        let directory = self.read(stamp.id, footer.directory..end)?;
        Map::decode(&directory, footer.directory).ok_or(damaged)
    }

    fn page(&self, stamp: Stamp, map: &Map, number: usize) -> Result<Bytes, SegmentError> {
        self.kept(stamp.id, Part::Page(number), || {
            self.load_page(stamp, map, number)
        })
    }

    fn load_page(&self, stamp: Stamp, map: &Map, number: usize) -> Result<Bytes, SegmentError> {
        let range = map
            .page(number)
            .ok_or(SegmentError::damaged(stamp.bytes, "a page of the table"))?;
        let page = self.read(stamp.id, range.clone())?;
        let is_sound = page::decode(&page).is_some();
        is_sound
            .then_some(page)
            .ok_or(SegmentError::damaged(range.start, "a page of the table"))
    }

    fn block(&self, stamp: Stamp, map: &Map, number: usize) -> Result<Bytes, SegmentError> {
        self.kept(stamp.id, Part::Block(number), || {
            self.load_block(stamp, map, number)
                .map(|(_, records)| records)
        })
    }

    /// A block's records, and where it lies.
    fn load_block(
        &self,
        stamp: Stamp,
        map: &Map,
        number: usize,
    ) -> Result<(Range<u64>, Bytes), SegmentError> {
        let range = map
            .block(number)
            .ok_or(SegmentError::damaged(stamp.bytes, "the number of a block"))?;
        let block = self.read(stamp.id, range.clone())?;
        let records = block::decode(&block)
            .ok_or(SegmentError::damaged(range.start, "a block of a segment"))?;
        Ok((range, records))
    }

    fn kept(
        &self,
        id: SegmentId,
        part: Part,
        load: impl FnOnce() -> Result<Bytes, SegmentError>,
    ) -> Result<Bytes, SegmentError> {
        if let Some(Held::Bytes(bytes)) = self.cache.lock().get(id, part) {
            return Ok(bytes);
        }
        let bytes = load()?;
        self.cache.lock().put(id, part, Held::Bytes(bytes.clone()));
        Ok(bytes)
    }

    fn entries(&self, stamp: Stamp, map: &Map) -> Result<Vec<Entry>, SegmentError> {
        let mut entries = Vec::new();
        for number in 0..map.pages() {
            let page = self.load_page(stamp, map, number)?;
            entries.extend(page::decode(&page).into_iter().flatten());
        }
        Ok(entries)
    }
}

/// Where each of these records lies in its block, if together they are all of it.
fn cut(entries: &[Entry], records: &Bytes) -> Option<Vec<(Lsn, Range<usize>)>> {
    let starts = entries.iter().map(|entry| entry.place as usize);
    let ends = starts.clone().skip(1).chain([records.len()]);
    let places: Vec<_> = starts
        .clone()
        .zip(ends)
        .map(|(from, to)| from..to)
        .collect();
    let is_all = starts.clone().next() == Some(0)
        && places
            .iter()
            .all(|place| !place.is_empty() && place.end <= records.len());
    let lsns = entries.iter().map(|entry| entry.lsn);
    is_all.then(|| lsns.zip(places).collect())
}
