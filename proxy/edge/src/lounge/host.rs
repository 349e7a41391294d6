//! The thread that watches those who rest.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::{Events, Token};
use slab::Slab;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::bell::Bell;
use super::desk::{Desk, Order};
use super::guest::{Guest, Wish};

/// Sockets that have moved, of one look: more wait for the next.
const EVENTS_MAX: usize = 1024;

/// What is read of a socket at once. Signs of life are of a few bytes; who has more to say is woken.
const READ_BYTES: usize = 4096;

/// Between two looks at who is due: deadlines are of seconds, and a second late is as good.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the waker of the thread is known by; no guest has so high a number.
const BELL: Token = Token(usize::MAX);

/// Everybody who rests, and their sockets.
pub(super) struct Host {
    poll: mio::Poll,
    /// Their places are their tokens. Boxed: many leave at once, and a place is of use to nobody then.
    guests: Slab<Box<Guest>>,
    desk: Arc<Desk>,
    /// Nobody is due before.
    next_look: Option<Instant>,
    looked_at: Instant,
}

impl Host {
    pub(super) fn new() -> io::Result<(Self, Arc<Desk>)> {
        let poll = mio::Poll::new()?;
        let desk = Arc::new(Desk::new(mio::Waker::new(poll.registry(), BELL)?));
        let host = Self {
            poll,
            guests: Slab::new(),
            desk: Arc::clone(&desk),
            next_look: None,
            looked_at: Instant::now(),
        };
        Ok((host, desk))
    }

    /// Watches until it is told to leave; whoever is woken becomes a task of this runtime.
    pub(super) fn run(mut self, runtime: &Handle) {
        let _entered = runtime.enter();
        if let Err(error) = self.watch() {
            tracing::error!(%error, "nobody rests any more");
            self.desk.end(Order::Wake);
            self.see_to_news();
        }
    }

    fn watch(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut buffer = [0; READ_BYTES];
        let mut order = Order::Rest;
        while order < Order::Leave {
            let patience = self.next_look.map(|at| at - Instant::now());
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let now = Instant::now();
            let mut has_news = false;
            for event in &events {
                match event.token() {
                    BELL => has_news = true,
                    Token(guest) => self.hear(guest, event, &mut buffer, now),
                }
            }
            if has_news {
                order = self.see_to_news();
            }
            if self.next_look.is_some_and(|at| at <= now) {
                self.look(now);
            }
        }
        Ok(())
    }

    fn hear(&mut self, number: usize, event: &mio::event::Event, buffer: &mut [u8], now: Instant) {
        // One that was woken in this round is not there any more.
        let Some(guest) = self.guests.get_mut(number) else {
            return;
        };
        if let Wish::Wake(count) = guest.hear(event, buffer, now) {
            self.wake(number, buffer.get(..count).unwrap_or_default());
        }
    }

    fn see_to_news(&mut self) -> Order {
        let news = self.desk.take();
        for guest in news.called {
            self.wake(guest, &[]);
        }
        for guest in news.arrivals {
            self.take_in(guest);
        }
        if news.order == Order::Wake {
            let everybody: Vec<usize> = self.guests.iter().map(|(number, _)| number).collect();
            for guest in everybody {
                self.wake(guest, &[]);
            }
        }
        news.order
    }

    fn take_in(&mut self, mut guest: Box<Guest>) {
        let place = self.guests.vacant_entry();
        let number = place.key();
        let bell = Waker::from(Arc::new(Bell {
            guest: number,
            desk: Arc::clone(&self.desk),
        }));
        let registry = self.poll.registry();
        match guest.lie_down(registry, Token(number), &mut Context::from_waker(&bell)) {
            Ok(Poll::Pending) => {
                if let Some(due) = guest.due() {
                    let at = due.max(self.looked_at + LOOK_EVERY);
                    self.next_look = Some(self.next_look.map_or(at, |next| next.min(at)));
                }
                guest.meters().resting.inc();
                place.insert(guest);
            }
            Ok(Poll::Ready(())) => guest.wake(registry, &[]),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot rest");
                guest.go_on(&[]);
            }
        }
    }

    fn wake(&mut self, number: usize, read: &[u8]) {
        // Called twice, or by somebody who was told its number before it was given to another.
        if let Some(guest) = self.guests.try_remove(number) {
            guest.meters().resting.dec();
            guest.wake(self.poll.registry(), read);
        }
    }

    /// Wakes who is due, and finds out when the next one is.
    fn look(&mut self, now: Instant) {
        let dues = self.guests.iter_mut();
        let dues = dues.filter_map(|(number, guest)| Some((number, guest.look(now)?)));
        let mut next: Option<Instant> = None;
        let mut late = Vec::new();
        for (number, due) in dues {
            match due <= now {
                true => late.push(number),
                false => next = Some(next.map_or(due, |next| next.min(due))),
            }
        }
        self.looked_at = now;
        self.next_look = next.map(|due| due.max(now + LOOK_EVERY));
        for guest in late {
            self.wake(guest, &[]);
        }
    }
}

impl Drop for Host {
    /// However the thread ends, a panic included: nobody waits here for somebody who is not there.
    fn drop(&mut self) {
        self.desk.end(Order::Leave);
        drop(self.desk.take());
    }
}
