//! The row of the index that says where the batches of a chunk lie.
//!
//! The value, in packed numbers: 0; batches, the way from the key's offset to the end, the latest time;
//! then the batches. Each is ten [`Traits`], mostly those of the one before it: messages that are written
//! side by side are alike. What is written is which of them differ, as bits, and the step of each of
//! these; or 0 and how many batches have the traits of the one before.
//!
//! Rows of the first version begin with the number of batches, which is never 0; then for each batch the
//! way from the end of the one before, its span, the step of its LSN, its length, bytes, messages that
//! keep it, share, the step of its time, and 0 or 1 and the way from its time to its deadline. They are
//! read, and written in the other way when they change.

use std::collections::VecDeque;

use fairlead_canon::Timestamp;
use fairlead_ports::Lsn;

use super::Location;
use super::chunk::{CHUNK_LEN, Kept};
use crate::index::pack::{Pack, Unpack};

/// What a chunk's row says before its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) len: usize,
    /// The offset behind its last batch, or further.
    pub(crate) end: u64,
    /// No batch in it is later.
    pub(crate) latest: Timestamp,
}

/// How the batches of a row are written.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Whole,
    Steps,
}

/// What a batch is beside the one before it, those first that differ most often: bits below 7 take one
/// byte together. Differences wrap, so that any batch can be written.
type Traits = [u64; 10];

/// The value of a row under offset `first`.
pub(super) fn encode(batches: &VecDeque<Kept>, first: u64, end: u64, latest: Timestamp) -> Vec<u8> {
    let mut pack = Pack::default();
    pack.uint(0_u64);
    pack.uint(batches.len() as u64);
    pack.uint(end.saturating_sub(first));
    pack.uint(latest.0);
    let mut before = nothing(first, latest);
    let mut traits = Traits::default();
    let mut alike = 0;
    for kept in batches {
        let own = traits_of(kept, &before);
        let differ = differ(&traits, &own);
        if differ == 0 {
            alike += 1;
        } else {
            put_alike(&mut pack, &mut alike);
            pack.uint(differ);
            put_steps(&mut pack, &traits, &own);
        }
        (before, traits) = (*kept, own);
    }
    put_alike(&mut pack, &mut alike);
    pack.done()
}

fn put_alike(pack: &mut Pack, alike: &mut u64) {
    if *alike > 0 {
        pack.uint(0_u64);
        pack.uint(std::mem::take(alike));
    }
}

/// A bit for each trait that is another.
fn differ(from: &Traits, to: &Traits) -> u64 {
    let pairs = from.iter().zip(to).rev();
    pairs.fold(0, |bits, (from, to)| bits << 1 | u64::from(from != to))
}

fn put_steps(pack: &mut Pack, from: &Traits, to: &Traits) {
    let pairs = from.iter().zip(to);
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        pack.step(*from, *to);
    }
}

/// The batches in a row under offset `first`; `None` when it says nothing.
pub(super) fn decode(first: u64, value: &[u8]) -> Option<VecDeque<Kept>> {
    let mut unpack = Unpack::new(value);
    let (layout, summary) = Summary::take(first, &mut unpack)?;
    let take = match layout {
        Layout::Whole => take_whole,
        Layout::Steps => take_steps,
    };
    let batches = take(&mut unpack, nothing(first, summary.latest), summary.len)?;
    unpack.done(batches)
}

fn take_steps(unpack: &mut Unpack<'_>, mut before: Kept, len: usize) -> Option<VecDeque<Kept>> {
    let mut batches = VecDeque::with_capacity(len);
    let mut traits = Traits::default();
    while batches.len() < len {
        let alike = take_traits(unpack, &mut traits)?;
        if alike > len - batches.len() {
            return None;
        }
        for _ in 0..alike {
            before = with_traits(&traits, &before)?;
            batches.push_back(before);
        }
    }
    Some(batches)
}

/// Changes the traits; how many batches have them.
fn take_traits(unpack: &mut Unpack<'_>, traits: &mut Traits) -> Option<usize> {
    let differ = unpack.uint()?;
    if differ == 0 {
        return usize::try_from(unpack.uint()?).ok();
    }
    for (bit, one) in traits.iter_mut().enumerate() {
        if differ >> bit & 1 == 1 {
            *one = unpack.step(*one)?;
        }
    }
    (differ >> traits.len() == 0).then_some(1)
}

