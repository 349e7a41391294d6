//! The port `Segments` over an object store.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use fairlead_segment::{LogId, SegmentError, SegmentId, Segments};
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::{Builder, Runtime};

use crate::open::{OpenError, Place, open};
use crate::patience::Patience;

/// Segments as objects `prefix/log/made-random.segment`. Its requests run on a thread of its own.
#[derive(Debug)]
pub struct Objects {
    requests: Requests,
    /// Always there until it is dropped, which must not wait for requests on a thread that must not
    /// block.
    runtime: Option<Runtime>,
}

/// What can be asked of the store, from tasks.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    patience: Patience,
}

impl Objects {
    /// A place that may or may not answer: nothing is asked of it yet.
    pub fn open(place: &Place) -> Result<Self, OpenError> {
        let (store, prefix) = open(place)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("objects")
            .enable_all()
            .build()
            .map_err(OpenError::Io)?;
        let requests = Requests {
            store,
            prefix,
            patience: place.patience,
        };
        Ok(Self {
            requests,
            runtime: Some(runtime),
        })
    }

    pub(crate) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Waits for what runs on the thread of requests.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, SegmentError>> + Send + 'static,
    ) -> Result<T, SegmentError> {
        let gone = || SegmentError::Unavailable {
            what: "requests have ended".into(),
        };
        let (answer, answered) = sync_channel(1);
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        // Nobody can have stopped waiting.
        runtime.spawn(async move { drop(answer.send(request.await)) });
        answered.recv().unwrap_or_else(|_panicked| Err(gone()))
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Requests {
    fn path(&self, log: LogId, id: SegmentId) -> Path {
        self.prefix
            .clone()
            .join(log.to_string())
            .join(id.to_string())
    }

    pub(crate) async fn create(
        &self,
        log: LogId,
        id: SegmentId,
        parts: Vec<Bytes>,
    ) -> Result<(), SegmentError> {
        let path = self.path(log, id);
        let payload = PutPayload::from_iter(parts.iter().cloned());
        let put = || {
            let options = PutMode::Create.into();
            self.store.put_opts(&path, payload.clone(), options)
        };
        match self.patience.ask(put).await {
            Ok(_) => Ok(()),
            // An earlier try may have arrived although its answer was lost.
            Err(SegmentError::Exists) => self.is_ours(log, id, &parts).await,
            Err(error) => Err(error),
        }
    }

    /// Whether what is there is what these parts are.
    async fn is_ours(
        &self,
        log: LogId,
        id: SegmentId,
        parts: &[Bytes],
    ) -> Result<(), SegmentError> {
        let path = self.path(log, id);
        let get = || async { self.store.get(&path).await?.bytes().await };
        let there = match self.patience.ask(get).await {
            // Some stores refuse a name that is about to be taken before they show what takes it.
            Err(SegmentError::Missing) => return Err(SegmentError::Exists),
            there => there?,
        };
        let mut rest = there.as_ref();
        let is_ours = parts.iter().all(|part| {
            let tail = rest.strip_prefix(part.as_ref());
            rest = tail.unwrap_or_default();
            tail.is_some()
        });
        (is_ours && rest.is_empty())
            .then_some(())
            .ok_or(SegmentError::Exists)
    }

    pub(crate) async fn read(
        &self,
        log: LogId,
        id: SegmentId,
        range: Range<u64>,
    ) -> Result<Bytes, SegmentError> {
        let path = self.path(log, id);
        let part = || self.part(&path, range.clone());
        let (bytes, end) = self.patience.ask(part).await?;
        let is_whole = bytes.len() as u64 == range.end.saturating_sub(range.start);
        is_whole
            .then_some(bytes)
            .ok_or(SegmentError::damaged(end, "as many bytes as asked for"))
    }

    /// What an object has of a range, and where the object ends.
    async fn part(&self, path: &Path, range: Range<u64>) -> object_store::Result<(Bytes, u64)> {
        let begin = range.start;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        match self.store.get_opts(path, options).await {
            Ok(got) => {
                let end = got.meta.size;
                Ok((got.bytes().await?, end))
            }
            // A range behind the end is refused in words of each store's own.
            Err(error @ object_store::Error::Generic { .. }) => {
                let end = self.store.head(path).await.map(|object| object.size);
                let end = end.ok().filter(|end| *end <= begin);
                end.map(|end| (Bytes::new(), end)).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn delete(&self, log: LogId, id: SegmentId) -> Result<(), SegmentError> {
        let path = self.path(log, id);
        match self.patience.ask(|| self.store.delete(&path)).await {
            Ok(()) | Err(SegmentError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn list(&self, log: LogId) -> Result<Vec<SegmentId>, SegmentError> {
        let prefix = self.prefix.clone().join(log.to_string());
        let list = || self.store.list(Some(&prefix)).try_collect::<Vec<_>>();
        let objects = self.patience.ask(list).await?;
        let names = objects
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(names.filter_map(SegmentId::of_name).collect())
    }
}

impl Segments for Objects {
    fn create(&self, log: LogId, id: SegmentId, parts: &[Bytes]) -> Result<(), SegmentError> {
        let (requests, parts) = (self.requests(), parts.to_vec());
        self.wait(async move { requests.create(log, id, parts).await })
    }

    fn read(&self, log: LogId, id: SegmentId, range: Range<u64>) -> Result<Bytes, SegmentError> {
        let requests = self.requests();
        self.wait(async move { requests.read(log, id, range).await })
    }

    fn delete(&self, log: LogId, id: SegmentId) -> Result<(), SegmentError> {
        let requests = self.requests();
        self.wait(async move { requests.delete(log, id).await })
    }

    fn list(&self, log: LogId) -> Result<Vec<SegmentId>, SegmentError> {
        let requests = self.requests();
        self.wait(async move { requests.list(log).await })
    }
}
