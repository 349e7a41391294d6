//! One connection that rests.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::task::{Context, Poll};

use fairlead_kernel::{Meters, Resting};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tokio::time::Instant;

use crate::reception::Admitted;

/// What is left of a connection without a task.
pub(crate) struct Guest {
    session: Box<dyn Resting>,
    socket: TcpStream,
    /// It is woken then, if its session does not put it off by that time.
    due: Option<Instant>,
    admitted: Admitted,
}

/// What a guest wants whose socket has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To rest on.
    Rest,
    /// To be woken, with so many bytes that were read.
    Wake(usize),
}

impl Guest {
    pub(crate) fn new(
        admitted: Admitted,
        socket: std::net::TcpStream,
        session: Box<dyn Resting>,
    ) -> Self {
        Self {
            due: session.due(),
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

    /// Answers what has come, if it can be answered by somebody who rests. `buffer` holds what was read.
    pub(super) fn hear(&mut self, event: &Event, buffer: &mut [u8], now: Instant) -> Wish {
        if event.is_read_closed() || event.is_error() {
            // Whoever serves it reads what came before the end.
            return Wish::Wake(0);
        }
        let count = match self.socket.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Wish::Rest,
            Err(_) => return Wish::Wake(0),
        };
        match buffer.get(..count) {
            // A full buffer: there may be more, of which nothing would be told.
            Some(read) if count < buffer.len() && self.answers(read, now) => Wish::Rest,
            _ => Wish::Wake(count),
        }
    }

    /// Whether all of an answer was written.
    fn answers(&mut self, read: &[u8], now: Instant) -> bool {
        let Some(answer) = self.session.answer(read) else {
            return false;
        };
        match self.socket.write(answer) {
            Ok(count) if count == answer.len() => {
                self.session.answered(read, now);
                true
            }
            Ok(_) => {
                // Nothing can follow half an answer. It may be gone already.
                drop(self.socket.shutdown(Shutdown::Both));
                false
            }
            Err(_) => false,
        }
    }

    pub(super) fn meters(&self) -> &Meters {
        self.admitted.meters()
    }

    /// Nothing is due before.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The same, by what its session says now if that moment has come.
    pub(super) fn look(&mut self, now: Instant) -> Option<Instant> {
        if self.due.is_some_and(|due| due <= now) {
            self.due = self.session.due();
        }
        self.due
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
