//! The loop of an open connection.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fairlead_kernel::{Closed, ClosedReason, Conn, DrainWatch, Event, Kernel};
use tokio::time::Instant;

use super::Peer;
use super::farewell::farewell;
use super::handshake::{Opened, handshake};
use super::heartbeat::{Heartbeat, Tick};
use super::receipts::Decided;
use crate::channel::Channel;
use crate::codec::Frame;
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::predeclare;
use crate::transport::{Moved, Output, Reading, Transport};

/// How long publishes under way may take to be confirmed when the process goes away.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Class and method of `tx.commit`, which is answered when its transaction is kept.
const TX_COMMIT: (u16, u16) = (90, 20);

/// The state of an open connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: Box<Peer>,
    pub(super) channels: BTreeMap<u16, Slot>,
}

/// A channel number in use.
#[derive(Debug)]
pub(super) enum Slot {
    /// An open channel.
    Open(Box<Channel>),
    /// We ended it, and wait until the client agrees.
    Closing,
}

/// Why the loop ends.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing more can be said.
    Gone(Closed),
    /// We end it, because of this class and method.
    Refused(Refusal, (u16, u16)),
}

/// What the loop waited for.
enum Wake {
    Moved(std::io::Result<Moved>),
    Event(Event),
    Tick(Tick),
    /// A publish that had to wait can be handled.
    Freed,
    Drain,
    Settled,
}

/// Serves a connection to its end.
pub(crate) async fn serve(conn: Conn, kernel: Arc<Kernel>) -> Closed {
    let Conn {
        io,
        info,
        mut drain,
    } = conn;
    let mut transport = Transport::new(io);
    // Boxed, so that what only the handshake needs is given back when it is over.
    let opened = tokio::select! {
        opened = Box::pin(handshake(&mut transport, &info, &kernel)) => opened,
        () = drain.begun() => Err(Closed::plain(ClosedReason::Drained)),
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(closed) => return closed,
    };
    let Opened {
        peer,
        heartbeat_seconds,
    } = opened;
    let mut session = Session {
        peer,
        channels: BTreeMap::new(),
    };
    let heartbeat = Heartbeat::every(heartbeat_seconds);
    match session.run(&mut transport, heartbeat, drain).await {
        End::Gone(closed) => closed,
        End::Refused(refusal, at) => {
            // What was published before is kept all the same.
            session.peer.caller.flush();
            refusal.count(session.peer.caller.meters());
            let out = &mut session.peer.out;
            Box::pin(farewell(&mut transport, out, &refusal, at)).await
        }
    }
}

impl Session {
    async fn run(
        &mut self,
        transport: &mut Transport,
        mut heartbeat: Heartbeat,
        mut drain: DrainWatch,
    ) -> End {
        if let Err(refusal) = Box::pin(predeclare(&mut self.peer.caller)).await {
            return End::Refused(refusal, (0, 0));
        }
        // What came in the same segment as the last method of the handshake.
        if let ControlFlow::Break(end) = self.turn(transport).await {
            return end;
        }
        let mut leave_at: Option<Instant> = None;
        loop {
            let wake = self
                .wait(transport, &mut heartbeat, &mut drain, leave_at)
                .await;
            let handled = match wake {
                Wake::Moved(moved) => self.moved(moved, transport, &mut heartbeat),
                Wake::Event(event) => into_flow(self.on_event(event)),
                Wake::Tick(tick) => self.tick(tick),
                Wake::Freed => ControlFlow::Continue(()),
                Wake::Drain => {
                    leave_at = Some(Instant::now() + SETTLE_MAX);
                    ControlFlow::Continue(())
                }
                Wake::Settled => {
                    let text = "the broker is going away, connect again";
                    let refusal = ReplyCode::ConnectionForced.because(text);
                    ControlFlow::Break(End::Refused(refusal, (0, 0)))
                }
            };
            if let ControlFlow::Break(end) = handled {
                return end;
            }
            if leave_at.is_none()
                && let ControlFlow::Break(end) = self.turn(transport).await
            {
                return end;
            }
            if let Err(refusal) = self.finish_turn().await {
                return End::Refused(refusal, (0, 0));
            }
        }
    }

