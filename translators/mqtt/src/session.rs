//! One connection: a task that waits for the socket and for the kernel, in turns.
//!
//! ```text
//! handshake.rs   CONNECT -> login -> resume.rs: claim, session restored or made -> CONNACK
//! turns          socket -> decode all -> inbound.rs, subscribe.rs -> one flush
//!                event  -> deliver.rs                             -> one write
//! rest.rs        nothing for a while -> no task -> turns
//! ending.rs      DISCONNECT or not -> will, the session's expiry -> closed
//! ```
//!
//! Begin with [`attend`].

mod answers;
mod client;
mod delayed;
mod deliver;
mod ending;
mod frames;
mod grants;
mod handshake;
mod inbound;
mod kept;
mod link;
mod login;
mod output;
mod pace;
mod received;
mod rest;
mod resume;
mod share;
mod source;
mod status;
mod subscribe;
mod subscriptions;
mod topics;
mod vigil;
mod window;

use std::future::{poll_fn, ready};
use std::mem::{replace, take};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fairlead_kernel::{
    AttachmentId, BoxFuture, Caller, Closed, ClosedReason, ConnInfo, DeliveryId, DrainWatch, Event,
    Io, Kernel, Served,
};
use smallvec::SmallVec;
use tokio::time::{Instant, sleep_until};

use crate::census::{Census, Presence, Traffic};
use crate::codec::{Auth, Packet, ReasonCode, Subscribe, Unsubscribe, Will};
use crate::errors::Fault;
use crate::map::Emitter;
use crate::settings::Settings;
use answers::Answers;
use client::Client;
use ending::End;
use link::{Gate, Link, Moved, behind_others};
use login::Method;
use pace::BURST;
use received::Received;
use subscriptions::Subscriptions;
use topics::Topics;
use vigil::Vigil;
use window::Window;

pub(crate) use kept::told;

/// A client that publishes after such a silence lets others go first; one in the middle of its work does not,
/// since that costs it a tenth of its rate.
const LULL: Duration = Duration::from_millis(1);

/// A client that is connected.
#[derive(Debug)]
struct Session<I> {
    link: Link<I>,
    caller: Caller,
    client: Client,
    subscriptions: Subscriptions,
    /// The edition of the directory by which they were looked at last.
    granted_at: u64,
    /// To the client's mailbox, when it has one.
    mailbox: Option<AttachmentId>,
    topics: Topics,
    answers: Answers,
    received: Received,
    window: Window,
    /// Deliveries that were acknowledged in this turn.
    settled: SmallVec<[DeliveryId; 1]>,
    emitter: Emitter,
    will: Option<Box<Will>>,
    settings: Arc<Settings>,
    presence: Presence,
    /// Until then its publishes have used up what it may publish.
    paced: Option<Box<Instant>>,
    /// When the server next says how it is, to a client that asked.
    status_due: Option<Box<Instant>>,
    /// How the client may show again who it is.
    method: Option<Box<Method>>,
    /// When something was read last.
    heard_at: Instant,
    /// Whether there was more than signs of life since somebody looked.
    is_stirred: bool,
    /// Whether what may have been granted has to be looked at.
    is_told_of_grants: bool,
}

/// Where a connection is served.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) info: ConnInfo,
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) census: Arc<Census>,
}

/// What a turn begins with.
enum Turn {
    Moved(Moved),
    /// Suspended subscriptions may be granted.
    Granted,
    Alarm,
    Drain,
}

/// A packet whose answer takes time.
enum Slow {
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Auth(Auth),
}

/// What is left to do of what was read. Boxed: rare, and the task of a connection has no room for it.
type Rest<'a> = BoxFuture<'a, Result<(), End>>;

/// Serves one connection to its end.
pub(crate) fn serve(
    io: Box<dyn Io>,
    place: Place,
    mut drain: DrainWatch,
) -> impl Future<Output = Closed> + Send {
    let greeting = Box::pin(handshake::greet(io, place, drain.clone()));
    async move {
        let mut session = match greeting.await {
            Ok(session) => session,
            Err(closed) => return closed,
        };
        loop {
            // It is never quiet: nobody asks whether it is.
            if let Some(end) = session.turns(&mut drain, None).await {
                return Box::pin(session.end(end)).await;
            }
        }
    }
}

/// Serves one connection to its end, or until it has been quiet for so long.
pub(crate) fn attend(
    io: Box<dyn Io>,
    place: Place,
    drain: DrainWatch,
    quiet: Duration,
) -> impl Future<Output = Served> + Send {
    // Boxed: it needs much more room than the session that follows, and ends soon. Made here, so
    // that what stays has no room for what it is made of.
    let greeting = Box::pin(handshake::greet(io, place, drain.clone()));
    // A block, since a function keeps what it is given twice; so does a match what it takes apart.
    async move {
        let session = match greeting.await {
            Ok(session) => session,
            Err(closed) => return Served::Closed(closed),
        };
        session.go_on(drain, quiet).await
    }
}

