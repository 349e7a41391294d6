//! The index in a redb file: one table of bytes.
//!
//! redb takes its file for its own work: what somebody else wrote there can make it panic. So the
//! whole file is verified when it is opened, and a panic is reported as damage.

use std::io;
use std::iter::Peekable;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::vec;

use bytes::Bytes;
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use redb::{
    Builder, CursorError, Database, ReadOnlyTable, ReadableDatabase, StorageError, Table,
    TableDefinition, WriteTransaction,
};

use super::backend::Backend;
use super::kv::{Change, KvError, StateKv, Visit};
use crate::limits::{INDEX_LARGE, INDEX_MOVED_MAX};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// Its page cache; the default is 1 GiB. Little, since the system caches the file too.
const CACHE_BYTES: usize = 2 * 1024 * 1024;
/// Rows in a row that were not there before, after which the next ones are taken for new as well.
const NEW_ROWS: usize = 16;

type Rows<'t> = Table<'t, &'static [u8], &'static [u8]>;
type ReadRows = ReadOnlyTable<&'static [u8], &'static [u8]>;
type Changes = Peekable<vec::IntoIter<Change>>;

/// `None` once it is closed.
#[derive(Debug)]
pub(crate) struct RedbKv(RwLock<Option<Opened>>);

#[derive(Debug)]
struct Opened {
    /// As of the latest checkpoint. It is kept, since to begin a transaction takes longer than most reads.
    rows: Arc<ReadRows>,
    database: Database,
}

impl Opened {
    /// Makes the table in a file that has none.
    fn new(database: Database) -> Result<Self, redb::Error> {
        let rows = match latest(&database) {
            Err(redb::Error::TableDoesNotExist(_)) => {
                change(database.begin_write()?, Vec::new())?;
                latest(&database)?
            }
            rows => rows?,
        };
        Ok(Self { rows, database })
    }
}

impl RedbKv {
    /// Opens what is in the file and verifies every page; an empty file becomes an empty index.
    pub(crate) fn open(backend: Backend) -> Result<Self, KvError> {
        guarded(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            let mut database = builder.create_with_backend(backend).map_err(failed)?;
            if !database.check_integrity().map_err(failed)? {
                let what = "the checksum of a page".into();
                return Err(KvError::Damaged { what });
            }
            Self::of(database)
        })
    }

    fn of(database: Database) -> Result<Self, KvError> {
        let opened = Opened::new(database).map_err(failed)?;
        Ok(Self(RwLock::new(Some(opened))))
    }

    /// Gives room back to the disk, if most of a large file is unused. Readers would be in its way, so only
    /// before there are any. A crash meanwhile leaves what was there or a part of the way: both are whole.
    pub(crate) fn shrunk(self, length: impl Fn() -> io::Result<u64>) -> Result<Self, KvError> {
        let before = length().map_err(KvError::Io)?;
        if before < INDEX_LARGE {
            return Ok(self);
        }
        guarded(|| {
            let opened = self.0.into_inner().ok_or(KvError::Closed)?;
            drop(opened.rows);
            let mut database = opened.database;
            let used = in_use(&database)?;
            if used <= (before / 2).min(INDEX_MOVED_MAX) {
                database.compact().map_err(failed)?;
                let after = length().map_err(KvError::Io)?;
                tracing::info!(before, after, used, "the index was made smaller");
            }
            Self::of(database)
        })
    }

    fn opened(&self) -> Result<MappedRwLockReadGuard<'_, Opened>, KvError> {
        let opened = RwLockReadGuard::try_map(self.0.read(), Option::as_ref);
        opened.map_err(|_none| KvError::Closed)
    }

    fn rows(&self) -> Result<Arc<ReadRows>, KvError> {
        Ok(Arc::clone(&self.opened()?.rows))
    }
}

