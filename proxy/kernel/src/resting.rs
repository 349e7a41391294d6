//! A connection on which nothing happens: it needs no task, and less room.
//!
//! ```text
//! Translator::attend -> Served::Rests -> the edge watches its socket
//!                           ^                 | bytes that it does not answer, the end of the stream,
//!                           |                 | a call from inside, a deadline, the drain
//!                           +-- Resting::wake <+
//! ```

use std::fmt::Debug;
use std::task::{Context, Poll};
use std::time::Duration;

use fairlead_ports::{BoxFuture, Io};
use tokio::time::Instant;

use crate::{Closed, DrainWatch};

/// What serving a connection has come to.
#[derive(Debug)]
pub enum Served {
    /// It is over.
    Closed(Closed),
    /// Nothing has happened for a while, and nothing is under way.
    Rests {
        /// The bytes: those that it was served with.
        io: Box<dyn Io>,
        /// What it goes on with.
        session: Box<dyn Resting>,
    },
}

/// The session of a connection that has no task. Whoever keeps it watches the socket, and wakes it when anything
/// comes that it does not answer as it lies. Dropped, it ends like a connection that was cut off.
pub trait Resting: Debug + Send {
    /// Ready when something in this process has something for it; if not, the waker is woken as soon as that
    /// may have changed.
    fn poll_called(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// When it has to be woken although nothing happens. An answer may put it off, nothing brings it forward.
    fn due(&self) -> Option<Instant>;
    /// What is answered as it lies. With any other bytes it has to be woken. The same for as long as it rests.
    fn sign(&self) -> &'static Sign;
    /// Signs came and were answered, the last at this moment. Not said at each, which is to touch nothing of a session, but
    /// before it is asked again when it is due, and before it is woken.
    fn answered(&mut self, last: Instant);
    /// Goes on, with bytes that were read and not answered, if there are any.
    fn wake(self: Box<Self>, awake: Awake, read: &[u8]) -> BoxFuture<'static, Served>;
}

/// How a client says that it lives.
#[derive(Debug)]
pub struct Sign {
    /// What it says.
    pub said: &'static [u8],
    /// What it is answered.
    pub answer: &'static [u8],
}

/// What a connection that rested goes on with.
#[derive(Debug)]
pub struct Awake {
    /// The bytes.
    pub io: Box<dyn Io>,
    /// Tells when the process wants to be rid of it.
    pub drain: DrainWatch,
    /// After so much quiet it may rest again.
    pub quiet: Duration,
}
