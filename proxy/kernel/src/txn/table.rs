//! Transactions in memory: what the publish path and the clock have to know without waiting.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fairlead_canon::{EntityId, ProducerId, Stamp, Text, Timestamp};
use fairlead_ports::{Op, Version};

use super::record::{NAMES, Phase, Record};
use crate::{Error, Reason};

/// Every name's holder.
#[derive(Debug, Default)]
pub(super) struct Table {
    seats: BTreeMap<ProducerId, Seat>,
    /// When each open transaction is given up.
    due: BTreeSet<(Timestamp, ProducerId)>,
    /// Names of which a step is under way.
    pub(super) busy: BTreeSet<Text>,
}

#[derive(Debug)]
struct Seat {
    name: Text,
    epoch: i16,
    changed_at: Timestamp,
    open: Option<Box<Open>>,
}

/// An open transaction.
#[derive(Debug)]
pub(super) struct Open {
    /// Of the name's document: it changes with each beginning and end.
    pub(super) version: Version,
    pub(super) due: Timestamp,
    pub(super) lanes: BTreeSet<EntityId>,
    /// Groups with pending positions.
    pub(super) groups: BTreeSet<Text>,
    /// How many those are, at most.
    pub(super) positions: usize,
}

impl Table {
    /// Notes a name as it stands; whatever was open is not.
    pub(super) fn seat(&mut self, name: &Text, record: &Record) {
        self.unseat(record.producer);
        let seat = Seat {
            name: name.clone(),
            epoch: record.epoch,
            changed_at: record.changed_at,
            open: None,
        };
        self.seats.insert(record.producer, seat);
    }

    /// Forgets a holder.
    pub(super) fn unseat(&mut self, producer: ProducerId) {
        if let Some(Seat {
            open: Some(open), ..
        }) = self.seats.remove(&producer)
        {
            self.due.remove(&(open.due, producer));
        }
    }

    /// Notes that a seated holder's transaction is open.
    pub(super) fn begin(&mut self, producer: ProducerId, open: Open) {
        if let Some(seat) = self.seats.get_mut(&producer) {
            self.due.insert((open.due, producer));
            seat.open = Some(Box::new(open));
        }
    }

    pub(super) fn open(&mut self, producer: ProducerId) -> Option<&mut Open> {
        self.seats.get_mut(&producer)?.open.as_deref_mut()
    }

    pub(super) fn names(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn opened(&self) -> usize {
        self.due.len()
    }

    /// The next transaction to be given up, and when.
    pub(super) fn first_due(&self) -> Option<(Timestamp, Text)> {
        let (due, producer) = self.due.first()?;
        Some((*due, self.seats.get(producer)?.name.clone()))
    }

    /// Names that have done nothing since, at most `max`.
    pub(super) fn idle_since(&self, since: Timestamp, max: usize) -> Vec<Text> {
        let idle = |seat: &&Seat| seat.open.is_none() && seat.changed_at < since;
        let names = self.seats.values().filter(idle);
        names.map(|seat| seat.name.clone()).take(max).collect()
    }

    /// Open transactions with pending positions of a group.
    pub(super) fn with_positions_of(&self, group: &str) -> Vec<ProducerId> {
        let has = |seat: &Seat| seat.open.as_ref().is_some_and(|o| o.groups.contains(group));
        let with = self.seats.iter().filter(|(_, seat)| has(seat));
        with.map(|(producer, _)| *producer).collect()
    }

    /// What a unit that holds a transactional batch must expect, so that it never takes effect
    /// after the end of its transaction and opens one that nobody will end.
    pub(super) fn admit(&self, stamp: Option<Stamp>, lane: EntityId) -> Result<Op, Error> {
        let refuse = |reason, why: &str| Err(Error::peer(reason, why));
        let Some(stamp) = stamp else {
            return refuse(
                Reason::Malformed,
                "a transactional batch without a producer",
            );
        };
        let none_open = "no transaction of this producer is open there";
        let Some(seat) = self.seats.get(&stamp.producer) else {
            return refuse(Reason::Conflict, none_open);
        };
        if stamp.epoch != seat.epoch {
            return refuse(Reason::Fenced, "another epoch of this producer took over");
        }
        match &seat.open {
            Some(open) if open.lanes.contains(&lane) => Ok(Op::Expect {
                space: NAMES,
                key: Bytes::copy_from_slice(seat.name.as_bytes()),
                version: open.version,
            }),
            Some(_) | None => refuse(Reason::Conflict, none_open),
        }
    }
}

impl Open {
    pub(super) fn new(version: Version, record: &Record) -> Self {
        debug_assert_eq!(
            record.phase,
            Phase::Open,
            "only what is open has a deadline"
        );
        Self {
            version,
            due: record.due(),
            lanes: BTreeSet::new(),
            groups: BTreeSet::new(),
            positions: 0,
        }
    }
}
