//! Protections that tests can take away, to show that other tests miss them. Without the feature
//! `mutations` nothing of this is left in the program.

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    SkipSync,
    AnswerBeforeSync,
    IgnoreSyncError,
    NoChainCheck,
    NoSyncedCheck,
    NoSalt,
    NoEpochCheck,
    NoRecordChecksum,
    NoRowChecksum,
    NoFence,
    RecycleBeforeCheckpoint,
    NoLiveCountDecrement,
    ShowBeforeDurable,
    SplitUnits,
    StableTooHigh,
}

/// Whether this is taken away from the running thread.
#[cfg(not(feature = "mutations"))]
pub(crate) const fn is_on(_: Mutation) -> bool {
    false
}

#[cfg(feature = "mutations")]
mod switch {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static ON: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    pub(crate) fn is_on(mutation: Mutation) -> bool {
        current() == Some(mutation)
    }

    /// What is taken away here; a thread of a store begins with what is so where it was opened.
    pub(crate) fn current() -> Option<Mutation> {
        ON.get()
    }

    pub(crate) fn set(mutation: Option<Mutation>) {
        ON.set(mutation);
    }
}

#[cfg(feature = "mutations")]
pub(crate) use switch::{current, is_on, set};
