//! Keys of the index, in one ordered space. Numbers are big-endian, so that they sort; everything of
//! one entity under a letter lies together. What a value looks like stands beside what it is a value
//! of.
//!
//! | letter | key | value |
//! |---|---|---|
//! | `E` | entity | definition, bounds, sizes, how many `X` rows ([`crate::entity`]) |
//! | `G` | entity | the same of one that was deleted and is being given up ([`crate::graves`]) |
//! | `X` | entity, offset | up to 128 batches: where they lie |
//! | `S` | entity, cursor, offset / 4096 | settled ranges that begin there, offsets that came back; for the dead, why |
//! | `P` | entity, producer | epoch, latest batches |
//! | `O` | entity, producer | offset at which its open transaction began |
//! | `A` | entity, offset, producer | last offset of the aborted transaction that began there |
//! | `R` | entity | when it is to be tended to ([`crate::chores`]) |
//! | `K` | entity, key | offset of the newest message |
//! | `D` | space, key | a document |
//! | `T` | due, space, key | nothing: documents by when they are due |
//! | `F` | log file | references and bytes that are still needed |
//! | `H` | log file | segments that hold its records ([`crate::homes`]) |
//! | `M` | entity | nothing: its class changed, and some of it may have to follow ([`crate::seal`]) |
//! | `Z` | name | which log this is, and how far it is applied |

use fairlead_canon::{EntityId, Offset, ProducerId, Timestamp};
use fairlead_ports::{CursorId, Space};

use crate::lsn::FileNo;

const ENTITY: u8 = b'E';
const GRAVE: u8 = b'G';
const CHUNK: u8 = b'X';
const CURSOR: u8 = b'S';
const PRODUCER: u8 = b'P';
const OPEN_TXN: u8 = b'O';
const ABORTED_TXN: u8 = b'A';
const CHORE: u8 = b'R';
const LATEST: u8 = b'K';
const DOCUMENT: u8 = b'D';
const DUE: u8 = b'T';
const FILE: u8 = b'F';
const HOMES: u8 = b'H';
const MOVED: u8 = b'M';

/// Of which log, and in which version.
pub(crate) const LOG: &[u8] = b"Zlog";
/// How far it is applied.
pub(crate) const APPLIED: &[u8] = b"Zapplied";

/// The start of a key that can be completed.
#[derive(Debug)]
struct Key(Vec<u8>);

impl Key {
    fn new(letter: u8) -> Self {
        let mut key = Vec::with_capacity(32);
        key.push(letter);
        Self(key)
    }

    fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn space(mut self, space: Space) -> Self {
        self.0.extend_from_slice(&space.0.to_be_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.extend_from_slice(bytes);
        self.0
    }
}

/// The row of an entity.
pub(crate) fn entity(id: EntityId) -> Vec<u8> {
    Key::new(ENTITY).number(id.0).0
}

/// Begins the keys of all entities.
pub(crate) fn entities() -> Vec<u8> {
    vec![ENTITY]
}

/// The row of an entity that was deleted and has batches left.
pub(crate) fn grave(id: EntityId) -> Vec<u8> {
    Key::new(GRAVE).number(id.0).0
}

/// Begins the keys of all those.
pub(crate) fn graves() -> Vec<u8> {
    vec![GRAVE]
}

/// Begins the keys of an entity's chunks.
pub(crate) fn chunks(id: EntityId) -> Vec<u8> {
    Key::new(CHUNK).number(id.0).0
}

pub(crate) fn chunk(id: EntityId, first: u64) -> Vec<u8> {
    Key::new(CHUNK).number(id.0).number(first).0
}

/// Begins the keys of an entity's cursors.
pub(crate) fn cursors(id: EntityId) -> Vec<u8> {
    Key::new(CURSOR).number(id.0).0
}

pub(crate) fn cursor(id: EntityId, cursor: CursorId, block: u64) -> Vec<u8> {
    let key = Key::new(CURSOR).number(id.0).number(cursor.0);
    key.number(block).0
}

/// Begins the keys of all producers.
pub(crate) fn all_producers() -> Vec<u8> {
    vec![PRODUCER]
}

/// Begins the keys of an entity's producers.
pub(crate) fn producers(id: EntityId) -> Vec<u8> {
    Key::new(PRODUCER).number(id.0).0
}

pub(crate) fn producer(id: EntityId, producer: ProducerId) -> Vec<u8> {
    let number = producer.0.cast_unsigned();
    Key::new(PRODUCER).number(id.0).number(number).0
}

/// Begins the keys of all open transactions.
pub(crate) fn open_txns() -> Vec<u8> {
    vec![OPEN_TXN]
}

pub(crate) fn open_txn(id: EntityId, producer: ProducerId) -> Vec<u8> {
    let number = producer.0.cast_unsigned();
    Key::new(OPEN_TXN).number(id.0).number(number).0
}

/// Entity and producer in the key of an open transaction.
pub(crate) fn open_txn_in(key: &[u8]) -> Option<(EntityId, ProducerId)> {
    let producer = ProducerId(number_in(key, 8)?.cast_signed());
    Some((EntityId(number_in(key, 0)?), producer))
}

/// Begins the keys of an entity's aborted transactions.
pub(crate) fn aborted_txns(id: EntityId) -> Vec<u8> {
    Key::new(ABORTED_TXN).number(id.0).0
}

pub(crate) fn aborted_txn(id: EntityId, first: Offset, producer: ProducerId) -> Vec<u8> {
    let key = Key::new(ABORTED_TXN).number(id.0).number(first.0);
    key.number(producer.0.cast_unsigned()).0
}

/// Begins the keys of all that is to be tended to some time.
pub(crate) fn chores() -> Vec<u8> {
    vec![CHORE]
}

pub(crate) fn chore(id: EntityId) -> Vec<u8> {
    Key::new(CHORE).number(id.0).0
}

/// Begins the keys of an entity's latest values.
pub(crate) fn all_latest(id: EntityId) -> Vec<u8> {
    Key::new(LATEST).number(id.0).0
}

pub(crate) fn latest(id: EntityId, key: &[u8]) -> Vec<u8> {
    Key::new(LATEST).number(id.0).bytes(key)
}

/// Begins the keys of all documents.
pub(crate) fn documents() -> Vec<u8> {
    vec![DOCUMENT]
}

/// A document, or the beginning of the keys of those whose key begins so.
pub(crate) fn document(space: Space, key: &[u8]) -> Vec<u8> {
    Key::new(DOCUMENT).space(space).bytes(key)
}

/// Begins the keys of all documents that are due some time.
pub(crate) fn all_due() -> Vec<u8> {
    vec![DUE]
}

pub(crate) fn due(at: Timestamp, space: Space, key: &[u8]) -> Vec<u8> {
    Key::new(DUE).number(at.0).space(space).bytes(key)
}

/// Begins the keys of all log files.
pub(crate) fn files() -> Vec<u8> {
    vec![FILE]
}

pub(crate) fn file(number: FileNo) -> Vec<u8> {
    Key::new(FILE).number(number.0).0
}

/// Begins the keys of all sealed log files.
pub(crate) fn all_homes() -> Vec<u8> {
    vec![HOMES]
}

pub(crate) fn homes(number: FileNo) -> Vec<u8> {
    Key::new(HOMES).number(number.0).0
}

/// Begins the keys of all entities whose class changed.
pub(crate) fn all_moved() -> Vec<u8> {
    vec![MOVED]
}

pub(crate) fn moved(id: EntityId) -> Vec<u8> {
    Key::new(MOVED).number(id.0).0
}

/// The number that begins a key behind its letter and `skip` more bytes.
pub(crate) fn number_in(key: &[u8], skip: usize) -> Option<u64> {
    let number = key.get(skip.checked_add(1)?..)?.first_chunk()?;
    Some(u64::from_be_bytes(*number))
}

/// What follows the letter and `skip` more bytes.
pub(crate) fn rest_of(key: &[u8], skip: usize) -> Option<&[u8]> {
    key.get(skip.checked_add(1)?..)
}

/// Space and key in the key of a document.
pub(crate) fn document_in(key: &[u8]) -> Option<(Space, &[u8])> {
    let (space, key) = rest_of(key, 0)?.split_first_chunk()?;
    Some((Space(u16::from_be_bytes(*space)), key))
}

/// When, space and key in a key of what is due.
pub(crate) fn due_in(key: &[u8]) -> Option<(Timestamp, Space, &[u8])> {
    let at = Timestamp(number_in(key, 0)?);
    let (space, rest) = rest_of(key, 8)?.split_first_chunk()?;
    Some((at, Space(u16::from_be_bytes(*space)), rest))
}
