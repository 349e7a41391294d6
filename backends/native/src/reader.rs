//! Reading batches that are no longer in memory, on threads of their own: a few for the disk, and
//! more for an object store, so that nobody who reads from the disk waits for the network.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use fairlead_canon::Batch;
use fairlead_ports::StoreError;
use fairlead_segment::SegmentError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::block::BLOCK_BYTES;
use crate::entity::Location;
use crate::file_wal::Files;
use crate::homes::{Home, Site};
use crate::limits::{OBJECT_READERS, READERS, READS_WAITING_MAX};
use crate::log_file::LogFile;
use crate::lsn::{file_of, position_of};
use crate::record;
use crate::sequencer::Shared;
use crate::sites::Sites;

/// A batch; `None` where nobody needs its record any more, or where it has just moved.
pub(crate) type Answer = Result<Option<Batch>, Unread>;

/// Why a record was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    Unavailable,
    /// The segment that should have it is not there, unless it has just been written anew.
    Missing {
        segment: String,
    },
    /// What is there is not what was written.
    Damaged {
        file: String,
        at: u64,
    },
}

/// Asks the reader threads; waits while too many reads wait already.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    disk: mpsc::Sender<Read>,
    /// There are none without an object store.
    objects: Option<mpsc::Sender<Read>>,
    lookup: Arc<Lookup>,
}

/// Where the bytes of a record are, found by the number of its file.
#[derive(Debug)]
struct Lookup {
    dir: PathBuf,
    files: Arc<Files>,
    sites: Arc<Sites>,
    shared: Arc<Shared>,
}

/// What a reader thread is asked for.
enum Read {
    Batches {
        places: Vec<Location>,
        answer: oneshot::Sender<Vec<Answer>>,
    },
    /// A look at the index.
    Look(Box<dyn FnOnce() + Send>),
}

#[derive(Debug)]
struct Reader {
    lookup: Arc<Lookup>,
    reads: Arc<Mutex<mpsc::Receiver<Read>>>,
}

impl Reads {
    /// Starts the threads; they end when the last clone of this is dropped.
    pub(crate) fn start(
        dir: &Path,
        files: &Arc<Files>,
        sites: &Arc<Sites>,
        shared: &Arc<Shared>,
    ) -> io::Result<Self> {
        let lookup = Arc::new(Lookup {
            dir: dir.to_path_buf(),
            files: Arc::clone(files),
            sites: Arc::clone(sites),
            shared: Arc::clone(shared),
        });
        let objects = sites.has_objects();
        let objects = objects.then(|| spawn("object-reader", OBJECT_READERS, &lookup));
        Ok(Self {
            disk: spawn("log-reader", READERS, &lookup)?,
            objects: objects.transpose()?,
            lookup,
        })
    }

    /// Where segments are.
    pub(crate) fn sites(&self) -> &Arc<Sites> {
        &self.lookup.sites
    }

    /// Does something that may read from the index, on a thread that may wait for the disk.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        // Nobody waits any more when the reader was cancelled.
        let look = Box::new(move || drop(answer.send(look())));
        let sent = self.disk.send(Read::Look(look)).await;
        sent.map_err(|_ended| StoreError::Unavailable)?;
        answered.await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// The batches at these places, in this order.
    pub(crate) async fn read(&self, places: Vec<Location>) -> Result<Vec<Answer>, StoreError> {
        let Some(objects) = &self.objects else {
            return ask(&self.disk, places).await;
        };
        let is_far = |at: &&Location| self.lookup.is_in_objects(**at);
        let far: Vec<_> = places.iter().filter(is_far).copied().collect();
        if far.is_empty() {
            return ask(&self.disk, places).await;
        }
        let near: Vec<_> = places
            .iter()
            .filter(|at| !far.contains(at))
            .copied()
            .collect();
        let (near_read, far_read) = tokio::join!(ask(&self.disk, near), ask(objects, far.clone()));
        let (mut near, mut far_read) = (near_read?.into_iter(), far_read?.into_iter());
        let mut next = |at: &Location| {
            let read = if far.contains(at) {
                far_read.next()
            } else {
                near.next()
            };
            read.unwrap_or(Err(Unread::Unavailable))
        };
        Ok(places.iter().map(&mut next).collect())
    }
}

async fn ask(
    threads: &mpsc::Sender<Read>,
    places: Vec<Location>,
) -> Result<Vec<Answer>, StoreError> {
    let (answer, answered) = oneshot::channel();
    let sent = threads.send(Read::Batches { places, answer }).await;
    sent.map_err(|_ended| StoreError::Unavailable)?;
    answered.await.map_err(|_ended| StoreError::Unavailable)
}

