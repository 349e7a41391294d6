/// A move of entities from one place to another: how far it is, or what it was in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The how many-th it is since the store was opened.
    pub number: u64,
    /// Messages that were copied.
    pub messages: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Messages that the entities held when the last round began: mostly as many as are to be copied.
    pub messages_held: u64,
    /// Bytes of these.
    pub bytes_held: u64,
    /// Rounds that were begun.
    pub rounds: u64,
    /// How long commits waited at most, in microseconds.
    pub longest_pause_micros: u64,
    /// Whether it is over, whatever came of it.
    pub is_over: bool,
}
