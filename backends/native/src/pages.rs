//! Memory that begins on a page, as writes past the cache need it.

use std::io;

use smallvec::{SmallVec, smallvec};

use crate::frame::HEADER_BYTES;
use crate::lsn::PAGE_BYTES;
use crate::vfs::{File, Flush};

/// A file that is written whole goes to the disk in pieces of so many bytes.
const PIECE_BYTES: usize = 1024 * 1024;
/// Bytes that are kept for the next frame: what a full one takes.
const KEPT_BYTES: usize = 2 * 1024 * 1024;

/// A buffer of whole pages, kept for its room.
#[derive(Debug, Default)]
pub(crate) struct Pages(Vec<u8>);

impl Pages {
    /// The parts side by side, and zeros up to the end of the last page.
    pub(crate) fn of(&mut self, parts: &[&[u8]]) -> &[u8] {
        let Self(bytes) = self;
        bytes.clear();
        bytes.shrink_to(KEPT_BYTES);
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let len = len.next_multiple_of(PAGE_BYTES);
        bytes.reserve(len + PAGE_BYTES);
        let begin = bytes.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        // There is room for all of it: what follows does not move.
        bytes.resize(begin, 0);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.resize(begin + len, 0);
        bytes.get(begin..).unwrap_or_default()
    }

    /// A frame as whole pages. Of records behind the place of their header on a page only the ends are copied,
    /// which share a page with the header and with the padding.
    pub(crate) fn of_frame<'a>(
        &'a mut self,
        head: &[u8; HEADER_BYTES],
        records: &'a [u8],
    ) -> SmallVec<[&'a [u8]; 3]> {
        let begin = records.as_ptr().addr() % PAGE_BYTES;
        let ends = records.split_at_checked(PAGE_BYTES - HEADER_BYTES);
        let Some((first, rest)) = ends.filter(|_| begin == HEADER_BYTES) else {
            return smallvec![self.of(&[head, records])];
        };
        let (middle, last) = rest.split_at(rest.len() / PAGE_BYTES * PAGE_BYTES);
        let (first, last) = self.of(&[head, first, last]).split_at(PAGE_BYTES);
        let parts = [first, middle, last].into_iter();
        parts.filter(|part| !part.is_empty()).collect()
    }
}

/// Fills an empty file with the parts side by side. What is left behind the last whole piece goes
/// through the cache.
pub(crate) fn write(file: &dyn File, parts: &[&[u8]]) -> io::Result<()> {
    let (mut pages, mut at) = (Pages::default(), 0);
    let (mut piece, mut len) = (Vec::new(), 0);
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            let (first, later) = rest.split_at(rest.len().min(PIECE_BYTES - len));
            piece.push(first);
            len += first.len();
            rest = later;
            if len == PIECE_BYTES {
                file.write_pages(at, &[pages.of(&piece)], Flush::Later)?;
                at += len as u64;
                len = 0;
                piece.clear();
            }
        }
    }
    file.write_at(at, &piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::{Disk, Vfs};

    #[test]
    fn a_file_of_several_pieces_has_the_parts_side_by_side() {
        let dir = tempfile::tempdir().unwrap();
        let file = Disk.create_paged(&dir.path().join("file")).unwrap();
        let sizes = [
            100,
            PIECE_BYTES - 100,
            0,
            2 * PIECE_BYTES + 7,
            3,
            PIECE_BYTES,
            5_000,
        ];
        let parts: Vec<_> = (1..).zip(sizes).map(|(n, size)| vec![n; size]).collect();
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        write(file.as_ref(), &slices).unwrap();
        let expected = parts.concat();
        assert_eq!(file.length().unwrap(), expected.len() as u64);
        let mut bytes = vec![0; expected.len()];
        file.read_at(0, &mut bytes).unwrap();
        assert!(bytes == expected);
    }

    #[test]
    fn a_frame_is_whole_pages_wherever_its_records_lie() {
        let mut pages = Pages::default();
        let memory: Vec<u8> = (0..=250).cycle().take(5 * PAGE_BYTES).collect();
        let page = memory.as_ptr().align_offset(PAGE_BYTES);
        for begin in [page + HEADER_BYTES, page + 1] {
            for len in [0, 1, 4_032, 4_033, 8_128, 8_129, 12_224, 14_000] {
                let records = &memory[begin..begin + len];
                let parts = pages.of_frame(&[1; HEADER_BYTES], records);
                for part in &parts {
                    assert_eq!(part.as_ptr().addr() % PAGE_BYTES, 0);
                    assert_eq!(part.len() % PAGE_BYTES, 0);
                }
                let mut expected = [&[1; HEADER_BYTES], records].concat();
                expected.resize(expected.len().next_multiple_of(PAGE_BYTES), 0);
                assert!(parts.concat() == expected, "{len} bytes at {begin}");
            }
        }
    }

    #[test]
    fn records_behind_the_place_of_their_header_are_not_copied() {
        let memory = vec![2; 5 * PAGE_BYTES];
        let begin = memory.as_ptr().align_offset(PAGE_BYTES) + HEADER_BYTES;
        let mut pages = Pages::default();
        let parts = pages.of_frame(&[1; HEADER_BYTES], &memory[begin..begin + 12_000]);
        assert_eq!(parts[1].as_ptr(), memory[begin + 4_032..].as_ptr());
        assert_eq!(parts[1].len(), PAGE_BYTES);
    }

    #[test]
    fn what_is_written_begins_on_a_page_and_ends_on_one() {
        let mut pages = Pages::default();
        for len in [1, 4_032, 4_033, 100_000, 3 << 20, 5] {
            let written = pages.of(&[&[1; 64], &vec![2; len]]);
            assert_eq!(written.as_ptr().addr() % PAGE_BYTES, 0);
            assert_eq!(written.len(), (64 + len).next_multiple_of(PAGE_BYTES));
            let (content, padding) = written.split_at(64 + len);
            assert_eq!((content[63], content[64], content[63 + len]), (1, 2, 2));
            assert!(padding.iter().all(|byte| *byte == 0));
        }
    }
}
