//! Who lost something in a damaged place: by what is still legible there, and by the offsets that
//! are missing further on.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use fairlead_canon::EntityId;

use super::report::Damage;
use crate::record::{self, Data, Record};

/// Where each entity ends, so far.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeMap<EntityId, u64>);

impl Ends {
    /// Follows a record that is whole, and adds the offsets that it shows to be missing to the
    /// damage before it.
    pub(super) fn follow(&mut self, record: &Record, damage: Option<&mut Damage>) {
        match record {
            Record::Data(data) => self.appended(data, damage),
            Record::Delete { entity } => {
                self.0.remove(entity);
            }
            Record::Create { .. }
            | Record::Alter { .. }
            | Record::Settle { .. }
            | Record::Trim { .. }
            | Record::Mark { .. }
            | Record::Sealed(_)
            | Record::EndTxn { .. }
            | Record::Restore { .. }
            | Record::Put { .. } => {}
        }
    }

    fn appended(&mut self, data: &Data, mut damage: Option<&mut Damage>) {
        for (entity, base) in &data.targets {
            let end = self.0.entry(*entity).or_default();
            // Whoever chooses offsets may leave gaps.
            if let Some(damage) = &mut damage
                && base.0 > *end
                && !data.is_placed
            {
                damage.concerns(*entity, Some(*end..base.0));
            }
            *end = base.plus(u64::from(data.batch.span)).0;
        }
    }
}

impl Damage {
    /// Reads what is legible of the records of a damaged frame. What it says of a record whose
    /// checksum is wrong is a hint: the flipped byte may be in the number of the entity.
    pub(super) fn read(&mut self, records: &Bytes, first: u64) {
        for place in record::places(records).map_while(|place| place) {
            let bytes = records.slice(place.clone());
            if self.record.is_none() && !record::is_intact(&bytes) {
                self.record = Some(first + place.start as u64);
            }
            if let Some(record) = Record::decode(&bytes) {
                self.records += 1;
                self.tells(&record);
            }
        }
    }

    /// Adds whom a record concerns.
    pub(super) fn tells(&mut self, record: &Record) {
        match record {
            Record::Data(data) => {
                for (entity, base) in &data.targets {
                    let end = base.plus(u64::from(data.batch.span));
                    self.concerns(*entity, Some(base.0..end.0));
                }
            }
            Record::Settle { entity, ranges, .. } => {
                for range in ranges {
                    self.concerns(*entity, Some(range.clone()));
                }
            }
            Record::Create { entity, .. }
            | Record::Alter { entity, .. }
            | Record::Delete { entity }
            | Record::Trim { entity, .. }
            | Record::Mark { entity, .. }
            | Record::Restore { entity, .. } => self.concerns(*entity, None),
            Record::EndTxn { entity, .. } => {
                if let Some(entity) = entity {
                    self.concerns(*entity, None);
                }
            }
            Record::Put { .. } => self.documents += 1,
            // What it said is said again by the index, or missing there.
            Record::Sealed(_) => {}
        }
    }

    /// Adds what another place tells.
    pub(super) fn add(&mut self, other: &Self) {
        for (entity, offsets) in &other.entities {
            self.concerns(*entity, offsets.clone());
        }
        self.documents += other.documents;
    }

    /// Widens what is known of an entity to hold these offsets as well.
    fn concerns(&mut self, entity: EntityId, offsets: Option<Range<u64>>) {
        let known = self.entities.entry(entity).or_default();
        *known = match (known.take(), offsets) {
            (Some(a), Some(b)) => Some(a.start.min(b.start)..a.end.max(b.end)),
            (a, b) => a.or(b),
        };
    }
}
