//! From a frame to whoever handles it, and what a refusal does.

use std::ops::ControlFlow;

use fairlead_canon::Promise;
use fairlead_kernel::{Closed, ClosedReason, Event, Settle};

use super::session::{End, Session, Slot};
use crate::channel::Channel;
use crate::codec::{Frame, Method, Payload, ShortStr, channel, connection};
use crate::errors::{Refusal, ReplyCode};

impl Session {
    /// Handles a frame. A method that has to wait is given back for [`Session::on_waiting`]: few do,
    /// and what they need would make every connection larger.
    pub(super) fn on_frame(&mut self, frame: Frame) -> ControlFlow<End, Option<(u16, Method)>> {
        let number = frame.channel;
        let at = match &frame.payload {
            Payload::Method(method) => method.id(),
            Payload::Header(_) | Payload::Body(_) | Payload::Heartbeat => (0, 0),
        };
        let handled = match (frame.payload, number) {
            (Payload::Heartbeat, _) => Ok(None),
            (Payload::Method(Method::ConnectionUpdateSecret(_)), 0) => self.update_secret(),
            (Payload::Method(method), 0) => return ControlFlow::Break(self.on_connection(&method)),
            (payload, number) => self.on_channel(number, payload),
        };
        match handled {
            Ok(waiting) => ControlFlow::Continue(waiting.map(|method| (number, method))),
            Err(refusal) => self.refuse(number, refusal, at).map_continue(|()| None),
        }
    }

    /// Handles a method that looks at, takes from or changes what exists.
    pub(super) async fn on_waiting(&mut self, number: u16, method: Method) -> ControlFlow<End> {
        let at = method.id();
        let handled = match self.settle_down().await {
            Ok(()) => self.wait_for(number, method).await,
            Err(refusal) => Err(refusal),
        };
        match handled {
            Ok(()) => ControlFlow::Continue(()),
            Err(refusal) => self.refuse(number, refusal, at),
        }
    }

    async fn wait_for(&mut self, number: u16, method: Method) -> Result<(), Refusal> {
        let Self { peer, channels } = self;
        match channels.get_mut(&number) {
            Some(Slot::Open(channel)) => channel.on_waiting(method, peer).await,
            Some(Slot::Closing) | None => Ok(()),
        }
    }

    fn refuse(&mut self, number: u16, refusal: Refusal, at: (u16, u16)) -> ControlFlow<End> {
        if refusal.code.ends_connection() || number == 0 {
            return ControlFlow::Break(End::Refused(refusal, at));
        }
        match self.close_channel(number, &refusal, at) {
            Ok(()) => ControlFlow::Continue(()),
            Err(refusal) => ControlFlow::Break(End::Refused(refusal, at)),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the methods are the specification's; these are what is left of class connection"
    )]
    fn on_connection(&mut self, method: &Method) -> End {
        let refusal = match method {
            Method::ConnectionClose(_) => {
                // What was published before is kept all the same.
                self.peer.caller.flush();
                let closed = match self.peer.out.method(0, connection::CloseOk {}) {
                    Ok(()) => Closed::plain(ClosedReason::Goodbye),
                    Err(refusal) => Closed::because(ClosedReason::Failed, refusal.to_string()),
                };
                return End::Gone(closed);
            }
            _ => {
                let text = format!("{} on channel 0 of an open connection", method.name());
                ReplyCode::CommandInvalid.because(text)
            }
        };
        End::Refused(refusal, method.id())
    }

    //= connection.update-secret: a login here holds until its connection ends, so that a new secret is
    //= connection.update-secret: taken note of and changes nothing, as where RabbitMQ keeps the users.
    fn update_secret(&mut self) -> Result<Option<Method>, Refusal> {
        let answer = connection::UpdateSecretOk {};
        self.peer.out.method(0, answer).map(|()| None)
    }

    fn on_channel(&mut self, number: u16, payload: Payload) -> Result<Option<Method>, Refusal> {
        let Self { peer, channels } = self;
        match (channels.get_mut(&number), payload) {
            (None, Payload::Method(Method::ChannelOpen(_))) => self.open_channel(number),
            (None, _) => Err(ReplyCode::ChannelError.because("expected 'channel.open'")),
            (Some(Slot::Closing), payload) => self.on_closing(number, &payload),
            (Some(Slot::Open(_)), Payload::Method(Method::ChannelClose(_))) => {
                self.drop_channel(number)?;
                self.peer.out.method(number, channel::CloseOk {})
            }
            (Some(Slot::Open(channel)), Payload::Method(method)) => {
                return channel.on_method(method, peer);
            }
            (Some(Slot::Open(channel)), Payload::Header(header)) => channel.on_header(header, peer),
            (Some(Slot::Open(channel)), Payload::Body(part)) => channel.on_body(part, peer),
            (Some(Slot::Open(_)), Payload::Heartbeat) => Ok(()),
        }
        .map(|()| None)
    }

    //= channel.close: after it was sent, everything on the channel is void until the client agrees.
    fn on_closing(&mut self, number: u16, payload: &Payload) -> Result<(), Refusal> {
        match payload {
            Payload::Method(Method::ChannelCloseOk(_)) => {
                self.channels.remove(&number);
                Ok(())
            }
            Payload::Method(Method::ChannelClose(_)) => {
                self.peer.out.method(number, channel::CloseOk {})
            }
            Payload::Method(_) | Payload::Header(_) | Payload::Body(_) | Payload::Heartbeat => {
                Ok(())
            }
        }
    }

    fn open_channel(&mut self, number: u16) -> Result<(), Refusal> {
        if number > self.peer.channel_max {
            let text = format!("channel {number} is above {}", self.peer.channel_max);
            return Err(ReplyCode::NotAllowed.because(text));
        }
        self.channels
            .insert(number, Slot::Open(Box::new(Channel::new(number))));
        self.peer.out.method(number, channel::OpenOk::default())
    }

    pub(super) fn close_channel(
        &mut self,
        number: u16,
        refusal: &Refusal,
        at: (u16, u16),
    ) -> Result<(), Refusal> {
        tracing::debug!(channel = number, %refusal, "channel closed");
        refusal.count(self.peer.caller.meters());
        self.drop_channel(number)?;
        self.channels.insert(number, Slot::Closing);
        let close = channel::Close {
            reply_code: refusal.code.number(),
            reply_text: ShortStr::cut(&refusal.to_string()),
            class_id: at.0,
            method_id: at.1,
        };
        self.peer.out.method(number, close)
    }

    fn drop_channel(&mut self, number: u16) -> Result<(), Refusal> {
        if let Some(Slot::Open(channel)) = self.channels.remove(&number) {
            channel.leave(&mut self.peer)?;
        }
        self.peer.receipts.forget(number);
        Ok(())
    }

    /// Waits until what this connection published and settled before has taken effect, so that a
    /// method that looks at what exists sees it.
    async fn settle_down(&mut self) -> Result<(), Refusal> {
        self.peer.caller.flush();
        if self.peer.caller.is_settled() {
            return Ok(());
        }
        let nothing = Settle {
            ids: &[],
            outcome: fairlead_canon::Outcome::Done,
            promise: Promise::Durable,
            with: Vec::new(),
        };
        let barrier = self.peer.caller.settle(nothing)?;
        self.peer.caller.flush();
        loop {
            let event = self.peer.caller.event().await;
            if matches!(&event, Event::Receipt(pending, _) if *pending == barrier) {
                return Ok(());
            }
            self.on_event(event)?;
        }
    }
}
