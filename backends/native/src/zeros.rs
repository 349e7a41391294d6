//! Zeros, for files and for the ends of files that hold nothing.

use std::io;

use crate::lsn::PAGE_BYTES;
use crate::vfs::{File, Flush};

const PIECE_BYTES: usize = 64 * 1024;
/// The one piece is written so many times with one call: a call takes as long as copying pages.
const PIECES: usize = 16;

/// Begins on a page, as writes past the cache need it.
#[repr(align(4096))]
struct Piece([u8; PIECE_BYTES]);

static ZEROS: Piece = Piece([0; PIECE_BYTES]);

const _: () = assert!(align_of::<Piece>() == PAGE_BYTES);

/// Writes zeros between two positions, both whole pages.
pub(crate) fn write(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let (piece, _) = ZEROS.0.split_at(left.min(PIECE_BYTES));
        let pieces = [piece; PIECES];
        let (pieces, _) = pieces.split_at((left / piece.len()).min(PIECES));
        file.write_pages(at, pieces, Flush::Later)?;
        at += (piece.len() * pieces.len()) as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::lsn::PAGE;
    use crate::vfs::Vfs;
    use crate::vfs::sim::SimFs;

    #[test]
    fn zeros_end_where_they_are_told_to() {
        let whole = (PIECES * PIECE_BYTES) as u64;
        let piece = PIECE_BYTES as u64;
        for len in [
            0,
            PAGE,
            piece,
            piece + PAGE,
            whole,
            whole + 2 * piece + PAGE,
        ] {
            let fs = SimFs::default();
            let file = fs.create(Path::new("file")).unwrap();
            let ones = vec![1; usize::try_from(len + 2 * PAGE).unwrap()];
            file.write_at(0, &[&ones]).unwrap();
            write(file.as_ref(), PAGE, PAGE + len).unwrap();
            let mut bytes = ones;
            file.read_at(0, &mut bytes).unwrap();
            let is_zero = |at: &usize| bytes[*at] == 0;
            let zeros = (0..bytes.len()).filter(is_zero).count();
            assert_eq!(zeros as u64, len);
            assert!((PAGE_BYTES..PAGE_BYTES + zeros).all(|at| is_zero(&at)));
        }
    }
}
