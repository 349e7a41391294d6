//! What is done to an input, chosen by dice that a seed repeats.

/// xorshift64*: repeatable from its seed, and enough to choose what to damage.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Zero is the one state that xorshift never leaves.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `sides`, or 0 when there are none.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).expect("31 bits") % sides.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).expect("8 bits")
    }
}

/// Bytes at which lengths, flags and varints change their meaning.
const EDGES: [u8; 5] = [0, 1, 0x7f, 0x80, 0xff];

/// A count or a length that promises too much.
const PROMISE: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];

/// Damages `input` in one place, perhaps with a part of `other` or one of `words`.
pub(super) fn damage(dice: &mut Dice, input: &mut Vec<u8>, other: &[u8], words: &[u8]) {
    let at = dice.roll(input.len() + 1);
    let end = at + dice.roll(input.len() - at + 1);
    match dice.roll(9) {
        0 => input.truncate(at),
        1 => input.insert(at, dice.byte()),
        2 => drop(input.splice(at.., from(dice, other))),
        3 => input.extend(from(dice, other)),
        4 => input.extend_from_within(at..),
        5 => drop(input.splice(at..at, input[at..end].to_vec())),
        6 => drop(input.splice(at..(at + PROMISE.len()).min(input.len()), PROMISE)),
        7 => drop(input.splice(at..(at + 1).min(input.len()), [])),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte = replacement(dice, *byte, words);
            }
        }
    }
}

fn replacement(dice: &mut Dice, byte: u8, words: &[u8]) -> u8 {
    match dice.roll(3) {
        0 => byte ^ (1 << dice.roll(8)),
        1 if !words.is_empty() => words[dice.roll(words.len())],
        _ => EDGES[dice.roll(EDGES.len())],
    }
}

fn from(dice: &mut Dice, other: &[u8]) -> Vec<u8> {
    other[dice.roll(other.len())..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(seed: u64, input: &[u8], other: &[u8]) -> Vec<u8> {
        let (mut dice, mut input) = (Dice::new(seed), input.to_vec());
        for _ in 0..6 {
            damage(&mut dice, &mut input, other, b"W");
        }
        input
    }

    #[test]
    fn a_seed_repeats_its_damage_and_another_one_does_something_else() {
        let runs = [7, 7, 8].map(|seed| damaged(seed, b"a whole input", b"another"));
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
    }

    #[test]
    fn nothing_is_too_short_to_be_damaged() {
        for seed in 0..1_000 {
            damaged(seed, b"", b"");
            damaged(seed, b"x", b"");
        }
    }
}
