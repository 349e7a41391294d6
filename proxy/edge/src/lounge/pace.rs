//! When signs of life gather before they are answered.

use std::time::Duration;

use tokio::time::Instant;

use super::host::Found;

/// What comes in this time is answered in one go, since a wake of the thread costs as much as several answers. Who was
/// silent for seconds hardly notices it, and nobody waits for the answer to a sign of life.
const GATHER: Duration = Duration::from_millis(60);

/// Where fewer come in that time, to let it pass costs more than it saves.
const SIGNS_MIN: u32 = 2;

/// How often signs of life come.
pub(super) struct Pace {
    looked_at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { looked_at: now }
    }

    /// How long to wait before the next look. Not where somebody had more to say: such a one is not to wait.
    pub(super) fn after(&mut self, found: &Found, now: Instant) -> Option<Duration> {
        let passed = now - std::mem::replace(&mut self.looked_at, now);
        let is_often = GATHER * found.signs > passed * SIGNS_MIN;
        (is_often && found.woken == 0).then_some(GATHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_gather_where_they_come_often_and_nobody_has_more_to_say() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let mut after = |passed, signs, woken| {
            now += passed;
            let found = Found {
                signs,
                woken,
                ..Found::default()
            };
            pace.after(&found, now)
        };
        assert_eq!(after(GATHER, 1, 0), None, "seldom");
        assert_eq!(after(GATHER, 0, 0), None, "a call, or a deadline");
        assert_eq!(after(GATHER / 3, 1, 0), Some(GATHER), "often");
        assert_eq!(after(GATHER, 3, 0), Some(GATHER), "still");
        assert_eq!(after(GATHER, 3, 1), None, "one had more to say");
        assert_eq!(after(GATHER / 3, 1, 0), Some(GATHER), "often again");
        assert_eq!(after(GATHER, SIGNS_MIN, 0), None, "seldom again");
    }
}
