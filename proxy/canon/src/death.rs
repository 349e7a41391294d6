//! Where a message has died before it came to where it is (`mapping.md` section 11).

use bytes::{BufMut, BytesMut};

use crate::codec::Damage;
use crate::codec::reader::Reader;
use crate::codec::writer::{base128, sized};
use crate::{DeadReason, Path, Text, Timestamp};

/// How often, when and why a message died in one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The name of the stream.
    pub stream: Text,
    /// Why.
    pub reason: DeadReason,
    /// How often; at least 1.
    pub count: u64,
    /// When it did so first.
    pub first_at: Timestamp,
    /// When it did so last.
    pub last_at: Timestamp,
    /// The name of the realm in which it had been published then.
    pub realm: Text,
    /// The path there.
    pub path: Path,
    /// The life that its publisher had given it, in milliseconds. It was taken off.
    pub life_ms: Option<u64>,
    /// Whether this was its first death of all.
    pub is_first: bool,
}

/// The deaths of a message: one per stream and reason, the latest in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deaths(Vec<Death>);

/// Bytes on disk, never renumbered.
const REASONS: [(DeadReason, u8, &str); 4] = [
    (DeadReason::Rejected, 1, "rejected"),
    (DeadReason::Expired, 2, "expired"),
    (DeadReason::MaxLen, 3, "maxlen"),
    (DeadReason::DeliveryLimit, 4, "delivery_limit"),
];

impl Deaths {
    /// Most that are remembered: above it the one that lies back furthest is forgotten, but never
    /// the first of all.
    pub const MAX: usize = 64;

    /// The deaths, the latest in front.
    pub fn iter(&self) -> std::slice::Iter<'_, Death> {
        self.0.iter()
    }

    /// Whether it never died.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first death of all.
    pub fn first(&self) -> Option<&Death> {
        self.0.iter().find(|death| death.is_first)
    }

    /// Notes a death. One in the same stream and for the same reason is counted there: of `death`
    /// only the time then matters. Gives back the death that is forgotten for it, if one is.
    pub fn record(&mut self, mut death: Death) -> Option<Death> {
        let again = |old: &Death| old.stream == death.stream && old.reason == death.reason;
        if let Some(place) = self.0.iter().position(again) {
            let mut old = self.0.remove(place);
            old.count = old.count.saturating_add(1);
            old.last_at = death.last_at;
            self.0.insert(0, old);
            return None;
        }
        death.is_first = self.0.is_empty();
        let is_full = self.0.len() >= Self::MAX;
        let oldest = self.0.iter().rposition(|old| !old.is_first);
        let forgotten = oldest.filter(|_| is_full).map(|place| self.0.remove(place));
        self.0.insert(0, death);
        forgotten
    }

    /// Whether a message that goes to this stream would go round for ever: it has died there, and
    /// nobody has rejected it since.
    pub fn is_cycle(&self, stream: &str) -> bool {
        let place = self.0.iter().position(|death| &*death.stream == stream);
        let since = place.and_then(|place| self.0.get(..=place));
        since.is_some_and(|since| since.iter().all(|d| d.reason != DeadReason::Rejected))
    }

    /// Adds one that was written, behind the others.
    pub(crate) fn push_read(&mut self, death: Death) {
        self.0.push(death);
    }
}

impl DeadReason {
    /// Its word in a message's history.
    pub fn word(self) -> &'static str {
        let found = REASONS.iter().find(|(reason, ..)| *reason == self);
        found.map_or("", |(_, _, word)| *word)
    }
}

/// `reason u8, is_first u8, count, first, last, life + 1 or 0` in base 128, then stream, realm and
/// path, each with a length.
pub(crate) fn write(death: &Death, out: &mut BytesMut) {
    out.put_u8(death.reason as u8);
    out.put_u8(u8::from(death.is_first));
    base128(death.count, out);
    base128(death.first_at.0, out);
    base128(death.last_at.0, out);
    base128(death.life_ms.map_or(0, |life| life.saturating_add(1)), out);
    sized(death.stream.as_bytes(), out);
    sized(death.realm.as_bytes(), out);
    sized(death.path.as_stored(), out);
}

