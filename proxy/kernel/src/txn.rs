//! Transactions of producers that have a name: what they publish to lanes and the positions they
//! commit count together, or not at all.
//!
//! ```text
//!            hold_name                 add_lanes, add_positions            conclude
//!   (name) ───────────> Empty, Ended ──────────────────────────> Open ─────────────────────┐
//!                         ^                                       │ hold_name by another,  │
//!                         │  one unit: markers, positions, end    │ or its time is up      │
//!                         └───────────────────────────────────────┴────────────────────────┘
//! ```
//! All of it is kept in documents (`txn/record.rs`); memory holds what publishing has to know
//! without waiting (`txn/table.rs`). Steps of one name are taken one after the other, each to its
//! end, whether or not somebody waits for it.

mod elsewhere;
mod record;
mod step;
mod table;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Batch, EntityId, ProducerId, Text, Timestamp};
use fairlead_ports::{Document, Op, Space};
use parking_lot::Mutex;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use thiserror::Error;
use tokio::sync::Notify;

use crate::verb::Position;
use crate::{Backing, Caller, Error, Reason, position};
pub use record::Phase;
use record::{LANES, NAMES, PENDING, Record};
use table::{Open, Table};

/// Who holds a name: its number, and how often the name has changed hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The name.
    pub name: Text,
    /// The producer that its batches are stamped with.
    pub producer: ProducerId,
    /// Its epoch; a lower one is refused.
    pub epoch: i16,
}

/// A wish to hold a name.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    /// A transaction that is open for longer is aborted; at most [`Hold::TIMEOUT_MS_MAX`].
    pub timeout_ms: u32,
    /// Who the asker was until now; `None` for somebody new.
    pub known: Option<(ProducerId, i16)>,
}

/// A name, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnView {
    /// Who holds it.
    pub holder: Holder,
    /// Where its transaction stands.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// After how many milliseconds it is aborted.
    pub timeout_ms: u32,
    /// The lanes it may write to.
    pub lanes: Vec<EntityId>,
}

/// Why a step was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TxnError {
    /// Nobody holds the name, or another producer does.
    #[error("another producer holds this name")]
    UnknownHolder,
    /// The name has changed hands.
    #[error("the name has a newer holder")]
    Fenced,
    /// Another step of this name is under way: come again.
    #[error("another step of this transaction is under way")]
    Busy,
    /// Nothing is open, or it has ended the other way.
    #[error("the transaction is not open")]
    NotOpen,
    /// The store or a limit refused.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Every name, and the transactions that are open.
#[derive(Debug)]
pub(crate) struct Transactions {
    backing: Backing,
    table: Mutex<Table>,
    begun: Notify,
    open: IntGauge,
    ended: IntCounterVec,
}

impl Hold {
    /// The longest time for which a transaction may be open: it holds back those who read only what
    /// is committed.
    pub const TIMEOUT_MS_MAX: u32 = 900_000;
}

impl Transactions {
    /// Most names: each takes a hundred bytes of memory and is forgotten after a week.
    const NAMES_MAX: usize = 100_000;
    /// Most transactions open at a time, as many as a store takes.
    const OPEN_MAX: usize = 65_536;
    /// Most lanes of a transaction, and most positions: its end is one unit, with two operations
    /// for each, beside what others read of it.
    const PARTS_MAX: usize = 3_000;
    /// Longest name, in bytes.
    const NAME_BYTES_MAX: usize = 512;
    /// A name that has done nothing for so long is forgotten.
    const IDLE_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;
    /// Names forgotten at a time.
    const FORGOTTEN_MAX: usize = 1_024;
    /// Documents read at a time.
    const PAGE: usize = 4_096;

    /// Reads what was kept and starts the clock on the current runtime.
    pub(crate) async fn open(backing: Backing, metrics: &Registry) -> Result<Arc<Self>, Error> {
        let (open, ended) =
            meters(metrics).map_err(|error| Error::us(Reason::Unavailable, error.to_string()))?;
        let transactions = Arc::new(Self {
            backing,
            table: Mutex::default(),
            begun: Notify::new(),
            open,
            ended,
        });
        for document in transactions.list(NAMES, Bytes::new()).await? {
            transactions.restore(&document).await?;
        }
        // Nobody waits for the task: it ends with the last owner.
        drop(tokio::spawn(tick(Arc::downgrade(&transactions))));
        Ok(transactions)
    }

