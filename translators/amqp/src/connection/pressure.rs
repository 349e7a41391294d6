//! Publishers while the store is short of space: they wait, and are told so.
//!
//! ```text
//!              first publish          store full             next publish
//!   Unwatched ──────────────> Well <────────────> Full ──────────────────────> Full, a frame held
//!                               ^                        connection.blocked,     │
//!                               │                        nothing more is read    │ store well
//!                               └────────────────────────────────────────────────┘
//!                                connection.unblocked, the frame is handled
//! ```
//! A connection that only consumes is never held up: what it settles makes room.

use fairlead_kernel::Condition;

use super::Peer;
use crate::codec::{Frame, Method, Payload, ShortStr, connection};
use crate::errors::Refusal;

/// What a connection knows of the store, and the publish that has to wait.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    room: Room,
    held: Option<Box<Frame>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Room {
    /// Nothing was published yet, so nobody asked.
    #[default]
    Unwatched,
    /// Publishes are taken.
    Enough,
    /// Publishes wait.
    Short,
}

impl Pressure {
    /// Whether a publish waits, so that nothing behind it may be read.
    pub(super) fn is_blocking(&self) -> bool {
        self.held.is_some() && self.room == Room::Short
    }

    /// Whether a publish has waited and can be handled.
    pub(super) fn has_freed(&self) -> bool {
        self.held.is_some() && self.room != Room::Short
    }

    /// The publish that has waited, once there is room.
    pub(super) fn take_freed(&mut self) -> Option<Frame> {
        match self.has_freed() {
            true => self.held.take().map(|frame| *frame),
            false => None,
        }
    }
}

impl Peer {
    //= connection.blocked: while the store is short of space a connection that publishes is told so, if it
    //= connection.blocked: wants to know, and is not read.
    pub(super) fn admit(&mut self, frame: Frame) -> Result<Option<Frame>, Refusal> {
        if !matches!(frame.payload, Payload::Method(Method::BasicPublish(_))) {
            return Ok(Some(frame));
        }
        if self.pressure.room == Room::Unwatched {
            self.pressure.room = room(self.caller.watch_condition());
        }
        if self.pressure.room != Room::Short {
            return Ok(Some(frame));
        }
        self.pressure.held = Some(Box::new(frame));
        self.tell(connection::Blocked {
            reason: const { ShortStr::from_static("low on disk") },
        })?;
        Ok(None)
    }

    /// The store's condition changed.
    pub(super) fn on_condition(&mut self, condition: Condition) -> Result<(), Refusal> {
        let was_blocking = self.pressure.is_blocking();
        self.pressure.room = room(condition);
        match was_blocking && !self.pressure.is_blocking() {
            true => self.tell(connection::Unblocked {}),
            false => Ok(()),
        }
    }

    fn tell(&mut self, method: impl Into<Method>) -> Result<(), Refusal> {
        match self.hears_blocked {
            true => self.out.method(0, method),
            false => Ok(()),
        }
    }
}

/// A poisoned store will not recover: there is nothing to wait for, and publishes fail.
fn room(condition: Condition) -> Room {
    match condition {
        Condition::Full => Room::Short,
        Condition::Well | Condition::Poisoned => Room::Enough,
    }
}
