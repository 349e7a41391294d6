//! The limits of the store, by name. What a file size below the largest lowers is in [`Limits`].

use std::time::Duration;

/// Longest key of a document, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest value of a document, in bytes: documents live in memory.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// A frame is closed once it holds so many bytes or units, so that no publisher waits long.
pub(crate) const FRAME_BYTES_TARGET: usize = 1024 * 1024;
/// See [`FRAME_BYTES_TARGET`].
pub(crate) const FRAME_UNITS_TARGET: u32 = 4_096;
/// Bytes of a frame for which the next one has room at once.
pub(crate) const FRAME_BYTES_KEPT: usize = 64 * 1024;
/// Units that wait for the engine, and bytes in them, above which callers are asked to hold back:
/// what a disk takes in about a second.
pub(crate) const LINE_UNITS_MAX: usize = 65_536;
/// See [`LINE_UNITS_MAX`].
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long units that promised no durability may wait for others to share a frame with.
pub(crate) const LINGER_MAX: Duration = Duration::from_millis(10);
/// How long after a write the sync follows, when nobody waits for it: what a power cut may take.
pub(crate) const SYNC_WITHIN: Duration = Duration::from_millis(50);
/// Durable commits that wake a thread while a frame is in flight, when no more are expected.
pub(crate) const CROWD: usize = 32;
/// Durable commits that wake it however many more are expected: beyond it, to put the first in order while
/// the others come is worth a turn of its own.
pub(crate) const CROWD_MAX: usize = 256;
/// How long after a frame has landed the next one may wait for those who were just told, who mostly
/// commit again: less than a sync takes.
pub(crate) const GATHER_MAX: Duration = Duration::from_micros(100);
/// How long after a frame has landed most of a crowd is back which is waited for awake: what a runtime takes
/// to be woken,
pub(crate) const RETURN_MAX: Duration = Duration::from_micros(50);
/// and this for each of those who were told: about what a message takes of a disk that two groups share.
pub(crate) const RETURN_EACH_MAX: Duration = Duration::from_micros(1);
/// Units for which the next frame is written before those of the last are told that they are durable.
pub(crate) const CROWD_IN_FRAME: u32 = 8;
/// Transactions that are open at once, each in one entity: their beginnings are in memory.
pub(crate) const OPEN_TXNS_MAX: usize = if cfg!(test) { 32 } else { 65_536 };
/// Stretches of one entity that are in memory besides its batches: settled and returned offsets of
/// batches that are kept, dead messages, and aborted transactions; some fifty bytes each. At it the
/// entity takes nothing new; what is settled meanwhile adds one for each message that is kept, at most.
pub(crate) const STRETCHES_MAX: usize = if cfg!(test) { 256 } else { 1_048_576 };
/// Cursors of the readers of one log: together they have [`STRETCHES_MAX`] as well.
pub(crate) const CURSORS_MAX: usize = if cfg!(test) { 16 } else { 1_024 };
/// Producers known in all entities together, each some hundred bytes while its entity is in use. One
/// more is refused until others are forgotten.
pub(crate) const PRODUCERS_MAX: usize = if cfg!(test) { 64 } else { 1_000_000 };
/// How long a producer that writes nothing to an entity is known there, in milliseconds: seven days.
pub(crate) const PRODUCER_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Threads that read from disk.
pub(crate) const READERS: usize = 4;
/// Reads that wait for one of them; above it, callers wait.
pub(crate) const READS_WAITING_MAX: usize = 1_024;
/// A checkpoint follows the first change after the last one within so long.
pub(crate) const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
/// Log after which a checkpoint follows at once, in bytes: what a start reads at most, besides what
/// comes while the checkpoint is written.
pub(crate) const CHECKPOINT_BYTES: u64 = 64 * 1024 * 1024;
/// Changed entities and documents after which one follows at once: they stay in memory until then.
pub(crate) const CHECKPOINT_CHANGES: usize = 65_536;
/// An index of at least so many bytes is made smaller when it is opened, if less than half of it is in use.
pub(crate) const INDEX_LARGE: u64 = if cfg!(test) { 8 } else { 64 } * 1024 * 1024;
/// Bytes in use above which it is left as it is: moving them would hold up a start for many seconds.
pub(crate) const INDEX_MOVED_MAX: u64 = 512 * 1024 * 1024;
/// Entities that stay in memory although nothing in them changed since the last checkpoint: a few
/// hundred bytes each. Tests let nearly all go.
pub(crate) const HOT_MAX: usize = if cfg!(test) { 2 } else { 16_384 };
/// Chunks of batches in memory above which those that the index has are dropped: 8 KiB each when
/// they are full.
pub(crate) const CHUNKS_MAX: usize = if cfg!(test) { 2 } else { 4_096 };
/// Chunks of a deleted entity that the engine gives up in one turn: some thousand batches, which takes
/// about a millisecond.
pub(crate) const REAPED_CHUNKS: usize = if cfg!(test) { 2 } else { 32 };
/// Keys of latest values in memory, of all entities together, above which those that the index has are
/// dropped: some hundred bytes each.
pub(crate) const KEYS_MAX: usize = if cfg!(test) { 2 } else { 262_144 };
/// An entity with so many keys has all of them in memory when it is loaded.
pub(crate) const KEYS_LOADED_MAX: u64 = if cfg!(test) { 1 } else { 1_024 };
/// Blocks and tables of local segments kept in memory for readers: the system caches the files too.
pub(crate) const DIRECTORY_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Blocks and tables of segments in an object store kept in memory: nothing else caches them.
pub(crate) const OBJECTS_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Threads that read from an object store: they mostly wait.
pub(crate) const OBJECT_READERS: usize = 8;
/// Sealed files that are forgotten by one record.
pub(crate) const SEALED_FILES_MAX: usize = 1_024;
/// How long a segment that nothing refers to stays, for those who were about to read it.
pub(crate) const SEGMENT_GRACE: Duration = Duration::from_secs(60);
/// How old a segment is, in milliseconds, before it counts as one that a crash left behind.
pub(crate) const ORPHAN_AGE_MS: u64 = 24 * 60 * 60 * 1000;
/// How often those are looked for.
pub(crate) const ORPHANS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often everything that is kept is read and verified.
pub(crate) const SCRUB_EVERY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// When that begins after a start, so that a node which is restarted often is read too.
pub(crate) const SCRUB_AFTER: Duration = Duration::from_secs(10 * 60);
/// Between two files or segments of that, each at most 64 MiB or so: about 16 MiB a second.
pub(crate) const SCRUB_PAUSE: Duration = Duration::from_secs(4);
/// Longest unit, in bytes: below the longest frame, so that every unit fits one.
const UNIT_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// Longest body: what one publish may carry, and what surrounds it in a stored batch.
const BODY_BYTES_MAX: u64 = fairlead_canon::limits::BODY_BYTES_MAX as u64 + 1024 * 1024;

/// Limits that follow from the size of a log file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) body_bytes_max: usize,
    pub(crate) unit_bytes_max: usize,
}

impl Limits {
    /// At most half a file, so that a unit never leaves most of one empty.
    pub(crate) fn of_file(file_bytes: u64) -> Self {
        let half = |most: u64| usize::try_from(most.min(file_bytes / 2)).unwrap_or(usize::MAX);
        Self {
            body_bytes_max: half(BODY_BYTES_MAX),
            unit_bytes_max: half(UNIT_BYTES_MAX),
        }
    }
}
