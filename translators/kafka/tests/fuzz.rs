//! Damages requests of real clients and sends them to a whole translator on a real kernel;
//! `translators/testkit` says how, and for how long.
//!
//! An input that fails is worth a line in `tests/golden/found.txt`.

#![cfg(test)]

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use fairlead_kafka::Kafka;
use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_kernel::{ClosedReason, Conn, DrainWatch, Kernel, Translator};
use fairlead_memory::Memory;
use fairlead_translator_testkit::fuzz::{self, Fuzz};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// Requests sent over one connection.
const REQUESTS_MAX: usize = 4;

/// Connections served by one kernel, so that topics do not pile up.
const CONNECTIONS_MAX: u64 = 500;

/// Numbers that are keys and versions of requests.
const WORDS: &[u8] = &[5, 12, 3];

/// The frames in `tests/golden`, without their size.
fn corpus() -> Vec<Vec<u8>> {
    let files = fuzz::files(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let text = String::from_utf8(files.concat()).unwrap();
    let frames = text.lines().map(|line| line.split(' ').nth(2).unwrap());
    frames.map(bytes).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(byte).collect()
}

/// A kernel, and a runtime of its own: the tasks of a kernel end with their runtime.
fn fresh() -> (Runtime, Arc<Kernel>) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let store = Arc::new(Memory::new(1 << 28));
    let mesh = runtime.block_on(kernel(store, Arc::new(ManualClock::at(1))));
    (runtime, mesh.unwrap())
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

#[test]
fn damaged_requests_are_answered_or_refused_and_nothing_else() {
    let mut fuzz = Fuzz::over(corpus(), WORDS);
    let (mut connections, mut answers) = (0_u64, 0);
    let (mut runtime, mut mesh) = fresh();
    while let Some(first) = fuzz.next() {
        let more = fuzz.roll(REQUESTS_MAX);
        let requests: Vec<_> = [first]
            .into_iter()
            .chain(fuzz.by_ref().take(more))
            .collect();
        connections += 1;
        if connections.is_multiple_of(CONNECTIONS_MAX) {
            (runtime, mesh) = fresh();
        }
        answers += runtime.block_on(send(&mesh, connections, &requests));
    }
    fuzz.finish(answers);
}
