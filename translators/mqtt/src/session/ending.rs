//! The end of a connection: a last word, the will, and what becomes of the session.

use std::time::Duration;

use fairlead_canon::{Message, Promise, Text};
use fairlead_kernel::{
    Caller, Change, Closed, ClosedReason, Content, Displaced, Error, Event, Io, Later, Publish, To,
};

use super::Session;
use super::client::{Client, Expiry};
use crate::codec::{Disconnect, Packet, Properties, ReasonCode, Version, Will};
use crate::errors::{Fault, disconnect_code};
use crate::map::{self, Inbound};

/// Why the turns ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client said goodbye.
    Goodbye(Disconnect),
    /// The stream ended without one.
    Vanished,
    /// We end it.
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

impl End {
    pub(super) fn silent() -> Self {
        let detail = "nothing was heard for one and a half times the keep alive";
        Fault::new(ReasonCode::KEEP_ALIVE_TIMEOUT, ClosedReason::Silent, detail).into()
    }

    /// The token that the client has shown is over.
    pub(super) fn outlived() -> Self {
        let detail = "the token is over";
        Fault::new(
            ReasonCode::MAXIMUM_CONNECT_TIME,
            ClosedReason::Refused,
            detail,
        )
        .into()
    }

    /// The process goes away, and perhaps says where clients find another.
    pub(super) fn drained(server_reference: Option<Text>) -> Self {
        let code = match &server_reference {
            Some(_) => ReasonCode::USE_ANOTHER_SERVER,
            None => ReasonCode::SERVER_SHUTTING_DOWN,
        };
        let fault = Fault::new(code, ClosedReason::Drained, "");
        Self::Fault(Fault {
            server_reference,
            ..fault
        })
    }

    pub(super) fn displaced(why: Displaced) -> Self {
        let (code, reason) = match why {
            //= MQTT-3.1.4-3: the connection that a client had before is told so and closed.
            Displaced::Claimed => (ReasonCode::SESSION_TAKEN_OVER, ClosedReason::TakenOver),
            Displaced::Dismissed => (ReasonCode::ADMINISTRATIVE_ACTION, ClosedReason::Refused),
            Displaced::Revoked => (ReasonCode::NOT_AUTHORIZED, ClosedReason::Refused),
        };
        Fault::new(code, reason, "").into()
    }

    fn is_taken_over(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.closed.reason == ClosedReason::TakenOver)
    }
}

/// Reads of what a client had sent before its next connection took over: enough for what fits into
/// a socket's buffer, and an end for one that goes on writing.
const LAST_READS_MAX: usize = 4;

impl<I: Io> Session<I> {
    /// Ends the connection, and later perhaps the session.
    pub(super) async fn end(mut self: Box<Self>, end: End) -> Closed {
        let end = match end.is_taken_over() {
            true => self.hear_out(end).await,
            false => end,
        };
        // What came before the end counts, in the same read too.
        if let Err(error) = self.settle() {
            tracing::debug!(client = %self.client.id, ?error, "acknowledgements were not kept");
        }
        self.caller.flush();
        // Who said goodbye or is gone writes nothing more.
        let is_heard = matches!(end, End::Fault(_));
        let (closed, will) = match end {
            End::Goodbye(disconnect) => self.goodbye(&disconnect).await,
            End::Vanished if self.link.is_torn() => (
                Closed::because(ClosedReason::Lost, "in the middle of a packet"),
                self.will.take(),
            ),
            End::Vanished => (Closed::plain(ClosedReason::Goodbye), self.will.take()),
            End::Fault(fault) => (self.last_word(fault), self.will.take()),
        };
        let Self {
            link,
            mut caller,
            client,
            subscriptions,
            mailbox,
            ..
        } = *self;
        let attachments = subscriptions
            .iter()
            .flat_map(|entry| &entry.attachments)
            .chain(&mailbox);
        attachments.for_each(|attachment| caller.detach(*attachment));
        let is_taken_over = closed.reason == ClosedReason::TakenOver;
        let legacy = Legacy {
            caller,
            client,
            is_taken_over,
        };
        // Side by side: whoever takes the session over does not wait for a client that is gone.
        let close = async {
            match is_heard {
                true => link.close_while_it_writes().await,
                false => link.close().await,
            }
        };
        tokio::join!(close, legacy.execute(will));
        closed
    }

    /// What the client had sent before it came back counts, its goodbye above all: a client that leaves
    /// and comes back at once may be seen to come before it is heard to leave.
    async fn hear_out(&mut self, end: End) -> End {
        for _ in 0..LAST_READS_MAX {
            if !self.link.takes_what_came().await {
                break;
            }
            match self.all_packets().await {
                Ok(()) => {}
                Err(goodbye @ End::Goodbye(_)) => return goodbye,
                Err(_) => break,
            }
        }
        end
    }

