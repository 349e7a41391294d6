//! A growing wait for addresses from which logins fail.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Addresses remembered. Beyond it the one that would be free soonest is forgotten.
const PEERS_MAX: usize = 4096;

/// The wait after the first failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait, and the longest that an attempt may have to queue: below every client's
/// time-out for a login, so that a refusal arrives as a refusal.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An address is forgiven when it has been quiet for this long.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Who has failed, how often, and when the next attempt from there may run.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    peers: Mutex<HashMap<IpAddr, Debt>>,
}

#[derive(Debug)]
struct Debt {
    failures: u32,
    free_at: Instant,
}

impl Patience {
    /// How long an attempt from this address has to wait; `None` when too many already do.
    /// Attempts queue one behind the other, so that opening connections in parallel gains nothing.
    pub(crate) fn reserve(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let mut peers = self.peers.lock();
        let Some(debt) = peers.get_mut(&subscriber(peer)) else {
            return Some(Duration::ZERO);
        };
        let pause = debt.free_at.saturating_duration_since(now);
        if pause > LONGEST_WAIT {
            return None;
        }
        debt.free_at = debt.free_at.max(now) + wait_after(debt.failures);
        Some(pause)
    }

    /// Notes that an attempt from this address failed.
    pub(crate) fn failed(&self, peer: IpAddr, now: Instant) {
        let mut peers = self.peers.lock();
        let key = subscriber(peer);
        if peers.len() >= PEERS_MAX && !peers.contains_key(&key) {
            make_room(&mut peers, now);
        }
        let debt = peers.entry(key).or_insert(Debt {
            failures: 0,
            free_at: now,
        });
        if now > debt.free_at + FORGIVEN_AFTER {
            debt.failures = 0;
        }
        debt.failures = debt.failures.saturating_add(1);
        debt.free_at = debt.free_at.max(now + wait_after(debt.failures));
    }
}

fn wait_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT)
}

fn make_room(peers: &mut HashMap<IpAddr, Debt>, now: Instant) {
    peers.retain(|_, debt| debt.free_at + FORGIVEN_AFTER >= now);
    if peers.len() < PEERS_MAX {
        return;
    }
    let soonest = peers.iter().min_by_key(|(ip, debt)| (debt.free_at, **ip));
    if let Some(ip) = soonest.map(|(ip, _)| *ip) {
        peers.remove(&ip);
    }
}

/// IPv6 is handed out in networks of 64 bits: one customer, one entry.
fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_a_limit() {
        let patience = Patience::default();
        let mut now = Instant::now();
        assert_eq!(patience.reserve(PEER, now), Some(Duration::ZERO));
        for expected in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            patience.failed(PEER, now);
            let pause = patience.reserve(PEER, now).unwrap();
            assert_eq!(pause, Duration::from_millis(expected));
            now += pause;
        }
    }

    #[test]
    fn parallel_attempts_queue_and_the_ones_beyond_the_limit_are_refused() {
        let patience = Patience::default();
        let now = Instant::now();
        patience.failed(PEER, now);
        let pauses: Vec<_> = (0..52).map(|_| patience.reserve(PEER, now)).collect();
        assert_eq!(pauses[1], Some(Duration::from_millis(200)));
        assert_eq!(pauses[49], Some(LONGEST_WAIT));
        assert_eq!(pauses[50], None);
    }

    #[test]
    fn a_quiet_minute_is_forgiven_and_other_addresses_never_wait() {
        let patience = Patience::default();
        let now = Instant::now();
        for _ in 0..5 {
            patience.failed(PEER, now);
        }
        let other = IpAddr::from([192, 0, 2, 2]);
        assert_eq!(patience.reserve(other, now), Some(Duration::ZERO));
        let later = now + LONGEST_WAIT + FORGIVEN_AFTER;
        patience.failed(PEER, later);
        assert_eq!(patience.reserve(PEER, later), Some(FIRST_WAIT));
    }

    #[test]
    fn one_network_of_ipv6_is_one_peer() {
        let patience = Patience::default();
        let now = Instant::now();
        patience.failed("2001:db8:0:1::1".parse().unwrap(), now);
        let neighbour = patience.reserve("2001:db8:0:1:ffff::2".parse().unwrap(), now);
        assert_eq!(neighbour, Some(FIRST_WAIT));
        let stranger = patience.reserve("2001:db8:0:2::1".parse().unwrap(), now);
        assert_eq!(stranger, Some(Duration::ZERO));
    }

    #[test]
    fn the_table_never_grows_beyond_its_limit() {
        let patience = Patience::default();
        let now = Instant::now();
        for n in 0..u32::try_from(PEERS_MAX).unwrap() + 10 {
            patience.failed(IpAddr::from(n.to_be_bytes()), now);
        }
        assert_eq!(patience.peers.lock().len(), PEERS_MAX);
    }
}
