//! Inputs of a corpus, whole and then damaged, for `FAIRLEAD_FUZZ_SECONDS` (2 unless set).
//!
//! The seed is printed; `FAIRLEAD_FUZZ_SEED` repeats a run. An input that fails is worth a test and a
//! file in the corpus.

#![expect(
    clippy::disallowed_methods,
    reason = "a test takes its length and its seed from outside and runs in real time"
)]

mod damage;

use std::env;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::damage::{Dice, damage};

const SECONDS: u64 = 2;

/// Damages made to one input; few keep most of its structure, none lets a session get further.
const EDITS_MAX: usize = 6;

/// Above the largest frame that a translator takes, so that refusal for size is met.
const INPUT_BYTES_MAX: usize = 1 << 18;

/// What the process may grow by, whatever comes in.
const GROWTH_KIB_MAX: u64 = 192 * 1024;

/// The contents of the files in a folder, in the order of their names.
pub fn files(folder: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder of inputs");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path| fs::read(path).expect("an input");
    paths.iter().map(read).collect()
}

/// A run: the whole corpus once, then damaged inputs until the time is over.
#[derive(Debug)]
pub struct Fuzz {
    corpus: Vec<Vec<u8>>,
    words: &'static [u8],
    dice: Dice,
    ends: Instant,
    inputs: usize,
    resident_kib: u64,
}

impl Fuzz {
    /// Begins a run and prints its seed. `words` are bytes that mean something in the protocol.
    pub fn over(corpus: Vec<Vec<u8>>, words: &'static [u8]) -> Self {
        assert!(!corpus.is_empty(), "nothing to damage");
        let seed = setting("FAIRLEAD_FUZZ_SEED").unwrap_or_else(micros);
        let seconds = setting("FAIRLEAD_FUZZ_SECONDS").unwrap_or(SECONDS);
        println!("fuzz: FAIRLEAD_FUZZ_SEED={seed} FAIRLEAD_FUZZ_SECONDS={seconds}");
        Self {
            corpus,
            words,
            dice: Dice::new(seed),
            ends: Instant::now() + Duration::from_secs(seconds),
            inputs: 0,
            resident_kib: resident_kib(),
        }
    }

    /// A number below `sides`, for what else a test leaves to chance.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.dice.roll(sides)
    }

    /// Ends the run, in which so many frames were understood.
    ///
    /// # Panics
    /// When nothing was understood, or the process grew by more than 192 MiB.
    pub fn finish(self, understood: usize) {
        let growth = resident_kib() - self.resident_kib;
        let inputs = self.inputs;
        println!("fuzz: {inputs} inputs, {understood} frames understood, {growth} KiB more");
        assert!(understood > 0, "nothing was understood: this tests nothing");
        assert!(growth < GROWTH_KIB_MAX, "{growth} KiB more than before");
    }

    fn damaged(&mut self) -> Vec<u8> {
        let at = self.dice.roll(self.corpus.len());
        let mut input = self.corpus[at].clone();
        for _ in 0..self.roll(EDITS_MAX + 1) {
            let other = self.dice.roll(self.corpus.len());
            damage(&mut self.dice, &mut input, &self.corpus[other], self.words);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }
}

impl Iterator for Fuzz {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let whole = self.corpus.get(self.inputs).cloned();
        if whole.is_none() && Instant::now() >= self.ends {
            return None;
        }
        self.inputs += 1;
        Some(whole.unwrap_or_else(|| self.damaged()))
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a whole number"))
}

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.expect("a time after 1970").as_micros();
    u64::try_from(micros).expect("a time of this age")
}

/// The most memory that this process has had at once.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|peak| peak.split_whitespace().next());
    number.expect("a peak").parse().expect("a number")
}
