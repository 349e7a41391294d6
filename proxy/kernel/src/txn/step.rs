//! The steps of a name. Each is one unit of the store; memory follows once it is kept.

use bytes::Bytes;
use fairlead_canon::codec::records::{self, Ending};
use fairlead_canon::{EntityId, EpochTag, ProducerId, Promise, Text};
use fairlead_ports::{Decision, Op, Ops, Place, StoreError, Target, Targets, Unit, Version};

use super::record::{self, LANES, NAMES, PENDING, Phase, Record};
use super::table::Open;
use super::{Hold, Holder, Transactions, TxnError, TxnView};
use crate::verb::Position;
use crate::{Error, Reason, position};

/// When a transaction ended.
pub(super) enum Ended {
    /// With this step.
    Now,
    /// Earlier, in the same way.
    Before,
}

impl Transactions {
    pub(super) async fn record(&self, name: &Text) -> Result<Option<(Record, Version)>, Error> {
        let found = self.backing.documents.get(NAMES, key(name)).await?;
        let read = |document| Ok((Record::decode(&document)?, document.version));
        found.map(read).transpose()
    }

    pub(super) async fn view(&self, name: Text, record: &Record) -> Result<TxnView, Error> {
        let mut lanes = Vec::new();
        for lane in self.list(LANES, record::prefix(record.producer)).await? {
            lanes.push(record::entity(&lane)?);
        }
        Ok(TxnView {
            holder: holder(name, record),
            phase: record.phase,
            since: record.changed_at,
            timeout_ms: record.timeout_ms,
            lanes,
        })
    }

    pub(super) async fn hold(&self, name: &Text, hold: Hold) -> Result<Holder, TxnError> {
        let old = self.record(name).await?.map(|(record, _)| record);
        let fresh = self.fresh_producer();
        let next = match &old {
            Some(old) => old.next(hold.known, fresh).ok_or(TxnError::Fenced)?,
            None => self.first(name, fresh)?,
        };
        let is_open = old.filter(|old| old.phase == Phase::Open);
        if Some(next) == old && is_open.is_none() {
            return Ok(holder(name.clone(), &next));
        }
        let mut ops = Ops::new();
        let mut phase = next.phase;
        if let Some(open) = is_open {
            ops = self.end_ops(&fenced(open), Decision::Abort).await?;
            phase = Phase::Ended(Decision::Abort);
        }
        let next = Record {
            phase,
            timeout_ms: hold.timeout_ms.min(Hold::TIMEOUT_MS_MAX),
            changed_at: self.now(),
            ..next
        };
        ops.push(put(name, Some(&next)));
        self.commit(ops).await?;
        if let Some(old) = old.filter(|old| old.producer != next.producer) {
            self.table.lock().unseat(old.producer);
        }
        self.settle(name, &next, is_open.map(|_| "fenced"));
        Ok(holder(name.clone(), &next))
    }

    /// The record of a name that nobody has held.
    fn first(&self, name: &Text, producer: ProducerId) -> Result<Record, Error> {
        if name.len() > Self::NAME_BYTES_MAX {
            let detail = format!(
                "a name of {} bytes, at most {}",
                name.len(),
                Self::NAME_BYTES_MAX
            );
            return Err(Error::peer(Reason::BadName, detail));
        }
        if self.table.lock().names() >= Self::NAMES_MAX {
            return Err(Error::us(Reason::Full, "too many names of producers"));
        }
        Ok(Record {
            producer,
            epoch: 0,
            before: None,
            timeout_ms: 0,
            changed_at: self.now(),
            phase: Phase::Empty,
        })
    }

    /// A number that nobody has: 62 random bits, so that nothing has to be kept or agreed upon. Two
    /// of a million producers meet with a chance of one in ten million.
    fn fresh_producer(&self) -> ProducerId {
        let mut bits = [0; 8];
        self.backing.entropy.fill(&mut bits);
        ProducerId(i64::from_be_bytes(bits) & (i64::MAX >> 1))
    }