    /// DISCONNECT came.
    async fn goodbye(&mut self, disconnect: &Disconnect) -> (Closed, Option<Box<Will>>) {
        let expiry = disconnect.properties.session_expiry().map(Expiry);
        if let Some(expiry) = expiry
            && let Err(fault) = self.change_expiry(expiry).await
        {
            return (self.last_word(fault), self.will.take());
        }
        //= MQTT-3.14.4-3: only a normal goodbye takes the will with it.
        let will = self
            .will
            .take()
            .filter(|_| disconnect.reason != ReasonCode::SUCCESS);
        (Closed::plain(ClosedReason::Goodbye), will)
    }

    async fn change_expiry(&mut self, expiry: Expiry) -> Result<(), Fault> {
        // A session that was to end with the connection cannot be prolonged (section 3.14.2.2.2).
        if !self.client.expiry.is_some() && expiry.is_some() {
            return Err(Fault::protocol(
                "a session expiry that CONNECT had not asked for",
            ));
        }
        self.client.expiry = expiry;
        if expiry.is_some() {
            let altered = self.altered()?;
            self.caller.declare(vec![altered]).await?;
        }
        Ok(())
    }

    /// Tells the client why; 3.1.1 has no word for it.
    fn last_word(&mut self, fault: Fault) -> Closed {
        let is_heard = fault.closed.reason != ClosedReason::Lost;
        if is_heard && self.link.version == Version::V5 {
            let disconnect = Packet::Disconnect(Disconnect {
                reason: disconnect_code(fault.code),
                properties: fault.words(self.link.version, self.client.size_max),
            });
            if let Err(unwritable) = self.link.send(&disconnect) {
                tracing::debug!(detail = %unwritable.closed.detail, "the last word was not written");
            }
        }
        fault.closed
    }
}

/// What is left of a session whose connection ended.
#[derive(Debug)]
struct Legacy {
    caller: Caller,
    client: Client,
    is_taken_over: bool,
}

impl Legacy {
    /// Publishes the will and ends the session, if it ends with its connection.
    async fn execute(mut self, will: Option<Box<Will>>) {
        if let Some(will) = will {
            self.publish(&will).await;
        }
        let is_over = !self.client.expiry.is_some() && self.client.has_kept_mailbox();
        if is_over {
            let remove = Change::RemoveStream(self.client.mailbox.clone());
            if let Err(error) = self.caller.declare(vec![remove]).await {
                self.caller.meters().failed(&error);
                tracing::warn!(client = %self.client.id, %error, "a session was not removed");
            }
        }
    }

    /// Publishes the will, at once or, when its delay is over, unless the client is back by then.
    async fn publish(&mut self, will: &Will) {
        let delay = self.delay(&will.properties);
        if !delay.is_zero() && self.is_taken_over {
            //= MQTT-3.1.3-9: a client that is back in time has no will published.
            return;
        }
        let published = match delay.is_zero() {
            true => publish(&mut self.caller, &self.client, will),
            false => self.publish_later(will, delay).await,
        };
        if let Err(error) = published {
            tracing::info!(client = %self.client.id, detail = %error.closed.detail, "will refused");
        }
        self.caller.flush();
    }

    /// Leaves the will with the kernel, and a note of where it waits with the session.
    async fn publish_later(&mut self, will: &Will, delay: Duration) -> Result<(), Fault> {
        let at = self.caller.kernel().clock().wall().after(delay);
        let pending = self.caller.publish_later(Later {
            message: message(&self.caller, will)?,
            at,
            promise: Promise::Durable,
            with: Vec::new(),
        })?;
        self.caller.flush();
        let receipt = loop {
            if let Event::Receipt(which, result) = self.caller.event().await
                && which == pending
            {
                break result?;
            }
        };
        if let Some((_, offset)) = receipt.positions.first() {
            let note = self.client.will_document(Some((*offset, at)));
            self.caller.put_documents(vec![note]).await?;
        }
        Ok(())
    }

    /// The will's delay; it ends with the session.
    fn delay(&self, properties: &Properties) -> Duration {
        let seconds = properties
            .will_delay()
            .unwrap_or_default()
            .min(self.client.expiry.0);
        Duration::from_secs(seconds.into())
    }
}

fn publish(caller: &mut Caller, client: &Client, will: &Will) -> Result<(), Fault> {
    let message = message(caller, will)?;
    let to = message.address.clone();
    let published = caller.publish(Publish {
        to: To::Address(&to),
        promise: map::promise_of(will.qos),
        content: Content::Message(message),
        with: Vec::new(),
        own_mailbox: Some(&client.mailbox),
    });
    if let Err(error) = &published {
        caller.meters().failed(error);
    }
    published.map(drop).map_err(Fault::from)
}

/// What a will says.
fn message(caller: &Caller, will: &Will) -> Result<Message, Fault> {
    let invalid = || Error::peer(fairlead_kernel::Reason::BadName, "the will's topic");
    let address = map::address_of(&will.topic).ok_or_else(invalid)?;
    let inbound = Inbound {
        address,
        qos: will.qos,
        retain: will.retain,
        properties: &will.properties,
        payload: will.payload.clone(),
    };
    let (mut message, loss) = map::ingest(inbound, caller.kernel().clock().wall())?;
    map::sign(&mut message, caller.who());
    caller.meters().lost(map::ORIGIN, loss);
    Ok(message)
}
