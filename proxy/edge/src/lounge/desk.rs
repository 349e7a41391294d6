//! What other threads tell the one that watches.

use mio::Waker;
use parking_lot::Mutex;

use super::Guest;

/// Shared by all. What lies here has a limit by its nature: each guest arrives once, and is called once.
pub(super) struct Desk {
    news: Mutex<News>,
    waker: Waker,
}

/// What has come since the host looked.
#[derive(Default)]
pub(super) struct News {
    #[expect(clippy::vec_box, reason = "each came in a box and goes in it")]
    pub(super) arrivals: Vec<Box<Guest>>,
    /// Who is wanted by somebody inside.
    pub(super) called: Vec<usize>,
    pub(super) order: Order,
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
    pub(super) fn arrive(&self, guest: Box<Guest>) -> Result<(), Box<Guest>> {
        let mut news = self.news.lock();
        if news.order != Order::Rest {
            return Err(guest);
        }
        let is_first = news.is_empty();
        news.arrivals.push(guest);
        drop(news);
        // Whoever finds somebody there knows that the host is on its way.
        if is_first {
            self.ring();
        }
        Ok(())
    }

    /// Somebody is wanted.
    pub(super) fn call(&self, guest: usize) {
        let mut news = self.news.lock();
        let is_first = news.is_empty();
        news.called.push(guest);
        drop(news);
        if is_first {
            self.ring();
        }
    }

    /// Gives an order, if it is a later one.
    pub(super) fn end(&self, order: Order) {
        let mut news = self.news.lock();
        news.order = news.order.max(order);
        drop(news);
        self.ring();
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

    fn ring(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the thread that watches resting connections was not woken");
        }
    }
}

impl News {
    fn is_empty(&self) -> bool {
        self.arrivals.is_empty() && self.called.is_empty()
    }
}