    pub(super) async fn add_lanes(
        &self,
        who: &Holder,
        lanes: Vec<EntityId>,
    ) -> Result<(), TxnError> {
        let record = self.held(who).await?;
        self.ensure_open(&who.name, record).await?;
        let fresh: Vec<EntityId> = {
            let mut table = self.table.lock();
            let open = table.open(who.producer).ok_or(TxnError::NotOpen)?;
            let fresh = lanes.into_iter().filter(|lane| !open.lanes.contains(lane));
            let fresh: Vec<EntityId> = fresh.collect();
            if open.lanes.len() + fresh.len() > Self::PARTS_MAX {
                return Err(Error::us(Reason::Full, "too many lanes in a transaction").into());
            }
            fresh
        };
        let mut ops = Ops::with_capacity(fresh.len());
        for lane in &fresh {
            // Its batches lie behind what is there at this moment.
            let from = self.backing.store.open(*lane).map_err(Error::from)?;
            let from = from.marks().await.map_err(Error::from)?.end;
            ops.push(Op::Put {
                space: LANES,
                key: record::lane_key(who.producer, *lane),
                value: Some(Bytes::copy_from_slice(&from.0.to_be_bytes())),
                due: None,
            });
        }
        if ops.is_empty() {
            return Ok(());
        }
        self.commit(ops).await?;
        if let Some(open) = self.table.lock().open(who.producer) {
            open.lanes.extend(fresh);
        }
        Ok(())
    }

    pub(super) async fn add_positions(
        &self,
        who: &Holder,
        group: &Text,
        positions: &[Position],
    ) -> Result<(), TxnError> {
        self.held(who).await?;
        {
            let mut table = self.table.lock();
            let open = table.open(who.producer).ok_or(TxnError::NotOpen)?;
            if open.positions + positions.len() > Self::PARTS_MAX {
                return Err(Error::us(Reason::Full, "too many positions in a transaction").into());
            }
            // Noted first: whoever asks meanwhile is told that they are not settled.
            open.positions += positions.len();
            open.groups.insert(group.clone());
        }
        let prefix = [record::prefix(who.producer), position::group_prefix(group)?].concat();
        let put = |position: &Position| Op::Put {
            space: PENDING,
            key: position::position_key(&prefix, position.entity),
            value: Some(position::encode(position)),
            due: None,
        };
        Ok(self.commit(positions.iter().map(put).collect()).await?)
    }

    /// Ends a transaction; `ops` take effect with its end.
    pub(super) async fn end(
        &self,
        who: &Holder,
        decision: Decision,
        ops: Ops,
    ) -> Result<Ended, TxnError> {
        let record = self.held(who).await?;
        match record.phase {
            Phase::Open => {}
            Phase::Ended(was) if was == decision => return Ok(Ended::Before),
            Phase::Empty | Phase::Ended(_) => return Err(TxnError::NotOpen),
        }
        let outcome = match decision {
            Decision::Commit => "committed",
            Decision::Abort => "aborted",
        };
        self.end_as(&who.name, record, (decision, outcome), ops)
            .await?;
        Ok(Ended::Now)
    }

