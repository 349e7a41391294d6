//! SUBSCRIBE and UNSUBSCRIBE.
//!
//! A subscription of QoS 0 is live: nothing is stored for it. One of QoS 1 or 2 binds the client's
//! mailbox, which is made when the first one needs it.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Class, Kind, Message, Overflow, Pattern, Promise, SizeLimits, Text};
use fairlead_kernel::{
    Attach, AttachmentId, Binding, Caller, Change, ClosedReason, Content, Destination, Error, Io,
    Lifetime, Match, NewStream, Publish as Publication, Reason, Source, StreamKey, To,
};
use smallvec::SmallVec;

use super::Session;
use super::client::Expiry;
use super::ending::End;
use super::grants::{heard, standing};
use super::link::Gate;
use super::share::{self, Room};
use super::subscriptions::{Entry, Subscriptions};
use crate::codec::{
    Packet, Properties, ReasonCode, RetainHandling, SubAck, Subscribe, Subscription,
    SubscriptionId, UnsubAck, Unsubscribe, codes_size,
};
use crate::errors::{Denial, Fault, suback_code};
use crate::map::{self, ORIGIN};
use crate::names;
use crate::settings::Settings;

/// Most bytes that wait for a client that is connected; they lie in memory.
const INBOX_BYTES_MAX: u64 = 64 << 20;

/// Limits of what waits in memory.
pub(super) fn in_memory(settings: &Settings) -> SizeLimits {
    let bytes_max = settings.queue_bytes_max.min(INBOX_BYTES_MAX);
    SizeLimits {
        bytes_max: Some(bytes_max),
        ..on_disk(settings)
    }
}

/// Limits of what waits for a client that may stay away: beyond them the oldest make room, since a
/// client that stays away must not stop those who publish.
fn on_disk(settings: &Settings) -> SizeLimits {
    SizeLimits {
        count_max: Some(settings.queue_messages_max),
        bytes_max: Some(settings.queue_bytes_max),
        overflow: Overflow::DropHead,
    }
}

impl<I: Io> Session<I> {
    /// SUBSCRIBE.
    pub(super) async fn subscribe(&mut self, packet: Subscribe) -> Result<(), End> {
        let id = packet.properties.subscription_id();
        let count = packet.subscriptions.len();
        self.check_acceptable(count)?;
        let mut codes = Vec::with_capacity(count);
        let mut properties = Properties::NONE;
        let (mut changes, mut replays) = (Vec::new(), Vec::new());
        for asked in &packet.subscriptions {
            let is_shared = share::is_shared(&asked.filter);
            if is_shared && asked.no_local {
                //= MQTT-3.8.3-4: a shared subscription does not have No Local.
                return Err(Fault::protocol("No Local on a shared subscription").into());
            }
            let code = match self.add(asked, id, &mut changes).await {
                Ok((entry, is_new)) => {
                    let granted = ReasonCode(entry.qos as u8);
                    if !is_shared && wants_retained(asked.retain_handling, is_new) {
                        replays.push(entry);
                    }
                    granted
                }
                Err(denial) => {
                    let code = denial.code;
                    if properties.is_empty() {
                        properties = self.words(denial.about(&asked.filter), count);
                    }
                    code
                }
            };
            codes.push(suback_code(self.link.version, code));
        }
        self.declare_subscriptions(changes).await?;
        //= MQTT-3.8.4-6: one code per filter, in their order.
        let answer = SubAck {
            packet_id: packet.packet_id,
            properties,
            codes,
        };
        self.link.send(&Packet::SubAck(answer))?;
        // What it retained itself in the same read is there then.
        self.caller.flush();
        for entry in &replays {
            for message in self.status(entry) {
                self.send_retained(&message, &entry.grant())?;
            }
            self.replay(entry).await?;
        }
        self.subscriptions_changed();
        Ok(())
    }

    /// UNSUBSCRIBE.
    pub(super) async fn unsubscribe(&mut self, packet: Unsubscribe) -> Result<(), End> {
        self.check_acceptable(packet.filters.len())?;
        let mut codes = Vec::with_capacity(packet.filters.len());
        let mut changes = Vec::new();
        for filter in &packet.filters {
            let filter = self.filter_of(filter);
            let removed = filter.and_then(|filter| self.subscriptions.remove(&filter));
            codes.push(match removed {
                Some(entry) => {
                    self.leave(&entry, &mut changes);
                    ReasonCode::SUCCESS
                }
                None => ReasonCode::NO_SUBSCRIPTION_EXISTED,
            });
        }
        self.declare_subscriptions(changes).await?;
        self.subscriptions_changed();
        let properties = Properties::NONE;
        let answer = UnsubAck {
            packet_id: packet.packet_id,
            properties,
            codes,
        };
        self.link.send(&Packet::UnsubAck(answer))?;
        Ok(())
    }

