//! Opening a data directory: what was there before, and the threads that work on it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::checkpoint::{Checkpointer, Desk};
use crate::condition::Told;
use crate::engine::{self, Engine};
use crate::error::OpenError;
use crate::inbox::{Inbox, Resting, Wants};
use crate::keeper::Keeper;
use crate::limits::CHECKPOINT_AFTER;
use crate::lsn::{PAGE, at};
use crate::plan::Room;
use crate::reader::Reads;
use crate::recovery::{Recovered, recover};
use crate::seal::{Bench, SealThread, Sealer};
use crate::sequencer::{Sequencer, Shared};
use crate::settings::{Settings, World};
use crate::state::Progress;
use crate::store::Native;
use crate::tail::Tail;
use crate::threads::Threads;

impl Native {
    /// Opens a data directory: reads its log, makes sure that what it read is durable, and starts
    /// the threads. Refuses, changing nothing, when anything that had been durable is damaged.
    pub fn open(settings: &Settings, world: &World) -> Result<Self, OpenError> {
        let recovered = recover(settings, world)?;
        tracing::info!(sync = ?settings.sync, "when durable promises are kept");
        start(settings, world, recovered).map_err(|error| OpenError::io(&settings.dir, error))
    }
}

fn start(settings: &Settings, world: &World, recovered: Recovered) -> io::Result<Native> {
    let Recovered {
        lock,
        state,
        wal,
        superblock,
        pool,
        files,
        sites,
        end,
    } = recovered;
    let (progress, _) = watch::channel(Progress::Durable(wal.synced()));
    // The first frame of this stay takes one page.
    let first = at(end.0, end.1.saturating_sub(PAGE));
    let desk = Desk::new(first, state.is_ahead(), CHECKPOINT_AFTER);
    let shared = Arc::new(Shared {
        state,
        tail: Tail::new(settings.tail_bytes_max),
        watcher: OnceLock::new(),
        progress,
        inbox: Inbox::default(),
        meter: Arc::clone(wal.meter()),
        sync: settings.sync,
        desk,
        bench: Bench::default(),
        told: Told::default(),
        holds: Arc::clone(pool.held_by()),
    });
    let sequencer = Sequencer::new(
        Arc::clone(&shared),
        Arc::clone(&pool),
        Arc::clone(&world.clock),
        end,
    );
    let engine = Box::new(Engine {
        jobs: VecDeque::new(),
        sequencer,
        wal: Some(Box::new(wal)),
        superblock,
    });
    shared.inbox.rest(Resting {
        engine,
        wants: Wants::Jobs,
        until: None,
    });
    let reads = Reads::start(&settings.dir.join("wal"), &files, &sites, &shared)?;
    let take_turns = || {
        let shared = Arc::clone(&shared);
        spawn("log", move || engine::run(&shared))
    };
    let freed = Arc::clone(&pool);
    let checkpointer = Checkpointer::new(Arc::clone(&shared), Arc::clone(&files), freed);
    let sealer = Sealer {
        files: Arc::clone(&files),
        sites,
        clock: Arc::clone(&world.clock),
        entropy: Arc::clone(&world.entropy),
        log_bytes: settings.log_bytes_max / 2,
        file_bytes: settings.file_bytes,
    };
    let sealing = SealThread::new(Arc::clone(&shared), sealer);
    let (shortage, minding) = (&shared.state.ground.index.shortage, Arc::downgrade(&pool));
    shortage.watch(move || {
        if let Some(pool) = minding.upgrade() {
            pool.look();
        }
    });
    let filling = (Arc::clone(&pool), Arc::clone(&shared));
    let keeper = Keeper::new(Arc::clone(&shared), reads.clone(), Arc::clone(&world.clock));
    let runtime = Builder::new_current_thread().build()?;
    let threads = Threads {
        keeper: vec![spawn("log-keeper", move || keeper.run(&runtime))?],
        log: vec![take_turns()?, take_turns()?],
        seal: vec![spawn("log-seal", move || sealing.run())?],
        index: vec![spawn("log-index", move || checkpointer.run())?],
        pool,
        files: vec![spawn("log-files", move || {
            let (pool, shared) = filling;
            pool.run(&mut || {
                let room = pool.room();
                shared.tell_room(room);
                shared.inbox.nudge();
                if matches!(room, Room::Full(_)) {
                    shared.bench.nudge();
                }
            });
        })?],
        shared: Arc::clone(&shared),
        _lock: lock,
    };
    Ok(Native::new(shared, reads, threads))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    #[cfg(feature = "mutations")]
    let run = {
        let mutation = crate::mutation::current();
        move || {
            crate::mutation::set(mutation);
            run();
        }
    };
    thread::Builder::new().name(name.into()).spawn(run)
}
