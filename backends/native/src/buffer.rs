//! Memory for the records of frames: filled while one is open, shared with readers once it is closed, and
//! used again when nobody reads it any more.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

use crate::frame::HEADER_BYTES;
use crate::lsn::PAGE_BYTES;

/// A buffer is used again for a frame that takes a quarter of it at least: the tail counts what a buffer takes.
const SLACK: usize = 4;
/// Bytes of a buffer that is kept to be used again: what a full frame takes.
const KEPT_BYTES: usize = 2 * 1024 * 1024;
/// Records of so many bytes are put where they can be written from: of fewer most would be copied anyhow.
const PLACED_MIN: usize = 4 * PAGE_BYTES;

/// The records of a frame. Those of a large one begin behind the place of the header on a page, as long as
/// they fit what they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
}

/// The records of a closed frame, shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records(Arc<Buffer>);

/// What came back, in two pieces: room for the records of a frame, and the place in which they are shared.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    room: Vec<u8>,
    place: Option<Arc<Buffer>>,
}

impl Buffer {
    /// Without records, and for about so many bytes of them.
    fn new(mut bytes: Vec<u8>, len: usize) -> Self {
        let mut begin = 0;
        if len >= PLACED_MIN {
            let page = bytes.as_ptr().align_offset(PAGE_BYTES);
            begin = page.saturating_add(HEADER_BYTES) % PAGE_BYTES;
        }
        bytes.clear();
        bytes.resize(begin, 0);
        Self { bytes, begin }
    }

    /// Adds records; returns where among them.
    pub(crate) fn add(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.len();
        encode(&mut self.bytes);
        start..self.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.begin
    }
}

impl Records {
    /// What they take in memory, in bytes: a buffer may be larger than what is in it.
    pub(crate) fn cost(&self) -> usize {
        self.0.bytes.capacity()
    }

    /// A part of them, which keeps all of them in memory. `None` when there is no such part.
    pub(crate) fn slice(&self, part: Range<usize>) -> Option<Bytes> {
        self.get(part.clone())?;
        Some(Bytes::from_owner(self.clone()).slice(part))
    }
}

impl Deref for Records {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let Buffer { bytes, begin } = &*self.0;
        bytes.get(*begin..).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Records {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Buffers {
    /// An empty buffer for a frame of about `len` bytes; a new one has room for `most` at most.
    pub(crate) fn open(&mut self, len: usize, most: usize) -> Buffer {
        let room = std::mem::take(&mut self.room);
        let least = match len {
            PLACED_MIN.. => len.saturating_add(PAGE_BYTES),
            _ => len,
        };
        let fits = least..=least.saturating_mul(SLACK);
        let room = match fits.contains(&room.capacity()) {
            true => room,
            false => Vec::with_capacity(least.min(most)),
        };
        Buffer::new(room, len)
    }

    /// From here on they are shared.
    pub(crate) fn close(&mut self, records: Buffer) -> Records {
        let mut place = self.place.take().unwrap_or_default();
        *Arc::make_mut(&mut place) = records;
        Records(place)
    }

    /// Takes back what nobody else reads.
    pub(crate) fn give_back(&mut self, Records(mut place): Records) {
        if let Some(records) = Arc::get_mut(&mut place) {
            let mut room = std::mem::take(&mut records.bytes);
            room.clear();
            room.shrink_to(KEPT_BYTES);
            self.room = room;
            self.place = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(buffers: &mut Buffers, bytes: &[u8]) -> Records {
        let mut buffer = buffers.open(bytes.len(), usize::MAX);
        let place = buffer.add(|out| out.extend_from_slice(bytes));
        assert_eq!(place, 0..bytes.len());
        buffers.close(buffer)
    }

    /// A frame with these records goes through, and comes back.
    fn frame(buffers: &mut Buffers, bytes: &[u8]) -> *const u8 {
        let records = closed(buffers, bytes);
        let at = records.as_ptr();
        assert_eq!(&*records, bytes);
        buffers.give_back(records);
        at
    }

    #[test]
    fn what_nobody_reads_is_used_again() {
        let mut buffers = Buffers::default();
        let first = frame(&mut buffers, &[1; 100]);
        assert_eq!(frame(&mut buffers, &[2; 50]), first);
    }

    #[test]
    fn what_is_read_stays_as_it_is() {
        let mut buffers = Buffers::default();
        let records = closed(&mut buffers, &[1; 100]);
        let part = records.slice(10..20).unwrap();
        buffers.give_back(records);
        frame(&mut buffers, &[2; 100]);
        assert_eq!(part, [1; 10].as_slice());
    }

    #[test]
    fn a_buffer_is_as_large_as_wanted_and_not_much_larger() {
        let mut buffers = Buffers::default();
        let mut room = |len, most| {
            frame(&mut buffers, &[1; 100]);
            buffers.open(len, most).bytes.capacity()
        };
        assert!(room(101, usize::MAX) >= 101, "too small");
        assert!(room(24, usize::MAX) < 100, "too large");
        assert_eq!(room(1_000, 10), 10, "anew no more than so much");
    }

    #[test]
    fn records_of_a_large_frame_begin_behind_the_place_of_its_header_on_a_page() {
        let mut buffers = Buffers::default();
        for len in [PLACED_MIN, 3 * PLACED_MIN, 2 * PLACED_MIN, PLACED_MIN] {
            let at = frame(&mut buffers, &vec![1; len]);
            assert_eq!(at.addr() % PAGE_BYTES, HEADER_BYTES);
        }
    }

    #[test]
    fn of_records_there_is_no_part_that_they_do_not_have() {
        let records = closed(&mut Buffers::default(), &[1; 4]);
        assert_eq!(records.slice(1..4).unwrap(), [1; 3].as_slice());
        assert_eq!(records.slice(1..5), None);
    }
}
