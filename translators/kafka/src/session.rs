//! One connection: frames in, answers out, in order.
//!
//! ```text
//! socket -> inbox -> frames: a produce is staged, anything else waits for the produces before it
//!                    and is answered before the next frame is taken
//!        -> one flush -> receipts -> answers of the produces, in order
//! ```
//! While a request waits (a fetch for data, a join for the others) the socket is still read, a
//! little, so that a client that goes away is noticed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fairlead_kernel::{
    Caller, Closed, ClosedReason, Conn, DrainWatch, Event, Io, Kernel, Meters, fill,
};
use tokio::time::{Duration, Instant, sleep_until, timeout};

use crate::answer::{self, Answer, Reply};
use crate::api::{self, Call};
use crate::desk::{Access, Desk};
use crate::fault::Fault;
use crate::frame::{self, FRAME_BYTES_MAX, GREETING_BYTES_MAX, QUESTION_BYTES_MAX, Request};
use crate::in_flight::InFlight;
use crate::settings::Settings;

/// Produces of one connection that wait for their receipts: more than clients pipeline (5 by
/// default), few enough to bound what a connection holds.
const IN_FLIGHT_MAX: usize = 64;

/// Bytes read ahead while a request waits.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// A client that has not made a request by then never will.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// A client that has said nothing for so long is closed, as its own brokers would do.
const SILENCE: Duration = Duration::from_secs(600);

/// Serves a connection to its end.
pub(crate) async fn serve(conn: Conn, kernel: Arc<Kernel>, settings: Arc<Settings>) -> Closed {
    let meters = match kernel.meters(crate::NAME, &conn.info.listener) {
        Ok(meters) => meters,
        Err(error) => return Closed::because(ClosedReason::Failed, error.to_string()),
    };
    let mut session = Session {
        wire: Wire {
            io: conn.io,
            inbox: BytesMut::new(),
            meters,
        },
        desk: Desk::new(kernel, conn.info, settings),
        in_flight: VecDeque::new(),
        drain: conn.drain,
        patience: Instant::now() + FIRST_REQUEST,
    };
    loop {
        if let Err(closed) = session.turn().await {
            return closed;
        }
    }
}

#[derive(Debug)]
struct Session {
    wire: Wire,
    desk: Desk,
    in_flight: VecDeque<InFlight>,
    drain: DrainWatch,
    /// When silence has lasted too long.
    patience: Instant,
}

/// The socket, and what has come of it.
#[derive(Debug)]
struct Wire {
    io: Box<dyn Io>,
    inbox: BytesMut,
    meters: Arc<Meters>,
}

/// What ended a wait.
enum Woken {
    Event(Event),
    Read(Result<(), Closed>),
    Drain,
    Silence,
}

impl Session {
    /// Answers what has come, then waits for more of something.
    async fn turn(&mut self) -> Result<(), Closed> {
        // What is answered makes room for more of what has come.
        while self.take_requests().await? {
            if let Some(caller) = self.desk.caller_if_in() {
                caller.flush();
            }
            self.send_done().await?;
        }
        match self.wait().await {
            Woken::Event(event) => self.take(event).await,
            Woken::Read(read) => read,
            Woken::Drain => {
                self.settle().await?;
                Err(Closed::plain(ClosedReason::Drained))
            }
            Woken::Silence => Err(Closed::plain(ClosedReason::Silent)),
        }
    }

    /// Takes as many requests as there is room for; whether it was any.
    async fn take_requests(&mut self) -> Result<bool, Closed> {
        let mut has_taken = false;
        while self.has_room()
            && let Some(frame) = self.next_frame()?
        {
            has_taken = true;
            self.patience = Instant::now() + SILENCE;
            if let Access::Bare(_) = self.desk.access {
                self.token(&frame).await?;
            } else {
                self.request(&frame).await?;
            }
        }
        Ok(has_taken)
    }

    async fn wait(&mut self) -> Woken {
        let has_room = self.has_room();
        tokio::select! {
            event = next_event(&mut self.desk) => Woken::Event(event),
            read = self.wire.read(), if has_room => Woken::Read(read),
            () = self.drain.begun() => Woken::Drain,
            () = sleep_until(self.patience) => Woken::Silence,
        }
    }

