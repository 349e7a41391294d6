//! Compaction of a log: batches go of which every message was replaced by a later one of its key.
//! Offsets stay, so gaps appear.
//!
//! A first pass notes where the newest message of each key is, a second one judges whole batches by
//! that. When there are more keys than may be noted, both passes are made again from where the first
//! one stopped; messages without a value then stay, because nobody knows whether an older value of
//! their key is still there.

use std::ops::Range;

use fairlead_canon::{Compaction, Offset, Timestamp};
use fairlead_ports::{Aborted, BoxFuture, Chunk, Log, StoreError, Stored, View, Want};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// Keys that are noted at once: 64 bytes each with what a map needs, 64 MiB together.
pub(crate) const KEYS_MAX: usize = 1024 * 1024;
/// Batches that go in one unit.
const RANGES_MAX: usize = 1_024;
/// What is read at once.
const PIECE: Want = Want {
    bytes_max: 1024 * 1024,
    count_max: 1_024,
    view: View::Committed,
};

/// Where a log is compacted.
pub(crate) trait Workplace: Sync {
    /// The log.
    fn log(&self) -> &dyn Log;
    /// Removes whole batches.
    fn remove(&self, batches: SmallVec<[Range<u64>; 1]>) -> BoxFuture<'_, Result<(), StoreError>>;
    /// So many bytes were read: waits until it may go on; an error if it may not.
    fn pause(&self, bytes: u64) -> Result<(), StoreError>;
}

/// One compaction.
pub(crate) struct Cleaner<'a> {
    pub(crate) place: &'a dyn Workplace,
    pub(crate) rules: Compaction,
    pub(crate) now: Timestamp,
    pub(crate) keys_max: usize,
}

/// Where the newest message of each key is, as far as was looked.
#[derive(Debug, Default)]
struct Newest(HashMap<SmallVec<[u8; 16]>, Seen, FixedState>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: u64,
    /// An older message of the key stays.
    is_ghosted: bool,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Goes,
    Stays,
    /// It may go at this time, if nothing else changes.
    StaysUntil(Timestamp),
}

