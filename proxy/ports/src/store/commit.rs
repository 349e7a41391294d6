//! One call of [`super::Store::commit`]: what it hands over, and what it comes to.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;

use super::{Committed, StoreError, Unit};
use crate::BoxFuture;

/// Units of one call; mostly it is one, which then lies in the call itself.
pub type Units = SmallVec<[Unit; 1]>;

/// What became of the units of one call, in their order.
pub type Outcomes = SmallVec<[Result<Committed, StoreError>; 1]>;

/// A call as its store keeps it: one piece of memory, shared with whoever waits for it.
pub trait Call: Send + Sync {
    /// What became of its units; given once, and then nothing. Until it is known whoever asked last is
    /// woken when it is.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Outcomes>;
}

/// Units on their way: resolves when every one has kept its promise or failed. Dropping it does not
/// undo what was taken. Not to be polled again after that.
#[must_use = "says whether the units were kept"]
pub struct Commit(Way);

enum Way {
    Ended(Outcomes),
    Called(Arc<dyn Call>),
    Steps(BoxFuture<'static, Outcomes>),
}

impl Commit {
    /// It has come to this already.
    pub fn ended(outcomes: Outcomes) -> Self {
        Self(Way::Ended(outcomes))
    }

    /// It is with a store, which says when it has ended.
    pub fn called(call: Arc<dyn Call>) -> Self {
        Self(Way::Called(call))
    }

    /// It comes to what these steps come to, which are taken while somebody waits.
    pub fn steps(steps: impl Future<Output = Outcomes> + Send + 'static) -> Self {
        Self(Way::Steps(Box::pin(steps)))
    }

    /// What it came to in the call itself, and then nobody need wait for it; given once.
    pub fn take_ended(&mut self) -> Option<Outcomes> {
        match &mut self.0 {
            Way::Ended(outcomes) => Some(std::mem::take(outcomes)),
            Way::Called(_) | Way::Steps(_) => None,
        }
    }
}

impl Future for Commit {
    type Output = Outcomes;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcomes> {
        match &mut self.get_mut().0 {
            Way::Ended(outcomes) => Poll::Ready(std::mem::take(outcomes)),
            Way::Called(call) => call.poll(cx),
            Way::Steps(steps) => steps.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commit")
    }
}
