//! The threads that write the log, and how they end.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::pool::Pool;
use crate::sequencer::Shared;
use crate::vfs::Lock;

/// The threads of a store. Dropping it lets them finish what was committed, waits for them, and
/// then gives the directory back.
#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) shared: Arc<Shared>,
    /// Those that take turns at the engine.
    pub(crate) log: Vec<JoinHandle<()>>,
    /// Does what is due.
    pub(crate) keeper: Vec<JoinHandle<()>>,
    /// Moves records out of the log.
    pub(crate) seal: Vec<JoinHandle<()>>,
    /// Writes checkpoints.
    pub(crate) index: Vec<JoinHandle<()>>,
    pub(crate) pool: Arc<Pool>,
    /// Keeps the pool filled.
    pub(crate) files: Vec<JoinHandle<()>>,
    /// Held until everything above has ended.
    pub(crate) _lock: Box<dyn Lock>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        // First, so that nothing new is begun.
        self.shared.state.ground.chores.close();
        join(&mut self.keeper);
        self.shared.bench.close();
        self.shared.inbox.close();
        join(&mut self.log);
        join(&mut self.seal);
        // The last checkpoint has everything, if there is room for it.
        self.shared.state.ground.index.shortage.close();
        self.shared.desk.close();
        join(&mut self.index);
        self.shared.state.ground.index.close();
        // Not before: what was committed may still need a file.
        self.pool.close();
        join(&mut self.files);
    }
}

fn join(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.drain(..) {
        if thread.join().is_err() {
            tracing::error!("a thread of the log panicked");
        }
    }
}
