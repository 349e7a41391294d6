//! Damages recordings of real clients and feeds them to the codec and to a session;
//! `translators/testkit` says how, and for how long.
//!
//! An input that fails is worth a test and a file in `tests/corpus`.

#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_kernel::{Conn, DrainWatch, Kernel, Translator};
use fairlead_memory::Memory;
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::{Packet, Version, decode};
use fairlead_translator_testkit::fuzz::{self, Fuzz};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

/// A packet may announce more than is accepted, never make us take more.
const SIZE_MAX: usize = 1 << 20;

/// Little enough that the answers, which nobody reads, fit into the pipe.
const INPUT_BYTES_MAX: usize = 4096;

/// Inputs of which one goes to a session: the codec alone is much faster.
const SERVED_ONE_IN: u64 = 8;

/// What decodes encodes to the same; how many packets did.
fn decode_all(bytes: &[u8], first: Version) -> usize {
    let (mut version, mut packets) = (first, 0);
    let mut src = BytesMut::from(bytes);
    while let Ok(Some(packet)) = decode(&mut src, version, SIZE_MAX) {
        if let Packet::Connect(connect) = &packet {
            version = connect.version;
        }
        let mut again = BytesMut::new();
        packet.encode(version, &mut again).unwrap();
        let back = decode(&mut again, version, SIZE_MAX).unwrap();
        assert_eq!(back, Some(packet), "encoding changed the packet");
        packets += 1;
    }
    packets
}

/// A client that says CONNECT and then these bytes.
async fn serve(kernel: &Arc<Kernel>, number: u64, bytes: &[u8]) {
    let (mut near, far) = tokio::io::duplex(1 << 16);
    let (drain, watch) = watch::channel(false);
    let conn = Conn {
        io: Box::new(far),
        info: conn_info(number),
        drain: DrainWatch::new(watch),
    };
    let mut server = tokio::spawn(Mqtt::default().serve(conn, Arc::clone(kernel)));
    if number.is_multiple_of(2) {
        near.write_all(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00")
            .await
            .unwrap();
    }
    // The server may have closed in between; that is its right.
    drop(near.write_all(bytes).await);
    drop(near);
    let mut ended = tokio::time::timeout(Duration::from_millis(200), &mut server).await;
    if ended.is_err() {
        // A will may wait for days.
        drain.send_replace(true);
        ended = Ok(server.await);
    }
    ended.unwrap().expect("a session never panics");
}

#[tokio::test]
async fn damaged_recordings_never_panic_and_never_take_much_memory() {
    let corpus = fuzz::files(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"));
    let clock = Arc::new(ManualClock::at(1_000_000));
    let kernel = kernel(Arc::new(Memory::new(1 << 26)), clock).await.unwrap();
    let mut fuzz = Fuzz::over(corpus, &[]);
    let (mut rounds, mut packets) = (0_u64, 0);
    for mut input in fuzz.by_ref() {
        input.truncate(INPUT_BYTES_MAX);
        for version in [Version::V31, Version::V311, Version::V5] {
            packets += decode_all(&input, version);
        }
        if rounds.is_multiple_of(SERVED_ONE_IN) {
            serve(&kernel, rounds / SERVED_ONE_IN, &input).await;
        }
        rounds += 1;
    }
    fuzz.finish(packets);
}