fn spawn(name: &str, count: usize, lookup: &Arc<Lookup>) -> io::Result<mpsc::Sender<Read>> {
    let (sender, receiver) = mpsc::channel(READS_WAITING_MAX);
    let reads = Arc::new(Mutex::new(receiver));
    for _ in 0..count {
        let reader = Reader {
            lookup: Arc::clone(lookup),
            reads: Arc::clone(&reads),
        };
        thread::Builder::new()
            .name(name.into())
            .spawn(move || reader.run())?;
    }
    Ok(sender)
}

impl Reader {
    fn run(&self) {
        loop {
            let read = self.reads.lock().blocking_recv();
            match read {
                None => return,
                Some(Read::Look(look)) => look(),
                Some(Read::Batches { places, answer }) => {
                    let batches = self.lookup.batches(&places);
                    // Nobody waits any more when the reader was cancelled.
                    drop(answer.send(batches));
                }
            }
        }
    }
}

impl Lookup {
    fn homes(&self, at: Location) -> Vec<Home> {
        let homes = self.shared.state.ground.homes.lock().clone();
        homes.of(file_of(at.lsn)).to_vec()
    }

    /// Whether it can only be read over the network.
    fn is_in_objects(&self, at: Location) -> bool {
        let homes = self.homes(at);
        !homes.is_empty()
            && homes.iter().all(|home| home.site == Site::Objects)
            && self.files.get(file_of(at.lsn)).is_none()
    }

    fn batches(&self, places: &[Location]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(places.len());
        let mut rest = places;
        while let Some(first) = rest.first() {
            let (near, others) = rest.split_at(neighbours(*first, rest));
            rest = others;
            match self.files.get(file_of(first.lsn)) {
                Some(file) => self.in_file(&file, near, &mut answers),
                None => answers.extend(near.iter().map(|at| self.in_segment(*at))),
            }
        }
        answers
    }

    fn in_segment(&self, at: Location) -> Answer {
        let mut absent = Ok(None);
        for home in self.homes(at) {
            let segment = || home.stamp.id.to_string();
            match self.sites.record(&home, at.lsn, at.len) {
                Ok(Some(bytes)) => return self.whole(bytes, at, segment),
                // It is in another one of these, or was moved while this looked.
                Ok(None) => {}
                Err(SegmentError::Missing) => {
                    let segment = segment();
                    absent = Err(Unread::Missing { segment });
                }
                Err(error) => return Err(self.failed(&error, &home)),
            }
        }
        absent
    }

    /// What is near each other in a log file, with one read.
    fn in_file(&self, file: &LogFile, near: &[Location], answers: &mut Vec<Answer>) {
        let ends = near.iter().map(|at| at.end());
        let (Some(first), Some(end)) = (near.first(), ends.max()) else {
            return;
        };
        let begin = first.lsn.0;
        let mut bytes = vec![0; way(begin, end)];
        match file.file.read_at(position_of(first.lsn), &mut bytes) {
            Ok(read) => bytes.truncate(read),
            Err(error) => {
                tracing::error!(%error, lsn = begin, "a read from the log failed");
                let failed = near.iter().map(|_| Err(Unread::Unavailable));
                return answers.extend(failed);
            }
        }
        let bytes = Bytes::from(bytes);
        let name = || {
            let path = self.dir.join(file.number.name());
            path.display().to_string()
        };
        answers.extend(near.iter().map(|at| {
            let record = way(begin, at.lsn.0)..way(begin, at.end());
            let is_there = bytes.get(record.clone()).is_some();
            let record = is_there.then(|| bytes.slice(record));
            self.whole(record.unwrap_or_default(), *at, name)
        }));
    }

    fn whole(&self, bytes: Bytes, at: Location, file: impl FnOnce() -> String) -> Answer {
        let is_intact = record::is_intact(&bytes);
        let batch = is_intact.then(|| record::batch_of(&bytes)).flatten();
        batch.map(Some).ok_or_else(|| {
            self.shared.meter.corrupt();
            let (file, at) = (file(), position_of(at.lsn));
            Unread::Damaged { file, at }
        })
    }

    fn failed(&self, error: &SegmentError, home: &Home) -> Unread {
        let segment = home.stamp.id.to_string();
        tracing::error!(%error, segment, "a read from a segment failed");
        match error {
            SegmentError::Damaged { at, .. } => {
                self.shared.meter.corrupt();
                Unread::Damaged {
                    file: segment,
                    at: *at,
                }
            }
            SegmentError::Unavailable { .. } | SegmentError::Missing | SegmentError::Exists => {
                Unread::Unavailable
            }
        }
    }
}

/// How many of the first places lie so close behind the first one that one read gets them.
fn neighbours(first: Location, places: &[Location]) -> usize {
    let is_near = |at: &&Location| {
        let is_behind = at.lsn >= first.lsn && file_of(at.lsn) == file_of(first.lsn);
        is_behind && way(first.lsn.0, at.end()) <= BLOCK_BYTES
    };
    places.iter().take_while(is_near).count().max(1)
}

fn way(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}
