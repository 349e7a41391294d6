//! Numbers that are odd, repeatable and not secret.

/// xorshift64: the same seed gives the same numbers on every machine.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Prints the seed, so that a failure can be repeated. A seed of zero would give only zeros.
    pub fn new(seed: u64) -> Self {
        println!("seed {seed:#x}");
        Self(seed)
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The high bits are the better ones.
        ((self.0 >> 32) as usize) % limit
    }

    pub fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
