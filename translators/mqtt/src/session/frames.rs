//! Messages encoded once for all readers who are told them in the same words.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use fairlead_canon::Message;

use super::output::SLICE_BYTES_MIN;
use crate::census::Traffic;
use crate::codec::{Delivery, Packet, Publish, Version};
use crate::map::{Emitter, Target};

/// What the readers of a run made of it: nothing yet, or nothing that fits all, or packets.
#[derive(Debug, Default)]
pub(super) struct Forms {
    old: OnceLock<Option<Frames>>,
    new: OnceLock<Option<Frames>>,
}

/// Packets of QoS 0 that say nothing of their reader, one behind the other.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) bytes: Bytes,
    /// Bytes of the largest.
    pub(super) size_max: usize,
    pub(super) traffic: Traffic,
}

impl Forms {
    /// These messages in this version, if all of its readers may be told the same.
    pub(super) fn of(&self, messages: &[Message], version: Version) -> Option<&Frames> {
        let form = match version {
            Version::V31 | Version::V311 => &self.old,
            Version::V5 => &self.new,
        };
        form.get_or_init(|| Frames::of(messages, version)).as_ref()
    }
}

impl Frames {
    /// `None` where one depends on the time, loses something (which is counted for each reader), or is large:
    /// large ones are not copied.
    fn of(messages: &[Message], version: Version) -> Option<Self> {
        let mut emitter = Emitter::default();
        let (mut bytes, mut size_max, mut traffic) = (BytesMut::new(), 0, Traffic::default());
        for message in messages {
            if message.terms.deadline.is_some() || message.body_len() >= SLICE_BYTES_MIN {
                return None;
            }
            let target = Target {
                version,
                left: None,
                ids: &[],
                is_resent: false,
            };
            let emitted = emitter.emit(message, target).ok()?;
            if !emitted.loss.is_none() {
                return None;
            }
            let publish = Publish {
                dup: false,
                delivery: Delivery::AtMostOnce,
                retain: false,
                topic: emitted.topic,
                properties: emitted.properties,
                payload: emitted.payload,
            };
            size_max = size_max.max(publish.size(version));
            traffic.packet();
            traffic.publish(publish.payload.len());
            Packet::Publish(publish).encode(version, &mut bytes).ok()?;
        }
        Some(Self {
            bytes: bytes.freeze(),
            size_max,
            traffic,
        })
    }
}
