//! One call of `commit`. What it asks for lies in line as a [`Job`], and from when all of it is in order what became
//! of it as a [`Receipt`], one behind the other: the engine mostly runs on another core than its callers, and what
//! is read in the order of the memory comes before it is asked for. All that a caller shares with it is where the
//! answer is put, a [`Call`].

use std::ops::AddAssign;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bytes::Bytes;
use fairlead_canon::{Promise, SyncMode};
use fairlead_ports::{self as ports, Op, Outcomes, StoreError, Unit, Units};
use parking_lot::Mutex;

use crate::homes::Sealed;
use crate::mutation::{Mutation, is_on};

/// Where somebody waits for an answer.
#[derive(Debug)]
pub(crate) struct Call(Mutex<Answer>);

#[derive(Debug)]
enum Answer {
    /// Who is to be woken.
    Due(Option<Waker>),
    /// What was promised is kept.
    Kept(Outcomes),
    /// The store gave up so many units: what became of them is not known.
    Lost(usize),
}

/// A call in line.
#[derive(Debug)]
pub(crate) struct Job {
    /// What is asked for.
    pub(crate) units: Units,
    claim: Claim,
    /// What the store itself wants to be said, before the units.
    pub(crate) sealed: Option<Sealed>,
    /// Whether its receipt waits for durability.
    pub(crate) is_durable: bool,
    /// What durability means to the units of it that are in order.
    pub(crate) sync: SyncMode,
    /// What it takes in the line.
    pub(crate) weight: Weight,
}

/// That somebody is to be answered. Let go of before, it says that what was asked for is lost.
#[derive(Debug)]
struct Claim {
    /// `None` when it is answered.
    call: Option<Arc<Call>>,
    /// Units that were asked for.
    count: usize,
}

/// An answer that is due when what was promised is kept.
#[derive(Debug)]
pub(crate) struct Receipt {
    claim: Claim,
    outcomes: Outcomes,
}

/// Units, and bytes of them that are not of a fixed size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weight {
    pub(crate) units: usize,
    pub(crate) bytes: usize,
}

impl Job {
    /// Units to be put in line, and the call by which they are answered.
    pub(crate) fn new(units: Units) -> (Self, Arc<Call>) {
        let units = if is_on(Mutation::SplitUnits) {
            apart(units)
        } else {
            units
        };
        let call = Arc::new(Call(Mutex::new(Answer::Due(None))));
        let job = Self {
            claim: Claim {
                call: Some(Arc::clone(&call)),
                count: units.len(),
            },
            sealed: None,
            is_durable: units.iter().any(|unit| unit.promise == Promise::Durable),
            sync: SyncMode::Interval,
            weight: Weight::of(&units),
            units,
        };
        (job, call)
    }

    /// Says what was sealed; answered with one outcome once that is durable.
    pub(crate) fn sealing(sealed: Sealed) -> (Self, Arc<Call>) {
        let (mut job, call) = Self::new(Units::new());
        job.sealed = Some(sealed);
        job.is_durable = true;
        (job, call)
    }

    /// It is wholly in order, and this became of it.
    pub(crate) fn into_receipt(self, outcomes: Outcomes) -> Receipt {
        let claim = self.claim;
        Receipt { claim, outcomes }
    }
}

/// Each operation as a unit of its own.
fn apart(units: Units) -> Units {
    let alone = |unit: Unit| {
        let promise = unit.promise;
        let alone = move |op| Unit {
            ops: [op].into(),
            promise,
        };
        unit.ops.into_iter().map(alone)
    };
    units.into_iter().flat_map(alone).collect()
}

impl Receipt {
    /// What was promised is kept.
    pub(crate) fn give(self) {
        let Self {
            mut claim,
            outcomes,
        } = self;
        claim.answer(Answer::Kept(outcomes));
    }
}

impl Claim {
    fn answer(&mut self, answer: Answer) {
        let Some(call) = self.call.take() else { return };
        let before = std::mem::replace(&mut *call.0.lock(), answer);
        // The caller may have gone; what it asked for is done.
        if let Answer::Due(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.answer(Answer::Lost(self.count));
    }
}

impl Call {
    /// What became of the units, once that is known. Given once.
    #[cfg(test)]
    pub(crate) fn ended(&self) -> Option<Outcomes> {
        match ports::Call::poll(self, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcomes) => Some(outcomes),
            Poll::Pending => None,
        }
    }

    /// Waits on a thread that has nothing else to do.
    pub(crate) fn wait(&self) -> Outcomes {
        let waker = Waker::from(Arc::new(Sleeper(thread::current())));
        loop {
            match ports::Call::poll(self, &mut Context::from_waker(&waker)) {
                Poll::Ready(outcomes) => return outcomes,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl ports::Call for Call {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Outcomes> {
        match &mut *self.0.lock() {
            Answer::Due(Some(waker)) => waker.clone_from(cx.waker()),
            Answer::Due(none) => *none = Some(cx.waker().clone()),
            Answer::Kept(outcomes) => return Poll::Ready(std::mem::take(outcomes)),
            Answer::Lost(count) => {
                return Poll::Ready(Outcomes::from_elem(Err(StoreError::Poisoned), *count));
            }
        }
        Poll::Pending
    }
}

/// A thread that waits for a call.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Weight {
    fn of(units: &[Unit]) -> Self {
        let bytes = |op: &Op| match op {
            Op::Append { batch, .. } => batch.bytes.len(),
            Op::Put { value, .. } => value.as_ref().map_or(0, Bytes::len),
            Op::Expect { .. }
            | Op::Create { .. }
            | Op::Alter { .. }
            | Op::Delete { .. }
            | Op::Settle { .. }
            | Op::Trim { .. }
            | Op::Mark { .. }
            | Op::EndTxn { .. }
            | Op::Restore { .. } => 0,
        };
        let ops = units.iter().flat_map(|unit| &unit.ops);
        Self {
            units: units.len(),
            bytes: ops.map(bytes).sum(),
        }
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.units += other.units;
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> (Job, Arc<Call>) {
        let (ops, promise) = (ports::Ops::new(), Promise::Durable);
        Job::new([Unit { ops, promise }].into())
    }

    #[test]
    fn a_call_that_the_store_lets_go_of_is_lost() {
        let (job, call) = call();
        assert_eq!(call.ended(), None);
        drop(job);
        assert_eq!(call.wait()[..], [Err(StoreError::Poisoned)]);
    }

    #[test]
    fn a_call_is_answered_once_its_receipt_is_given() {
        let (job, call) = call();
        let receipt = job.into_receipt([Err(StoreError::Conflict)].into());
        assert_eq!(call.ended(), None);
        receipt.give();
        assert_eq!(call.wait()[..], [Err(StoreError::Conflict)]);
    }

    #[test]
    fn a_call_that_nobody_waits_for_goes_with_its_receipt() {
        let (job, call) = call();
        let known = Arc::downgrade(&call);
        drop(call);
        let receipt = job.into_receipt(Outcomes::new());
        assert_eq!(known.strong_count(), 1);
        receipt.give();
        assert_eq!(known.strong_count(), 0);
    }

    #[test]
    fn a_thread_that_waits_is_woken() {
        let (job, call) = call();
        let waits = thread::Builder::new().spawn(move || call.wait()).unwrap();
        drop(job);
        assert_eq!(waits.join().unwrap()[..], [Err(StoreError::Poisoned)]);
    }
}
