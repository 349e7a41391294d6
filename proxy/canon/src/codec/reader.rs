//! A bounded reader over bytes that somebody else wrote. It copies nothing and never panics.

use bytes::{Buf, Bytes};

use super::Damage;
use crate::Text;

/// Reads forward; slices share the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// What is not read yet: to move on counts no reference.
    left: Bytes,
    at: usize,
}

impl Reader {
    /// Reads `bytes`; positions in errors count from `base`.
    pub(crate) fn new(bytes: Bytes, base: usize) -> Self {
        Self {
            left: bytes,
            at: base,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(crate) fn left(&self) -> usize {
        self.left.len()
    }

    /// An error about the field that begins here.
    pub(crate) fn damage(&self, what: &'static str) -> Damage {
        Damage { what, at: self.at }
    }

    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<Bytes, Damage> {
        if len > self.left() {
            return Err(self.damage(what));
        }
        self.at = self.at.saturating_add(len);
        Ok(self.left.split_to(len))
    }

    /// A reader of the next `len` bytes.
    pub(crate) fn part(&mut self, len: usize, what: &'static str) -> Result<Self, Damage> {
        let base = self.at;
        Ok(Self::new(self.take(len, what)?, base))
    }

    pub(crate) fn text(&mut self, len: usize, what: &'static str) -> Result<Text, Damage> {
        let damage = self.damage(what);
        Text::try_from(self.take(len, what)?).map_err(|_invalid_utf8| damage)
    }

    /// What is left.
    pub(crate) fn rest(self) -> Bytes {
        self.left
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Damage> {
        let ahead = self.left.first_chunk();
        let found = *ahead.ok_or_else(|| self.damage(what))?;
        self.left.advance(N);
        self.at = self.at.saturating_add(N);
        Ok(found)
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, Damage> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// A base-128 number, the lowest 7 bits first, of at most `bits` bits.
    fn base128(&mut self, bits: u32, what: &'static str) -> Result<u64, Damage> {
        let damage = self.damage(what);
        let mut value = 0;
        let mut shift = 0;
        while shift < bits {
            let byte = self.byte(what)?;
            let low = u64::from(byte & 0x7f);
            if shift + 7 > bits && low >> (bits - shift) != 0 {
                return Err(damage);
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
        Err(damage)
    }

    /// An unsigned base-128 number of 64 bits.
    pub(crate) fn number(&mut self, what: &'static str) -> Result<u64, Damage> {
        self.base128(64, what)
    }

    /// An unsigned base-128 length.
    pub(crate) fn length(&mut self, what: &'static str) -> Result<usize, Damage> {
        let damage = self.damage(what);
        usize::try_from(self.base128(64, what)?).map_err(|_too_wide| damage)
    }

    /// A zigzag base-128 number of 32 bits.
    pub(crate) fn zigzag32(&mut self, what: &'static str) -> Result<i32, Damage> {
        let damage = self.damage(what);
        let value = unzigzag(self.base128(32, what)?);
        i32::try_from(value).map_err(|_too_wide| damage)
    }

    /// A zigzag base-128 number of 64 bits.
    pub(crate) fn zigzag64(&mut self, what: &'static str) -> Result<i64, Damage> {
        self.base128(64, what).map(unzigzag)
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
