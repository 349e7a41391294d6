//! Memory for the records of frames: filled while one is open, shared with readers once it is closed, and
//! used again when nobody reads it any more.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;

/// A buffer is used again for a frame that takes a quarter of it at least: the tail counts what a buffer takes.
const SLACK: usize = 4;
/// Bytes of a buffer that is kept to be used again: what a full frame takes.
const KEPT_BYTES: usize = 2 * 1024 * 1024;

/// The records of a closed frame, shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records(Arc<Vec<u8>>);

/// What came back, in two pieces: room for the records of a frame, and the place in which they are shared.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    room: Vec<u8>,
    place: Option<Arc<Vec<u8>>>,
}

impl Records {
    /// What they take in memory, in bytes: a buffer may be larger than what is in it.
    pub(crate) fn cost(&self) -> usize {
        self.0.capacity()
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
        &self.0
    }
}

impl AsRef<[u8]> for Records {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Buffers {
    /// An empty buffer for a frame of about `len` bytes; a new one has room for `most` at most.
    pub(crate) fn open(&mut self, len: usize, most: usize) -> Vec<u8> {
        let room = std::mem::take(&mut self.room);
        let fits = len..=len.saturating_mul(SLACK);
        if fits.contains(&room.capacity()) {
            return room;
        }
        Vec::with_capacity(len.min(most))
    }

    /// From here on they are shared.
    pub(crate) fn close(&mut self, records: Vec<u8>) -> Records {
        let mut place = self.place.take().unwrap_or_default();
        *Arc::make_mut(&mut place) = records;
        Records(place)
    }

    /// Takes back what nobody else reads.
    pub(crate) fn give_back(&mut self, Records(mut place): Records) {
        if let Some(records) = Arc::get_mut(&mut place) {
            let mut room = std::mem::take(records);
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

    /// A frame with these records goes through, and comes back.
    fn frame(buffers: &mut Buffers, bytes: &[u8]) -> *const u8 {
        let mut room = buffers.open(bytes.len(), usize::MAX);
        room.extend_from_slice(bytes);
        let at = room.as_ptr();
        let records = buffers.close(room);
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
        let records = buffers.close(vec![1; 100]);
        let part = records.slice(10..20).unwrap();
        buffers.give_back(records);
        frame(&mut buffers, &[2; 100]);
        assert_eq!(part, [1; 10].as_slice());
    }

    #[test]
    fn a_buffer_is_as_large_as_wanted_and_not_much_larger() {
        let mut buffers = Buffers::default();
        frame(&mut buffers, &[1; 100]);
        assert!(buffers.open(101, usize::MAX).capacity() >= 101, "too small");
        frame(&mut buffers, &[1; 100]);
        assert!(buffers.open(24, usize::MAX).capacity() < 100, "too large");
        assert_eq!(
            buffers.open(100, 10).capacity(),
            10,
            "anew no more than so much"
        );
    }

    #[test]
    fn of_records_there_is_no_part_that_they_do_not_have() {
        let records = Buffers::default().close(vec![1; 4]);
        assert_eq!(records.slice(1..4).unwrap(), [1; 3].as_slice());
        assert_eq!(records.slice(1..5), None);
    }
}
