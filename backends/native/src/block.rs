//! Memory for small messages that are read together: a few blocks instead of a piece for each.

use bytes::{Bytes, BytesMut};

/// Bytes of a block: what one small message that a slow reader keeps holds back at most.
pub(crate) const BLOCK_BYTES: usize = 16 * 1024;

/// The block that is being filled.
#[derive(Debug)]
pub(crate) struct Blocks {
    open: BytesMut,
    /// What is still to come, at most.
    left: usize,
}

impl Blocks {
    /// For at most so many bytes in all.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            open: BytesMut::new(),
            left: bytes,
        }
    }

    /// A copy of these bytes.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.open.capacity() < bytes.len() {
            let room = self.left.clamp(bytes.len(), BLOCK_BYTES.max(bytes.len()));
            self.open = BytesMut::with_capacity(room);
        }
        self.left = self.left.saturating_sub(bytes.len());
        self.open.extend_from_slice(bytes);
        self.open.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_lie_side_by_side_until_a_block_is_full() {
        let body = [7; 1000];
        let mut blocks = Blocks::new(20 * body.len());
        let copies: Vec<_> = (0..20).map(|_| blocks.copy(&body)).collect();
        assert!(copies.iter().all(|copy| *copy == body.as_slice()));
        let is_next = |pair: &[Bytes]| pair[0].as_ptr_range().end == pair[1].as_ptr();
        let apart = copies.windows(2).filter(|pair| !is_next(pair)).count();
        assert_eq!(apart, 1, "16 in one block and 4 in the next");
    }

    #[test]
    fn what_is_longer_than_a_block_has_its_own() {
        let body = vec![7; BLOCK_BYTES + 1];
        assert_eq!(Blocks::new(body.len()).copy(&body), body);
        assert_eq!(
            Blocks::new(0).copy(b"more than was said"),
            "more than was said"
        );
    }
}
