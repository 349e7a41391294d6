//! The thread that watches those who rest.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token};
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

/// What the waker of the thread is known by; no guest has so high a number, nor the next.
const BELL: Token = Token(usize::MAX);

/// What those who end a pause are known by, all together.
const PROMPT: Token = Token(usize::MAX - 1);

/// Everybody who rests, and their sockets.
pub(super) struct Host {
    /// All sockets, those of `prompt` as one.
    all: mio::Poll,
    /// What ends a pause: the desk, and the sockets of guests who are expected to have more to say than that they live.
    prompt: mio::Poll,
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
    /// Somebody who ends a pause has moved.
    pub(super) is_prompted: bool,
    /// There may be more than a look can find.
    pub(super) is_full: bool,
}

impl Host {
    pub(super) fn new() -> io::Result<(Self, Arc<Desk>)> {
        let (all, prompt) = (mio::Poll::new()?, mio::Poll::new()?);
        all.registry().register(
            &mut SourceFd(&prompt.as_raw_fd()),
            PROMPT,
            Interest::READABLE,
        )?;
        let desk = Arc::new(Desk::new(mio::Waker::new(prompt.registry(), BELL)?));
        let host = Self {
            all,
            prompt,
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
        let mut pause = None;
        while order < Order::Leave {
            let (found, now) = self.wait(&mut events, pause)?;
            if found.has_news {
                order = self.see_to_news();
            }
            if self.next_look.is_some_and(|at| at <= now) {
                self.look(now);
            }
            pause = match found.is_full {
                true => Some(Duration::ZERO),
                false => pace.after(&found, now),
            };
        }
        Ok(())
    }

    /// Waits for anything, in a pause for what ends it, and sees to all sockets that have moved by then.
    fn wait(
        &mut self,
        events: &mut Events,
        pause: Option<Duration>,
    ) -> io::Result<(Found, Instant)> {
        let mut found = Found::default();
        let mut patience = self.next_look.map(|at| at - Instant::now());
        if let Some(pause) = pause {
            let pause = patience.map_or(pause, |patience| patience.min(pause));
            let now = poll(&mut self.prompt, events, Some(pause))?;
            self.hear_all(events, now, &mut found);
            patience = Some(Duration::ZERO);
        }
        let mut now = poll(&mut self.all, events, patience)?;
        self.hear_all(events, now, &mut found);
        if std::mem::take(&mut found.is_prompted) {
            now = poll(&mut self.prompt, events, Some(Duration::ZERO))?;
            self.hear_all(events, now, &mut found);
        }
        Ok((found, now))
    }

    /// Reads what has come, then answers: either takes more room in the caches than they have for both.
    fn hear_all(&mut self, events: &Events, now: Instant, found: &mut Found) {
        let mut buffer = [0; READ_BYTES];
        let mut signs = std::mem::take(&mut self.signs);
        let mut moved = 0;
        for event in events {
            moved += 1;
            let Token(number) = match event.token() {
                BELL => {
                    found.has_news = true;
                    continue;
                }
                PROMPT => {
                    found.is_prompted = true;
                    continue;
                }
                guest => guest,
            };
            match self.hear(number, event, &mut buffer) {
                Heard::Nothing => {}
                Heard::Sign => signs.push(number),
                Heard::More(count) => {
                    self.wake(number, buffer.get(..count).unwrap_or_default());
                    found.woken += 1;
                }
            }
        }
        found.is_full |= moved == EVENTS_MAX;
        for number in signs.drain(..) {
            self.answer(number, now);
            found.signs += 1;
        }
        self.signs = signs;
    }

    fn hear(&mut self, number: usize, event: &Event, buffer: &mut [u8]) -> Heard {
        // One that left in the round before may have moved.
        match self.guests.get_mut(number) {
            Some(guest) => guest.hear(event, buffer),
            None => Heard::Nothing,
        }
    }

    fn answer(&mut self, number: usize, now: Instant) {
        let Some(guest) = self.guests.get_mut(number) else {
            return;
        };
        if let Err(said) = guest.answer(now) {
            return self.wake(number, said);
        }
        if guest.is_talkative() {
            self.calm(number);
        }
    }

    /// Expects nothing but signs of life from one.
    fn calm(&mut self, number: usize) {
        let (from, to) = (self.prompt.registry(), self.all.registry());
        if let Some(guest) = self.guests.get_mut(number)
            && let Err(error) = guest.calm(from, to, Token(number))
        {
            tracing::warn!(%error, "a connection is not watched any more");
            self.wake(number, &[]);
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
        let number = self.guests.vacant_key();
        let bell = Waker::from(Arc::new(Bell {
            guest: number,
            desk: Arc::clone(&self.desk),
        }));
        let registry = self.registry(&guest);
        if let Err(error) = guest.lie_down(registry, Token(number)) {
            tracing::warn!(%error, "a connection cannot rest");
            return guest.go_on(&[]);
        }
        match guest.poll_called(&mut Context::from_waker(&bell)) {
            Poll::Pending => {
                if let Some(due) = guest.due() {
                    let at = due.max(self.looked_at + LOOK_EVERY);
                    self.next_look = Some(self.next_look.map_or(at, |next| next.min(at)));
                }
                guest.meters().resting.inc();
                self.guests.insert(guest);
            }
            Poll::Ready(()) => guest.wake(registry, &[]),
        }
    }

    fn wake(&mut self, number: usize, read: &[u8]) {
        // Called twice, or by somebody who was told its number before it was given to another.
        if let Some(guest) = self.leave(number) {
            let registry = self.registry(&guest);
            alone(|| guest.wake(registry, read));
        }
    }

    /// Where such a guest is watched.
    fn registry(&self, guest: &Guest) -> &Registry {
        match guest.is_talkative() {
            true => self.prompt.registry(),
            false => self.all.registry(),
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
        let next = self
            .guests
            .iter()
            .filter_map(|(_, guest)| guest.due())
            .min();
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

/// What has moved, and when that was seen.
fn poll(
    poll: &mut mio::Poll,
    events: &mut Events,
    patience: Option<Duration>,
) -> io::Result<Instant> {
    match poll.poll(events, patience) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
        polled => polled?,
    }
    Ok(Instant::now())
}

impl Drop for Host {
    /// However the thread ends, a panic included: nobody waits here for somebody who is not there.
    fn drop(&mut self) {
        self.desk.end(Order::Leave);
        drop(self.desk.take());
    }
}
