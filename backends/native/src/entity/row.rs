//! An entity as rows of the index: loading one, and what of it is to be written.
//!
//! The value of its own row, in packed numbers: definition, how many chunks, which of cursors and dead
//! messages (1), producers (2), keys (4) and aborted transactions (8) there are, floor, end, messages and bytes kept, how far messages were
//! handed out, how far when the stay of a process began, and the epoch of that stay.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use fairlead_canon::{EntityId, Kind, Offset, ProducerId, Timestamp};
use fairlead_ports::{CursorId, Lsn};

use super::aborted::Place;
use super::batches::{self, Batches, Source};
use super::chunk_row::Summary;
use super::{Content, Keys};
use crate::cursor::Cursor;
use crate::index::pack::{Pack, Unpack};
use crate::index::{Batch, Index, KvError, rows};
use crate::limits::KEYS_LOADED_MAX;
use crate::producer::Producers;
use crate::record::spec;
use crate::superblock::Epoch;

const HAS_CURSORS: u64 = 1;
const HAS_PRODUCERS: u64 = 2;
const HAS_KEYS: u64 = 4;
const HAS_ABORTED: u64 = 8;

/// Room for most definitions.
const DEFINITION_BYTES: usize = 64;

/// How the keys of one kind of an entity's rows begin.
type Prefix = fn(EntityId) -> Vec<u8>;

/// The kinds of rows that only some entities have.
const KINDS: [(u64, Prefix); 4] = [
    (HAS_CURSORS, rows::cursors),
    (HAS_PRODUCERS, rows::producers),
    (HAS_KEYS, rows::all_latest),
    (HAS_ABORTED, rows::aborted_txns),
];

/// What of an entity is for a checkpoint to write: what changed in one generation.
#[derive(Debug)]
pub(crate) enum Captured {
    Deleted {
        /// What is left, until all of its batches are given up.
        grave: Option<Vec<u8>>,
        chunks: batches::Captured,
        /// The kinds of rows that the index may have besides.
        had: u64,
    },
    Changed {
        row: Vec<u8>,
        chunks: batches::Captured,
        cursors: Vec<(CursorId, u64, Option<Vec<u8>>)>,
        producers: Vec<(ProducerId, Option<Vec<u8>>)>,
        keys: BTreeMap<Bytes, Option<u64>>,
        aborted: Vec<(Place, Option<Vec<u8>>)>,
        /// When it is to be tended to, if that has changed.
        due: Option<Option<Timestamp>>,
    },
}

impl Captured {
    pub(crate) fn write(self, id: EntityId, batch: &mut Batch) {
        let (row, chunks, cursors, producers, keys, aborted, due) = match self {
            Self::Deleted { grave, chunks, had } => {
                batch.set(rows::grave(id), grave);
                chunks.write(id, batch);
                return remove_rest(id, had, batch);
            }
            Self::Changed {
                row,
                chunks,
                cursors,
                producers,
                keys,
                aborted,
                due,
            } => (row, chunks, cursors, producers, keys, aborted, due),
        };
        batch.put(rows::entity(id), row);
        chunks.write(id, batch);
        for (cursor, block, row) in cursors {
            batch.set(rows::cursor(id, cursor, block), row);
        }
        for (producer, row) in producers {
            batch.set(rows::producer(id, producer), row);
        }
        for (key, at) in keys {
            let row = at.map(|at| at.to_le_bytes().to_vec());
            batch.set(rows::latest(id, &key), row);
        }
        for ((first, producer), row) in aborted {
            batch.set(rows::aborted_txn(id, first, producer), row);
        }
        if let Some(due) = due {
            let row = due.map(|due| {
                let mut pack = Pack::default();
                pack.uint(due.0);
                pack.done()
            });
            batch.set(rows::chore(id), row);
        }
    }
}

/// Removes what an entity has besides batches.
fn remove_rest(id: EntityId, had: u64, batch: &mut Batch) {
    batch.delete(rows::entity(id));
    batch.delete(rows::chore(id));
    for (_, of) in KINDS.into_iter().filter(|(kind, _)| had & kind != 0) {
        batch.delete_all(of(id));
    }
}

