//! Opening a data directory: what was there before, and the threads that work on it.

use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::watch;

use crate::engine::{Engine, Writer};
use crate::error::OpenError;
use crate::inbox::Inbox;
use crate::reader::Reads;
use crate::recovery::{Recovered, recover};
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
        end,
    } = recovered;
    let (progress, _) = watch::channel(Progress::Durable(wal.synced()));
    let shared = Arc::new(Shared {
        state,
        tail: Tail::new(settings.tail_bytes_max),
        watcher: OnceLock::new(),
        progress: progress.clone(),
    });
    let inbox = Arc::new(Inbox::default());
    let (frames, to_write) = sync_channel(1);
    let sequencer = Sequencer::new(
        Arc::clone(&shared),
        Arc::clone(&pool),
        Arc::clone(&world.clock),
        end,
    );
    let engine = Engine {
        inbox: Arc::clone(&inbox),
        sequencer,
        frames,
        progress,
    };
    let writer = Writer {
        inbox: Arc::clone(&inbox),
        wal,
        superblock,
        frames: to_write,
    };
    let reads = Reads::start(&settings.dir.join("wal"), &files)?;
    let filling = (Arc::clone(&pool), Arc::clone(&inbox));
    let threads = Threads {
        inbox: Arc::clone(&inbox),
        log: vec![
            spawn("log-engine", move || engine.run())?,
            spawn("log-writer", move || writer.run())?,
        ],
        pool,
        files: vec![spawn("log-files", move || {
            filling.0.run(&|| filling.1.nudge())
        })?],
        _lock: lock,
    };
    Ok(Native::new(shared, inbox, reads, threads))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(run)
}