    /// Waits for the socket, the kernel, the clock or the drain. Cancel-safe.
    async fn wait(
        &mut self,
        transport: &mut Transport,
        heartbeat: &mut Heartbeat,
        drain: &mut DrainWatch,
        leave_at: Option<Instant>,
    ) -> Wake {
        let Peer {
            caller,
            out,
            receipts,
            pressure,
            ..
        } = &mut *self.peer;
        let is_leaving = leave_at.is_some();
        if is_leaving && receipts.is_empty() {
            return Wake::Settled;
        }
        if !is_leaving && pressure.has_freed() {
            return Wake::Freed;
        }
        let may_read = !is_leaving
            && !pressure.is_blocking()
            && !caller.is_full()
            && out.len() < Output::READ_BELOW;
        let reading = match may_read {
            true => Reading::Allowed,
            false => Reading::Paused,
        };
        let may_deliver = out.len() < Output::DELIVER_BELOW;
        if !may_read {
            heartbeat.heard();
        }
        tokio::select! {
            moved = transport.turn(out, reading) => Wake::Moved(moved),
            event = caller.event(), if may_deliver => Wake::Event(event),
            tick = heartbeat.tick() => Wake::Tick(tick),
            () = drain.begun(), if !is_leaving => Wake::Drain,
            () = at(leave_at) => Wake::Settled,
        }
    }

    fn moved(
        &mut self,
        moved: std::io::Result<Moved>,
        transport: &Transport,
        heartbeat: &mut Heartbeat,
    ) -> ControlFlow<End> {
        let meters = self.peer.caller.meters();
        let closed = match moved {
            Ok(Moved::Read(bytes)) => {
                meters.received_bytes.inc_by(bytes as u64);
                heartbeat.heard();
                return ControlFlow::Continue(());
            }
            Ok(Moved::Written(bytes)) => {
                meters.sent_bytes.inc_by(bytes as u64);
                heartbeat.wrote();
                return ControlFlow::Continue(());
            }
            // A client that closes its socket without a word has not said goodbye.
            Ok(Moved::Ended) if transport.is_between_frames() => {
                Closed::because(ClosedReason::Lost, "closed without connection.close")
            }
            Ok(Moved::Ended) => Closed::because(ClosedReason::Lost, "closed within a frame"),
            Err(error) => Closed::because(ClosedReason::Lost, error.to_string()),
        };
        // What was published before is kept all the same.
        self.peer.caller.flush();
        ControlFlow::Break(End::Gone(closed))
    }

    fn tick(&mut self, tick: Tick) -> ControlFlow<End> {
        match tick {
            Tick::Fine => {}
            Tick::Speak => self.peer.out.heartbeat(),
            Tick::Lost => {
                self.peer.caller.flush();
                let closed = Closed::because(ClosedReason::Silent, "no heartbeat");
                return ControlFlow::Break(End::Gone(closed));
            }
        }
        ControlFlow::Continue(())
    }

    /// Handles every whole frame that was read.
    async fn turn(&mut self, transport: &mut Transport) -> ControlFlow<End> {
        loop {
            let frame = match self.next_frame(transport) {
                Ok(None) => return ControlFlow::Continue(()),
                Ok(Some(frame)) => frame,
                Err(refusal) => return ControlFlow::Break(End::Refused(refusal, (0, 0))),
            };
            let handled = match self.on_frame(frame) {
                ControlFlow::Continue(None) => continue,
                ControlFlow::Continue(Some((number, method))) => {
                    Box::pin(self.on_waiting(number, method)).await
                }
                ControlFlow::Break(end) => ControlFlow::Break(end),
            };
            if let ControlFlow::Break(end) = handled {
                if matches!(&end, End::Gone(closed) if closed.reason == ClosedReason::Goodbye) {
                    // The client waits for our agreement; if it does not, nothing is lost.
                    drop(transport.drain(&mut self.peer.out).await);
                }
                return ControlFlow::Break(end);
            }
        }
    }

