//! Who rests while somebody else's session fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fairlead_canon::Origin;
use fairlead_kernel::{
    Awake, BoxFuture, Closed, ClosedReason, Conn, Door, Io, Kernel, Resting, Served, Sign,
    Translator,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::bench::{Bench, POLITE};

/// A protocol whose clients rest at once. The first byte of each says in which of its deeds its session panics.
#[derive(Debug)]
struct Sleepy;

#[derive(Debug)]
struct Sleeper {
    weakness: u8,
    is_due: AtomicBool,
}

const LYING_DOWN: u8 = b'l';
const ANSWERING: u8 = b'a';
const BEING_DUE: u8 = b'd';
const WAKING: u8 = b'w';

impl Sleeper {
    fn does(&self, deed: u8) {
        assert_ne!(self.weakness, deed, "as the test wants it");
    }
}

impl Translator for Sleepy {
    fn name(&self) -> &'static str {
        "sleepy"
    }
    fn origin(&self) -> Origin {
        Origin(9)
    }
    fn doors(&self) -> &'static [Door] {
        &[]
    }
    fn example(&self, at: SocketAddr) -> String {
        at.to_string()
    }
    fn serve(&self, _: Conn, _: Arc<Kernel>) -> BoxFuture<'static, Closed> {
        Box::pin(async { Closed::plain(ClosedReason::Goodbye) })
    }
    fn attend(&self, mut conn: Conn, _: Arc<Kernel>, _: Duration) -> BoxFuture<'static, Served> {
        Box::pin(async move {
            let weakness = conn.io.read_u8().await.unwrap();
            let is_due = AtomicBool::new(false);
            rests(conn.io, Sleeper { weakness, is_due })
        })
    }
}

fn rests(io: Box<dyn Io>, session: Sleeper) -> Served {
    let session = Box::new(session);
    Served::Rests { io, session }
}

impl Resting for Sleeper {
    fn poll_called(&mut self, _: &mut Context<'_>) -> Poll<()> {
        self.does(LYING_DOWN);
        Poll::Pending
    }
    fn due(&self) -> Option<Instant> {
        if self.is_due.swap(true, Ordering::Relaxed) {
            self.does(BEING_DUE);
        }
        (self.weakness == BEING_DUE).then(Instant::now)
    }
    fn sign(&self) -> Sign {
        Sign {
            said: b"alive\n",
            answer: b"good\n",
        }
    }
    fn answered(&mut self, _: Instant) {
        self.does(ANSWERING);
    }
    fn wake(self: Box<Self>, mut awake: Awake, read: &[u8]) -> BoxFuture<'static, Served> {
        self.does(WAKING);
        let read = read.to_vec();
        Box::pin(async move {
            if read.is_empty() {
                return Served::Closed(Closed::plain(ClosedReason::Goodbye));
            }
            awake.io.write_all(&read).await.unwrap();
            rests(awake.io, *self)
        })
    }
}

#[test]
fn a_session_that_panics_ends_its_own_rest_and_nobody_elses() {
    let bench = Bench::new();
    let running = bench.listen(POLITE, Vec::new(), |listener| {
        listener.translator = Arc::new(Sleepy);
    });
    let kernel = bench.kernel();
    running.keeper.open(Arc::clone(&kernel));
    let meters = kernel.meters("sleepy", "front").unwrap();
    let mut strong = running.client();
    strong.say("-");
    for weakness in [LYING_DOWN, ANSWERING, BEING_DUE, WAKING] {
        let mut weak = running.client();
        weak.say(str::from_utf8(&[weakness]).unwrap());
        match weakness {
            ANSWERING => {
                weak.say("alive\n");
                assert_eq!(weak.hears(), "good\n");
            }
            WAKING => weak.say("hello\n"),
            _ => {}
        }
        assert!(weak.is_closed());
        strong.say("alive\n");
        assert_eq!(strong.hears(), "good\n");
    }
    assert_eq!(meters.resting.get(), 1);
    assert_eq!(meters.connections.get(), 1);
    running.stop();
}
