//! What other threads tell the one that watches.

use mio::Waker;
use parking_lot::{Mutex, MutexGuard};

use super::Guest;

/// Shared by all. What lies here has a limit by its nature: each guest arrives once, and is called once.
pub(super) struct Desk {
    news: Mutex<News>,
    /// Ends a wait of the host.
    waker: Waker,
}

/// What has come since the host looked.
#[derive(Default)]
pub(super) struct News {
    pub(super) arrivals: Vec<Guest>,
    /// Who is wanted by somebody inside.
    pub(super) called: Vec<usize>,
    pub(super) order: Order,
    /// The host knows that there is something, and is on its way.
    is_told: bool,
}

/// What becomes of guests. An order is never taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// They rest.
    #[default]
    Rest,
    /// They are woken, and nobody comes.
    Wake,
    /// They are dropped, and the host ends.
    Leave,
}

impl Desk {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            news: Mutex::default(),
            waker,
        }
    }

    /// Somebody comes; he is given back if nobody may come any more.
    pub(super) fn arrive(&self, guest: Guest) -> Result<(), Guest> {
        let mut news = self.news.lock();
        if news.order != Order::Rest {
            return Err(guest);
        }
        news.arrivals.push(guest);
        self.tell(news);
        Ok(())
    }

    /// Somebody is wanted.
    pub(super) fn call(&self, guest: usize) {
        let mut news = self.news.lock();
        news.called.push(guest);
        self.tell(news);
    }

    /// Gives an order, if it is a later one.
    pub(super) fn end(&self, order: Order) {
        let mut news = self.news.lock();
        news.order = news.order.max(order);
        self.tell(news);
    }

    /// All that has come since the last call; the order stays.
    pub(super) fn take(&self) -> News {
        let mut news = self.news.lock();
        let next = News {
            order: news.order,
            ..News::default()
        };
        std::mem::replace(&mut *news, next)
    }

    /// Has the host come.
    fn tell(&self, mut news: MutexGuard<'_, News>) {
        if std::mem::replace(&mut news.is_told, true) {
            return;
        }
        drop(news);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the thread that watches resting connections was not woken");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn news_ends_a_wait_that_has_begun_and_one_that_begins_behind_it() {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(1);
        let desk = Desk::new(Waker::new(poll.registry(), Token(0)).unwrap());
        thread::scope(|scope| {
            scope.spawn(|| desk.call(7));
            poll.poll(&mut events, None).unwrap();
        });
        assert_eq!(desk.take().called, [7]);
        desk.end(Order::Wake);
        poll.poll(&mut events, None).unwrap();
        assert_eq!(desk.take().order, Order::Wake);
        assert!(desk.take().called.is_empty());
    }
}
