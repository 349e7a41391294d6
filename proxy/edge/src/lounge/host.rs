//! The thread that watches those who rest.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Token};
use slab::Slab;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::alone::alone;
use super::bell::Bell;
use super::desk::{Desk, Order};
use super::guest::{Guest, Heard};
use super::pace::Pace;

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
    /// Their numbers are their tokens.
    guests: Slab<Guest>,
    /// Who is to be answered in this round.
    signs: Vec<usize>,
    desk: Arc<Desk>,
    /// Nobody is due before.
    next_look: Option<Instant>,
    looked_at: Instant,
}

/// What a look at the sockets has found.
#[derive(Default)]
pub(super) struct Found {
    /// Signs of life, which have been answered.
    pub(super) signs: u32,
    /// Guests that had more to say.
    pub(super) woken: u32,
    pub(super) has_news: bool,
}

impl Host {
    pub(super) fn new() -> io::Result<(Self, Arc<Desk>)> {
        let poll = mio::Poll::new()?;
        let desk = Arc::new(Desk::new(mio::Waker::new(poll.registry(), BELL)?));
        let host = Self {
            poll,
            guests: Slab::new(),
            signs: Vec::new(),
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
        let mut pace = Pace::new(Instant::now());
        let mut order = Order::Rest;
        while order < Order::Leave {
            let patience = self.next_look.map(|at| at - Instant::now());
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let now = Instant::now();
            let found = self.hear_all(&events, now);
            if found.has_news {
                order = self.see_to_news();
            }
            if self.next_look.is_some_and(|at| at <= now) {
                self.look(now);
            }
            if let Some(time) = pace.after(&found, now) {
                self.desk.pause(time);
            }
        }
        Ok(())
    }

    /// Reads what has come, then answers: either takes more room in the caches than they have for both.
    fn hear_all(&mut self, events: &Events, now: Instant) -> Found {
        let mut buffer = [0; READ_BYTES];
        let mut signs = std::mem::take(&mut self.signs);
        let mut found = Found::default();
        for event in events {
            let Token(number) = event.token();
            if event.token() == BELL {
                found.has_news = true;
                continue;
            }
            match self.hear(number, event, &mut buffer) {
                Heard::Nothing => {}
                Heard::Sign => signs.push(number),
                Heard::More(count) => {
                    self.wake(number, buffer.get(..count).unwrap_or_default());
                    found.woken += 1;
                }
            }
        }
        for number in signs.drain(..) {
            self.answer(number, now);
            found.signs += 1;
        }
        self.signs = signs;
        found
    }

    fn hear(&mut self, number: usize, event: &Event, buffer: &mut [u8]) -> Heard {
        // One that left in the round before may have moved.
        match self.guests.get_mut(number) {
            Some(guest) => guest.hear(event, buffer),
            None => Heard::Nothing,
        }
    }

    fn answer(&mut self, number: usize, now: Instant) {
        if let Some(guest) = self.guests.get_mut(number)
            && let Err(said) = guest.answer(now)
        {
            self.wake(number, said);
        }
    }

    fn see_to_news(&mut self) -> Order {
        let news = self.desk.take();
        for guest in news.called {
            self.wake(guest, &[]);
        }
        for guest in news.arrivals {
            alone(|| self.take_in(guest));
        }
        if news.order == Order::Wake {
            let everybody: Vec<usize> = self.guests.iter().map(|(number, _)| number).collect();
            for guest in everybody {
                self.wake(guest, &[]);
            }
        }
        news.order
    }

    fn take_in(&mut self, mut guest: Guest) {
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
        if let Some(guest) = self.leave(number) {
            let registry = self.poll.registry();
            alone(|| guest.wake(registry, read));
        }
    }

    /// Drops one whose session is of no use any more, which cuts it off.
    fn lose(&mut self, number: usize) {
        if let Some(guest) = self.leave(number) {
            alone(|| drop(guest));
        }
    }

    fn leave(&mut self, number: usize) -> Option<Guest> {
        let guest = self.guests.try_remove(number)?;
        guest.meters().resting.dec();
        Some(guest)
    }

    /// Wakes who is due, and finds out when the next one is.
    fn look(&mut self, now: Instant) {
        let dues = self.guests.iter();
        let dues = dues.filter_map(|(number, guest)| Some((number, guest.due()?)));
        let late: Vec<usize> = dues
            .filter(|(_, due)| *due <= now)
            .map(|(number, _)| number)
            .collect();
        for number in late {
            self.put_off(number, now);
        }
        let next = self.guests.iter().filter_map(|(_, guest)| guest.due()).min();
        self.looked_at = now;
        self.next_look = next.map(|due| due.max(now + LOOK_EVERY));
    }

    /// Asks again when it is due, and wakes it if that is now.
    fn put_off(&mut self, number: usize, now: Instant) {
        let Some(guest) = self.guests.get_mut(number) else {
            return;
        };
        if alone(|| guest.put_off()).is_none() {
            self.lose(number);
        } else if guest.due().is_some_and(|due| due <= now) {
            self.wake(number, &[]);
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