    /// The next whole frame that was read and need not wait.
    fn next_frame(&mut self, transport: &mut Transport) -> Result<Option<Frame>, Refusal> {
        if self.peer.pressure.is_blocking() {
            return Ok(None);
        }
        if let Some(freed) = self.peer.pressure.take_freed() {
            return Ok(Some(freed));
        }
        match transport.frame(self.peer.out.frame_max)? {
            Some(frame) => self.peer.admit(frame),
            None => Ok(None),
        }
    }

    /// Hands over what the turn staged, and writes what has come for the client meanwhile.
    async fn finish_turn(&mut self) -> Result<(), Refusal> {
        self.peer.caller.flush();
        while self.peer.out.len() < Output::DELIVER_BELOW {
            let ready = poll_fn(|cx| match self.peer.caller.poll_event(cx) {
                Poll::Ready(event) => Poll::Ready(Some(event)),
                Poll::Pending => Poll::Ready(None),
            });
            match ready.await {
                Some(event) => self.on_event(event)?,
                None => break,
            }
        }
        let Peer { receipts, out, .. } = &mut *self.peer;
        receipts.write(out)?;
        self.peer.caller.flush();
        Ok(())
    }

    pub(super) fn on_event(&mut self, event: Event) -> Result<(), Refusal> {
        let Self { peer, channels } = self;
        match event {
            Event::Receipt(pending, result) => {
                if let Err(error) = &result {
                    peer.caller.meters().failed(error);
                }
                let Peer { receipts, out, .. } = &mut **peer;
                match receipts.receipt(pending, result, out)? {
                    Some(decided) => self.on_decided(decided),
                    None => Ok(()),
                }
            }
            Event::Deliveries(attachment, deliveries) => {
                let number = peer
                    .consumers
                    .get(&attachment)
                    .map(|consumer| consumer.channel);
                peer.deliver(attachment, deliveries, open(channels, number))
            }
            Event::Live(lives) => {
                for live in lives {
                    for attachment in &live.via {
                        let consumer = peer.consumers.get(attachment);
                        let number = consumer.map(|consumer| consumer.channel);
                        peer.deliver_live(
                            *attachment,
                            live.run.messages(),
                            open(channels, number),
                        )?;
                    }
                }
                Ok(())
            }
            Event::Ended(attachment) => {
                let number = peer
                    .consumers
                    .get(&attachment)
                    .map(|consumer| consumer.channel);
                if let Some(channel) = open(channels, number) {
                    channel.ended(attachment);
                }
                peer.cancelled(attachment)
            }
            // This protocol claims no name, so nobody can take one over: it is the user that is gone.
            Event::Displaced(_) => Err(ReplyCode::AccessRefused.because("the login holds no more")),
            Event::Edition => Ok(()),
            Event::Condition(condition) => peer.on_condition(condition),
        }
    }
}

impl Session {
    fn on_decided(&mut self, decided: Decided) -> Result<(), Refusal> {
        let number = decided.channel;
        match decided.result {
            Ok(()) => match open(&mut self.channels, Some(number)) {
                Some(channel) => channel.committed(&mut self.peer),
                None => Ok(()),
            },
            Err(error) => self.close_channel(number, &error.into(), TX_COMMIT),
        }
    }
}

fn open(channels: &mut BTreeMap<u16, Slot>, number: Option<u16>) -> Option<&mut Channel> {
    match channels.get_mut(&number?) {
        Some(Slot::Open(channel)) => Some(channel),
        Some(Slot::Closing) | None => None,
    }
}

fn into_flow(handled: Result<(), Refusal>) -> ControlFlow<End> {
    match handled {
        Ok(()) => ControlFlow::Continue(()),
        Err(refusal) => ControlFlow::Break(End::Refused(refusal, (0, 0))),
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
