//! Reading a log file from front to back in large pieces.

use std::io;

use bytes::Bytes;

use crate::log_file::LogFile;

/// What is read at once when less is asked for.
const PIECE_BYTES: usize = 1024 * 1024;

/// A stretch of a file in memory, moved as the reader goes on.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    file: &'a LogFile,
    from: u64,
    piece: Bytes,
}

impl<'a> Window<'a> {
    pub(crate) fn new(file: &'a LogFile) -> Self {
        Self {
            file,
            from: 0,
            piece: Bytes::new(),
        }
    }

    /// `len` bytes from a position; fewer only at the end of the file.
    pub(crate) fn get(&mut self, position: u64, len: usize) -> io::Result<Bytes> {
        if let Some(bytes) = self.held(position, len) {
            return Ok(bytes);
        }
        let rest = usize::try_from(self.file.bytes.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut piece = vec![0; len.max(PIECE_BYTES).min(rest)];
        let read = self.file.file.read_at(position, &mut piece)?;
        piece.truncate(read);
        self.piece = Bytes::from(piece);
        self.from = position;
        Ok(self.piece.slice(..len.min(read)))
    }

    fn held(&self, position: u64, len: usize) -> Option<Bytes> {
        let start = usize::try_from(position.checked_sub(self.from)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.piece.len()).then(|| self.piece.slice(start..end))
    }
}
