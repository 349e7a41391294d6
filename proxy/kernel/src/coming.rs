//! Clients that come too often, and for how long nobody lets them in.

use std::collections::BTreeMap;
use std::time::Duration;

use fairlead_canon::Text;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Caller, Kernel};

/// How often a client may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComingMax {
    /// So many times.
    pub count: u32,
    /// Within this time, which begins with the first of them.
    pub within: Duration,
    /// Or else it stays out for this long.
    pub ban: Duration,
}

/// A client that is kept out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// As whom it came.
    pub user: Text,
    /// What it calls itself.
    pub client: Text,
    /// For how much longer.
    pub left: Duration,
}

/// Everybody who has come of late.
#[derive(Debug, Default)]
pub(crate) struct Comings(Mutex<BTreeMap<Who, Coming>>);

/// User and client: nobody bans another user's client by calling himself like it.
type Who = (Text, Text);

#[derive(Clone, Copy, Debug)]
struct Coming {
    /// What has happened counts until then.
    until: Instant,
    count: u32,
    is_banned: bool,
}

/// Clients remembered; when so many come within one window, further ones are not counted.
const REMEMBERED_MAX: usize = 65_536;

impl Caller {
    /// The client calls itself by this name and wants to come in. `false`: it comes too often, or did
    /// so of late.
    pub fn may_come(&self, client: &Text, max: ComingMax) -> bool {
        let who = (self.inbox.who.name.clone(), client.clone());
        let is_welcome = self.kernel.comings.count(who, max, Instant::now());
        if !is_welcome {
            self.meters.banned.inc();
        }
        is_welcome
    }
}

impl Kernel {
    /// Clients that are kept out at this moment, by user and name.
    pub fn banned(&self) -> Vec<Banned> {
        self.comings.banned(Instant::now())
    }

    /// Lets clients of this name in again, whoever's they are. `false`: none was kept out.
    pub fn pardon(&self, client: &str) -> bool {
        let mut known = self.comings.0.lock();
        let before = known.len();
        known.retain(|(_, name), coming| !coming.is_banned || name != client);
        known.len() < before
    }
}

impl Comings {
    fn count(&self, who: Who, max: ComingMax, now: Instant) -> bool {
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED_MAX && !known.contains_key(&who) {
            known.retain(|_, coming| coming.until > now);
            if known.len() >= REMEMBERED_MAX {
                return true;
            }
        }
        let first = Coming {
            until: now + max.within,
            count: 0,
            is_banned: false,
        };
        let coming = known.entry(who).or_insert(first);
        if coming.until <= now {
            *coming = first;
        }
        coming.count = coming.count.saturating_add(1);
        if coming.count > max.count && !coming.is_banned {
            coming.is_banned = true;
            coming.until = now + max.ban;
        }
        !coming.is_banned
    }

    fn banned(&self, now: Instant) -> Vec<Banned> {
        let known = self.0.lock();
        let kept_out = known
            .iter()
            .filter(|(_, coming)| coming.is_banned && coming.until > now);
        let banned = kept_out.map(|((user, client), coming)| Banned {
            user: user.clone(),
            client: client.clone(),
            left: coming.until - now,
        });
        banned.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: ComingMax = ComingMax {
        count: 3,
        within: Duration::from_secs(10),
        ban: Duration::from_secs(60),
    };

    fn who(number: usize) -> Who {
        (Text::from_static("ada"), Text::from(number.to_string()))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_too_often_stays_out_for_the_time_and_nobody_else_does() {
        let (comings, start) = (Comings::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let came: Vec<bool> = (0..5).map(|n| comings.count(who(1), MAX, at(n))).collect();
        assert_eq!(came, [true, true, true, false, false]);
        assert!(comings.count(who(2), MAX, at(4)));
        let same_name = (Text::from_static("bob"), who(1).1);
        assert!(comings.count(same_name, MAX, at(4)));
        let left: Vec<Duration> = comings.banned(at(4)).iter().map(|one| one.left).collect();
        assert_eq!(left, [Duration::from_secs(59)]);
        assert!(!comings.count(who(1), MAX, at(62)));
        assert!(comings.count(who(1), MAX, at(63)));
        assert!(comings.banned(at(63)).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_long_ago_does_not_count() {
        let (comings, start) = (Comings::default(), Instant::now());
        for n in 0..20 {
            let at = start + n * Duration::from_secs(4);
            assert!(comings.count(who(1), MAX, at), "{n}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_can_be_remembered_come_in_uncounted_until_there_is_room() {
        let (comings, start) = (Comings::default(), Instant::now());
        for n in 0..REMEMBERED_MAX {
            comings.count(who(n), MAX, start);
        }
        let late = who(REMEMBERED_MAX);
        for _ in 0..10 {
            assert!(comings.count(late.clone(), MAX, start));
        }
        assert_eq!(comings.0.lock().len(), REMEMBERED_MAX);
        let later = start + MAX.within;
        let came: Vec<bool> = (0..4)
            .map(|_| comings.count(late.clone(), MAX, later))
            .collect();
        assert_eq!(came, [true, true, true, false]);
        assert_eq!(comings.0.lock().len(), 1);
    }
}