impl Cleaner<'_> {
    /// Removes what can go. Returns when more can, although nothing is appended.
    pub(crate) async fn clean(&self) -> Result<Option<Timestamp>, StoreError> {
        let marks = self.place.log().marks().await?;
        let limit = marks.stable.0;
        let mut from = marks.start.0;
        let mut next = None;
        while from < limit {
            let (newest, to) = self.note(from..limit).await?;
            let is_all = from == marks.start.0 && to == limit;
            let later = self.sweep(newest, marks.start.0..to, is_all).await?;
            next = next.into_iter().chain(later).min();
            from = to;
        }
        Ok(next)
    }

    /// Notes keys until there are too many; returns how far it came.
    async fn note(&self, range: Range<u64>) -> Result<(Newest, u64), StoreError> {
        let mut newest = Newest::default();
        let mut from = range.start;
        while let Some(chunk) = self.read(&mut from, range.end).await? {
            for stored in &chunk.batches {
                let keys = &stored.batch.keys;
                let is_first = newest.0.is_empty();
                if newest.0.len() + keys.len() > self.keys_max && !is_first {
                    return Ok((newest, stored.base.0));
                }
                if !is_aborted(stored, &chunk.aborted) {
                    newest.note(stored);
                }
            }
        }
        Ok((newest, range.end))
    }

    /// Removes batches of a range by what was noted.
    async fn sweep(
        &self,
        mut newest: Newest,
        range: Range<u64>,
        is_all: bool,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut next: Option<Timestamp> = None;
        let mut gone = SmallVec::new();
        let mut from = range.start;
        while let Some(chunk) = self.read(&mut from, range.end).await? {
            for stored in &chunk.batches {
                let verdict = if is_aborted(stored, &chunk.aborted) {
                    Verdict::Goes
                } else {
                    self.judge(&newest, stored, is_all)
                };
                if verdict == Verdict::Goes {
                    gone.push(stored.base.0..after(stored));
                } else {
                    newest.haunt(stored);
                }
                if let Verdict::StaysUntil(time) = verdict {
                    next = next.into_iter().chain([time]).min();
                }
            }
            if gone.len() >= RANGES_MAX {
                self.place.remove(std::mem::take(&mut gone)).await?;
            }
        }
        if !gone.is_empty() {
            self.place.remove(gone).await?;
        }
        Ok(next)
    }

    fn judge(&self, newest: &Newest, stored: &Stored, is_all: bool) -> Verdict {
        let batch = &stored.batch;
        if batch.keys.is_empty() {
            return Verdict::Stays;
        }
        let mut until = batch.time.0.saturating_add(self.rules.lag_min_ms);
        for (at, key) in (stored.base.0..).zip(&batch.keys) {
            let seen = key.key.as_ref().and_then(|name| newest.get(name));
            match seen {
                Some(seen) if seen.at > at => {}
                Some(seen) if !key.has_value && is_all && !seen.is_ghosted => {
                    let kept = batch.time.0.saturating_add(self.rules.deletes_kept_ms);
                    until = until.max(kept);
                }
                _ => return Verdict::Stays,
            }
        }
        if until <= self.now.0 {
            Verdict::Goes
        } else {
            Verdict::StaysUntil(Timestamp(until))
        }
    }

    /// The next batches that begin before `to`. What was trimmed meanwhile is passed over.
    async fn read(&self, from: &mut u64, to: u64) -> Result<Option<Chunk>, StoreError> {
        if *from >= to {
            return Ok(None);
        }
        let mut chunk = match self.place.log().read(Offset(*from), PIECE).await {
            Err(StoreError::OutOfRange { start, .. }) if start.0 > *from => {
                *from = start.0;
                self.place.log().read(start, PIECE).await?
            }
            chunk => chunk?,
        };
        let bytes = chunk.batches.iter().map(|it| it.batch.bytes.len() as u64);
        self.place.pause(bytes.sum())?;
        chunk.batches.retain(|stored| stored.base.0 < to);
        let Some(last) = chunk.batches.last() else {
            return Ok(None);
        };
        *from = after(last);
        Ok(Some(chunk))
    }
}

impl Newest {
    fn note(&mut self, stored: &Stored) {
        let keys = (stored.base.0..).zip(&stored.batch.keys);
        for (at, name) in keys.filter_map(|(at, key)| Some((at, key.key.as_ref()?))) {
            let is_ghosted = false;
            self.0
                .insert(SmallVec::from_slice(name), Seen { at, is_ghosted });
        }
    }

    fn get(&self, name: &[u8]) -> Option<&Seen> {
        self.0.get(name)
    }

    /// A batch stays: the newest of each key in it has an older one behind it.
    fn haunt(&mut self, stored: &Stored) {
        let keys = (stored.base.0..).zip(&stored.batch.keys);
        for (at, name) in keys.filter_map(|(at, key)| Some((at, key.key.as_ref()?))) {
            if let Some(seen) = self.0.get_mut(name.as_ref()) {
                seen.is_ghosted |= seen.at > at;
            }
        }
    }
}

fn after(stored: &Stored) -> u64 {
    stored.base.plus(u64::from(stored.batch.span)).0
}

/// Whether a batch belongs to one of these transactions. Markers belong to none.
fn is_aborted(stored: &Stored, aborted: &[Aborted]) -> bool {
    let batch = &stored.batch;
    let Some(stamp) = batch.stamp.filter(|_| batch.flags.transactional) else {
        return false;
    };
    let holds = |it: &Aborted| (it.first..=it.last).contains(&stored.base);
    let mut own = aborted.iter().filter(|it| it.producer == stamp.producer);
    own.any(holds)
}

#[cfg(test)]
mod tests;