    /// Whether another request may be taken.
    fn has_room(&mut self) -> bool {
        let is_full = self
            .desk
            .caller_if_in()
            .is_some_and(|caller| caller.is_full());
        !is_full && self.in_flight.len() < IN_FLIGHT_MAX
    }

    /// Splits the next request off the inbox, which keeps no memory while it is empty.
    fn next_frame(&mut self) -> Result<Option<Bytes>, Fault> {
        let max = self.frame_max();
        let frame = match frame::take(&mut self.wire.inbox, max) {
            // Somebody who begins with a large request means to come in without a login.
            Err(_) if matches!(self.desk.access, Access::Unknown) => {
                self.desk.caller()?;
                let max = self.frame_max();
                frame::take(&mut self.wire.inbox, max)?
            }
            taken => taken?,
        };
        if self.wire.inbox.is_empty() {
            self.wire.inbox = BytesMut::new();
        }
        Ok(frame)
    }

    /// The longest request that is taken at this moment.
    fn frame_max(&self) -> usize {
        match (&self.desk.access, frame::key(&self.wire.inbox)) {
            (Access::Unknown | Access::Greeting(_) | Access::Bare(_), _) => GREETING_BYTES_MAX,
            (Access::In(_), Some(key)) if key != api::PRODUCE => QUESTION_BYTES_MAX,
            (Access::In(_), _) => FRAME_BYTES_MAX,
        }
    }

    /// Takes a step of a login that goes on without requests. There is no form for a refusal: the
    /// connection ends.
    async fn token(&mut self, token: &Bytes) -> Result<(), Closed> {
        let Access::Bare(login) = &mut self.desk.access else {
            return Ok(());
        };
        let step = tokio::select! {
            biased;
            step = login.step(token) => step,
            closed = self.wire.watch(&mut self.drain) => return Err(closed),
        };
        let said_back = self.desk.conclude(step)?;
        let said_back = said_back.ok_or(Fault::LoginRefused)?;
        self.wire.send([Answer::one(said_back)]).await
    }

    async fn request(&mut self, frame: &Bytes) -> Result<(), Closed> {
        let request = Request::read(frame).map_err(Fault::from)?;
        let (key, version) = (request.key, request.version);
        let api = api::find(key).ok_or(Fault::Unserved { key, version })?;
        if !api.versions().contains(&version) {
            self.settle().await?;
            // A client learns from the oldest form of one answer which versions there are; for any
            // other request it has had the chance to know.
            let answer = api.unsupported(request.correlation)?;
            let answer = answer.ok_or(Fault::Unserved { key, version })?;
            return self.wire.send([answer]).await;
        }
        let form = api.form(version);
        let (client, body) = request.open(form).map_err(Fault::from)?;
        self.desk.call_client(client.unwrap_or_default());
        if !api.is_greeting() {
            self.desk.caller()?;
        }
        if !api.is_pipelined() {
            self.settle().await?;
        }
        let call = Call {
            version,
            correlation: request.correlation,
            form,
            body,
        };
        let reply = tokio::select! {
            biased;
            reply = api.serve(&mut self.desk, call) => reply?,
            closed = self.wire.watch(&mut self.drain) => return Err(closed),
        };
        match reply {
            Reply::Answer(answer) => self.wire.send([answer]).await?,
            Reply::Later(in_flight) => self.in_flight.push_back(in_flight),
            Reply::Silent => {}
        }
        Ok(())
    }

    /// Waits until every produce is answered.
    async fn settle(&mut self) -> Result<(), Closed> {
        if let Some(caller) = self.desk.caller_if_in() {
            caller.flush();
        }
        self.send_done().await?;
        while !self.in_flight.is_empty() {
            let event = next_event(&mut self.desk).await;
            self.take(event).await?;
        }
        Ok(())
    }

