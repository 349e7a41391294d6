//! Memory that begins on a page, as writes past the cache need it.

use crate::lsn::PAGE_BYTES;

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

#[cfg(test)]
mod tests {
    use super::*;

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
