//! What the rest of the kernel puts before a caller: assigned offsets, live messages, signals.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use fairlead_canon::Message;
use fairlead_canon::codec::envelope;
use fairlead_delivery::Assigned;
use fairlead_ports::Condition;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{AttachmentId, Displaced, Live};

/// One caller's inbox. Shared with everything that may have something for it.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<Slot>);

/// The inside of an inbox: one lock for both, since who puts something in wakes and who finds nothing waits.
#[derive(Debug, Default)]
struct Slot {
    /// Nothing while nothing has come.
    contents: Option<Box<Contents>>,
    /// Whom the next thing wakes.
    waker: Option<Waker>,
}

/// What lies in an inbox.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Queue messages that are this caller's now, most bodies not read.
    pub(crate) assigned: VecDeque<Given>,
    /// Live messages, in order.
    pub(crate) live: Vec<Live>,
    /// Attachments whose stream is gone.
    pub(crate) ended: Vec<AttachmentId>,
    /// A queue of this caller wants to be loaded from the store.
    pub(crate) look: bool,
    /// The caller has to go.
    pub(crate) displaced: Option<Displaced>,
    /// The store's condition changed to this.
    pub(crate) condition: Option<Condition>,
    live_bytes: usize,
    /// How many live messages there were last time: room for as many is made at once.
    usual: usize,
}

/// A queue message that is a caller's now.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) attachment: AttachmentId,
    pub(crate) assigned: Assigned,
    /// Its envelope, when it was given to the caller as it came and the store had it at hand.
    pub(crate) body: Option<Bytes>,
}

/// Whether a live message found room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It lies there alone: the receiver has to be woken.
    First,
    /// It lies behind others.
    Behind,
    /// There was none; it was dropped.
    Full,
}

impl Inbox {
    /// Most live messages that wait for a slow reader, in bytes of their bodies and in number.
    /// Beyond it they are dropped and counted: nobody was promised them.
    pub(crate) const LIVE_BYTES_MAX: usize = 8 * 1024 * 1024;
    /// See [`Inbox::LIVE_BYTES_MAX`].
    pub(crate) const LIVE_COUNT_MAX: usize = 65_536;
    /// Room that is made at once, at most, in live messages.
    const USUAL_MAX: usize = 64;

    /// Puts a live message in; the receiver is woken by [`Inbox::wake`].
    pub(crate) fn push_live(
        &self,
        message: &Arc<Message>,
        via: SmallVec<[AttachmentId; 1]>,
    ) -> Room {
        let bytes = message.body_len();
        let mut slot = self.0.lock();
        let contents = slot.contents.get_or_insert_default();
        let is_first = contents.live.is_empty();
        if contents.live.len() >= Self::LIVE_COUNT_MAX
            || contents.live_bytes.saturating_add(bytes) > Self::LIVE_BYTES_MAX && !is_first
        {
            return Room::Full;
        }
        contents.live_bytes += bytes;
        if is_first {
            let usual = contents.usual;
            contents.live.reserve(usual);
        }
        contents.live.push(Live {
            message: Arc::clone(message),
            via,
        });
        if is_first { Room::First } else { Room::Behind }
    }

    /// Changes the contents and wakes the receiver.
    pub(crate) fn put(&self, change: impl FnOnce(&mut Contents)) {
        let mut slot = self.0.lock();
        change(slot.contents.get_or_insert_default());
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes the receiver.
    pub(crate) fn wake(&self) {
        let waker = self.0.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Gives back its room, if nothing lies in it.
    pub(crate) fn slim(&self) {
        let mut slot = self.0.lock();
        drop(slot.contents.take_if(|contents| contents.is_empty()));
    }

    /// Whether the caller has to go; `waker` is woken when that, or anything else, changes.
    pub(crate) fn displaced(&self, waker: &Waker) -> Option<Displaced> {
        let mut slot = self.0.lock();
        slot.listen(waker);
        slot.contents.as_ref()?.displaced
    }

    /// Whether there is anything; if not, `waker` is woken once there is.
    pub(crate) fn has_any(&self, waker: &Waker) -> bool {
        let mut slot = self.0.lock();
        slot.listen(waker);
        let contents = slot.contents.as_ref();
        contents.is_some_and(|contents| !contents.is_empty())
    }

    /// Takes everything out and leaves `spare`, which is empty, in its place; when there is nothing, `waker` is
    /// woken once there is.
    pub(crate) fn take(
        &self,
        waker: &Waker,
        spare: &mut Option<Box<Contents>>,
    ) -> Option<Box<Contents>> {
        let mut slot = self.0.lock();
        let Some(contents) = slot.contents.take_if(|contents| !contents.is_empty()) else {
            slot.listen(waker);
            return None;
        };
        slot.contents = spare.take();
        if let Some(next) = slot.contents.as_mut() {
            next.usual = contents.live.len().min(Self::USUAL_MAX);
        }
        Some(contents)
    }
}

impl Slot {
    /// Wakes this one next, and nobody else.
    fn listen(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
    }
}

impl Given {
    /// Its message, when the body came with it.
    pub(crate) fn message(self) -> Option<Message> {
        envelope::open_one(self.body?).ok()
    }
}

impl Contents {
    /// Room for messages that is kept, at most.
    const KEPT_MAX: usize = 64;

    /// Makes what everything was taken out of ready to be filled again.
    pub(crate) fn tidy(&mut self) {
        self.live_bytes = 0;
        if self.assigned.capacity() > Self::KEPT_MAX {
            self.assigned = VecDeque::new();
        }
    }

    fn is_empty(&self) -> bool {
        self.assigned.is_empty()
            && self.live.is_empty()
            && self.ended.is_empty()
            && !self.look
            && self.displaced.is_none()
            && self.condition.is_none()
    }
}
