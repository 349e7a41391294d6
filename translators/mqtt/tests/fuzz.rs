//! Mutated recordings against the codec and against a session: no panic, bounded memory.
//!
//! Runs for `FAIRLEAD_FUZZ_SECONDS` (2 unless told) from `FAIRLEAD_FUZZ_SEED` (or a new one, which is
//! printed). What it finds becomes a test and a file in `tests/corpus`.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test takes its length and seed from outside"
)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_kernel::{Conn, DrainWatch, Kernel, Translator};
use fairlead_memory::Memory;
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::{Packet, Version, decode};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::Instant;

/// A packet may announce more than is accepted, never make us take more.
const SIZE_MAX: usize = 1 << 20;

/// What the process may grow by, whatever comes in.
const GROWTH_KIB_MAX: u64 = 192 * 1024;

/// A small generator of numbers, enough to choose mutations with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.next().to_le_bytes()[0]),
            4 => {
                let other = &corpus[random.below(corpus.len())];
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
            5 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => {
                let end = at + random.below(bytes.len() - at + 1);
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes.truncate(4096);
}

fn decode_all(bytes: &[u8], first: Version) {
    let mut version = first;
    let mut src = BytesMut::from(bytes);
    while let Ok(Some(packet)) = decode(&mut src, version, SIZE_MAX) {
        if let Packet::Connect(connect) = &packet {
            version = connect.version;
        }
        let mut again = BytesMut::new();
        packet.encode(version, &mut again).unwrap();
        let back = decode(&mut again, version, SIZE_MAX).unwrap();
        assert_eq!(back, Some(packet), "encoding changed the packet");
    }
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
    let mut server = tokio::spawn(Mqtt.serve(conn, Arc::clone(kernel)));
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

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn mutated_recordings_never_panic_and_never_take_much_memory() {
    let seconds = number_from("FAIRLEAD_FUZZ_SECONDS").unwrap_or(2);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros();
    let seed = number_from("FAIRLEAD_FUZZ_SEED").unwrap_or(u64::try_from(now).unwrap());
    println!("FAIRLEAD_FUZZ_SEED={seed}");
    let mut random = Random(seed | 1);
    let corpus = corpus();
    let clock = Arc::new(ManualClock::at(1_000_000));
    let kernel = kernel(Arc::new(Memory::new(1 << 26)), clock).await.unwrap();
    let before = resident_kib();
    let ends = Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0_u64;
    while Instant::now() < ends {
        let mut bytes = corpus[random.below(corpus.len())].clone();
        mutate(&mut bytes, &corpus, &mut random);
        decode_all(&bytes, Version::V311);
        decode_all(&bytes, Version::V5);
        if rounds.is_multiple_of(8) {
            serve(&kernel, rounds / 8, &bytes).await;
        }
        rounds += 1;
    }
    let growth = resident_kib() - before;
    println!("{rounds} rounds, {growth} KiB more than before");
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}
