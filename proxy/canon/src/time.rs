//! Points in time.

use std::time::Duration;

/// Milliseconds since the Unix epoch, by the wall clock of the node that wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// When the publisher says its event happened, in the resolution in which it said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventTime {
    /// Whole seconds since the Unix epoch.
    Seconds(i64),
    /// Milliseconds since the Unix epoch.
    Millis(i64),
}

impl Timestamp {
    /// This moment plus a duration; saturates.
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// How long until `self`, seen from `now`; zero when it has passed.
    pub fn since(self, now: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }
}

impl EventTime {
    /// In milliseconds; saturates.
    pub fn as_millis(self) -> i64 {
        match self {
            Self::Seconds(s) => s.saturating_mul(1000),
            Self::Millis(ms) => ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_instead_of_wrapping() {
        let end = Timestamp(u64::MAX);
        assert_eq!(end.after(Duration::from_secs(1)), end);
        assert_eq!(Timestamp(0).after(Duration::MAX), end);
        assert_eq!(Timestamp(1).since(Timestamp(2)), Duration::ZERO);
        assert_eq!(EventTime::Seconds(i64::MAX).as_millis(), i64::MAX);
    }

    #[test]
    fn the_longest_life_in_seconds_that_a_protocol_knows_fits() {
        let life = Duration::from_secs(u64::from(u32::MAX));
        let deadline = Timestamp(1_700_000_000_000).after(life);
        assert_eq!(deadline.since(Timestamp(1_700_000_000_000)), life);
    }
}
