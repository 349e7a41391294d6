//! Who rests while somebody else's session fails, and while his own is asked whether it is due.

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
    since: Instant,
    is_due: AtomicBool,
    is_heard: bool,
}

const LYING_DOWN: u8 = b'l';
const ANSWERING: u8 = b'a';
const BEING_DUE: u8 = b'd';
const WAKING: u8 = b'w';
/// It does not panic, and is due until it hears of a sign of life.
const IMPATIENT: u8 = b'i';

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
            let sleeper = Sleeper {
                weakness,
                since: Instant::now(),
                is_due: AtomicBool::new(false),
                is_heard: false,
            };
            rests(conn.io, sleeper)
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
        let is_due = match self.weakness {
            BEING_DUE => true,
            IMPATIENT => !self.is_heard,
            _ => false,
        };
        is_due.then_some(self.since)
    }
    fn sign(&self) -> &'static Sign {
        &Sign {
            said: b"alive\n",
            answer: b"good\n",
        }
    }
    fn answered(&mut self, _: Instant) {
        self.does(ANSWERING);
        self.is_heard = true;
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
                weak.say("hello\n");
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

#[test]
fn a_session_that_is_due_hears_first_of_the_signs_that_were_answered_for_it() {
    let bench = Bench::new();
    let running = bench.listen(POLITE, Vec::new(), |listener| {
        listener.translator = Arc::new(Sleepy);
    });
    let kernel = bench.kernel();
    running.keeper.open(Arc::clone(&kernel));
    let meters = kernel.meters("sleepy", "front").unwrap();
    let (mut alive, mut silent) = (running.client(), running.client());
    // The sign lies in the socket when it begins to rest, so that it is answered before anybody asks who is due.
    alive.say("ialive\n");
    assert_eq!(alive.hears(), "good\n");
    silent.say("i");
    assert!(silent.is_closed());
    alive.say("alive\n");
    assert_eq!(alive.hears(), "good\n");
    assert_eq!(meters.resting.get(), 1);
    running.stop();
}

#[test]
fn a_client_is_heard_whether_it_spoke_last_or_gave_a_sign_of_life() {
    let bench = Bench::new();
    let running = bench.listen(POLITE, Vec::new(), |listener| {
        listener.translator = Arc::new(Sleepy);
    });
    running.keeper.open(bench.kernel());
    let mut client = running.client();
    client.say("-");
    for said in ["alive", "hello", "hello", "alive", "alive", "hello"] {
        client.say(&format!("{said}\n"));
        let answer = if said == "alive" { "good" } else { said };
        assert_eq!(client.hears(), format!("{answer}\n"));
    }
    running.stop();
}
