//! The words of the verbs: what goes in and what comes out.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{
    Address, Batch, EntityId, Message, Offset, Outcome, Pattern, Promise, Timestamp,
};
use fairlead_delivery::{Allowance, Place};
use fairlead_ports::{Chunk, Condition, Version, View};
use fairlead_topology::StreamKey;
use smallvec::SmallVec;

use crate::{Error, Run};

/// A publish.
#[derive(Debug)]
pub struct Publish<'a> {
    /// Where to.
    pub to: To<'a>,
    /// What.
    pub content: Content,
    /// What the receipt must mean; with `Nothing` there is no receipt event.
    pub promise: Promise,
    /// Documents of the translator's own name space, written in the same unit (QoS ids and the
    /// like). With documents the publish is kept as one unit even when nothing is bound.
    pub with: Vec<PutDocument>,
    /// Bindings flagged `no_local` that lead to this stream are passed over.
    pub own_mailbox: Option<&'a StreamKey>,
}

/// Where a publish goes.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// To everything bound to the address; streams of several lanes choose one by key, or by
    /// publisher and address.
    Address(&'a Address),
    /// To everything bound to any of these addresses, once each. Its readers see the first.
    Addresses(&'a [Address]),
    /// To one lane of a stream, and to everything else that is bound to `address`.
    Lane {
        /// The stream; unknown is an error.
        stream: &'a StreamKey,
        /// Its lane; out of bounds is an error.
        lane: u32,
        /// The address its readers elsewhere see. `None`: the lane and nothing else.
        address: Option<&'a Address>,
    },
}

/// What is published.
#[derive(Clone, Debug)]
pub enum Content {
    /// One message.
    Message(Message),
    /// A batch that is kept byte for byte.
    Batch(Batch),
}

/// A document to write with a publish or a settlement.
#[derive(Clone, Debug)]
pub struct PutDocument {
    /// Its key in the translator's own name space.
    pub key: Bytes,
    /// Its value; `None` deletes.
    pub value: Option<Bytes>,
    /// The version it must have now (0: absent), else the whole unit fails with `Conflict`.
    pub expect: Option<Version>,
    /// When it is due.
    pub due: Option<Timestamp>,
}

/// A publish that takes effect later, at the message's own address.
#[derive(Debug)]
pub struct Later {
    /// What, and where to.
    pub message: Message,
    /// When.
    pub at: Timestamp,
    /// What the receipt must mean; with `Nothing` there is no receipt event.
    pub promise: Promise,
    /// Documents of the translator's own name space, written in the same unit.
    pub with: Vec<PutDocument>,
}

/// A publish or settlement under way; its receipt carries the same number. Grows by one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pending(pub u64);

/// What a kept promise says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// How many streams and live subscriptions it reached.
    pub matched: u32,
    /// Where it went: first offset per entity.
    pub positions: SmallVec<[(EntityId, Offset); 1]>,
}

/// Number of an attachment within its caller; never reused there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentId(pub u32);

/// One delivery within its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// By which attachment.
    pub attachment: AttachmentId,
    /// In which lane of the attached stream.
    pub lane: u8,
    /// The message's offset there.
    pub offset: Offset,
}

/// A wish to be pushed messages.
#[derive(Clone, Debug)]
pub struct Attach {
    /// From where.
    pub source: Source,
    /// Most unsettled deliveries at a time; 0 pauses. `u32::MAX`: no limit of the consumer's own
    /// (the kernel still hands out at most [`Attach::AHEAD_MAX`] that the consumer has not taken).
    pub window: u32,
    /// How deliveries are settled.
    pub settling: Settling,
    /// Consumers of a lower priority are given messages only while this one has no room.
    pub priority: i32,
    /// Room for unsettled deliveries that several attachments of this caller share.
    pub allowance: Option<Arc<Allowance>>,
    /// Refused with `Locked` while anybody else is attached; then nobody else may attach.
    pub is_exclusive: bool,
    /// Not shown what this caller published itself (live sources only).
    pub no_local: bool,
}

/// From where messages are pushed.
#[derive(Clone, Debug)]
pub enum Source {
    /// A queue or mailbox.
    Stream(StreamKey),
    /// Whatever is published at matching addresses from this moment on; nothing is stored. Where the caller
    /// may read a part of it, it asks about each message by [`Caller::may_receive`](crate::Caller::may_receive).
    Live(Pattern),
}

/// How much of what a pattern matches a caller may read, when it may read any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// What [`Caller::may_receive`](crate::Caller::may_receive) says yes to.
    Part,
}

/// How deliveries are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settling {
    /// By [`Caller::settle`](crate::Caller::settle); what is open at the end goes back.
    Explicit,
    /// By being delivered.
    OnDelivery,
}

/// One message that was pushed, or taken, from a queue or mailbox.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// For settling; already settled with [`Settling::OnDelivery`].
    pub id: DeliveryId,
    /// The message.
    pub message: Message,
    /// Whether it was possibly delivered before.
    pub is_redelivered: bool,
    /// How often it was returned.
    pub returned: u16,
}

/// Messages that were pushed to live subscriptions.
#[derive(Clone, Debug)]
pub struct Live {
    /// The messages.
    pub run: Arc<Run>,
    /// The attachments of this caller that asked for them; at least one.
    pub via: SmallVec<[AttachmentId; 1]>,
}