impl<I: Io> Session<I> {
    /// Waits and answers until something ends the connection, or until it may rest: it has been quiet for so long.
    async fn turns(&mut self, drain: &mut DrainWatch, quiet: Option<Duration>) -> Option<End> {
        let began = Instant::now();
        let mut look_at = quiet.map(|quiet| began + quiet);
        let begun = drain.clone();
        let alarm = pin!(sleep_until(began));
        let drain = pin!(drain.begun());
        let mut vigil = Vigil::new(alarm, drain, begun);
        // A client need not wait for CONNACK: what it sent behind CONNECT has been read with it.
        if let Err(end) = self.all_packets().await.and_then(|()| self.settle()) {
            return Some(end);
        }
        self.caller.flush();
        loop {
            vigil.set(self.alarm().into_iter().chain(look_at).min());
            let turn = poll_fn(|cx| match self.poll_moved(cx) {
                Poll::Ready(moved) => Poll::Ready(moved.map(Turn::Moved)),
                Poll::Pending if take(&mut self.is_told_of_grants) => {
                    Poll::Ready(Ok(Turn::Granted))
                }
                Poll::Pending => vigil.poll(cx).map(Ok),
            });
            let turn = match turn.await {
                Ok(turn) => turn,
                Err(end) => return Some(end),
            };
            let done = match turn {
                Turn::Moved(Moved::Read(0)) => return Some(End::Vanished),
                Turn::Moved(Moved::Read(count)) => {
                    let now = Instant::now();
                    let silence = now - replace(&mut self.heard_at, now);
                    self.caller.meters().received_bytes.inc_by(count as u64);
                    match self.packets_after(silence) {
                        Some(rest) => rest.await,
                        None => Ok(()),
                    }
                }
                Turn::Moved(Moved::Written) => Ok(()),
                Turn::Granted => {
                    self.look_at_grants();
                    Box::pin(self.go_on_granted()).await.map_err(End::from)
                }
                Turn::Alarm => {
                    if self.resume_reading() {
                        // It was we who did not listen.
                        self.heard_at = Instant::now();
                    }
                    self.check_silence()
                        .and_then(|()| self.check_token())
                        .and_then(|()| Ok(self.report_status()?))
                }
                Turn::Drain => return Some(End::drained(self.settings.server_reference.clone())),
            };
            if let Err(end) = done.and_then(|()| self.settle()) {
                return Some(end);
            }
            self.caller.flush();
            if let Some(at) = look_at.filter(|_| !vigil.is_set())
                && at <= Instant::now()
            {
                if self.is_quiet() {
                    return None;
                }
                look_at = quiet.map(|quiet| at + quiet);
            }
        }
    }

    /// What the socket does next. Events first: what has come from the kernel leaves in one write.
    fn poll_moved(&mut self, cx: &mut Context<'_>) -> Poll<Result<Moved, End>> {
        while let Poll::Ready(event) = self.poll_event(cx) {
            self.events(event)?;
            self.settle()?;
            self.caller.flush();
        }
        let gate = self.gate();
        let moved = self.link.poll_exchange(cx, gate);
        let written = self.link.take_written();
        if written > 0 {
            self.caller.meters().sent_bytes.inc_by(written);
        }
        self.presence.census().sent(self.link.take_sent());
        moved.map_err(|error| End::Fault(error.into()))
    }

