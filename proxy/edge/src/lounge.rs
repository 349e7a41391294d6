//! Where connections rest: those on which nothing happens have no task, and no place in the runtime. One
//! thread watches their sockets, answers signs of life as the protocol says, and wakes whoever has more to do.
//!
//! ```text
//! reception.rs: a task  --rests-->  desk.rs -> host.rs: guests and their sockets  --wakes-->  a task
//!               somebody inside  --calls-->^
//! ```

mod alone;
mod bell;
mod desk;
mod guest;
mod host;
mod pace;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fairlead_kernel::{Awake, DrainWatch, Io};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use desk::{Desk, Order};
use host::Host;

pub(crate) use guest::Guest;

/// The place, for those who go there and those who open and close it.
pub(crate) struct Lounge {
    desk: Arc<Desk>,
    stage: Mutex<Stage>,
    drain: DrainWatch,
    quiet: Duration,
}

enum Stage {
    /// Guests wait at the desk.
    New(Box<Host>),
    Open(JoinHandle<()>),
    Closed,
}

impl Lounge {
    /// A place for connections that have been quiet for so long.
    pub(crate) fn new(quiet: Duration, drain: DrainWatch) -> io::Result<Self> {
        let (host, desk) = Host::new()?;
        Ok(Self {
            desk,
            stage: Mutex::new(Stage::New(Box::new(host))),
            drain,
            quiet,
        })
    }

    /// Begins to watch; whoever is woken becomes a task of this runtime.
    pub(crate) fn open(&self, runtime: Handle) -> io::Result<()> {
        let mut stage = self.stage.lock();
        if let Stage::New(host) = std::mem::replace(&mut *stage, Stage::Closed) {
            let thread = std::thread::Builder::new().name("fairlead-rest".into());
            *stage = Stage::Open(thread.spawn(move || host.run(&runtime))?);
        }
        Ok(())
    }

    /// How long a connection has to be quiet before it may come here.
    pub(crate) fn quiet(&self) -> Duration {
        self.quiet
    }

    /// Takes a connection in; one that comes too late goes on at once. Only from a task.
    pub(crate) fn receive(&self, guest: Guest) {
        if let Err(guest) = self.desk.arrive(guest) {
            guest.go_on(&[]);
        }
    }

    /// What whoever is woken goes on with.
    pub(crate) fn awake(&self, io: Box<dyn Io>) -> Awake {
        Awake {
            io,
            drain: self.drain.clone(),
            quiet: self.quiet,
        }
    }

    /// Wakes everybody, and takes nobody in any more.
    pub(crate) fn wake_everybody(&self) {
        self.desk.end(Order::Wake);
    }

    /// Drops who is left, and waits until that is done. Blocks.
    pub(crate) fn close(&self) {
        self.desk.end(Order::Leave);
        let stage = std::mem::replace(&mut *self.stage.lock(), Stage::Closed);
        if let Stage::Open(thread) = stage
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches resting connections has panicked");
        }
    }
}
