//! Which stores there are, and how they stand together. One line per member, no logic.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fairlead_canon::SyncMode;
use fairlead_memory::Memory;
use fairlead_native::vfs::{Disk, ReadOnly};
use fairlead_native::{Native, Settings as NativeSettings, World};
use fairlead_placement::ByClass;
use fairlead_ports::{BoxFuture, Clock, Documents, Entropy, Lsn, Store, StoreError};

pub use fairlead_native::{
    Cut, Damage, Entry, Inspection, Kept, Measures, OpenError, Report, SYNC_TIMES_US, Said,
    SealedFile, Segment, SegmentSum, Site, Spare, Stats, Sum, open_files_max,
};
pub use fairlead_objects::{
    Finding, Objects, OpenError as PlaceError, Patience, Place, self_check,
};
pub use fairlead_placement::Moves;
pub use fairlead_segment::LogId;

/// Where messages are kept and how much they may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory of the durable store.
    pub dir: PathBuf,
    /// Bytes that messages of class `memory` may count for.
    pub memory_bytes_max: u64,
    /// Bytes of recent log kept in memory for readers.
    pub tail_bytes_max: usize,
    /// Where class `object` is kept.
    pub objects: Option<Arc<Objects>>,
    /// Bytes of log at which appends are refused; from half of it on, old log is sealed.
    pub log_bytes_max: u64,
    /// What must stay free on the disk.
    pub spare: Spare,
    /// When a durable promise is kept, for entities that ask for nothing weaker.
    pub sync: SyncMode,
}

/// The stores of a process.
#[derive(Clone, Debug)]
pub struct Backends {
    /// Where every entity lives, by its class.
    pub store: Arc<dyn Store>,
    /// Where documents live.
    pub documents: Arc<dyn Documents>,
    placed: Arc<ByClass>,
    native: Arc<Native>,
    memory: Arc<Memory>,
}

impl Backends {
    /// Resolves when the durable store can keep nothing any more: the process should end with 75.
    pub fn poisoned(&self) -> BoxFuture<'static, ()> {
        self.native.poisoned()
    }

    /// Does what is due in memory although nobody asks; the durable store does so by itself. To be
    /// called every now and then.
    pub fn tend(&self) -> impl Fn() + Send + Sync + 'static {
        let memory = Arc::clone(&self.memory);
        move || memory.tend()
    }

    /// Removes what a crash has left of entities on their way to disk. To be awaited before the first
    /// commit.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        self.placed.sweep(&*self.native).await
    }

    /// Reads what moves between the stores have done, whenever it is called.
    pub fn moves(&self) -> impl Fn() -> Moves + Send + Sync + 'static {
        let placed = Arc::clone(&self.placed);
        move || placed.moves()
    }

    /// Reads what the durable store has done, whenever it is called.
    pub fn stats(&self) -> impl Fn() -> Stats + Send + Sync + 'static {
        let native = Arc::clone(&self.native);
        move || native.stats()
    }
}

/// Opens every store. Blocks while the log is read.
pub fn open(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Backends, OpenError> {
    let world = World::on_disk(clock, entropy);
    let native = NativeSettings {
        tail_bytes_max: settings.tail_bytes_max,
        objects: settings.objects.clone().map(|objects| objects as _),
        log_bytes_max: settings.log_bytes_max,
        spare: settings.spare,
        sync: settings.sync,
        ..NativeSettings::new(&settings.dir)
    };
    let native = Arc::new(Native::open(&native, &world)?);
    let memory = Memory::new(settings.memory_bytes_max).timed_by(Arc::clone(&world.clock));
    let memory = Arc::new(memory);
    let durable = Arc::clone(&native) as Arc<dyn Store>;
    let placed = Arc::new(ByClass::new(Arc::clone(&memory) as _, durable));
    Ok(Backends {
        store: Arc::clone(&placed) as Arc<dyn Store>,
        documents: Arc::clone(&native) as Arc<dyn Documents>,
        placed,
        native,
        memory,
    })
}

/// Cuts off the end of the damaged log of a stopped node, and tells what that loses. `lsn` and
/// `records` must be what a look at it says.
pub fn truncate(dir: &Path, lsn: Lsn, records: u64) -> Result<Cut, OpenError> {
    Inspection::open(dir, &Disk)?.truncate(lsn, records)
}

/// Lets the next start make the damaged index of a stopped node anew from its log, if that goes back
/// to its beginning.
pub fn rebuild_index(dir: &Path) -> Result<(), OpenError> {
    Inspection::open(dir, &Disk)?.rebuild_index()
}

/// Looks at the data directory of a stopped node, or a copy of one, and changes nothing in it.
/// No node can start there for as long as the answer lives. Segments in `objects` are read there.
pub fn inspect(dir: &Path, objects: Option<Objects>) -> Result<Inspection, OpenError> {
    let inspection = Inspection::open(dir, &ReadOnly)?;
    Ok(match objects {
        Some(objects) => inspection.reaching(Arc::new(objects)),
        None => inspection,
    })
}