    /// The next event. A client that does not read gets none, but for the one that ends it.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match self.link.room() {
            Gate::Open => self.caller.poll_event(cx),
            Gate::Shut => {
                let displaced = pin!(self.caller.displaced());
                displaced.poll(cx).map(Event::Displaced)
            }
        }
    }

    /// More is read only while there is room for what it may cause.
    fn gate(&self) -> Gate {
        let receive_max = usize::from(self.settings.receive_maximum);
        let has_room = self.answers.len() < receive_max && !self.caller.is_full();
        if has_room && !self.is_ahead() {
            Gate::Open
        } else {
            Gate::Shut
        }
    }

    /// The next moment at which something is due although nothing happens.
    fn alarm(&self) -> Option<Instant> {
        let silence = self.client.silence_max.map(|max| self.heard_at + max);
        let pace = self.paced.as_deref().filter(|_| self.is_ahead());
        let pace = pace.map(|at| *at - BURST);
        let token = self.token_ends().map(|left| Instant::now() + left);
        let all = [silence, pace, self.status_due.as_deref().copied(), token];
        all.into_iter().flatten().min()
    }

    /// How long the client's token still counts, where its connection ends with it.
    fn token_ends(&self) -> Option<Duration> {
        let ends = self.caller.who().token()?.ends?;
        Some(ends.since(self.now()))
    }

    fn check_token(&self) -> Result<(), End> {
        match self.token_ends() {
            Some(Duration::ZERO) => Err(End::outlived()),
            Some(_) | None => Ok(()),
        }
    }

    fn check_silence(&self) -> Result<(), End> {
        match self.client.silence_max {
            //= MQTT-3.1.2-22: after one and a half times the keep alive it is over.
            Some(max) if self.heard_at + max <= Instant::now() => Err(End::silent()),
            Some(_) | None => Ok(()),
        }
    }

    /// [`Self::packets`] after such a silence.
    fn packets_after(&mut self, silence: Duration) -> Option<Rest<'_>> {
        match silence > LULL && self.link.is_publish_next() {
            true => Some(Box::pin(self.packets_behind_others())),
            false => self.packets(),
        }
    }

    /// [`Self::packets`] once others had their turn.
    async fn packets_behind_others(&mut self) -> Result<(), End> {
        behind_others().await;
        self.all_packets().await
    }

    /// [`Self::packets`] and the rest.
    async fn all_packets(&mut self) -> Result<(), End> {
        match self.packets() {
            Some(rest) => rest.await,
            None => Ok(()),
        }
    }

    /// Answers every packet that has arrived, and counts them: at once, but from one on whose answer takes
    /// time or ends the connection.
    fn packets(&mut self) -> Option<Rest<'_>> {
        let mut heard = Traffic::default();
        let answered = match self.react_at_once(&mut heard) {
            Ok(Some(slow)) => return Some(Box::pin(self.react(slow, heard))),
            Ok(None) => None,
            Err(end) => Some(end),
        };
        self.presence.census().received(heard);
        answered.map(|end| -> Rest<'_> { Box::pin(ready(Err(end))) })
    }

    /// The same from a packet on whose answer takes time.
    async fn react(&mut self, slow: Slow, mut heard: Traffic) -> Result<(), End> {
        let mut answered = self.react_slowly(slow).await;
        while answered.is_ok() {
            answered = match self.react_at_once(&mut heard) {
                Ok(Some(slow)) => self.react_slowly(slow).await,
                Ok(None) => break,
                Err(end) => Err(end),
            };
        }
        self.presence.census().received(heard);
        answered
    }

    /// Answers packets up to one whose answer takes time, which comes back.
    fn react_at_once(&mut self, heard: &mut Traffic) -> Result<Option<Slow>, End> {
        // One moment for all of them, if they want one: a read is soon answered.
        let mut now = None;
        while let Some(packet) = self.link.decode()? {
            heard.packet();
            self.is_stirred |= !matches!(packet, Packet::PingReq);
            match packet {
                Packet::Publish(publish) => {
                    heard.publish(publish.payload.len());
                    let now = *now.get_or_insert_with(|| self.now());
                    self.published(publish, now)?;
                }
                Packet::PubAck(ack) => self.acknowledged(&ack)?,
                Packet::PubRec(ack) => self.received(&ack)?,
                Packet::PubRel(ack) => self.released(&ack)?,
                Packet::PubComp(ack) => self.completed(&ack)?,
                Packet::Subscribe(subscribe) => return Ok(Some(Slow::Subscribe(subscribe))),
                Packet::Unsubscribe(unsubscribe) => {
                    return Ok(Some(Slow::Unsubscribe(unsubscribe)));
                }
                Packet::Auth(auth) => return Ok(Some(Slow::Auth(auth))),
                Packet::PingReq => self.link.send(&Packet::PingResp)?,
                Packet::Disconnect(disconnect) => return Err(End::Goodbye(disconnect)),
                //= MQTT-3.1.0-2: a second CONNECT is a protocol error.
                Packet::Connect(_) => return Err(Fault::protocol("a second CONNECT").into()),
                Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                    return Err(Fault::protocol("a packet that only servers send").into());
                }
            }
        }
        Ok(None)
    }

    async fn react_slowly(&mut self, slow: Slow) -> Result<(), End> {
        match slow {
            Slow::Subscribe(subscribe) => self.subscribe(subscribe).await,
            Slow::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe).await,
            Slow::Auth(auth) => self.authenticate(&auth).await,
        }
    }

    /// An event, and those that came with it, while there is room for what they bring.
    fn events(&mut self, first: Event) -> Result<(), End> {
        let mut next = Some(first);
        while let Some(event) = next {
            self.event(event)?;
            next = match self.link.room() {
                Gate::Open => self.caller.next_ready(),
                Gate::Shut => None,
            };
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), End> {
        self.is_stirred = true;
        match event {
            Event::Receipt(pending, result) => self.kept(pending, result)?,
            Event::Deliveries(_, deliveries) => self.deliver(deliveries)?,
            Event::Live(messages) => self.deliver_live(&messages)?,
            Event::Ended(attachment) if self.mailbox != Some(attachment) => {
                self.subscriptions.ended(attachment);
            }
            Event::Ended(_) => {
                let detail = "the session was removed";
                let code = ReasonCode::ADMINISTRATIVE_ACTION;
                return Err(Fault::new(code, ClosedReason::Refused, detail).into());
            }
            Event::Displaced(why) => return Err(End::displaced(why)),
            Event::Edition => self.is_told_of_grants = true,
            // Nobody asked: a client learns of it when its publish is refused.
            Event::Condition(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
