//! What segments are called.

use std::fmt;

/// The commit log whose records a segment holds: two nodes may share one object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

/// Names a segment for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// When it was made, in milliseconds: tells how old one is that nothing refers to.
    pub made: u64,
    /// Random, so that no two attempts ever have one name.
    pub random: u64,
}

impl SegmentId {
    /// The id in a name that `Display` made.
    pub fn of_name(name: &str) -> Option<Self> {
        let (made, random) = name.strip_suffix(".segment")?.split_once('-')?;
        let id = Self {
            made: u64::from_str_radix(made, 16).ok()?,
            random: u64::from_str_radix(random, 16).ok()?,
        };
        (id.to_string() == name).then_some(id)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}-{:016x}.segment", self.made, self.random)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}