impl Content {
    /// What changed since the last capture.
    pub(super) fn capture(&mut self) -> Captured {
        if self.is_deleted {
            return Captured::Deleted {
                grave: (!self.batches.is_empty()).then(|| self.encode()),
                chunks: self.batches.capture(),
                had: std::mem::take(&mut self.kinds_written),
            };
        }
        self.kinds_written |= self.kinds();
        let chunks = self.batches.capture();
        let mut cursors = Vec::new();
        for (id, cursor) in &mut self.cursors {
            let rows = cursor.capture().into_iter();
            cursors.extend(rows.map(|(block, row)| (*id, block, row)));
        }
        let dead = self.dead.capture().into_iter();
        cursors.extend(dead.map(|(block, row)| (CursorId::DEAD, block, row)));
        let (producers, keys) = (self.producers.capture(), self.keys.capture());
        Captured::Changed {
            row: self.encode(),
            chunks,
            cursors,
            producers,
            keys,
            aborted: self.aborted.capture(),
            due: self.capture_upkeep(),
        }
    }

    /// The kinds of rows that it has besides batches.
    fn kinds(&self) -> u64 {
        let flag = |is_set: bool, bit: u64| if is_set { bit } else { 0 };
        let has_cursors = !self.cursors.values().all(Cursor::is_empty) || !self.dead.is_empty();
        flag(has_cursors, HAS_CURSORS)
            | flag(!self.producers.is_empty(), HAS_PRODUCERS)
            | flag(self.spec.kind == Kind::Latest && self.count > 0, HAS_KEYS)
            | flag(!self.aborted.is_empty(), HAS_ABORTED)
    }

    fn encode(&self) -> Vec<u8> {
        let mut definition = Vec::with_capacity(DEFINITION_BYTES);
        spec::encode(&self.spec, &mut definition);
        let mut pack = Pack::default();
        pack.bytes(&definition);
        pack.uint(self.batches.rows() as u64);
        pack.uint(self.kinds());
        pack.uint(self.floor.0);
        pack.step(self.floor.0, self.end.0);
        pack.uint(self.count);
        pack.uint(self.bytes);
        pack.uint(self.mark.0);
        pack.uint(self.handed_out.0);
        pack.uint(self.source.ground.epoch().0);
        pack.done()
    }

    /// Whether it keeps nothing, so that its own row is all that a load has to read.
    pub(crate) fn is_bare(&self) -> bool {
        let has_cursors = !self.cursors.values().all(Cursor::is_empty);
        self.batches.is_empty() && self.producers.is_empty() && !has_cursors
    }

    /// The entity as the index has it; `None` when it has none of this number.
    pub(crate) fn load(source: Source) -> Result<Option<Self>, KvError> {
        let key = rows::entity(source.entity);
        let Some(row) = source.ground.index.get(&key)? else {
            return Ok(None);
        };
        let damaged = || KvError::damaged(&key, "an entity");
        let (mut content, chunks) = Self::decode(source, &row).ok_or_else(damaged)?;
        let has = content.kinds_written;
        content.load_chunks(chunks)?;
        if has & HAS_CURSORS != 0 {
            content.load_cursors()?;
        }
        if has & HAS_PRODUCERS != 0 {
            content.load_producers()?;
        }
        if has & HAS_KEYS != 0 {
            content.load_keys()?;
        }
        if has & HAS_ABORTED != 0 {
            content.load_aborted()?;
        }
        Ok(Some(content))
    }

    /// What is left of a deleted one.
    pub(crate) fn load_deleted(source: Source) -> Result<Self, KvError> {
        let key = rows::grave(source.entity);
        let damaged = || KvError::damaged(&key, "a deleted entity");
        let row = source.ground.index.get(&key)?.ok_or_else(damaged)?;
        let (mut content, chunks) = Self::decode(source, &row).ok_or_else(damaged)?;
        content.load_chunks(chunks)?;
        content.is_deleted = true;
        Ok(content)
    }