    /// Refuses to do what could not be answered in a packet that the client accepts.
    fn check_acceptable(&self, codes: usize) -> Result<(), Fault> {
        //= MQTT-3.1.2-24: what is larger than the client accepts is not sent.
        if codes_size(codes) <= self.client.size_max {
            return Ok(());
        }
        let detail = "the client accepts no packet with a code for each filter";
        let code = ReasonCode::PACKET_TOO_LARGE;
        Err(Fault::new(code, ClosedReason::Refused, detail))
    }

    /// What a queue of a group may hold, and hand to this client at a time.
    pub(super) fn room(&self) -> Room {
        Room {
            window: self.window.max(),
            settings: Arc::clone(&self.settings),
        }
    }

    /// Adds one subscription, in the place of one with the same filter, and whether there was none.
    /// What has to be declared for it is left to the caller, so that one packet is declared at once.
    async fn add(
        &mut self,
        asked: &Subscription,
        id: Option<SubscriptionId>,
        changes: &mut Vec<Change>,
    ) -> Result<(Entry, bool), Denial> {
        check_filter(&asked.filter)?;
        let filter = self.filter_of(&asked.filter);
        let asked = Subscription {
            filter: filter.ok_or_else(no_filter)?,
            ..asked.clone()
        };
        check_filter(&asked.filter)?;
        if self.subscriptions.len() >= Subscriptions::MAX {
            let why = "no room for another subscription of this session";
            return Err(Denial::new(ReasonCode::QUOTA_EXCEEDED, why));
        }
        let mut entry = Entry::new(&asked, id);
        entry.standing = standing(&entry, |pattern| self.caller.may_subscribe(pattern))?;
        if !entry.fills_mailbox() {
            let room = self.room();
            let listening = listen(&mut self.caller, &entry, &room).await;
            entry.attachments = listening.map_err(|error| {
                let is_taken = error.reason == Reason::Locked;
                let denial = Denial::from(error);
                let code = match is_taken {
                    true => ReasonCode::QUOTA_EXCEEDED,
                    false => denial.code,
                };
                Denial { code, ..denial }
            })?;
        }
        //= MQTT-3.8.4-3: a subscription with the same filter is replaced.
        let before = self.subscriptions.remove(&entry.filter);
        if let Some(before) = &before {
            self.leave(before, changes);
        }
        let heard = heard(&self.caller, &entry);
        changes.extend(bindings(&entry, heard, &self.client.mailbox).map(Change::Bind));
        self.subscriptions.put(entry.clone());
        Ok((entry, before.is_none()))
    }

    /// Ends one subscription.
    fn leave(&mut self, entry: &Entry, changes: &mut Vec<Change>) {
        entry
            .attachments
            .iter()
            // What a member of a group holds it may still acknowledge.
            .for_each(|attachment| self.caller.stop(*attachment));
        let all = entry.patterns.iter();
        changes.extend(bindings(entry, all, &self.client.mailbox).map(Change::Unbind));
    }

    /// Declares what subscriptions need, all at once, and keeps them if the session is kept.
    async fn declare_subscriptions(&mut self, mut changes: Vec<Change>) -> Result<(), Fault> {
        let makes_inbox = self.mailbox.is_none() && self.subscriptions.need_mailbox();
        if makes_inbox {
            let inbox = inbox(&self.client.mailbox, self.caller.id(), &self.settings);
            changes.insert(0, Change::CreateStream(inbox));
        }
        if self.client.expiry.is_some() {
            changes.push(self.altered()?);
        }
        if !changes.is_empty() {
            self.caller.declare(changes).await?;
        }
        if makes_inbox {
            let attach = attach_mailbox(&self.client.mailbox, self.window.max());
            self.mailbox = Some(self.caller.attach(attach).await?);
        }
        Ok(())
    }

    /// The kept session as it stands, in the place of what is kept of it.
    pub(super) fn altered(&self) -> Result<Change, Error> {
        Ok(Change::AlterStream {
            key: self.client.mailbox.clone(),
            document: self.document()?,
            lifetime: self.client.expiry.lifetime(),
        })
    }

    /// What is kept of this session.
    pub(super) fn document(&self) -> Result<Bytes, Error> {
        let document = self.subscriptions.to_document(&self.caller.who().name);
        document.map_err(|error| Error::peer(fairlead_kernel::Reason::TooLarge, error.to_string()))
    }