pub(crate) fn read(from: &mut Reader) -> Result<Death, Damage> {
    let damage = from.damage("reason of a death");
    let number = from.byte("reason of a death")?;
    let reason = REASONS.iter().find(|(_, held, _)| *held == number);
    let (reason, ..) = *reason.ok_or(damage)?;
    let is_first = from.byte("first death")? != 0;
    let count = from.number("count of deaths")?;
    let first_at = Timestamp(from.number("first death")?);
    let last_at = Timestamp(from.number("last death")?);
    let life_ms = from.number("life")?.checked_sub(1);
    let stream = sized_text(from, "stream of a death")?;
    let realm = sized_text(from, "realm of a death")?;
    let damage = from.damage("path of a death");
    let len = from.length("path of a death")?;
    let path = from.take(len, "path of a death")?;
    Ok(Death {
        stream,
        reason,
        count,
        first_at,
        last_at,
        realm,
        path: Path::from_stored(path).map_err(|_not_a_path| damage)?,
        life_ms,
        is_first,
    })
}

fn sized_text(from: &mut Reader, what: &'static str) -> Result<Text, Damage> {
    let len = from.length(what)?;
    from.text(len, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(stream: &'static str, reason: DeadReason, at: u64) -> Death {
        Death {
            stream: Text::from_static(stream),
            reason,
            count: 1,
            first_at: Timestamp(at),
            last_at: Timestamp(at),
            realm: Text::from_static("r"),
            path: Path::EMPTY,
            life_ms: None,
            is_first: false,
        }
    }

    fn history(list: &[(&'static str, DeadReason)]) -> Deaths {
        let mut deaths = Deaths::default();
        for (at, (stream, reason)) in (1..).zip(list) {
            deaths.record(death(stream, *reason, at));
        }
        deaths
    }

    #[test]
    fn a_repeated_death_is_counted_and_moves_to_the_front() {
        use DeadReason::{Expired, Rejected};
        let deaths = history(&[
            ("a", Expired),
            ("b", Rejected),
            ("a", Rejected),
            ("a", Expired),
        ]);
        let seen: Vec<_> = deaths
            .iter()
            .map(|d| (&*d.stream, d.reason, d.count, d.first_at.0, d.last_at.0))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", Expired, 2, 1, 4),
                ("a", Rejected, 1, 3, 3),
                ("b", Rejected, 1, 2, 2)
            ]
        );
        assert_eq!(deaths.first().unwrap().reason, Expired);
    }

    #[test]
    fn a_cycle_is_one_in_which_nobody_rejected() {
        use DeadReason::{DeliveryLimit, Expired, MaxLen, Rejected};
        let deaths = history(&[("a", Expired), ("b", MaxLen)]);
        assert!(deaths.is_cycle("a") && deaths.is_cycle("b") && !deaths.is_cycle("c"));
        let deaths = history(&[("a", DeliveryLimit), ("b", Rejected), ("c", Expired)]);
        assert!(deaths.is_cycle("c") && !deaths.is_cycle("b") && !deaths.is_cycle("a"));
        assert!(!history(&[]).is_cycle("a"));
    }

    #[test]
    fn a_long_history_keeps_its_beginning() {
        let mut deaths = Deaths::default();
        for at in 0..200 {
            let stream = Text::from(at.to_string());
            let forgotten = deaths.record(Death {
                stream,
                ..death("", DeadReason::Rejected, at)
            });
            let oldest = at.checked_sub(Deaths::MAX as u64 - 1).filter(|n| *n > 0);
            assert_eq!(forgotten.map(|death| death.first_at.0), oldest);
        }
        assert_eq!(deaths.iter().count(), Deaths::MAX);
        assert_eq!(&*deaths.first().unwrap().stream, "0");
        assert_eq!(&*deaths.iter().next().unwrap().stream, "199");
    }
}