    /// What its own row says, and how many chunks it has.
    fn decode(source: Source, row: &[u8]) -> Option<(Self, u64)> {
        let epoch = source.ground.epoch();
        let mut unpack = Unpack::new(row);
        let mut content = Self::new(source, spec::decode(unpack.bytes()?)?);
        let chunks = unpack.uint()?;
        content.kinds_written = unpack.uint()?;
        content.floor = Offset(unpack.uint()?);
        content.end = Offset(unpack.step(content.floor.0)?);
        content.visible = content.end;
        content.count = unpack.uint()?;
        content.bytes = unpack.uint()?;
        content.mark = Offset(unpack.uint()?);
        content.handed_out = Offset(unpack.uint()?);
        // Whatever an earlier stay handed out, it did before this one began.
        if Epoch(unpack.uint()?) != epoch {
            content.handed_out = content.mark.min(content.end);
        }
        content.changed_at = Lsn(0);
        unpack.done((content, chunks))
    }

    fn load_chunks(&mut self, count: u64) -> Result<(), KvError> {
        if count == 0 {
            return Ok(());
        }
        let prefix = rows::chunks(self.source.entity);
        let mut summaries = Vec::new();
        each(&self.source.ground.index, &prefix, &mut |key, value| {
            let first = rows::number_in(key, 8)?;
            summaries.push((first, Summary::decode(first, value)?));
            Some(())
        })?;
        if summaries.len() as u64 != count {
            return Err(KvError::damaged(&prefix, "another number of rows"));
        }
        self.batches = Batches::of_rows(summaries.into_iter());
        Ok(())
    }

    fn load_cursors(&mut self) -> Result<(), KvError> {
        let (cursors, dead) = (&mut self.cursors, &mut self.dead);
        let prefix = rows::cursors(self.source.entity);
        each(&self.source.ground.index, &prefix, &mut |key, value| {
            let cursor = CursorId(rows::number_in(key, 8)?);
            let block = rows::number_in(key, 16)?;
            if cursor == CursorId::DEAD {
                return dead.decode(block, value);
            }
            cursors.entry(cursor).or_default().decode(block, value)
        })
    }

    fn load_producers(&mut self) -> Result<(), KvError> {
        let prefix = rows::producers(self.source.entity);
        let producers: &mut Producers = &mut self.producers;
        each(&self.source.ground.index, &prefix, &mut |key, value| {
            let id = ProducerId(rows::number_in(key, 8)?.cast_signed());
            producers.decode(id, value)
        })
    }

    fn load_aborted(&mut self) -> Result<(), KvError> {
        let prefix = rows::aborted_txns(self.source.entity);
        let aborted = &mut self.aborted;
        each(&self.source.ground.index, &prefix, &mut |key, value| {
            let first = Offset(rows::number_in(key, 8)?);
            let producer = ProducerId(rows::number_in(key, 16)?.cast_signed());
            aborted.decode((first, producer), value)
        })
    }

    /// Few are loaded at once; many are read when they are asked for.
    fn load_keys(&mut self) -> Result<(), KvError> {
        if self.count > KEYS_LOADED_MAX {
            self.keys.begin_unloaded();
            return Ok(());
        }
        let prefix = rows::all_latest(self.source.entity);
        let keys: &mut Keys = &mut self.keys;
        each(&self.source.ground.index, &prefix, &mut |key, value| {
            keys.load(rows::rest_of(key, 8)?, value)
        })
    }
}

/// Reads key and value of a row; `None` when they say nothing.
type Read<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Option<()>;

/// Visits every row whose key begins so; one that says `None` is damaged.
pub(crate) fn each(index: &Index, prefix: &[u8], visit: Read<'_>) -> Result<(), KvError> {
    let mut damage = None;
    index.scan(prefix, prefix, &mut |key, value| {
        if visit(key, value).is_some() {
            return ControlFlow::Continue(());
        }
        damage = Some(KvError::damaged(key, "a row"));
        ControlFlow::Break(())
    })?;
    damage.map_or(Ok(()), Err)
}