fn take_whole(unpack: &mut Unpack<'_>, mut before: Kept, len: usize) -> Option<VecDeque<Kept>> {
    let mut batches = VecDeque::with_capacity(len);
    for _ in 0..len {
        before = take_one_whole(unpack, &before)?;
        batches.push_back(before);
    }
    Some(batches)
}

/// What stands before the first batch of a chunk.
fn nothing(first: u64, latest: Timestamp) -> Kept {
    Kept {
        base: first,
        at: Location {
            lsn: Lsn(0),
            len: 0,
        },
        span: 0,
        live: 0,
        bytes: 0,
        share: 0,
        time: latest,
        deadline: None,
    }
}

fn traits_of(kept: &Kept, before: &Kept) -> Traits {
    let [span, len] = [kept.span, kept.at.len].map(u64::from);
    // Mostly these go with the length and the span.
    let beside_len = |number: u32| u64::from(number).wrapping_sub(len);
    let lifetime = |deadline: Timestamp| deadline.0.wrapping_sub(kept.time.0);
    [
        kept.at.lsn.0.wrapping_sub(before.at.end()),
        len,
        kept.time.0.wrapping_sub(before.time.0),
        beside_len(kept.bytes),
        beside_len(kept.share),
        kept.base.wrapping_sub(before.after()),
        span,
        u64::from(kept.live).wrapping_sub(span),
        u64::from(kept.deadline.is_some()),
        kept.deadline.map_or(0, lifetime),
    ]
}

fn with_traits(traits: &Traits, before: &Kept) -> Option<Kept> {
    let [
        lsn,
        len,
        time,
        bytes,
        share,
        base,
        span,
        live,
        has_deadline,
        lifetime,
    ] = *traits;
    let beside = |number: u64, other: u64| u32::try_from(number.wrapping_add(other)).ok();
    let time = Timestamp(before.time.0.wrapping_add(time));
    let deadline = match has_deadline {
        0 => None,
        1 => Some(Timestamp(time.0.wrapping_add(lifetime))),
        _ => return None,
    };
    Some(Kept {
        base: before.after().checked_add(base)?,
        at: Location {
            lsn: Lsn(before.at.end().wrapping_add(lsn)),
            len: len.try_into().ok()?,
        },
        span: span.try_into().ok()?,
        live: beside(live, span)?,
        bytes: beside(bytes, len)?,
        share: beside(share, len)?,
        time,
        deadline,
    })
}

fn take_one_whole(unpack: &mut Unpack<'_>, before: &Kept) -> Option<Kept> {
    let base = before.after().checked_add(unpack.uint()?)?;
    let span = unpack.uint32()?;
    let lsn = Lsn(unpack.step(before.at.lsn.0)?);
    let len = unpack.uint32()?;
    let (bytes, live, share) = (unpack.uint32()?, unpack.uint32()?, unpack.uint32()?);
    let time = unpack.step(before.time.0)?;
    let deadline = match unpack.uint()? {
        0 => None,
        1 => Some(Timestamp(unpack.step(time)?)),
        _ => return None,
    };
    Some(Kept {
        base,
        at: Location { lsn, len },
        span,
        live,
        bytes,
        share,
        time: Timestamp(time),
        deadline,
    })
}

impl Summary {
    pub(crate) fn decode(first: u64, value: &[u8]) -> Option<Self> {
        Some(Self::take(first, &mut Unpack::new(value))?.1)
    }

    fn take(first: u64, unpack: &mut Unpack<'_>) -> Option<(Layout, Self)> {
        let (layout, len) = match unpack.uint()? {
            0 => (Layout::Steps, unpack.uint()?),
            len => (Layout::Whole, len),
        };
        let len = usize::try_from(len).ok()?;
        let end = first.checked_add(unpack.uint()?)?;
        let latest = Timestamp(unpack.uint()?);
        (len <= CHUNK_LEN).then_some((layout, Self { len, end, latest }))
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, RngCore, SeedableRng};

