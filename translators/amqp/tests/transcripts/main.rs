//! What a client says and hears, over a pipe, with a real kernel and a store in memory.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects and stops where it is wrong"
)]

mod blocking;
mod confirming;
mod consuming;
mod delaying;
mod dying;
mod ending;
mod exchanges;
mod handshaking;
mod publishing;
mod queues;
mod transacting;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fairlead_amqp::Amqp;
use fairlead_amqp::codec::{
    BasicProperties, ContentHeader, Frame, LongStr, Method, PROTOCOL_HEADER, Payload, ShortStr,
    basic, channel, confirm, connection, encode_content, encode_method, queue,
};
use fairlead_kernel::testing::{RuntimeClock, conn_info, kernel};
use fairlead_kernel::{Closed, Conn, DrainWatch, Kernel, Translator};
use fairlead_memory::Memory;
use fairlead_ports::{Documents, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const FRAME_MAX: usize = 131_072;
/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the kernel does beside its callers takes a few turns of the runtime, not hundreds.
const ROUNDS_MAX: usize = 1_000;

/// A kernel, and the flag that drains its connections.
struct Mesh {
    kernel: Arc<Kernel>,
    drain: watch::Sender<bool>,
}

/// A scripted client.
struct Peer {
    io: DuplexStream,
    input: BytesMut,
    output: BytesMut,
    served: JoinHandle<Closed>,
}

/// A message as a client sees it.
#[derive(Debug)]
struct Content {
    properties: BasicProperties,
    body: Vec<u8>,
}

/// Lets so many milliseconds pass, where the clock stands still while anybody is busy.
async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Waits for one method on a channel, and gives its fields.
macro_rules! hear {
    ($peer:expr, $channel:expr, $method:ident) => {
        match $peer.method($channel).await {
            fairlead_amqp::codec::Method::$method(fields) => fields,
            other => panic!("{} was expected, not {other:?}", stringify!($method)),
        }
    };
}
pub(crate) use hear;

impl Mesh {
    async fn new() -> Self {
        Self::over(Arc::new(Memory::new(1 << 30))).await
    }

    async fn over<S: Store + Documents + 'static>(store: Arc<S>) -> Self {
        let clock = Arc::new(RuntimeClock::at(1_000_000));
        let kernel = kernel(store, clock).await.unwrap();
        let (drain, _) = watch::channel(false);
        Self { kernel, drain }
    }

    /// A client that has said nothing yet.
    fn dial(&self) -> Peer {
        let (io, far) = duplex(1 << 20);
        let conn = Conn {
            io: Box::new(far),
            info: conn_info(1),
            drain: DrainWatch::new(self.drain.subscribe()),
        };
        let served = tokio::spawn(Amqp.serve(conn, Arc::clone(&self.kernel)));
        Peer {
            io,
            input: BytesMut::new(),
            output: BytesMut::new(),
            served,
        }
    }

    /// A client with an open connection and channel 1.
    async fn connect(&self) -> Peer {
        self.connect_as("guest").await
    }

    async fn connect_as(&self, user: &str) -> Peer {
        let mut peer = self.dial();
        peer.greet(user, "secret").await;
        peer.tune(131_072, 0).await;
        peer.open("/").await;
        hear!(peer, 0, ConnectionOpenOk);
        peer.open_channel(1).await;
        peer
    }
}

impl Peer {
    async fn greet(&mut self, user: &str, password: &str) {
        self.io.write_all(&PROTOCOL_HEADER).await.unwrap();
        hear!(self, 0, ConnectionStart);
        let said = connection::StartOk {
            mechanism: short("PLAIN"),
            response: LongStr(Bytes::from(format!("\0{user}\0{password}"))),
            locale: short("en_US"),
            client_properties: capabilities(),
        };
        self.send(0, said).await;
    }

    async fn tune(&mut self, frame_max: u32, heartbeat: u16) {
        hear!(self, 0, ConnectionTune);
        let said = connection::TuneOk {
            channel_max: 0,
            frame_max,
            heartbeat,
        };
        self.send(0, said).await;
    }

    async fn open(&mut self, virtual_host: &str) {
        let open = connection::Open {
            virtual_host: short(virtual_host),
            ..connection::Open::default()
        };
        self.send(0, open).await;
    }

    async fn open_channel(&mut self, number: u16) {
        self.send(number, channel::Open::default()).await;
        hear!(self, number, ChannelOpenOk);
    }

    async fn confirms(&mut self) {
        self.send(1, confirm::Select { no_wait: false }).await;
        hear!(self, 1, ConfirmSelectOk);
    }

    async fn send(&mut self, channel: u16, method: impl Into<Method>) {
        encode_method(&mut self.output, channel, &method.into()).unwrap();
        self.flush().await;
    }

    /// Everything that was put together, in one write.
    async fn flush(&mut self) {
        let bytes = self.output.split();
        // A server that hung up is noticed where an answer is expected.
        drop(self.io.write_all(&bytes).await);
    }

    /// Puts a publish into the next write.
    fn put(&mut self, publish: basic::Publish, properties: BasicProperties, body: &[u8]) {
        encode_method(&mut self.output, 1, &publish.into()).unwrap();
        let header = ContentHeader {
            body_size: body.len() as u64,
            properties,
        };
        encode_content(&mut self.output, 1, &header, body, FRAME_MAX).unwrap();
    }

    async fn publish(&mut self, exchange: &str, key: &str, body: &[u8]) {
        self.put(to(exchange, key), BasicProperties::default(), body);
        self.flush().await;
    }

