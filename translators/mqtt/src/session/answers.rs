//! Acknowledgements that wait for a promise, in the order in which they must leave.

use std::collections::VecDeque;

use fairlead_kernel::Pending;

use crate::codec::{Ack, Packet, PacketId, Properties, ReasonCode};

/// An acknowledgement without its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::enum_variant_names,
    reason = "the names are those of the specification"
)]
pub(super) enum Answer {
    PubAck(PacketId),
    PubRec(PacketId),
    PubRel(PacketId),
    PubComp(PacketId),
}

/// Acknowledgements in the order of what they answer; nothing until there is one.
#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "most clients only listen, and then a word is enough"
)]
pub(super) struct Answers(Option<Box<VecDeque<Slot>>>);

#[derive(Debug)]
enum Slot {
    Waiting(Pending, Answer),
    Ready(Answer, ReasonCode, Words),
}

/// What an answer says besides its code; few say anything.
type Words = Option<Box<Properties>>;

impl Answers {
    /// Sent once this promise is kept.
    pub(super) fn wait(&mut self, pending: Pending, answer: Answer) {
        self.push(Slot::Waiting(pending, answer));
    }

    /// Sent as soon as all before it are.
    pub(super) fn ready(&mut self, answer: Answer, reason: ReasonCode) {
        self.push(Slot::Ready(answer, reason, None));
    }

    /// The same, with words that fit.
    pub(super) fn ready_with(&mut self, answer: Answer, reason: ReasonCode, words: Properties) {
        let words = (!words.is_empty()).then(|| Box::new(words));
        self.push(Slot::Ready(answer, reason, words));
    }

    fn push(&mut self, slot: Slot) {
        self.0.get_or_insert_default().push_back(slot);
    }

    /// The answer that waited for this promise; receipts come in order, so it is the first.
    pub(super) fn receipt(&mut self, pending: Pending) -> Option<Answer> {
        let slots = self.0.as_mut()?;
        match slots.front() {
            Some(Slot::Waiting(first, answer)) if *first == pending => {
                let answer = *answer;
                slots.pop_front();
                Some(answer)
            }
            _ => None,
        }
    }

    /// The next answer that waits for nothing.
    pub(super) fn next_ready(&mut self) -> Option<Packet> {
        let slots = self.0.as_mut()?;
        let Some(Slot::Ready(answer, reason, words)) = slots.front_mut() else {
            return None;
        };
        let ready = answer.said(*reason, words.take());
        slots.pop_front();
        if slots.is_empty() {
            // An idle connection keeps no queue.
            **slots = VecDeque::new();
        }
        Some(ready)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |slots| slots.len())
    }

    /// How many end an exchange that the client began, and so count for its Receive Maximum.
    pub(super) fn ending(&self) -> usize {
        let ends = |slot: &&Slot| match slot {
            Slot::Waiting(_, answer) | Slot::Ready(answer, ..) => {
                matches!(answer, Answer::PubAck(_) | Answer::PubComp(_))
            }
        };
        self.0
            .iter()
            .flat_map(|slots| slots.iter())
            .filter(ends)
            .count()
    }
}

impl Answer {
    /// As a packet that says no more than its code.
    pub(super) fn packet(self, reason: ReasonCode) -> Packet {
        self.said(reason, None)
    }

    fn said(self, reason: ReasonCode, words: Words) -> Packet {
        let ack = |packet_id| Ack {
            packet_id,
            reason,
            properties: words.map_or(Properties::NONE, |words| *words),
        };
        match self {
            Self::PubAck(id) => Packet::PubAck(ack(id)),
            Self::PubRec(id) => Packet::PubRec(ack(id)),
            Self::PubRel(id) => Packet::PubRel(ack(id)),
            Self::PubComp(id) => Packet::PubComp(ack(id)),
        }
    }
}