    async fn restore(&self, document: &Document) -> Result<(), Error> {
        let record = Record::decode(document)?;
        let name = Text::try_from(document.key.clone()).map_err(|_not_text| record::damaged())?;
        self.table.lock().seat(&name, &record);
        if record.phase != Phase::Open {
            return Ok(());
        }
        let mut open = Open::new(document.version, &record);
        for lane in self.list(LANES, record::prefix(record.producer)).await? {
            open.lanes.insert(record::entity(&lane)?);
        }
        for pending in self.list(PENDING, record::prefix(record.producer)).await? {
            let key = pending.key.get(record::PREFIX..).unwrap_or_default();
            open.groups.insert(position::group_of(key)?);
            open.positions += 1;
        }
        self.begin(record.producer, open);
        Ok(())
    }

    fn begin(&self, producer: ProducerId, open: Open) {
        let mut table = self.table.lock();
        table.begin(producer, open);
        self.note(&table);
        drop(table);
        self.begun.notify_one();
    }

    fn note(&self, table: &Table) {
        self.open
            .set(i64::try_from(table.opened()).unwrap_or(i64::MAX));
    }

    fn now(&self) -> Timestamp {
        self.backing.clock.wall()
    }

    /// What a unit with a transactional batch must expect.
    pub(crate) fn admit(&self, batch: &Batch, lane: EntityId) -> Result<Op, Error> {
        self.table.lock().admit(batch.stamp, lane)
    }

    /// Every document under a prefix.
    async fn list(&self, space: Space, prefix: Bytes) -> Result<Vec<Document>, Error> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let documents = &self.backing.documents;
            let page = documents
                .list(space, prefix.clone(), after.take(), Self::PAGE)
                .await?;
            let is_last = page.len() < Self::PAGE;
            after = page.last().map(|last| last.key.clone());
            found.extend(page);
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Takes a step of a name, to its end even when nobody waits for it any more.
    async fn take<R, F>(
        self: &Arc<Self>,
        name: &Text,
        step: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<R, TxnError>
    where
        F: Future<Output = Result<R, TxnError>> + Send + 'static,
        R: Send + 'static,
    {
        if !self.table.lock().busy.insert(name.clone()) {
            return Err(TxnError::Busy);
        }
        let turn = Turn {
            owner: Arc::clone(self),
            name: name.clone(),
        };
        let step = step(Arc::clone(self));
        let task = tokio::spawn(async move {
            let result = step.await;
            drop(turn);
            result
        });
        // It only fails when the runtime ends.
        task.await.unwrap_or(Err(TxnError::Busy))
    }

    async fn end_overdue(self: &Arc<Self>) {
        loop {
            let first = self.table.lock().first_due();
            let Some((_, name)) = first.filter(|(due, _)| *due <= self.now()) else {
                return;
            };
            let overdue = name.clone();
            let ended = self.take(&name, |owner| async move { owner.time_out(&overdue).await });
            if let Err(error) = ended.await {
                tracing::debug!(%error, %name, "a transaction whose time is up is still open");
                return;
            }
        }
    }

    async fn forget_idle(self: &Arc<Self>) {
        let since = Timestamp(self.now().0.saturating_sub(Self::IDLE_MS_MAX));
        let idle = self.table.lock().idle_since(since, Self::FORGOTTEN_MAX);
        for name in idle {
            let idle = name.clone();
            let gone = self.take(&name, |owner| async move { owner.forget(&idle).await });
            if let Err(error) = gone.await {
                tracing::debug!(%error, %name, "an idle name was not forgotten");
            }
        }
    }
}

/// The right to take a step of a name.
struct Turn {
    owner: Arc<Transactions>,
    name: Text,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.owner.table.lock().busy.remove(&self.name);
    }
}

