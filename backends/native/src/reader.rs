//! Reading batches that are no longer in memory, on a few threads of their own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use fairlead_canon::Batch;
use fairlead_ports::StoreError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::entity::Location;
use crate::file_wal::Files;
use crate::limits::{READERS, READS_WAITING_MAX};
use crate::lsn::{file_of, position_of};
use crate::record;

type Answer = Result<Vec<Batch>, StoreError>;

/// Asks the reader threads; waits while too many reads wait already.
#[derive(Clone, Debug)]
pub(crate) struct Reads(mpsc::Sender<Read>);

#[derive(Debug)]
struct Read {
    places: Vec<Location>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
struct Reader {
    dir: PathBuf,
    files: Arc<Files>,
    reads: Arc<Mutex<mpsc::Receiver<Read>>>,
}

impl Reads {
    /// Starts the threads; they end when the last clone of this is dropped.
    pub(crate) fn start(dir: &Path, files: &Arc<Files>) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(READS_WAITING_MAX);
        let reads = Arc::new(Mutex::new(receiver));
        for _ in 0..READERS {
            let (files, reads) = (Arc::clone(files), Arc::clone(&reads));
            let reader = Reader {
                dir: dir.to_path_buf(),
                files,
                reads,
            };
            thread::Builder::new()
                .name("log-reader".into())
                .spawn(move || reader.run())?;
        }
        Ok(Self(sender))
    }

    /// The batches at these places, in this order.
    pub(crate) async fn read(&self, places: Vec<Location>) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Read { places, answer }).await.is_err() {
            return Err(StoreError::Unavailable);
        }
        answered.await.unwrap_or(Err(StoreError::Unavailable))
    }
}

impl Reader {
    fn run(&self) {
        loop {
            let read = self.reads.lock().blocking_recv();
            let Some(Read { places, answer }) = read else {
                return;
            };
            let batches = places.iter().map(|at| self.batch(*at)).collect();
            // Nobody waits any more when the reader was cancelled.
            drop(answer.send(batches));
        }
    }

    fn batch(&self, at: Location) -> Result<Batch, StoreError> {
        let corrupt = || StoreError::Corrupt {
            file: self.dir.join(file_of(at.lsn).name()).display().to_string(),
            at: position_of(at.lsn),
        };
        let file = self.files.get(file_of(at.lsn)).ok_or_else(corrupt)?;
        let mut bytes = vec![0; at.len as usize];
        let read = file.file.read_at(position_of(at.lsn), &mut bytes);
        let read = read.map_err(|error| {
            tracing::error!(%error, lsn = at.lsn.0, "a read from the log failed");
            StoreError::Unavailable
        })?;
        bytes.truncate(read);
        if !record::is_intact(&bytes) {
            tracing::error!(lsn = at.lsn.0, "a record of the log is damaged");
            return Err(corrupt());
        }
        record::batch_of(&Bytes::from(bytes)).ok_or_else(corrupt)
    }
}