    /// Sends what is retained at the addresses of a new subscription: to a subscription of QoS 1
    /// or 2 by way of the mailbox, where it gets a packet id and waits for its acknowledgement.
    async fn replay(&mut self, entry: &Entry) -> Result<(), Fault> {
        for pattern in &entry.patterns {
            let mut after = None;
            loop {
                let (page, next) = self.caller.latest(pattern, after).await?;
                for message in &page {
                    if !self.is_heard(entry, message) || !self.is_vouched_for(message) {
                        continue;
                    }
                    if entry.fills_mailbox() {
                        self.replay_to_mailbox(message)?;
                    } else {
                        self.send_retained(message, &entry.grant())?;
                    }
                }
                self.caller.flush();
                if self.link.room() == Gate::Shut {
                    self.link.drain().await?;
                }
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }

    fn replay_to_mailbox(&mut self, message: &Message) -> Result<(), Error> {
        let publication = Publication {
            to: To::Lane {
                stream: &self.client.mailbox,
                lane: 0,
                address: None,
            },
            content: Content::Message(map::replayed(message)),
            promise: Promise::Nothing,
            with: Vec::new(),
            own_mailbox: None,
        };
        self.caller.publish(publication).map(drop)
    }
}

/// Attaches to the patterns of a live subscription, or to the queue of a shared one.
pub(super) async fn listen(
    caller: &mut Caller,
    entry: &Entry,
    room: &Room,
) -> Result<SmallVec<[AttachmentId; 1]>, Error> {
    let mut live = SmallVec::new();
    if entry.has_queue() {
        live.push(share::join(caller, entry, room).await?);
        return Ok(live);
    }
    for pattern in heard(caller, entry) {
        let source = Source::Live(pattern.clone());
        let attach = Attach {
            no_local: entry.no_local,
            ..Attach::new(source, u32::MAX)
        };
        match caller.attach(attach).await {
            Ok(attachment) => live.push(attachment),
            Err(error) => {
                live.iter()
                    .for_each(|attachment| caller.detach(*attachment));
                return Err(error);
            }
        }
    }
    Ok(live)
}

/// To a client's mailbox, for itself alone.
pub(super) fn attach_mailbox(mailbox: &StreamKey, window: u16) -> Attach {
    let source = Source::Stream(mailbox.clone());
    Attach {
        is_exclusive: true,
        ..Attach::new(source, window.into())
    }
}

/// The mailbox of a session that outlives its connection.
pub(super) fn mailbox(
    key: &StreamKey,
    expiry: Expiry,
    document: Bytes,
    settings: &Settings,
) -> NewStream {
    NewStream {
        lifetime: expiry.lifetime(),
        limits: on_disk(settings),
        document,
        ..NewStream::new(key.clone(), Kind::Queue, Class::Local, ORIGIN)
    }
}

/// The mailbox of a session that ends with its connection.
fn inbox(key: &StreamKey, connection: u64, settings: &Settings) -> NewStream {
    NewStream {
        lifetime: Lifetime::Connection(connection),
        limits: in_memory(settings),
        ..NewStream::new(key.clone(), Kind::Queue, Class::Memory, ORIGIN)
    }
}

/// The bindings of a subscription that fills the mailbox. The filter tells apart two that were
/// written differently and mean the same.
fn bindings<'a>(
    entry: &'a Entry,
    patterns: impl IntoIterator<Item = &'a Pattern>,
    mailbox: &'a StreamKey,
) -> impl Iterator<Item = Binding> {
    let patterns = patterns.into_iter().filter(|_| entry.fills_mailbox());
    patterns.map(|pattern| Binding {
        from: pattern.realm,
        on: Match::Pattern(pattern.clone()),
        to: Destination::Stream(mailbox.clone()),
        no_local: entry.no_local,
        document: entry.filter.clone().into_bytes(),
    })
}

fn check_filter(filter: &Text) -> Result<(), Denial> {
    let filter = match share::has_queue(filter) {
        true => share::inner(filter).ok_or_else(no_filter)?,
        false => filter,
    };
    let is_reserved = filter.split('/').next() == Some("$reply");
    if is_reserved || !names::is_filter(filter.as_bytes()) {
        return Err(no_filter());
    }
    Ok(())
}

fn no_filter() -> Denial {
    let why = "not a topic filter, or one that nobody subscribes to";
    Denial::new(ReasonCode::TOPIC_FILTER_INVALID, why)
}

fn wants_retained(handling: RetainHandling, is_new: bool) -> bool {
    match handling {
        //= MQTT-3.3.1-9: always,
        RetainHandling::Always => true,
        //= MQTT-3.3.1-10: if the subscription did not exist,
        RetainHandling::IfNew => is_new,
        //= MQTT-3.3.1-11: or never.
        RetainHandling::Never => false,
    }
}