/// Ends transactions whose time is up, until nobody owns them any more.
async fn tick(transactions: Weak<Transactions>) {
    /// The wall clock may jump, so it is looked at this often while something is open.
    const LOOK: Duration = Duration::from_secs(1);
    const REST: Duration = Duration::from_secs(60);
    loop {
        let Some(owner) = transactions.upgrade() else {
            return;
        };
        owner.end_overdue().await;
        owner.forget_idle().await;
        let wait = match owner.table.lock().first_due() {
            Some(_) => LOOK,
            None => REST,
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = owner.begun.notified() => {}
        }
    }
}

fn meters(registry: &Registry) -> Result<(IntGauge, IntCounterVec), prometheus::Error> {
    let open = IntGauge::new("fairlead_transactions_open", "Transactions open.")?;
    registry.register(Box::new(open.clone()))?;
    let ended = Opts::new(
        "fairlead_transactions_ended_total",
        "Transactions ended, by how.",
    );
    let ended = IntCounterVec::new(ended, &["outcome"])?;
    registry.register(Box::new(ended.clone()))?;
    Ok((open, ended))
}

impl Caller {
    /// Takes a name, from whoever held it: what he left open is aborted, and he is refused from
    /// then on. `Fenced` when the asker is not who he says he was.
    pub async fn hold_name(&self, name: &Text, hold: Hold) -> Result<Holder, TxnError> {
        let wanted = name.clone();
        let step = |owner: Arc<Transactions>| async move { owner.hold(&wanted, hold).await };
        self.kernel.transactions.take(name, step).await
    }

    /// Lets a transaction, which begins if none is open, write to these lanes; durable on return.
    pub async fn add_lanes(&self, holder: &Holder, lanes: Vec<EntityId>) -> Result<(), TxnError> {
        let who = holder.clone();
        let step = |owner: Arc<Transactions>| async move { owner.add_lanes(&who, lanes).await };
        self.kernel.transactions.take(&holder.name, step).await
    }

    /// Adds positions of a group to an open transaction: they count once it is committed. Without
    /// positions a transaction begins, if none is open.
    pub async fn add_positions(
        &self,
        holder: &Holder,
        group: &Text,
        positions: Vec<Position>,
    ) -> Result<(), TxnError> {
        let (who, group) = (holder.clone(), group.clone());
        let step = |owner: Arc<Transactions>| async move {
            match positions.is_empty() {
                true => owner.add_lanes(&who, Vec::new()).await,
                false => owner.add_positions(&who, &group, &positions).await,
            }
        };
        self.kernel.transactions.take(&holder.name, step).await
    }

    /// A name and its transaction.
    pub async fn transaction(&self, name: &Text) -> Result<Option<TxnView>, Error> {
        let transactions = &self.kernel.transactions;
        match transactions.record(name).await? {
            Some((record, _)) => transactions.view(name.clone(), &record).await.map(Some),
            None => Ok(None),
        }
    }

    /// Every name, in order.
    pub async fn transactions(&self) -> Result<Vec<TxnView>, Error> {
        let transactions = &self.kernel.transactions;
        let mut views = Vec::new();
        for document in transactions.list(NAMES, Bytes::new()).await? {
            let record = Record::decode(&document)?;
            let name = Text::try_from(document.key).map_err(|_not_text| record::damaged())?;
            views.push(transactions.view(name, &record).await?);
        }
        Ok(views)
    }

    /// Entities in which a group has positions that wait for the end of a transaction.
    pub async fn pending_positions(&self, group: &str) -> Result<BTreeSet<EntityId>, Error> {
        let transactions = &self.kernel.transactions;
        let producers = transactions.table.lock().with_positions_of(group);
        let mut pending = BTreeSet::new();
        for producer in producers {
            let prefix = [record::prefix(producer), position::group_prefix(group)?].concat();
            for document in transactions.list(PENDING, prefix.into()).await? {
                pending.insert(record::entity(&document)?);
            }
        }
        Ok(pending)
    }
}
