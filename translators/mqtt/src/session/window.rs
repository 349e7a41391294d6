//! What was sent to the client and is not acknowledged, and what waits for its turn.

use std::collections::VecDeque;

use fairlead_canon::{Offset, Series};
use fairlead_kernel::{AttachmentId, Delivery, DeliveryId};

use crate::codec::PacketId;

/// The outbound half of QoS 1 and 2.
///
/// ```text
/// QoS 1   PUBLISH -> Sent       -> PUBACK: settled
/// QoS 2   PUBLISH -> Sent       -> PUBREC: settled, the id is kept as released
///         PUBREL  -> Released   -> PUBCOMP: forgotten
/// ```
///
/// The packet id of a message from the mailbox is its offset modulo 65,535, plus 1, so it is the
/// same after a restart without being stored. A message whose id is still in use waits, and so do
/// all behind it. A message from the queue of a group, which anybody may get the next time, takes
/// the highest id that is free.
#[derive(Debug)]
pub(super) struct Window {
    /// Nothing until the first message comes.
    flow: Option<Box<Flow>>,
    /// The client's Receive Maximum.
    max: u16,
}

/// What goes out on a connection.
#[derive(Debug, Default)]
struct Flow {
    in_flight: Series<PacketId, State>,
    waiting: VecDeque<Delivery>,
    /// Messages on their way from the queue of a group into the mailbox: they take their place
    /// before they are back, so that a member takes no more than it has room for.
    adopting: u16,
}

/// What has become of a packet id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sent(DeliveryId, Expects),
    Released,
}

/// The acknowledgement that a sent message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    PubAck,
    PubRec,
}

impl Window {
    pub(super) fn new(max: u16) -> Self {
        Self { flow: None, max }
    }

    fn flow(&mut self) -> &mut Flow {
        self.flow.get_or_insert_default()
    }

    /// What became of a packet id that is in use.
    fn state(&self, id: PacketId) -> Option<State> {
        self.flow.as_ref()?.in_flight.get(&id).copied()
    }

    /// How many may be unacknowledged.
    pub(super) fn max(&self) -> u16 {
        self.max
    }

    /// Queues messages behind those that wait.
    pub(super) fn push(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        self.flow().waiting.extend(deliveries);
    }

    /// Whether something waits.
    pub(super) fn has_waiting(&self) -> bool {
        let flow = self.flow.as_ref();
        flow.is_some_and(|flow| !flow.waiting.is_empty())
    }

    /// A message of a group goes into the mailbox.
    pub(super) fn adopting(&mut self) {
        let flow = self.flow();
        flow.adopting = flow.adopting.saturating_add(1);
    }

    /// Such a message came back from the mailbox, or one that an earlier connection put there.
    pub(super) fn adopted(&mut self) {
        let flow = self.flow();
        flow.adopting = flow.adopting.saturating_sub(1);
    }

    /// The next message that waits, if it can be sent as one that is acknowledged, and its packet id.
    pub(super) fn next(&mut self, mailbox: Option<AttachmentId>) -> Option<(Delivery, PacketId)> {
        let flow = self.flow.as_deref_mut()?;
        let id = flow.admit(flow.waiting.front()?.id, (mailbox, self.max))?;
        let first = flow.waiting.pop_front()?;
        if flow.waiting.is_empty() {
            // An idle connection keeps no queue.
            flow.waiting = VecDeque::new();
        }
        Some((first, id))
    }

    /// The packet id of a message, if it can be sent as one that is acknowledged.
    pub(super) fn admit(
        &mut self,
        delivery: DeliveryId,
        mailbox: Option<AttachmentId>,
    ) -> Option<PacketId> {
        let max = self.max;
        self.flow().admit(delivery, (mailbox, max))
    }

    /// A message was sent with this packet id.
    pub(super) fn sent(&mut self, id: PacketId, delivery: DeliveryId, expects: Expects) {
        let state = State::Sent(delivery, expects);
        self.flow().in_flight.insert(id, state);
    }

