//! Damages requests of real clients for `FAIRLEAD_FUZZ_SECONDS` (2 unless set) and sends them to a
//! whole translator on a real kernel.
//!
//! The seed is printed; `FAIRLEAD_FUZZ_SEED` repeats a run. An input that fails is worth a line in
//! `tests/golden/found.txt`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects and stops where it is wrong"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use fairlead_kafka::Kafka;
use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_kernel::{ClosedReason, Conn, DrainWatch, Kernel, Translator};
use fairlead_memory::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

/// Damages made to one input before it is sent; few keep most of its structure.
const EDITS_MAX: usize = 6;

/// Requests sent over one connection.
const REQUESTS_MAX: usize = 4;

/// Connections served by one kernel, so that topics do not pile up.
const CONNECTIONS_MAX: u64 = 500;

/// xorshift64*: repeatable from its seed, and enough to choose what to damage.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % sides.max(1)
    }
}

#[expect(clippy::disallowed_methods, reason = "settings of this test alone")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The frames in `tests/golden`, without their size.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut frames = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let digits: Vec<u8> = line.split(' ').nth(2).unwrap().bytes().collect();
            let pairs = digits
                .chunks(2)
                .map(|pair| std::str::from_utf8(pair).unwrap().to_owned());
            frames.push(
                pairs
                    .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
                    .collect(),
            );
        }
    }
    frames
}

fn damage(dice: &mut Dice, input: &mut Vec<u8>, other: &[u8]) {
    let at = dice.roll(input.len() + 1);
    match dice.roll(6) {
        0 => input.truncate(at),
        1 => input.insert(at, u8::try_from(dice.roll(256)).unwrap()),
        2 => drop(input.splice(at.., other.iter().copied().skip(dice.roll(other.len())))),
        3 => input.extend_from_within(at..),
        // A count or length that promises too much.
        4 => drop(input.splice(at..(at + 4).min(input.len()), [0x7f, 0xff, 0xff, 0xff])),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte = [0, 1, 0x7f, 0x80, 0xff, 5, 12, 3][dice.roll(8)];
            }
        }
    }
}

async fn fresh() -> Arc<Kernel> {
    kernel(Arc::new(Memory::new(1 << 28)), Arc::new(ManualClock::at(1)))
        .await
        .unwrap()
}

/// Sends the requests over a connection of their own and hangs up; how many answers came.
async fn send(mesh: &Arc<Kernel>, id: u64, requests: &[Vec<u8>]) -> usize {
    let (mut io, far) = tokio::io::duplex(1 << 20);
    let (_drain, watch) = watch::channel(false);
    let conn = Conn {
        io: Box::new(far),
        info: conn_info(id),
        drain: DrainWatch::new(watch),
    };
    let server = tokio::spawn(Kafka::default().serve(conn, Arc::clone(mesh)));
    let mut wire = BytesMut::new();
    for request in requests {
        wire.put_u32(u32::try_from(request.len()).unwrap());
        wire.put_slice(request);
    }
    // The server may be gone before it has read everything.
    if io.write_all(&wire).await.is_ok() {
        io.shutdown().await.unwrap();
    }
    let mut answers = 0;
    while let Ok(size) = io.read_u32().await {
        let mut answer = vec![0; usize::try_from(size).unwrap()];
        io.read_exact(&mut answer).await.unwrap();
        answers += 1;
    }
    let closed = server.await.expect("the translator does not panic");
    // Nothing that a client sends may be answered in a form that cannot be written.
    let is_ours =
        closed.reason == ClosedReason::Failed && !closed.detail.contains("acknowledgement");
    assert!(!is_ours, "{closed:?} after {requests:02x?}");
    answers
}

#[tokio::test]
async fn damaged_requests_are_answered_or_refused_and_nothing_else() {
    let seed = setting("FAIRLEAD_FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()) + 1);
    let seconds = setting("FAIRLEAD_FUZZ_SECONDS").unwrap_or(2);
    println!("kafka fuzz: FAIRLEAD_FUZZ_SEED={seed} FAIRLEAD_FUZZ_SECONDS={seconds}");
    let corpus = corpus();
    let mut dice = Dice(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut connections, mut answers) = (0_u64, 0);
    let mut mesh = fresh().await;
    while Instant::now() < end {
        let mut requests = Vec::new();
        for _ in 0..=dice.roll(REQUESTS_MAX) {
            let mut request = corpus[dice.roll(corpus.len())].clone();
            for _ in 0..dice.roll(EDITS_MAX) {
                let other = dice.roll(corpus.len());
                damage(&mut dice, &mut request, &corpus[other]);
            }
            requests.push(request);
        }
        connections += 1;
        if connections.is_multiple_of(CONNECTIONS_MAX) {
            mesh = fresh().await;
        }
        answers += send(&mesh, connections, &requests).await;
    }
    println!("kafka fuzz: {connections} connections, {answers} answers");
    assert!(
        answers > 0,
        "nothing was understood: the fuzzer tests nothing"
    );
}