    async fn declare(&mut self, name: &str) -> queue::DeclareOk {
        self.send(1, declare(name)).await;
        hear!(self, 1, QueueDeclareOk)
    }

    async fn bind(&mut self, queue: &str, exchange: &str, key: &str) {
        let bind = queue::Bind {
            queue: short(queue),
            exchange: short(exchange),
            routing_key: short(key),
            ..queue::Bind::default()
        };
        self.send(1, bind).await;
        hear!(self, 1, QueueBindOk);
    }

    async fn consume(&mut self, queue: &str, no_ack: bool) -> ShortStr {
        let consume = basic::Consume {
            queue: short(queue),
            no_ack,
            ..basic::Consume::default()
        };
        self.send(1, consume).await;
        hear!(self, 1, BasicConsumeOk).consumer_tag
    }

    async fn delivery(&mut self) -> (basic::Deliver, Content) {
        let deliver = hear!(self, 1, BasicDeliver);
        (deliver, self.content().await)
    }

    /// The body of the message that `basic.get` takes; `None` when there is none.
    async fn get(&mut self, queue: &str) -> Option<Vec<u8>> {
        let get = basic::Get {
            queue: short(queue),
            no_ack: true,
            ..basic::Get::default()
        };
        self.send(1, get).await;
        match self.method(1).await {
            Method::BasicGetOk(_) => Some(self.content().await.body),
            Method::BasicGetEmpty(_) => None,
            other => panic!("not an answer to basic.get: {other:?}"),
        }
    }

    async fn content(&mut self) -> Content {
        let Payload::Header(header) = self.frame().await.payload else {
            panic!("a content header was expected");
        };
        let mut body = Vec::new();
        while (body.len() as u64) < header.body_size {
            match self.frame().await.payload {
                Payload::Body(part) => body.extend_from_slice(&part),
                other => panic!("a body was expected, not {other:?}"),
            }
        }
        Content {
            properties: header.properties,
            body,
        }
    }

    async fn method(&mut self, channel: u16) -> Method {
        let frame = self.frame().await;
        match frame.payload {
            Payload::Method(method) if frame.channel == channel => method,
            other => panic!("a method on channel {channel} was expected, not {other:?}"),
        }
    }

    async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = Frame::decode(&mut self.input, FRAME_MAX).unwrap() {
                return frame;
            }
            assert_ne!(self.read().await, 0, "the server hung up");
        }
    }

    async fn read(&mut self) -> usize {
        let read = tokio::time::timeout(PATIENCE, self.io.read_buf(&mut self.input));
        read.await.expect("the server says nothing").unwrap()
    }

    /// Asks for a queue passively until nothing is in it.
    async fn sees_empty(&mut self, name: &str) {
        for _ in 0..ROUNDS_MAX {
            if self.depth(name).await == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{name} does not become empty");
    }

    /// How many messages are ready in a queue.
    async fn depth(&mut self, name: &str) -> u32 {
        let passive = queue::Declare {
            passive: true,
            ..declare(name)
        };
        self.send(1, passive).await;
        hear!(self, 1, QueueDeclareOk).message_count
    }

    /// Asks for a queue passively until it is gone.
    async fn sees_gone(&mut self, name: &str) {
        for _ in 0..ROUNDS_MAX {
            let passive = queue::Declare {
                passive: true,
                ..declare(name)
            };
            self.send(1, passive).await;
            match self.method(1).await {
                Method::QueueDeclareOk(_) => tokio::task::yield_now().await,
                Method::ChannelClose(close) => {
                    self.send(1, channel::CloseOk {}).await;
                    self.open_channel(1).await;
                    if close.reply_code == 404 {
                        return;
                    }
                }
                other => panic!("not an answer to queue.declare: {other:?}"),
            }
        }
        panic!("{name} is still there");
    }

    /// The channel is closed with this code; tells the text.
    async fn closes_channel(&mut self, code: u16) -> String {
        let close = hear!(self, 1, ChannelClose);
        assert_eq!(close.reply_code, code, "{:?}", close.reply_text);
        close.reply_text.as_str().unwrap().to_owned()
    }

    /// The connection is closed with this code; tells the text.
    async fn closes_connection(&mut self, code: u16) -> String {
        let close = hear!(self, 0, ConnectionClose);
        assert_eq!(close.reply_code, code, "{:?}", close.reply_text);
        self.send(0, connection::CloseOk {}).await;
        assert_eq!(self.read().await, 0, "the socket is closed afterwards");
        close.reply_text.as_str().unwrap().to_owned()
    }
}

fn capabilities() -> fairlead_amqp::codec::Table {
    let mut capabilities = fairlead_amqp::codec::Table::default();
    for name in [
        "consumer_cancel_notify",
        "authentication_failure_close",
        "connection.blocked",
    ] {
        capabilities.push(name, fairlead_canon::Value::Bool(true));
    }
    let mut client = fairlead_amqp::codec::Table::default();
    client.push("capabilities", fairlead_canon::Value::Map(capabilities.0));
    client
}

fn short(text: &str) -> ShortStr {
    ShortStr::new(text.as_bytes().to_vec()).unwrap()
}

fn declare(name: &str) -> queue::Declare {
    queue::Declare {
        queue: short(name),
        ..queue::Declare::default()
    }
}

fn to(exchange: &str, key: &str) -> basic::Publish {
    basic::Publish {
        exchange: short(exchange),
        routing_key: short(key),
        ..basic::Publish::default()
    }
}
