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
        if is_known && !self.alarm.is_elapsed() && !self.begun.may_have_begun() {
            return Poll::Pending;
        }
        // Who is busy all the time gets here without budget, and then the two have us polled again, remember nobody and
        // say nothing.
        if self.begun.has_begun() {
            return Poll::Ready(Turn::Drain);
        }
        if self.is_set && self.alarm.deadline() <= Instant::now() {
            self.is_set = false;
            return Poll::Ready(Turn::Alarm);
        }
        self.known = has_budget_remaining().then(|| cx.waker().clone());
        if self.is_set && self.alarm.as_mut().poll(cx).is_ready() {
            self.is_set = false;
            return Poll::Ready(Turn::Alarm);
        }
        self.drain.as_mut().poll(cx).map(|()| Turn::Drain)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::mem::discriminant;
    use std::pin::pin;
    use std::task::ready;
    use std::time::Duration;

    use tokio::sync::watch;
    use tokio::task::coop::poll_proceed;
    use tokio::task::yield_now;
    use tokio::time::{advance, sleep_until};

    use super::*;

    const WHILE: Duration = Duration::from_secs(10);
    /// More polls than it takes to notice.
    const POLLS: usize = 5;

    /// What a vigil says that has so much to do beside it: in its first `busy` polls the budget is used up before.
    async fn keep(vigil: &mut Vigil<'_, impl Future<Output = ()>>, busy: usize) -> Turn {
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            while polls <= busy && has_budget_remaining() {
                ready!(poll_proceed(cx)).made_progress();
            }
            if polls <= busy {
                cx.waker().wake_by_ref();
            }
            vigil.poll(cx)
        })
        .await
    }

    /// Begins a vigil whose alarm goes off in [`WHILE`] if that is wanted, and whose drain begins in half of it.
    async fn hears(busy: usize, wanted: Turn) {
        let (tell, told) = watch::channel(false);
        let watching = tokio::spawn(async move {
            let mut drain = DrainWatch::new(told);
            let (begun, now) = (drain.clone(), Instant::now());
            let (alarm, drain) = (pin!(sleep_until(now)), pin!(drain.begun()));
            let mut vigil = Vigil::new(alarm, drain, begun);
            vigil.set(Some(now + WHILE));
            keep(&mut vigil, busy).await
        });
        pass().await;
        if matches!(wanted, Turn::Drain) {
            tell.send_replace(true);
        } else {
            advance(WHILE).await;
        }
        pass().await;
        assert!(watching.is_finished(), "it is not woken");
        let heard = watching.await.expect("no panic");
        assert_eq!(discriminant(&heard), discriminant(&wanted));
    }

    async fn pass() {
        for _ in 0..POLLS {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_without_budget_once_hears_of_the_drain_and_of_the_alarm() {
        hears(1, Turn::Drain).await;
        hears(1, Turn::Alarm).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_has_budget_hears_of_the_drain_and_of_the_alarm() {
        hears(usize::MAX, Turn::Drain).await;
        hears(usize::MAX, Turn::Alarm).await;
    }
}
