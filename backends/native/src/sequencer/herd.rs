//! Those who commit again as soon as they are told. When a frame has landed, most of its callers are
//! about to come back: a frame that does not wait for them is small, and takes the disk from the next,
//! which is large. What is best hangs on how soon they are back:
//!
//! - Mostly two groups of about the same size take turns, one in order while the other is in flight.
//! - A crowd that is back at once is waited for awake, until all of it is in one frame: that the disk waits for them
//!   takes less time than a second flight, and a sync then pays for twice as many.

use std::time::Duration;

use tokio::time::Instant;

use super::Sequencer;
use crate::limits::{CROWD, CROWD_IN_FRAME, CROWD_MAX, GATHER_MAX, RETURN_EACH_MAX, RETURN_MAX};

/// Of how many the next frame is to be.
#[derive(Debug, Default)]
pub(crate) struct Herd {
    /// Callers of the last frame that had any.
    last: usize,
    /// And of the one before.
    before: usize,
    landed: Option<Landed>,
    /// Whether those who were told last, or else those before, were back at once.
    is_prompt: bool,
}

/// A frame that has landed.
#[derive(Debug)]
struct Landed {
    /// When its callers were told.
    at: Instant,
    told: usize,
    /// Those who were told, and those who were in line then.
    all: usize,
    /// It is known whether they were back at once.
    is_judged: bool,
}

impl Landed {
    /// How long those who were told take who are back at once.
    fn return_max(&self) -> Duration {
        RETURN_MAX + RETURN_EACH_MAX * u32::try_from(self.told).unwrap_or(u32::MAX)
    }

    /// Of how many most are back.
    fn most(&self) -> usize {
        self.told - self.told / 4
    }
}

impl Herd {
    /// A frame with so many callers is in flight.
    pub(crate) fn flown(&mut self, callers: usize) {
        self.came(callers, Instant::now());
        if self.landed.as_ref().is_some_and(|landed| !landed.is_judged) {
            // It was waited for those who were told, and they did not come.
            self.is_prompt = false;
        }
        if callers > 0 {
            self.before = std::mem::replace(&mut self.last, callers);
        }
    }

    /// Its callers are told now; so many others are in line.
    pub(crate) fn landed(&mut self, (told, others): (usize, usize), now: Instant) {
        let is_judged = told < CROWD;
        self.is_prompt &= !is_judged;
        self.landed = Some(Landed {
            at: now,
            told,
            all: told + others,
            is_judged,
        });
    }

    /// So many are in the open frame.
    pub(crate) fn came(&mut self, callers: usize, now: Instant) {
        let landed = self.landed.as_mut();
        if let Some(landed) = landed.filter(|it| !it.is_judged && callers >= it.most()) {
            landed.is_judged = true;
            self.is_prompt = now - landed.at < landed.return_max();
        }
    }

    /// Whether a crowd is back as soon as it is told.
    pub(crate) fn is_prompt(&self) -> bool {
        self.is_prompt
    }

    /// How many callers the next frame waits for: nearly all of a crowd that is back at once, or else a little
    /// less than half of those that there are. None where they are so few that a frame costs more than they do.
    pub(crate) fn expected(&self) -> usize {
        if let Some(landed) = self.landed.as_ref().filter(|_| self.is_prompt) {
            return landed.all - landed.all / 32;
        }
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
        let landed = self.landed.as_ref();
        let Some(landed) = landed.filter(|_| callers < self.expected()) else {
            return Duration::ZERO;
        };
        let most = match self.is_prompt {
            true => landed.return_max(),
            false => GATHER_MAX,
        };
        most.saturating_sub(now - landed.at)
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

    /// Whether those who were just told are to be waited for awake.
    pub(crate) fn is_gathering(&self) -> bool {
        let callers = self.open.stages.callers();
        let patience = || self.herd.patience(callers, Instant::now());
        self.herd.is_prompt() && !patience().is_zero()
    }

    /// Whether a crowd is back as soon as it is told, and all of it goes into one frame.
    pub(crate) fn is_prompt(&self) -> bool {
        self.herd.is_prompt()
    }

    /// What came is in order.
    pub(crate) fn came(&mut self) {
        let callers = self.open.stages.callers();
        self.herd.came(callers, Instant::now());
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
        herd.landed((128, 0), now);
        assert_eq!(herd.expected(), 112);
        assert_eq!(herd.patience(111, now), GATHER_MAX);
        assert_eq!(herd.patience(112, now), Duration::ZERO);
    }

    #[test]
    fn nobody_waits_longer_than_agreed_for_those_who_do_not_come_back() {
        let (mut herd, now) = (herd([128, 128]), Instant::now());
        herd.landed((128, 0), now);
        assert_eq!(herd.patience(1, now + GATHER_MAX), Duration::ZERO);
    }

    #[test]
    fn a_few_callers_wait_for_nobody() {
        let (mut herd, now) = (herd([8, 8]), Instant::now());
        herd.landed((128, 0), now);
        assert_eq!(herd.patience(1, now), Duration::ZERO);
    }

    #[test]
    fn frames_that_nobody_waits_for_say_nothing_of_how_many_will_come() {
        let mut herd = herd([128, 128]);
        herd.flown(0);
        assert_eq!(herd.expected(), 112);
    }

    #[test]
    fn a_crowd_that_is_back_at_once_is_waited_for_until_nearly_all_are_there() {
        let (mut herd, told) = (herd([128, 128]), Instant::now());
        herd.landed((128, 128), told);
        assert_eq!(herd.expected(), 112, "of two groups");
        herd.came(95, told);
        assert!(!herd.is_prompt(), "not yet most of them");
        let back = told + RETURN_MAX;
        herd.came(96, back);
        assert!(herd.is_prompt());
        assert_eq!(
            herd.expected(),
            248,
            "of those who were told and those in line"
        );
        let left = herd.patience(247, back);
        assert_eq!(left, RETURN_EACH_MAX * 128);
        assert_eq!(herd.patience(247, back + left), Duration::ZERO);
        assert_eq!(herd.patience(248, back), Duration::ZERO);
    }

    #[test]
    fn a_crowd_that_is_back_later_is_not_waited_for_again() {
        let (mut herd, told) = (herd([128, 128]), Instant::now());
        herd.landed((128, 128), told);
        herd.came(128, told);
        assert!(herd.is_prompt());
        herd.flown(256);
        herd.landed((256, 0), told);
        herd.flown(191);
        assert!(!herd.is_prompt(), "less than most came");
        herd.landed((128, 128), told);
        herd.came(128, told + RETURN_MAX + RETURN_EACH_MAX * 128);
        assert!(!herd.is_prompt(), "too late");
    }

    #[test]
    fn too_few_for_a_crowd_are_not_waited_for_awake() {
        let (mut herd, told) = (herd([CROWD - 1, CROWD - 1]), Instant::now());
        herd.landed((CROWD - 1, CROWD), told);
        herd.came(CROWD, told);
        assert!(!herd.is_prompt());
    }
}