    /// The delivery that a PUBACK or PUBREC answers. A PUBACK ends it; after PUBREC the id stays
    /// in use until [`Window::completed`].
    pub(super) fn acknowledged(&mut self, id: PacketId, expects: Expects) -> Option<DeliveryId> {
        let in_flight = &mut self.flow.as_mut()?.in_flight;
        let State::Sent(delivery, wanted) = *in_flight.get(&id)? else {
            return None;
        };
        if wanted != expects {
            return None;
        }
        match expects {
            Expects::PubAck => in_flight.remove(&id),
            Expects::PubRec => in_flight.insert(id, State::Released),
        };
        Some(delivery)
    }

    /// An id that an earlier connection released and the client has not completed.
    pub(super) fn restore_released(&mut self, id: PacketId) {
        self.flow().in_flight.insert(id, State::Released);
    }

    /// The ids for which PUBREL was sent and no PUBCOMP has come.
    pub(super) fn released(&self) -> impl Iterator<Item = PacketId> {
        let in_flight = self.flow.iter().flat_map(|flow| flow.in_flight.iter());
        let released = in_flight.filter(|(_, state)| **state == State::Released);
        released.map(|(id, _)| id)
    }

    /// Whether PUBREL was sent for this id, or is about to be.
    pub(super) fn is_released(&self, id: PacketId) -> bool {
        self.state(id) == Some(State::Released)
    }

    /// PUBCOMP: the id is free. `false` when it was not released.
    pub(super) fn completed(&mut self, id: PacketId) -> bool {
        self.is_released(id) && self.flow().in_flight.remove(&id).is_some()
    }
}

impl Flow {
    fn admit(
        &self,
        delivery: DeliveryId,
        (mailbox, max): (Option<AttachmentId>, u16),
    ) -> Option<PacketId> {
        //= MQTT-3.3.4-9: no more than the client's Receive Maximum is unacknowledged.
        if self.in_flight.len() + usize::from(self.adopting) >= usize::from(max) {
            return None;
        }
        let is_free = |id: &PacketId| !self.in_flight.contains_key(id);
        match mailbox == Some(delivery.attachment) {
            true => Some(packet_id(delivery.offset)).filter(is_free),
            false => (1..=u16::MAX).rev().filter_map(PacketId::new).find(is_free),
        }
    }
}

fn packet_id(offset: Offset) -> PacketId {
    let id = offset.0 % u64::from(u16::MAX) + 1;
    // 1 to 65,535 by construction.
    u16::try_from(id)
        .ok()
        .and_then(PacketId::new)
        .unwrap_or(PacketId::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fairlead_canon::{Address, Message, Path, Promise, Terms, Timestamp};

    use super::*;

    const MAILBOX: AttachmentId = AttachmentId(1);
    const GROUP: AttachmentId = AttachmentId(2);

    fn delivery(attachment: AttachmentId, offset: u64) -> Delivery {
        let terms = Terms::accepted(Timestamp(0), Promise::Durable);
        Delivery {
            id: DeliveryId {
                attachment,
                lane: 0,
                offset: Offset(offset),
            },
            message: Message::new(Address::shared(Path::EMPTY), Bytes::new(), terms),
            is_redelivered: false,
            returned: 0,
        }
    }

    /// The identifier of the next message, which is sent.
    fn sent(window: &mut Window) -> Option<u16> {
        let (delivery, id) = window.next(Some(MAILBOX))?;
        window.sent(id, delivery.id, Expects::PubAck);
        Some(id.get())
    }

    //= MQTT-2.2.1-4
    #[test]
    fn an_identifier_in_use_is_given_to_no_other_message() {
        let mut window = Window::new(u16::MAX);
        window.push([delivery(MAILBOX, 65_534), delivery(GROUP, 7)]);
        window.push([delivery(GROUP, 8), delivery(MAILBOX, 65_535)]);
        window.push([delivery(MAILBOX, 2 * 65_535)]);
        let first: Vec<_> = std::iter::from_fn(|| sent(&mut window)).collect();
        // The last one has to wait for the identifier of the one before.
        assert_eq!(first, [65_535, 65_534, 65_533, 1]);
        assert!(
            window
                .acknowledged(PacketId::MAX, Expects::PubAck)
                .is_some()
        );
        assert_eq!(sent(&mut window), None);
        let one = PacketId::new(1).unwrap();
        assert!(window.acknowledged(one, Expects::PubAck).is_some());
        assert_eq!(sent(&mut window), Some(1));
    }
}
