//! What a connection waits for beside its socket and the kernel, and what seldom comes: an alarm, and the drain.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use fairlead_kernel::DrainWatch;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep};

use super::Turn;

/// Both remember whom to wake. Nearly all polls are about something else, and to ask the two again in each costs as
/// much as a read, so it is looked at whether they have anything to say.
pub(super) struct Vigil<'a, D> {
    alarm: Pin<&'a mut Sleep>,
    is_set: bool,
    drain: Pin<&'a mut D>,
    begun: DrainWatch,
    /// Whom they wake.
    known: Option<Waker>,
}

impl<'a, D: Future<Output = ()>> Vigil<'a, D> {
    /// With an alarm that is not set, and `drain`, which ends when it has `begun`.
    pub(super) fn new(alarm: Pin<&'a mut Sleep>, drain: Pin<&'a mut D>, begun: DrainWatch) -> Self {
        Self {
            alarm,
            is_set: false,
            drain,
            begun,
            known: None,
        }
    }

    /// Lets the alarm go off then, unless it does so earlier: that a later one is wanted is found out by that.
    pub(super) fn set(&mut self, wanted: Option<Instant>) {
        if let Some(wanted) = wanted
            && (!self.is_set || wanted < self.alarm.deadline())
        {
            self.alarm.as_mut().reset(wanted);
            self.is_set = true;
            self.known = None;
        }
    }

    /// Whether it has not gone off since it was set.
    pub(super) fn is_set(&self) -> bool {
        self.is_set
    }

    /// What a turn begins with.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let known = self.known.as_ref();
        let is_known = known.is_some_and(|known| known.will_wake(cx.waker()));
        if is_known && !self.alarm.is_elapsed() && !self.begun.has_begun() {
            return Poll::Pending;
        }
        // Without budget they have us polled again and remember nobody.
        self.known = has_budget_remaining().then(|| cx.waker().clone());
        if self.is_set && self.alarm.as_mut().poll(cx).is_ready() {
            self.is_set = false;
            return Poll::Ready(Turn::Alarm);
        }
        self.drain.as_mut().poll(cx).map(|()| Turn::Drain)
    }
}
