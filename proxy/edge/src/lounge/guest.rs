//! One connection that rests.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::task::{Context, Poll};

use fairlead_kernel::{Meters, Resting, Sign};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tokio::time::Instant;

use crate::reception::Admitted;

/// What is left of a connection without a task.
pub(crate) struct Guest {
    session: Box<dyn Resting>,
    socket: TcpStream,
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
            session,
            socket: TcpStream::from_std(socket),
            admitted,
        }
    }

    /// Begins to rest. Ready when it cannot: there is something for its session.
    pub(super) fn lie_down(
        &mut self,
        registry: &Registry,
        token: Token,
        cx: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        registry.register(&mut self.socket, token, Interest::READABLE)?;
        Ok(self.session.poll_called(cx))
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
            Some(said) if said == self.session.sign().said => Heard::Sign,
            _ => Heard::More(count),
        }
    }

    /// Answers a sign of life. The sign is given back where that cannot be written.
    pub(super) fn answer(&mut self, now: Instant) -> Result<(), &'static [u8]> {
        let Sign { said, answer } = self.session.sign();
        match self.socket.write(answer) {
            Ok(count) if count == answer.len() => {
                self.session.answered(now);
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

    pub(super) fn meters(&self) -> &Meters {
        self.admitted.meters()
    }

    /// It is woken then, if its session does not put it off by that time.
    pub(super) fn due(&self) -> Option<Instant> {
        self.session.due()
    }

    /// Ends its rest: it is a task of the runtime that is entered.
    pub(super) fn wake(mut self: Box<Self>, registry: &Registry, read: &[u8]) {
        if let Err(error) = registry.deregister(&mut self.socket) {
            tracing::debug!(%error, "a socket was not watched");
        }
        self.go_on(read);
    }

    /// The same for one that is not watched.
    #[expect(clippy::boxed_local, reason = "it came in a box")]
    pub(super) fn go_on(self: Box<Self>, read: &[u8]) {
        let socket = tokio::net::TcpStream::from_std(self.socket.into());
        self.admitted.go_on(self.session, socket, read);
    }
}