/// One message taken by [`Caller::take`](crate::Caller::take).
#[derive(Clone, Debug)]
pub struct Taken {
    /// The message.
    pub delivery: Delivery,
    /// How many ready ones were left.
    pub remaining: u64,
}

/// How much is in a queue or mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that nobody holds.
    pub ready: u64,
    /// Messages that are known to be damaged, which nobody can get.
    pub damaged: u64,
    /// Messages delivered and not settled.
    pub unsettled: u64,
    /// Consumers attached.
    pub consumers: u32,
}

/// How deliveries end.
#[derive(Debug)]
pub struct Settle<'a> {
    /// Which; those that are settled already are passed over.
    pub ids: &'a [DeliveryId],
    /// How.
    pub outcome: Outcome,
    /// With `Durable` there is a receipt event once it is kept; otherwise there is none.
    pub promise: Promise,
    /// Documents of the same unit.
    pub with: Vec<PutDocument>,
}

/// Publishes and settlements that take effect together or not at all.
#[derive(Debug)]
pub struct Transaction<'a> {
    /// In this order. Those with a promise have receipts of their own, before the transaction's.
    pub publishes: Vec<Publish<'a>>,
    /// Deliveries of this caller; those that are settled already are passed over.
    pub settled: Vec<Settled>,
}

/// Deliveries that end in the same way.
#[derive(Debug)]
pub struct Settled {
    /// Which.
    pub ids: Vec<DeliveryId>,
    /// How.
    pub outcome: Outcome,
}

/// A transaction under way.
#[derive(Debug)]
pub struct Transacted {
    /// Its publishes, in order.
    pub published: Vec<Pending>,
    /// The transaction itself: its receipt comes once it is durable.
    pub whole: Pending,
}

/// Where a fetch begins in one entity.
#[derive(Clone, Copy, Debug)]
pub struct FetchAt {
    /// The entity.
    pub entity: EntityId,
    /// The first offset wanted.
    pub from: Offset,
    /// Most bytes of this entity.
    pub bytes_max: u32,
}

/// How long and how much a fetch takes.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Answer at once when so many bytes are there.
    pub bytes_min: u32,
    /// Most bytes in all; the first batch is given even if it is larger.
    pub bytes_max: u32,
    /// Answer after this time in any case.
    pub wait_max: Duration,
    /// What may be seen of open and aborted transactions.
    pub view: View,
}

/// The answer for one [`FetchAt`].
#[derive(Debug)]
pub struct Fetched {
    /// The entity.
    pub entity: EntityId,
    /// Its batches and bounds.
    pub result: Result<Chunk, Error>,
}

/// A committed position of a group in an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The entity.
    pub entity: EntityId,
    /// The next offset to read.
    pub offset: u64,
    /// The reader's idea of a leader epoch; -1 for none.
    pub leader_epoch: i32,
    /// The reader's own note.
    pub metadata: Bytes,
}

/// What a caller is told.
#[derive(Debug)]
pub enum Event {
    /// A publish or settlement kept its promise, or failed. In the order in which they were made.
    Receipt(Pending, Result<Receipt, Error>),
    /// Messages from a queue or mailbox, in order.
    Deliveries(AttachmentId, Vec<Delivery>),
    /// Messages from live subscriptions, in order.
    Live(Vec<Live>),
    /// The store's condition changed; only for callers that asked
    /// ([`Caller::watch_condition`](crate::Caller::watch_condition)).
    Condition(Condition),
    /// The directory has changed; told once to callers that asked
    /// ([`Caller::await_edition`](crate::Caller::await_edition)).
    Edition,
    /// An attachment is over: its stream was removed.
    Ended(AttachmentId),
    /// The caller has to go: say goodbye and drop it.
    Displaced(Displaced),
}

/// Why a caller has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Displaced {
    /// Another one claimed the same name.
    Claimed,
    /// The operator says so.
    Dismissed,
    /// Its login does not hold any more.
    Revoked,
}

impl Content {
    /// Bytes of the body, or of the batch.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.body_len(),
            Self::Batch(batch) => batch.bytes.len(),
        }
    }
}

impl DeliveryId {
    pub(crate) fn new(attachment: AttachmentId, place: Place) -> Self {
        Self {
            attachment,
            lane: place.lane,
            offset: place.offset,
        }
    }

    pub(crate) fn place(self) -> Place {
        Place {
            lane: self.lane,
            offset: self.offset,
        }
    }
}

impl Attach {
    /// Most deliveries handed out ahead of a consumer that takes them: bounds memory per consumer.
    pub const AHEAD_MAX: u32 = 1_024;

    /// An attachment with explicit settling, shared with others.
    pub fn new(source: Source, window: u32) -> Self {
        Self {
            source,
            window,
            settling: Settling::Explicit,
            priority: 0,
            allowance: None,
            is_exclusive: false,
            no_local: false,
        }
    }
}

/// Joins single offsets into ranges; `offsets` is sorted.
pub(crate) fn ranges(offsets: impl IntoIterator<Item = u64>) -> SmallVec<[Range<u64>; 1]> {
    let mut ranges: SmallVec<[Range<u64>; 1]> = SmallVec::new();
    for offset in offsets {
        match ranges.last_mut() {
            Some(last) if last.end == offset => last.end = offset + 1,
            _ => ranges.push(offset..offset + 1),
        }
    }
    ranges
}
