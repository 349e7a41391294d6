//! Those who commit again as soon as they are told. When a frame has landed, most of its callers are
//! about to come back: a frame that does not wait for them is small, and takes the disk from the next,
//! which is large. So two groups of about the same size take turns, one in order while the other is
//! in flight.

use std::time::Duration;

use tokio::time::Instant;

use super::Sequencer;
use crate::limits::{CROWD, CROWD_IN_FRAME, CROWD_MAX, GATHER_MAX};

/// Of how many the next frame is to be, as the last two were.
#[derive(Debug, Default)]
pub(crate) struct Herd {
    /// Callers of the last frame that had any.
    last: usize,
    /// And of the one before.
    before: usize,
    /// When the last ones were told.
    landed: Option<Instant>,
}

impl Herd {
    /// A frame with so many callers is in flight.
    pub(crate) fn flown(&mut self, callers: usize) {
        if callers > 0 {
            self.before = std::mem::replace(&mut self.last, callers);
        }
    }

    /// Its callers are told now.
    pub(crate) fn landed(&mut self, now: Instant) {
        self.landed = Some(now);
    }

    /// How many callers the next frame waits for: a little less than half of those that there are.
    /// None where they are so few that a frame costs more than they do.
    pub(crate) fn expected(&self) -> usize {
        let most = (self.last + self.before) / 2;
        let expected = most - most / 8;
        if expected < CROWD_IN_FRAME as usize {
            0
        } else {
            expected
        }
    }

    /// How long a frame may still wait for more than these callers.
    pub(crate) fn patience(&self, callers: usize, now: Instant) -> Duration {
        match self.landed {
            Some(landed) if callers < self.expected() => GATHER_MAX.saturating_sub(now - landed),
            Some(_) | None => Duration::ZERO,
        }
    }
}

impl Sequencer {
    /// Whether a disk that is free should have the open frame now, whatever else is in line.
    pub(crate) fn is_ready(&self) -> bool {
        let is_gathered = self.open.stages.callers() >= self.herd.expected();
        self.open.is_urgent && self.open.units >= CROWD_IN_FRAME && is_gathered
    }

    /// How many callers in line are worth a turn while a frame is in flight, which they cannot join
    /// anyhow: all that the next one waits for, as a turn more takes two switches of a core.
    pub(crate) fn crowd(&self) -> usize {
        match self.lacking() {
            0 => CROWD,
            lacking => lacking.min(CROWD_MAX),
        }
    }

    /// How many callers more the open frame waits for, if it waits for any.
    pub(crate) fn absent(&self) -> Option<usize> {
        let callers = self.open.stages.callers();
        let is_gathering =
            self.open.is_urgent && !self.herd.patience(callers, Instant::now()).is_zero();
        is_gathering.then(|| self.lacking())
    }

    /// How many callers the open frame has less than it is to have.
    fn lacking(&self) -> usize {
        let callers = self.open.stages.callers();
        self.herd.expected().saturating_sub(callers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn herd(frames: [usize; 2]) -> Herd {
        let mut herd = Herd::default();
        frames.iter().for_each(|callers| herd.flown(*callers));
        herd
    }

    #[test]
    fn the_next_frame_waits_for_nearly_half_of_those_who_were_told() {
        let (mut herd, now) = (herd([240, 16]), Instant::now());
        assert_eq!(herd.patience(16, now), Duration::ZERO, "nobody was told");
        herd.landed(now);
        assert_eq!(herd.expected(), 112);
        assert_eq!(herd.patience(111, now), GATHER_MAX);
        assert_eq!(herd.patience(112, now), Duration::ZERO);
    }

    #[test]
    fn nobody_waits_longer_than_agreed_for_those_who_do_not_come_back() {
        let (mut herd, now) = (herd([128, 128]), Instant::now());
        herd.landed(now);
        assert_eq!(herd.patience(1, now + GATHER_MAX), Duration::ZERO);
    }

    #[test]
    fn a_few_callers_wait_for_nobody() {
        let (mut herd, now) = (herd([8, 8]), Instant::now());
        herd.landed(now);
        assert_eq!(herd.patience(1, now), Duration::ZERO);
    }

    #[test]
    fn frames_that_nobody_waits_for_say_nothing_of_how_many_will_come() {
        let mut herd = herd([128, 128]);
        herd.flown(0);
        assert_eq!(herd.expected(), 112);
    }
}