    /// Aborts a transaction that was open for too long; its holder is refused from then on.
    pub(super) async fn time_out(&self, name: &Text) -> Result<(), TxnError> {
        match self.record(name).await? {
            Some((record, _)) if record.phase == Phase::Open && record.due() <= self.now() => {
                let how = (Decision::Abort, "timed_out");
                self.end_as(name, fenced(record), how, Ops::new()).await
            }
            Some((record, _)) if record.phase != Phase::Open => {
                self.table.lock().seat(name, &record);
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Forgets a name that does nothing.
    pub(super) async fn forget(&self, name: &Text) -> Result<(), TxnError> {
        if let Some((record, _)) = self.record(name).await?
            && record.phase != Phase::Open
        {
            self.commit([put(name, None)].into()).await?;
            self.table.lock().unseat(record.producer);
        }
        Ok(())
    }

    async fn end_as(
        &self,
        name: &Text,
        record: Record,
        (decision, outcome): (Decision, &'static str),
        mut ops: Ops,
    ) -> Result<(), TxnError> {
        ops.extend(self.end_ops(&record, decision).await?);
        let ended = Record {
            phase: Phase::Ended(decision),
            changed_at: self.now(),
            ..record
        };
        ops.push(put(name, Some(&ended)));
        self.commit(ops).await?;
        self.settle(name, &ended, Some(outcome));
        Ok(())
    }

    /// Everything that the end of a transaction is: markers in its lanes, its positions in force,
    /// and nothing left of either. The record's epoch is the one that ends it.
    async fn end_ops(&self, record: &Record, decision: Decision) -> Result<Ops, Error> {
        let prefix = record::prefix(record.producer);
        let mut ops = Ops::new();
        let mut to = Targets::new();
        for document in self.list(LANES, prefix.clone()).await? {
            let entity = record::entity(&document)?;
            if self.is_there(entity).await? {
                to.push(Target {
                    entity,
                    place: Place::Next,
                    tag: EpochTag::default(),
                });
            }
            ops.push(remove(LANES, document.key));
        }
        for document in self.list(PENDING, prefix).await? {
            if decision == Decision::Commit {
                ops.push(Op::Put {
                    space: position::SPACE,
                    key: document.key.slice(record::PREFIX..),
                    value: Some(document.value),
                    due: None,
                });
            }
            ops.push(remove(PENDING, document.key));
        }
        if to.is_empty() {
            return Ok(ops);
        }
        // Lane by lane, so that each store that holds some of them learns of its own.
        let end = |target: &Target| Op::EndTxn {
            producer: record.producer,
            epoch: record.epoch,
            decision,
            entity: Some(target.entity),
        };
        let ends: Vec<Op> = to.iter().map(end).collect();
        let ending = match decision {
            Decision::Commit => Ending::Committed,
            Decision::Abort => Ending::Aborted,
        };
        let batch = records::marker(ending, record.producer, record.epoch, self.now());
        ops.push(Op::Append { to, batch });
        ops.extend(ends);
        Ok(ops)
    }

    /// Whether a lane was not removed meanwhile.
    async fn is_there(&self, entity: EntityId) -> Result<bool, Error> {
        let marks = match self.backing.store.open(entity) {
            Ok(log) => log.marks().await,
            Err(error) => Err(error),
        };
        match marks {
            Ok(_) => Ok(true),
            Err(StoreError::NoEntity(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a transaction if none is open.
    async fn ensure_open(&self, name: &Text, record: Record) -> Result<(), TxnError> {
        if record.phase == Phase::Open {
            return Ok(());
        }
        if self.table.lock().opened() >= Self::OPEN_MAX {
            return Err(Error::us(Reason::Full, "too many open transactions").into());
        }
        let begun = Record {
            phase: Phase::Open,
            changed_at: self.now(),
            ..record
        };
        self.commit([put(name, Some(&begun))].into()).await?;
        let (_, version) = self.record(name).await?.ok_or(TxnError::UnknownHolder)?;
        self.begin(record.producer, Open::new(version, &begun));
        Ok(())
    }

    /// The record of a name, if this is who holds it.
    pub(super) async fn held(&self, who: &Holder) -> Result<Record, TxnError> {
        match self.record(&who.name).await? {
            Some((record, _)) if record.producer != who.producer => Err(TxnError::UnknownHolder),
            Some((record, _)) if record.epoch != who.epoch => Err(TxnError::Fenced),
            Some((record, _)) => Ok(record),
            None => Err(TxnError::UnknownHolder),
        }
    }

    /// Memory follows what was kept; `ended` says how a transaction that was open ended.
    fn settle(&self, name: &Text, record: &Record, ended: Option<&'static str>) {
        let mut table = self.table.lock();
        table.seat(name, record);
        self.note(&table);
        drop(table);
        if let Some(outcome) = ended
            && let Ok(counter) = self.ended.get_metric_with_label_values(&[outcome])
        {
            counter.inc();
        }
    }

    async fn commit(&self, ops: Ops) -> Result<(), Error> {
        let unit = Unit {
            ops,
            promise: Promise::Durable,
        };
        let results = self.backing.store.commit([unit].into()).await;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error.into()),
            None => Err(Error::us(Reason::Unavailable, "the store gave no answer")),
        }
    }
}

/// The same, held by nobody: whoever held it is refused.
fn fenced(record: Record) -> Record {
    Record {
        epoch: record.epoch.saturating_add(1),
        before: None,
        ..record
    }
}

fn holder(name: Text, record: &Record) -> Holder {
    Holder {
        name,
        producer: record.producer,
        epoch: record.epoch,
    }
}

fn key(name: &Text) -> Bytes {
    name.as_bytes().clone()
}

fn put(name: &Text, record: Option<&Record>) -> Op {
    Op::Put {
        space: NAMES,
        key: key(name),
        value: record.map(Record::encode),
        due: None,
    }
}

fn remove(space: fairlead_ports::Space, key: Bytes) -> Op {
    Op::Put {
        space,
        key,
        value: None,
        due: None,
    }
}