    /// Takes an event and those that came with it, and answers together what they finish.
    async fn take(&mut self, event: Event) -> Result<(), Closed> {
        let mut next = Some(event);
        while let Some(event) = next {
            self.note(event)?;
            next = self.desk.caller_if_in().and_then(Caller::next_ready);
        }
        self.send_done().await
    }

    fn note(&mut self, event: Event) -> Result<(), Closed> {
        match event {
            Event::Receipt(pending, result) => {
                let is_known = self
                    .in_flight
                    .iter_mut()
                    .any(|one| one.take(pending, &result));
                debug_assert!(is_known, "a receipt of nothing that we published");
            }
            // We claim nothing that somebody else could: it is the user that is gone.
            Event::Displaced(_) => {
                let detail = "the login holds no more";
                return Err(Closed::because(ClosedReason::Refused, detail));
            }
            // We attach to nothing and ask for nothing else.
            Event::Deliveries(..)
            | Event::Live(_)
            | Event::Ended(_)
            | Event::Edition
            | Event::Condition(_) => {}
        }
        Ok(())
    }

    /// Sends the answers at the head of the line whose receipts have all come.
    async fn send_done(&mut self) -> Result<(), Closed> {
        let is_done = |front: &mut InFlight| front.is_done();
        if !self.in_flight.front_mut().is_some_and(is_done) {
            return Ok(());
        }
        let done = std::iter::from_fn(|| self.in_flight.pop_front_if(is_done));
        self.wire.send(done.map(|done| done.answer())).await
    }
}

/// The caller's next event; never, while nobody is in.
async fn next_event(desk: &mut Desk) -> Event {
    match desk.caller_if_in() {
        Some(caller) => caller.event().await,
        None => std::future::pending().await,
    }
}

impl Wire {
    /// Reads what there is. Cancel-safe.
    async fn read(&mut self) -> Result<(), Closed> {
        match fill(&mut self.io, &mut self.inbox).await {
            Ok(0) if self.inbox.is_empty() => Err(Closed::plain(ClosedReason::Goodbye)),
            Ok(0) => Err(Closed::because(
                ClosedReason::Lost,
                "the stream ended inside a request",
            )),
            Ok(count) => {
                self.meters.received_bytes.inc_by(count as u64);
                Ok(())
            }
            Err(error) => Err(Closed::because(ClosedReason::Lost, error.to_string())),
        }
    }

    /// Returns when the client or we have no more use for the request that is being answered.
    async fn watch(&mut self, drain: &mut DrainWatch) -> Closed {
        loop {
            let has_room = self.inbox.len() < AHEAD_BYTES_MAX;
            tokio::select! {
                read = self.read(), if has_room => {
                    if let Err(closed) = read {
                        return closed;
                    }
                }
                () = drain.begun() => return Closed::plain(ClosedReason::Drained),
            }
        }
    }

    /// Sends answers. A client that takes none of them is as good as silent.
    async fn send(&mut self, answers: impl IntoIterator<Item = Answer>) -> Result<(), Closed> {
        match timeout(SILENCE, answer::send(answers, &mut self.io)).await {
            Ok(Ok(count)) => {
                self.meters.sent_bytes.inc_by(count);
                Ok(())
            }
            Ok(Err(error)) => Err(Closed::because(ClosedReason::Lost, error.to_string())),
            Err(_elapsed) => Err(Closed::because(
                ClosedReason::Silent,
                "an answer was not taken",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
    use fairlead_memory::Memory;
    use tokio::sync::watch;

    #[tokio::test]
    async fn the_future_of_an_idle_connection_is_small() {
        let store = Arc::new(Memory::new(1 << 20));
        let kernel = kernel(store, Arc::new(ManualClock::at(0))).await.unwrap();
        let (_drain, flag) = watch::channel(false);
        let (_, far) = tokio::io::duplex(1);
        let conn = Conn {
            io: Box::new(far),
            info: conn_info(1),
            drain: DrainWatch::new(flag),
        };
        let future = serve(conn, kernel, Arc::default());
        let size = size_of_val(&future);
        assert!(size <= 2_048, "{size} bytes");
    }
}
