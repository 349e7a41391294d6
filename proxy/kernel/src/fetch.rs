//! Reading by offset, with a long poll.

use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{EntityId, Offset, Text};
use fairlead_ports::{Action, BoxFuture, By, Marks, Want};
use fairlead_topology::Topology;
use tokio::time::{Instant, timeout_at};

use crate::verb::{FetchAt, FetchLimits, Fetched};
use crate::{Caller, Error, Kernel};

impl Caller {
    /// Reads batches from several entities; waits until `bytes_min` are there or `wait_max` has
    /// passed, or answers at once where a rule denies one of them. One answer for each, in order.
    /// Owned: await it beside the socket and [`Caller::event`]. Cancel-safe.
    pub fn fetch(&self, at: Vec<FetchAt>, limits: FetchLimits) -> BoxFuture<'static, Vec<Fetched>> {
        let kernel = Arc::clone(&self.kernel);
        let meters = Arc::clone(&self.meters);
        let (allowed, denied) = self.may_read(at);
        Box::pin(async move {
            let wait_max = match denied.is_empty() {
                true => limits.wait_max,
                false => Duration::ZERO,
            };
            let limits = FetchLimits { wait_max, ..limits };
            let mut fetched = kernel.fetch(&allowed, limits).await;
            for (place, answer) in denied {
                fetched.insert(place.min(fetched.len()), answer);
            }
            let chunks = fetched.iter().filter_map(|one| one.result.as_ref().ok());
            let batches = chunks.flat_map(|chunk| &chunk.batches);
            meters
                .delivered
                .inc_by(batches.map(|stored| u64::from(stored.batch.count)).sum());
            fetched
        })
    }

    /// What a rule lets this caller read, and the answers for the rest with their places.
    fn may_read(&self, at: Vec<FetchAt>) -> (Vec<FetchAt>, Vec<(usize, Fetched)>) {
        let name_of = |topology: &Topology, one: &FetchAt| {
            let stream = topology.stream_of(one.entity);
            stream.map(|stream| stream.key.name.clone())
        };
        let names: Vec<Option<Text>> = self
            .kernel
            .topology(|topology| at.iter().map(|one| name_of(topology, one)).collect());
        let mut allowed = Vec::with_capacity(at.len());
        let mut denied = Vec::new();
        for (place, (one, name)) in at.into_iter().zip(names).enumerate() {
            let verdict = name.map_or(Ok(()), |name| self.admit(&Action::Consume(&name)));
            match verdict {
                Ok(()) => allowed.push(one),
                Err(error) => denied.push((
                    place,
                    Fetched {
                        entity: one.entity,
                        result: Err(error),
                    },
                )),
            }
        }
        (allowed, denied)
    }

    /// Bounds and sizes of an entity.
    pub async fn marks(&self, entity: EntityId) -> Result<Marks, Error> {
        Ok(self.kernel.backing.store.open(entity)?.marks().await?)
    }

    /// Where to begin reading for a time; `None` when nothing is that new.
    pub async fn find(&self, entity: EntityId, by: By) -> Result<Option<Offset>, Error> {
        Ok(self.kernel.backing.store.open(entity)?.find(by).await?)
    }
}

impl Kernel {
    async fn fetch(&self, at: &[FetchAt], limits: FetchLimits) -> Vec<Fetched> {
        let deadline = Instant::now() + limits.wait_max;
        // Registered before the read, so that an append between read and wait is not missed.
        let waiting = self
            .arrivals
            .register(at.iter().map(|one| one.entity).collect());
        loop {
            let fetched = self.fetch_now(at, limits).await;
            let is_enough = bytes_of(&fetched) >= u64::from(limits.bytes_min)
                || fetched.iter().any(|one| one.result.is_err());
            if is_enough || timeout_at(deadline, waiting.grown()).await.is_err() {
                return fetched;
            }
        }
    }

    async fn fetch_now(&self, at: &[FetchAt], limits: FetchLimits) -> Vec<Fetched> {
        let mut fetched = Vec::with_capacity(at.len());
        let mut left = limits.bytes_max;
        for one in at {
            let result = self.read_one(one, limits, left).await;
            if let Ok(chunk) = &result {
                let bytes: usize = chunk.batches.iter().map(|s| s.batch.bytes.len()).sum();
                left = left.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
            }
            fetched.push(Fetched {
                entity: one.entity,
                result,
            });
        }
        fetched
    }

    /// The first entity with data gives a batch even beyond the limit; the others must fit.
    async fn read_one(
        &self,
        at: &FetchAt,
        limits: FetchLimits,
        left: u32,
    ) -> Result<fairlead_ports::Chunk, Error> {
        let log = self.backing.store.open(at.entity)?;
        let want = Want {
            view: limits.view,
            ..Want::bytes(at.bytes_max.min(left))
        };
        let mut chunk = log.read(at.from, want).await?;
        let bytes: usize = chunk
            .batches
            .iter()
            .map(|stored| stored.batch.bytes.len())
            .sum();
        let is_first = left == limits.bytes_max;
        if !is_first && u32::try_from(bytes).is_ok_and(|bytes| bytes > left) {
            chunk.batches.clear();
        }
        Ok(chunk)
    }
}

fn bytes_of(fetched: &[Fetched]) -> u64 {
    let chunks = fetched.iter().filter_map(|one| one.result.as_ref().ok());
    let batches = chunks.flat_map(|chunk| &chunk.batches);
    batches.map(|stored| stored.batch.bytes.len() as u64).sum()
}
