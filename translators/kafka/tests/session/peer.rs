//! A mesh in memory, and a client that is scripted request by request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::Origin;
use fairlead_canon::codec::records::{self, Record};
use fairlead_kafka::Kafka;
use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_kernel::{Caller, Closed, Conn, DrainWatch, Kernel, Translator};
use fairlead_memory::Memory;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A request that may be asked from any thread.
pub(crate) trait Ask: Request<Response: Send> + Send + Sync {}

impl<R: Request<Response: Send> + Send + Sync> Ask for R {}

/// A running mesh.
pub(crate) struct Mesh {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) clock: Arc<ManualClock>,
    drain: watch::Sender<bool>,
    connections: AtomicU64,
}

/// A client.
pub(crate) struct Peer {
    io: DuplexStream,
    correlation: i32,
    server: JoinHandle<Closed>,
}

impl Mesh {
    pub(crate) async fn start() -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let kernel = kernel(Arc::new(Memory::new(1 << 28)), Arc::clone(&clock))
            .await
            .unwrap();
        let (drain, _) = watch::channel(false);
        Self {
            kernel,
            clock,
            drain,
            connections: AtomicU64::new(1),
        }
    }

    pub(crate) fn dial(&self) -> Peer {
        self.dial_at(&Kafka::default())
    }

    /// A connection to a listener of its own kind.
    pub(crate) fn dial_at(&self, door: &dyn Translator) -> Peer {
        let (io, far) = tokio::io::duplex(1 << 20);
        let conn = Conn {
            io: Box::new(far),
            info: conn_info(self.connections.fetch_add(1, Ordering::Relaxed)),
            drain: DrainWatch::new(self.drain.subscribe()),
        };
        let server = tokio::spawn(door.serve(conn, Arc::clone(&self.kernel)));
        Peer {
            io,
            correlation: 0,
            server,
        }
    }

    /// Somebody who speaks another protocol.
    pub(crate) fn stranger(&self) -> Caller {
        let who = fairlead_canon::Principal::anonymous();
        self.kernel
            .enter(&conn_info(0), who, ("test", Origin(200)))
            .unwrap()
    }

    /// The process goes away.
    pub(crate) fn drain(&self) {
        self.drain.send_replace(true);
    }
}

impl Peer {
    /// Asks and waits for the answer.
    pub(crate) async fn ask<R: Ask>(&mut self, version: i16, request: R) -> R::Response {
        let correlation = self.say(version, &request).await;
        self.hear::<R>(version, correlation).await
    }

    /// Asks without waiting; the number that the answer will carry.
    pub(crate) async fn say<R: Ask>(&mut self, version: i16, request: &R) -> i32 {
        let mut wire = BytesMut::new();
        let correlation = self.add_to(&mut wire, version, request);
        self.say_bytes(&wire).await;
        correlation
    }

    /// Adds a request to what is said later; the number that the answer will carry.
    pub(crate) fn add_to<R: Ask>(&mut self, wire: &mut BytesMut, version: i16, request: &R) -> i32 {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("peer")));
        let mut frame = BytesMut::new();
        header
            .encode(&mut frame, R::header_version(version))
            .unwrap();
        request.encode(&mut frame, version).unwrap();
        wire.put_u32(u32::try_from(frame.len()).unwrap());
        wire.put_slice(&frame);
        self.correlation
    }

    /// The answer to a request of this kind.
    pub(crate) async fn hear<R: Ask>(&mut self, version: i16, correlation: i32) -> R::Response {
        let mut frame = self
            .hear_frame()
            .await
            .expect("an answer, but the server closed");
        let said = i32::from_be_bytes(frame.split_to(4)[..].try_into().unwrap());
        assert_eq!(
            said, correlation,
            "answers come in the order of the questions"
        );
        if R::Response::header_version(version) > 0 {
            assert_eq!(frame.split_to(1)[..], [0], "no tagged fields");
        }
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(frame.is_empty(), "{} bytes after the answer", frame.len());
        response
    }

    pub(crate) async fn say_frame(&mut self, frame: &[u8]) {
        let mut wire = BytesMut::new();
        wire.put_u32(u32::try_from(frame.len()).unwrap());
        wire.put_slice(frame);
        self.say_bytes(&wire).await;
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// The next frame, or `None` when the server closed.
    pub(crate) async fn hear_frame(&mut self) -> Option<Bytes> {
        let size = self.io.read_u32().await.ok()?;
        let mut frame = vec![0; usize::try_from(size).unwrap()];
        self.io.read_exact(&mut frame).await.unwrap();
        Some(frame.into())
    }

    /// Waits until the server ends the connection; why it did.
    pub(crate) async fn closed(mut self) -> Closed {
        assert_eq!(self.hear_frame().await, None);
        self.server.await.unwrap()
    }

    /// Waits, without hearing anything, until the server ends the connection; why it did.
    pub(crate) async fn ended(self) -> Closed {
        self.server.await.unwrap()
    }

    /// Hangs up; what the server makes of it.
    pub(crate) async fn hang_up(self) -> Closed {
        drop(self.io);
        self.server.await.unwrap()
    }
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A batch as a plain producer writes it, one record per value.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    let record = |(delta, value): (u32, &&str)| Record {
        delta,
        time: 1_000,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        ..Record::default()
    };
    let records: Vec<Record> = (0..).zip(values).map(record).collect();
    records::build(0, &records)
}

/// The same batch from an idempotent producer.
pub(crate) fn stamped(batch: &Bytes, producer: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[43..51].copy_from_slice(&producer.to_be_bytes());
    bytes[51..53].copy_from_slice(&epoch.to_be_bytes());
    bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
    seal(&mut bytes);
    bytes.into()
}

/// Writes the checksum that the bytes have.
pub(crate) fn seal(batch: &mut [u8]) {
    let sum = fairlead_canon::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
}

/// The values in fetched bytes, with their offsets.
pub(crate) fn values(mut fetched: Bytes) -> Vec<(i64, String)> {
    let mut values = Vec::new();
    while !fetched.is_empty() {
        let base = i64::from_be_bytes(fetched[..8].try_into().unwrap());
        let len = i32::from_be_bytes(fetched[8..12].try_into().unwrap());
        let bytes = fetched.split_to(12 + usize::try_from(len).unwrap());
        let batch = records::accept(bytes).unwrap();
        let nowhere = fairlead_canon::Address::shared(fairlead_canon::Path::EMPTY);
        for opened in batch.open(&nowhere).unwrap() {
            let value = opened.message.body.unwrap_or_default();
            let value = String::from_utf8(value.to_vec()).unwrap();
            values.push((base + i64::from(opened.delta), value));
        }
    }
    values
}
