//! One connection that rests.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll};

use fairlead_kernel::{Meters, Resting, Sign};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tokio::time::Instant;

use crate::reception::Admitted;

/// What is left of a connection without a task. To answer a sign of life takes this and nothing behind the pointers that is
/// of this one alone: it is a line of the caches, where a session is a dozen, and they have left them since the last sign.
pub(crate) struct Guest {
    socket: TcpStream,
    sign: &'static Sign,
    meters: Arc<Meters>,
    /// When the last sign came, if its session does not know.
    heard_at: Option<Instant>,
    /// Its session has no reason to be woken before.
    due: Option<Instant>,
    /// Whether it is expected to have more to say than that it lives.
    is_talkative: bool,
    /// Boxed: many leave at once, and a place is of use to nobody then.
    sleeper: Box<Sleeper>,
}

// Its place in a table may be vacant. A debug build of `mio` notes more of a socket.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Option<Guest>>() == 64);

/// What it goes on with.
struct Sleeper {
    session: Box<dyn Resting>,
    admitted: Admitted,
}

/// What has come to a guest whose socket has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// A sign of life, which has to be answered.
    Sign,
    /// So many bytes of something else, or an end: it has to be woken.
    More(usize),
}

impl Guest {
    pub(crate) fn new(
        admitted: Admitted,
        socket: std::net::TcpStream,
        session: Box<dyn Resting>,
    ) -> Self {
        Self {
            socket: TcpStream::from_std(socket),
            sign: session.sign(),
            meters: Arc::clone(admitted.meters()),
            heard_at: None,
            due: session.due(),
            is_talkative: admitted.is_talkative,
            sleeper: Box::new(Sleeper { session, admitted }),
        }
    }

    /// Begins to be watched.
    pub(super) fn lie_down(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// Ready when there is something for its session. If not, that wakes from here on.
    pub(super) fn poll_called(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleeper.session.poll_called(cx)
    }

    /// Begins to be watched among those of whom nothing but signs of life is expected.
    pub(super) fn calm(&mut self, from: &Registry, to: &Registry, token: Token) -> io::Result<()> {
        self.is_talkative = false;
        from.deregister(&mut self.socket)?;
        self.lie_down(to, token)
    }

    /// Reads what has come into `buffer`.
    pub(super) fn hear(&mut self, event: &Event, buffer: &mut [u8]) -> Heard {
        if event.is_read_closed() || event.is_error() {
            // Whoever serves it reads what came before the end.
            return Heard::More(0);
        }
        let count = match self.socket.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
            Err(_) => return Heard::More(0),
        };
        match buffer.get(..count) {
            Some(said) if said == self.sign.said => Heard::Sign,
            _ => Heard::More(count),
        }
    }

    /// Answers a sign of life. The sign is given back where that cannot be written.
    pub(super) fn answer(&mut self, now: Instant) -> Result<(), &'static [u8]> {
        let Sign { said, answer } = self.sign;
        match self.socket.write(answer) {
            Ok(count) if count == answer.len() => {
                self.heard_at = Some(now);
                self.meters.signs.inc();
                self.meters.received_bytes.inc_by(said.len() as u64);
                self.meters.sent_bytes.inc_by(answer.len() as u64);
                Ok(())
            }
            Ok(_) => {
                // Nothing can follow half an answer. It may be gone already.
                drop(self.socket.shutdown(Shutdown::Both));
                Err(said)
            }
            Err(_) => Err(said),
        }
    }

    /// It was woken by what it said itself, and has said nothing since that would have been a sign of life.
    pub(super) fn is_talkative(&self) -> bool {
        self.is_talkative
    }

    pub(super) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// It is woken then, if its session does not put that off.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Asks its session again when it is due.
    pub(super) fn put_off(&mut self) {
        self.tell();
        self.due = self.sleeper.session.due();
    }

    /// Ends its rest: it is a task of the runtime that is entered.
    pub(super) fn wake(mut self, registry: &Registry, read: &[u8]) {
        if let Err(error) = registry.deregister(&mut self.socket) {
            tracing::debug!(%error, "a socket was not watched");
        }
        self.go_on(read);
    }

    /// The same for one that is not watched.
    pub(super) fn go_on(mut self, read: &[u8]) {
        self.tell();
        let Sleeper {
            session,
            mut admitted,
        } = *self.sleeper;
        admitted.is_talkative = self.is_talkative || !read.is_empty();
        let socket = tokio::net::TcpStream::from_std(self.socket.into());
        admitted.go_on(session, socket, read);
    }

    /// Tells its session of the last sign of life.
    fn tell(&mut self) {
        if let Some(at) = self.heard_at.take() {
            self.sleeper.session.answered(at);
        }
    }
}
