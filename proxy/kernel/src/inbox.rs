//! What the rest of the kernel puts before a caller: assigned offsets, live messages, signals.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use fairlead_canon::codec::envelope;
use fairlead_canon::{Message, Principal};
use fairlead_delivery::Assigned;
use fairlead_ports::Condition;
use parking_lot::Mutex;

use crate::{AttachmentId, Displaced, Live};

/// One caller's inbox. Shared with everything that may have something for it.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Whose it is.
    pub(crate) who: Principal,
    slot: Mutex<Slot>,
}

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
    /// The directory has changed since this caller was refused something.
    pub(crate) edition: bool,
    live_count: usize,
    live_bytes: usize,
    /// How many runs of live messages there were last time: room for as many is made at once.
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

/// Whether live messages found room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// They lie there alone: the receiver has to be woken.
    First,
    /// They lie behind others.
    Behind,
    /// There was none; they were dropped.
    Full,
}

impl Inbox {
    /// Most live messages that wait for a slow reader, in bytes of their bodies and in number.
    /// Beyond it they are dropped and counted: nobody was promised them.
    pub(crate) const LIVE_BYTES_MAX: usize = 8 * 1024 * 1024;
    /// See [`Inbox::LIVE_BYTES_MAX`].
    pub(crate) const LIVE_COUNT_MAX: usize = 65_536;
    /// Room that is made at once, at most, in runs.
    const USUAL_MAX: usize = 64;

    pub(crate) fn of(who: Principal) -> Self {
        let slot = Mutex::default();
        Self { who, slot }
    }

    /// Puts live messages in; the receiver is woken by [`Inbox::wake`].
    pub(crate) fn push_live(&self, live: Live) -> Room {
        let (count, bytes) = (live.run.messages().len(), live.run.bytes());
        let mut slot = self.slot.lock();
        let contents = slot.contents.get_or_insert_default();
        let is_first = contents.live.is_empty();
        let count = contents.live_count.saturating_add(count);
        let bytes = contents.live_bytes.saturating_add(bytes);
        if !is_first && (count > Self::LIVE_COUNT_MAX || bytes > Self::LIVE_BYTES_MAX) {
            return Room::Full;
        }
        (contents.live_count, contents.live_bytes) = (count, bytes);
        if is_first {
            let usual = contents.usual;
            contents.live.reserve(usual);
            contents.live.push(live);
            return Room::First;
        }
        contents.live.push(live);
        Room::Behind
    }

    /// Changes the contents and wakes the receiver.
    pub(crate) fn put(&self, change: impl FnOnce(&mut Contents)) {
        let mut slot = self.slot.lock();
        change(slot.contents.get_or_insert_default());
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The caller has to go; it is told one reason.
    pub(crate) fn displace(&self, why: Displaced) {
        self.put(|contents| {
            contents.displaced.get_or_insert(why);
        });
    }

    /// Wakes the receiver.
    pub(crate) fn wake(&self) {
        let waker = self.slot.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Gives back its room, if nothing lies in it.
    pub(crate) fn slim(&self) {
        let mut slot = self.slot.lock();
        drop(slot.contents.take_if(|contents| contents.is_empty()));
    }

    /// Whether the caller has to go; `waker` is woken when that, or anything else, changes.
    pub(crate) fn displaced(&self, waker: &Waker) -> Option<Displaced> {
        let mut slot = self.slot.lock();
        slot.listen(waker);
        slot.contents.as_ref()?.displaced
    }

    /// Whether there is anything; if not, `waker` is woken once there is.
    pub(crate) fn has_any(&self, waker: &Waker) -> bool {
        let mut slot = self.slot.lock();
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
        let mut slot = self.slot.lock();
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

    /// How many live messages lie in it.
    pub(crate) fn live_count(&self) -> usize {
        self.live_count
    }

    /// Makes what everything was taken out of ready to be filled again.
    pub(crate) fn tidy(&mut self) {
        (self.live_count, self.live_bytes) = (0, 0);
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
            && !self.edition
    }
}
