//! What the channels of one connection share.

use bytes::Bytes;
use fairlead_canon::Text;
use fairlead_canon::limits::BODY_BYTES_MAX;
use fairlead_kernel::{AttachmentId, Caller};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::handshake::{has_capability, login_name};
use super::pressure::Pressure;
use super::receipts::Receipts;
use crate::codec::{ShortStr, Table};
use crate::transport::Output;

/// The kernel's side and the socket's side of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The verbs.
    pub(crate) caller: Caller,
    /// What waits to be written.
    pub(crate) out: Output,
    /// Publishes whose receipt somebody waits for.
    pub(crate) receipts: Receipts,
    /// Who is behind an attachment.
    pub(crate) consumers: HashMap<AttachmentId, Consumer, RandomState>,
    /// The name that the client logged in with.
    pub(crate) login: ShortStr,
    /// The highest channel number.
    pub(crate) channel_max: u16,
    /// Announced bytes of bodies that are coming in.
    pub(crate) incoming_bytes: usize,
    /// What it knows of the store, and the publish that has to wait.
    pub(super) pressure: Pressure,
    /// The client wants to know when a consumer ends with its queue.
    pub(crate) hears_cancel: bool,
    /// The client wants to know when its publishes have to wait.
    pub(super) hears_blocked: bool,
}

/// A consumer, as deliveries find it.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    /// Its channel.
    pub(crate) channel: u16,
    /// Its tag.
    pub(crate) tag: ShortStr,
    /// Whether what it is sent has to be settled.
    pub(crate) acks: bool,
    /// Whether it is told how often a message was returned.
    pub(crate) counts: bool,
}

impl Peer {
    /// Consumers of one connection; each holds a place in the turn of a queue.
    pub(crate) const CONSUMERS_MAX: usize = 10_000;
    /// Bytes of messages that are coming in on all channels together: four of the largest.
    pub(crate) const INCOMING_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

    pub(super) fn new(
        caller: Caller,
        out: Output,
        channel_max: u16,
        client: &Table,
        login: Bytes,
    ) -> Self {
        Self {
            caller,
            out,
            receipts: Receipts::default(),
            consumers: HashMap::default(),
            login: login_name(login),
            channel_max,
            incoming_bytes: 0,
            pressure: Pressure::default(),
            hears_cancel: has_capability(client, b"consumer_cancel_notify"),
            hears_blocked: has_capability(client, b"connection.blocked"),
        }
    }

    /// A name that nobody can guess: `prefix` and 128 random bits.
    pub(crate) fn random_name(&self, prefix: &str) -> Text {
        let mut bits = [0; 16];
        self.caller.kernel().entropy().fill(&mut bits);
        Text::from(format!("{prefix}{:032x}", u128::from_be_bytes(bits)))
    }
}
