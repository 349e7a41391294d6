//! Numbers of varying length in row values: 7 bits a byte, the lowest first, the top bit on all but
//! the last. Reading trusts nothing: `None` when the bytes end before or say too much.

/// Room for most rows with their checksums: to grow into it by steps takes longer than to write them.
const ROW_BYTES: usize = 64;

/// Writes one value.
#[derive(Debug)]
pub(crate) struct Pack(Vec<u8>);

/// Reads one value.
#[derive(Debug)]
pub(crate) struct Unpack<'v>(&'v [u8]);

impl Default for Pack {
    fn default() -> Self {
        Self(Vec::with_capacity(ROW_BYTES))
    }
}

impl Pack {
    pub(crate) fn uint(&mut self, value: impl Into<u64>) {
        let mut rest: u64 = value.into();
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                return self.0.push(low & 0x7f);
            }
            self.0.push(low | 0x80);
        }
    }

    /// The way from one number to another, short when it is short in either direction.
    pub(crate) fn step(&mut self, from: u64, to: u64) {
        let step = to.wrapping_sub(from).cast_signed();
        self.uint(((step << 1) ^ (step >> 63)).cast_unsigned());
    }

    /// A number that may be missing, or the largest one, which stands for missing.
    pub(crate) fn option(&mut self, value: Option<u64>) {
        self.uint(value.map_or(0, |value| value.saturating_add(1)));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.uint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

impl<'v> Unpack<'v> {
    pub(crate) fn new(value: &'v [u8]) -> Self {
        Self(value)
    }

    pub(crate) fn uint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(shift).filter(|it| it >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn uint32(&mut self) -> Option<u32> {
        self.uint()?.try_into().ok()
    }

    pub(crate) fn step(&mut self, from: u64) -> Option<u64> {
        let folded = self.uint()?;
        let step = (folded >> 1) ^ (folded & 1).wrapping_neg();
        Some(from.wrapping_add(step))
    }

    pub(crate) fn option(&mut self) -> Option<Option<u64>> {
        Some(self.uint()?.checked_sub(1))
    }

    pub(crate) fn bytes(&mut self) -> Option<&'v [u8]> {
        let len = usize::try_from(self.uint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    /// What was read, if it was all there is.
    pub(crate) fn done<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
