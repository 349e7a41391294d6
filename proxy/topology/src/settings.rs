//! What a stream can be told beyond its kind: most streams are told nothing.

use fairlead_canon::{Compaction, Path, Retention, SyncMode, Text};

/// How a stream keeps its messages and gives them out. The default is the plain way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// When a durable promise is kept.
    pub sync: SyncMode,
    /// How long messages are kept; for a queue the age bounds the life of each message in it.
    pub retention: Retention,
    /// Whether a log keeps only the newest message of each key.
    pub compaction: Option<Compaction>,
    /// The highest priority with a lane of its own in a queue, which then has one lane more than
    /// that: lane n holds the messages of priority n, the last one those above too. 0: one lane
    /// for all. Fixed once the stream is made.
    pub priority_max: u8,
    /// Where messages go that die in a queue; without it they are dropped.
    pub dead_letter: Option<DeadLetter>,
    /// How often a message of a queue may be returned before it dies; `None`: for ever.
    pub returns_max: Option<u16>,
    /// Whether one consumer at a time is given messages, the next one when it leaves.
    pub is_single_active: bool,
}

/// Where messages go that die in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The name of a realm, looked up when a message dies: without such a realm it is dropped.
    pub realm: Text,
    /// The path there; `None` is the message's own.
    pub path: Option<Path>,
    /// Whether messages that the queue refuses at its limit go there as well.
    pub takes_refused: bool,
    /// What happens when a target refuses one because it is full.
    pub at_full: AtFull,
}

/// What happens to a dead message when a queue that it goes to is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtFull {
    /// It does not get there.
    #[default]
    Drop = 0,
    /// It waits until there is room.
    Wait = 1,
}

impl Settings {
    /// What a stream without settings has.
    pub(crate) const PLAIN: &'static Self = &Self {
        sync: SyncMode::Always,
        retention: Retention {
            age_ms: None,
            bytes: None,
        },
        compaction: None,
        priority_max: 0,
        dead_letter: None,
        returns_max: None,
        is_single_active: false,
    };
}
