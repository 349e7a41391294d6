//! Memory that begins on a page, as writes past the cache need it.

use std::io;

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