impl StateKv for RedbKv {
    fn checkpoint(&self, changes: Vec<Change>) -> Result<(), KvError> {
        guarded(|| {
            let write = self.opened()?.database.begin_write().map_err(failed)?;
            change(write, changes).map_err(failed)?;
            if let Some(opened) = &mut *self.0.write() {
                opened.rows = latest(&opened.database).map_err(failed)?;
            }
            Ok(())
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        guarded(|| {
            let value = self.rows()?.get(key).map_err(failed)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    fn close(&self) {
        let opened = self.0.write().take();
        drop(opened);
    }

    fn scan(&self, from: &[u8], visit: Visit<'_>) -> Result<(), KvError> {
        guarded(|| {
            for row in self.rows()?.range(from..).map_err(failed)? {
                let (key, value) = row.map_err(failed)?;
                if visit(key.value(), value.value()).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

fn latest(database: &Database) -> Result<Arc<ReadRows>, redb::Error> {
    Ok(Arc::new(database.begin_read()?.open_table(TABLE)?))
}

/// Makes changes, durably.
fn change(mut write: WriteTransaction, changes: Vec<Change>) -> Result<(), redb::Error> {
    // The next start then need not walk the whole file twice.
    write.set_quick_repair(true);
    let mut table = write.open_table(TABLE)?;
    apply_all(&mut table, changes)?;
    drop(table);
    Ok(write.commit()?)
}

/// Bytes of its pages in use.
fn in_use(database: &Database) -> Result<u64, KvError> {
    let look = database.begin_write().map_err(failed)?;
    let stats = look.stats().map_err(failed)?;
    look.abort().map_err(failed)?;
    Ok(stats.allocated_pages() * stats.page_size() as u64)
}

/// After a panic nothing of the database is used again: the index is damaged, and the store ends.
fn guarded<T>(access: impl FnOnce() -> Result<T, KvError>) -> Result<T, KvError> {
    catch_unwind(AssertUnwindSafe(access)).unwrap_or_else(|_panic| {
        let what = "its pages contradict each other".into();
        Err(KvError::Damaged { what })
    })
}

fn apply_all(table: &mut Rows<'_>, changes: Vec<Change>) -> Result<(), redb::Error> {
    let mut changes = changes.into_iter().peekable();
    let mut new = 0;
    while let Some(change) = changes.next() {
        let is_new = apply(table, change)?;
        new = if is_new { new + 1 } else { 0 };
        if new == NEW_ROWS {
            fill_gap(table, &mut changes)?;
            new = 0;
        }
    }
    Ok(())
}

/// Makes a change; whether it is a row that was not there.
fn apply(table: &mut Rows<'_>, change: Change) -> Result<bool, StorageError> {
    match change {
        Change::Put(key, value) => {
            let before = table.insert(key.as_slice(), value.as_slice())?;
            return Ok(before.is_none());
        }
        Change::Delete(key) => drop(table.remove(key.as_slice())?),
        Change::DeleteAll(prefix) => {
            let until = successor(&prefix);
            table.retain_in(prefix.as_slice()..until.as_slice(), |_, _| false)?;
        }
    }
    Ok(false)
}

/// Puts rows into the gap where the next one belongs, as long as they are new and belong there. None is
/// looked for, and pages are filled: a quarter of the work, and half the pages, of rows put one by one.
fn fill_gap(table: &mut Rows<'_>, changes: &mut Changes) -> Result<(), redb::Error> {
    let Some(Change::Put(first, _)) = changes.peek() else {
        return Ok(());
    };
    let mut gap = table.lower_bound_mut(Bound::Included(first.as_slice()))?;
    while let Some(Change::Put(key, value)) = changes.peek() {
        match gap.insert_before(key.as_slice(), value.as_slice()) {
            Ok(()) => changes.next(),
            Err(CursorError::UnorderedKey) => break,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(gap.close()?)
}

/// The least key above all that begin with `prefix`, which has a byte below 255: it begins with a
/// letter.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut until = prefix.to_vec();
    while let Some(last) = until.pop() {
        if let Some(next) = last.checked_add(1) {
            until.push(next);
            break;
        }
    }
    until
}

fn failed(error: impl Into<redb::Error>) -> KvError {
    let error = error.into();
    let what = error.to_string();
    // Every later call says only that an earlier one failed.
    if matches!(error, redb::Error::PreviousIo) {
        return KvError::Io(io::Error::other(what));
    }
    // What redb says of a file that is none of its own, or ends too early.
    let not_ours = [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData];
    if let redb::Error::Io(error) = error
        && !not_ours.contains(&error.kind())
    {
        return KvError::Io(error);
    }
    KvError::Damaged { what }
}