    use super::*;

    const FIRST: u64 = 1_000;
    const LATEST: Timestamp = Timestamp(80);

    /// Messages of 100 bytes, side by side in the log.
    fn alike(count: u32) -> VecDeque<Kept> {
        let batch = |n| Kept {
            base: FIRST + u64::from(n),
            at: Location {
                lsn: Lsn(70_000 + 164 * u64::from(n)),
                len: 164,
            },
            span: 1,
            live: 1,
            bytes: 100,
            share: 164,
            time: Timestamp(77),
            deadline: None,
        };
        (0..count).map(batch).collect()
    }

    fn encoded(batches: &VecDeque<Kept>) -> Vec<u8> {
        let end = batches.back().map_or(FIRST, Kept::after);
        encode(batches, FIRST, end, LATEST)
    }

    #[test]
    fn any_batches_come_back_as_they_were() {
        let mut random = StdRng::seed_from_u64(5);
        for _ in 0..2_000 {
            let mut batches = alike(random.random_range(1..=3));
            let mut base = FIRST;
            for kept in &mut batches {
                let number = random.next_u32() >> random.random_range(0..32);
                let large = random.next_u64() >> random.random_range(0..64);
                match random.random_range(0..10) {
                    0 => base += u64::from(number),
                    1 => kept.span = number,
                    2 => kept.live = number,
                    3 => kept.bytes = number,
                    4 => kept.share = number,
                    5 => kept.at.len = number,
                    6 => kept.at.lsn = Lsn(large),
                    7 => kept.time = Timestamp(large),
                    8 => kept.deadline = Some(Timestamp(large)),
                    _ => {}
                }
                kept.base = base;
                base = kept.after();
            }
            let row = encoded(&batches);
            let summary = Summary::decode(FIRST, &row).unwrap();
            let (len, end) = (batches.len(), base);
            let latest = LATEST;
            assert_eq!(summary, Summary { len, end, latest });
            assert_eq!(decode(FIRST, &row), Some(batches));
        }
    }

    #[test]
    fn any_bytes_are_batches_or_nothing() {
        let mut random = StdRng::seed_from_u64(6);
        let row = encoded(&alike(3));
        for _ in 0..20_000 {
            let mut bent = row.clone();
            let at = random.random_range(0..bent.len());
            bent[at] = random.random();
            bent.truncate(random.random_range(1..=row.len()));
            let batches = decode(FIRST, &bent).unwrap_or_default();
            assert!(batches.len() <= CHUNK_LEN);
            assert!(batches.iter().is_sorted_by_key(|kept| kept.base));
        }
    }

    #[test]
    fn batches_that_are_alike_take_no_room_of_their_own() {
        let lengths = [3, 100].map(|count| encoded(&alike(count)).len());
        assert_eq!(lengths[0], lengths[1]);
    }

    #[test]
    fn the_layout_on_disk_stays_as_it_is() {
        let steps = [
            0, 3, 3, 80, // three batches, the way to their end, the latest time
            0x4f, 0xe0, 0xc5, 0x08, 0xc8, 0x02, 5, 0x7f, 2, // LSN, length, time, bytes, span
            5, 0xdf, 0xc5, 0x08, 6, // next to it, at the same time
            0, 1, // and one like that
        ];
        assert_eq!(encoded(&alike(3)), steps);
    }

    #[test]
    fn rows_of_the_first_version_are_read() {
        let whole = [
            2, 2, 80, // two batches, the way to their end, the latest time
            0, 1, 0xe0, 0xc5, 0x08, 0xa4, 0x01, 100, 1, 0xa4, 0x01, 5, 0, //
            0, 1, 0xc8, 0x02, 0xa4, 0x01, 100, 1, 0xa4, 0x01, 0, 0,
        ];
        let batches = alike(2);
        assert_eq!(decode(FIRST, &whole), Some(batches));
        let (len, end, latest) = (2, FIRST + 2, LATEST);
        assert_eq!(
            Summary::decode(FIRST, &whole),
            Some(Summary { len, end, latest })
        );
    }
}
