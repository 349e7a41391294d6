//! What a caller waits for.

use std::collections::VecDeque;
use std::mem::take;
use std::task::{Context, Poll};

use fairlead_canon::{Message, Outcome};
use fairlead_delivery::Assigned;
use fairlead_ports::Stored;

use crate::bodies::{Reading, opened, read_bodies};
use crate::consume::Attached;
use crate::inbox::Given;
use crate::seldom::Fresh;
use crate::solo::Solo;
use crate::verb::{AttachmentId, Event, Settling};
use crate::{Caller, Error, Reason};

impl Fresh for VecDeque<Event> {
    fn fresh() -> &'static Self {
        static FRESH: VecDeque<Event> = VecDeque::new();
        &FRESH
    }
}

impl Caller {
    /// The next event. Cancel-safe; wait for it beside the socket.
    pub async fn event(&mut self) -> Event {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The next event if there is one now; call before waiting, to answer many at once.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if let Some(event) = self.next_ready() {
                return Poll::Ready(event);
            }
            if self.outbox.is_flying() {
                self.outbox.poll(cx, &mut self.ready, &self.meters);
            }
            let mut progress = !self.ready.is_empty();
            // In the order in which one leads to the other: what is assigned mostly has its body with it.
            progress |= self.poll_inbox(cx);
            progress |= self.poll_loads(cx);
            progress |= self.poll_bodies(cx);
            if !progress {
                return Poll::Pending;
            }
        }
    }

    /// Ready when [`Caller::poll_event`] has something to do, of which nothing is done here; if not, the waker is
    /// woken once it has. For whoever is not going to wait in a task.
    pub fn poll_called(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_idle = self.ready.is_empty()
            && self.outbox.is_empty()
            && self.loads.is_empty()
            && self.bodies.is_empty();
        match is_idle && !self.inbox.has_any(cx.waker()) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// The next of those events that came together with the last one.
    pub fn next_ready(&mut self) -> Option<Event> {
        if self.ready.is_empty() {
            return None;
        }
        let event = self.ready.pop_front()?;
        self.end_transaction(&event);
        Some(event)
    }

    fn poll_inbox(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(mut room) = self.inbox.take(cx.waker(), &mut self.spare) else {
            return false;
        };
        let has_messages = !room.assigned.is_empty() || !room.live.is_empty();
        if !room.assigned.is_empty() {
            self.bodies.await_their_turn(&mut room.assigned);
        }
        if !room.live.is_empty() {
            self.meters.delivered.inc_by(room.live_count() as u64);
            self.ready.push_back(Event::Live(take(&mut room.live)));
        }
        for attachment in room.ended.drain(..) {
            self.attachments.remove(attachment);
            self.ready.push_back(Event::Ended(attachment));
        }
        if let Some(why) = room.displaced.take() {
            self.ready.push_back(Event::Displaced(why));
        }
        if let Some(condition) = room.condition.take() {
            self.ready.push_back(Event::Condition(condition));
        }
        if take(&mut room.edition) {
            self.ready.push_back(Event::Edition);
        }
        if take(&mut room.look) {
            let ids = self.attachments.ids();
            ids.into_iter().for_each(|id| self.look_for_loads(id));
        }
        if has_messages {
            // More will follow, and needs the room.
            room.tidy();
            self.spare = Some(room);
        }
        true
    }

    fn poll_loads(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        let mut index = 0;
        while let Some(load) = self.loads.get_mut(index) {
            match load.backlog.poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(found) => {
                    if let Err(error) = &found {
                        self.meters.failed(&error.clone().into());
                    }
                    self.loads.swap_remove(index).done(found);
                    progress = true;
                }
            }
        }
        if self.loads.is_empty() {
            // An idle caller keeps no list.
            self.loads = Vec::new();
        }
        progress
    }

    /// Reads the bodies of what was assigned, one step at a time.
    fn poll_bodies(&mut self, cx: &mut Context<'_>) -> bool {
        if self.bodies.is_empty() {
            return false;
        }
        let started = self.bodies.reading.is_none() && self.start_reading();
        let Some(reading) = self.bodies.reading.as_mut() else {
            return started;
        };
        let Poll::Ready(bodies) = reading.bodies.poll(cx) else {
            return started;
        };
        if let Some(reading) = self.bodies.reading.take() {
            match bodies {
                Ok(bodies) => self.deliver_read(&reading, bodies),
                Err(error) => self.hold_unread(*reading, error.into()),
            }
        }
        true
    }

    /// Begins with the next stretch of one lane: delivers it when its bodies came with it, reads them
    /// otherwise.
    fn start_reading(&mut self) -> bool {
        while let Some((attachment, count, is_here)) = self.bodies.next_run() {
            let mut waiting = take(&mut self.bodies.waiting);
            let places = waiting.iter().take(count).map(|given| given.assigned.place);
            let last = places.max();
            let run = waiting.drain(..count);
            let member = self.member(attachment);
            let Some(Attached::Queue(attached)) = self.attachments.get(attachment) else {
                // Detached meanwhile: the queue has them back.
                drop(run);
                self.bodies.waiting = waiting;
                continue;
            };
            let hot = &attached.hot;
            if is_here && last.is_some_and(|last| hot.takes_marked(member, count, last)) {
                let opened = run.map(|given| (given.assigned, given.message()));
                self.deliver(attachment, count, opened);
            } else {
                let assigned: Vec<_> = run.map(|given| given.assigned).collect();
                let store = &*self.kernel.backing.store;
                let bodies = Solo::new(read_bodies(store, hot, &assigned));
                self.bodies.reading = Some(Box::new(Reading {
                    attachment,
                    assigned,
                    bodies,
                }));
            }
            self.bodies.waiting = waiting;
            return true;
        }
        false
    }

    fn deliver_read(&mut self, reading: &Reading, bodies: Vec<Stored>) {
        self.bodies
            .weigh(bodies.iter().map(|stored| stored.batch.bytes.len()).sum());
        let (attachment, count) = (reading.attachment, reading.assigned.len());
        let member = self.member(attachment);
        if let Some(Attached::Queue(attached)) = self.attachments.get(attachment) {
            attached.hot.takes(member, count);
        }
        self.deliver(attachment, count, opened(&reading.assigned, bodies));
    }

    /// Hands out what its queue knows to be taken.
    fn deliver(
        &mut self,
        attachment: AttachmentId,
        count: usize,
        opened: impl Iterator<Item = (Assigned, Option<Message>)>,
    ) {
        let Some(Attached::Queue(attached)) = self.attachments.get(attachment) else {
            return;
        };
        let settling = attached.settling;
        let deliveries = self.open_bodies(attachment, count, opened);
        if deliveries.is_empty() {
            return;
        }
        if settling == Settling::OnDelivery {
            self.settle_delivered(attachment, &deliveries);
        }
        self.ready
            .push_back(Event::Deliveries(attachment, deliveries));
    }

    /// What could not be handed out stays with this caller until it leaves, and is counted. A damaged
    /// message keeps no other from being handed out: it is read alone in the end, and passed by.
    fn hold_unread(&mut self, reading: Reading, error: Error) {
        if error.reason == Reason::Corrupt && reading.assigned.len() > 1 {
            self.bodies.step = 1;
            for assigned in reading.assigned.into_iter().rev() {
                self.bodies.waiting.push_front(Given {
                    attachment: reading.attachment,
                    assigned,
                    body: None,
                });
            }
            return;
        }
        if error.reason == Reason::Corrupt {
            return self.pass_by(reading.attachment, &reading.assigned, &error);
        }
        tracing::error!(%error, count = reading.assigned.len(), "messages could not be handed out");
        self.meters.failed(&error);
    }

    /// Gives the room that damaged messages had to what is behind them. They stay in the store as they are,
    /// are counted once, and whoever makes the queue hot again tries them again.
    pub(crate) fn pass_by(
        &mut self,
        attachment: AttachmentId,
        assigned: &[Assigned],
        error: &Error,
    ) {
        let member = self.member(attachment);
        let Some(Attached::Queue(attached)) = self.attachments.get(attachment) else {
            return;
        };
        let taken = u32::try_from(assigned.len()).unwrap_or(u32::MAX);
        attached.hot.quietly(|queue| queue.taken(member, taken));
        for place in assigned.iter().map(|one| one.place) {
            let lane = attached.hot.lane(place.lane);
            let damaged = self.kernel.hub.damaged();
            if lane.is_some_and(|lane| damaged.add(lane, place.offset)) {
                tracing::error!(%error, "a damaged message stays where it is, and others go on");
                self.meters.failed(error);
            }
        }
        let places = assigned.iter().map(|one| one.place);
        // Ended for this queue alone: what is staged for the store is nothing.
        drop(self.end(attachment, places, Outcome::Done));
    }
}
