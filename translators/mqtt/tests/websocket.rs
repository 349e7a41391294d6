//! MQTT over WebSocket, through a whole edge: the frames are the edge's business, what they carry is ours.

#![cfg(test)]

use std::alloc::System;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fairlead_edge::{Cause, Edge, Keeper, Listener, Settings, Socket, gate, path_in};
use fairlead_kernel::testing::{ManualClock, kernel};
use fairlead_kernel::{Carrier, Door, Translator};
use fairlead_memory::Memory;
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::{Packet, Version, decode};
use futures_util::{SinkExt, StreamExt};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{WebSocketStream, client_async};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

struct Open {
    address: SocketAddr,
    keeper: Keeper,
    edge: std::thread::JoinHandle<Cause>,
    _dir: tempfile::TempDir,
}

async fn open() -> Open {
    let dir = tempfile::tempdir().unwrap();
    let (keeper, gate) = gate();
    let any = "127.0.0.1:0".parse().unwrap();
    let socket = Socket::open(&"front".into(), any, &mut Vec::new()).unwrap();
    let address = socket.address();
    let is_websocket = |door: &&Door| matches!(door.carrier, Carrier::WebSocket(_));
    let mqtt = Mqtt::default();
    let door = mqtt.doors().iter().find(is_websocket).unwrap();
    let listener = Listener {
        socket,
        identity: None,
        carrier: door.carrier,
        proxies: Vec::new(),
        origins: Vec::new(),
        translator: Arc::new(Mqtt::default()),
    };
    let settings = Settings {
        threads: 1,
        connections_max: 10,
        drain_max: Duration::ZERO,
        quiet: fairlead_edge::QUIET,
        handover: path_in(dir.path()),
    };
    let edge = Edge::new(settings, vec![listener], Vec::new(), gate).unwrap();
    let edge = std::thread::Builder::new()
        .spawn(move || edge.run())
        .unwrap();
    let store = Arc::new(Memory::new(1 << 20));
    keeper.open(kernel(store, Arc::new(ManualClock::at(1))).await.unwrap());
    Open {
        address,
        keeper,
        edge,
        _dir: dir,
    }
}

impl Open {
    /// A client, and the subprotocol that it was answered with.
    async fn client(&self, subprotocol: &'static str) -> (WebSocketStream<TcpStream>, String) {
        let mut request = format!("ws://{}/mqtt", self.address)
            .into_client_request()
            .unwrap();
        let asked = HeaderValue::from_static(subprotocol);
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, asked);
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (client, response) = client_async(request, stream).await.unwrap();
        let agreed = &response.headers()[header::SEC_WEBSOCKET_PROTOCOL];
        (client, agreed.to_str().unwrap().to_owned())
    }

    fn close(self) {
        self.keeper.shut();
        self.edge.join().unwrap();
    }
}

const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01w";
const PINGREQ: &[u8] = b"\xc0\x00";

/// Packets that came, in the frames of the server.
async fn packets(client: &mut WebSocketStream<TcpStream>, count: usize) -> Vec<Packet> {
    let (mut input, mut read) = (BytesMut::new(), Vec::new());
    while read.len() < count {
        let frame = client.next().await.unwrap().unwrap();
        assert!(frame.is_binary());
        input.extend_from_slice(&frame.into_data());
        while let Some(packet) = decode(&mut input, Version::V311, 1 << 20).unwrap() {
            read.push(packet);
        }
    }
    read
}

//= MQTT-4.2.0-1
//= MQTT-6.0.0-2
//= MQTT-6.0.0-3
//= MQTT-6.0.0-4
#[tokio::test]
async fn packets_travel_in_frames_that_are_cut_anywhere() {
    let open = open().await;
    let (mut client, agreed) = open.client("chat, mqtt").await;
    assert_eq!(agreed, "mqtt");
    let wire = [CONNECT, PINGREQ, PINGREQ].concat();
    for piece in wire.chunks(7) {
        let frame = Message::Binary(Bytes::copy_from_slice(piece));
        client.send(frame).await.unwrap();
    }
    let read = packets(&mut client, 3).await;
    assert!(matches!(read[0], Packet::ConnAck(_)));
    assert_eq!(read[1..], [Packet::PingResp, Packet::PingResp]);
    open.close();
}

//= MQTT-6.0.0-1
#[tokio::test]
async fn a_text_frame_ends_the_connection() {
    let open = open().await;
    let (mut client, _) = open.client("mqtt").await;
    let connect = Message::Binary(Bytes::from_static(CONNECT));
    client.send(connect).await.unwrap();
    packets(&mut client, 1).await;
    client.send(Message::text("ping")).await.unwrap();
    let end = client.next().await;
    assert!(
        !matches!(end, Some(Ok(ref frame)) if frame.is_binary()),
        "{end:?}"
    );
    open.close();
}

fn part(bytes: &[u8], kind: Data, is_last: bool) -> Message {
    let bytes = Bytes::copy_from_slice(bytes);
    Message::Frame(Frame::message(bytes, OpCode::Data(kind), is_last))
}

#[tokio::test]
async fn a_message_may_come_in_fragments_with_pings_between_them() {
    let open = open().await;
    let (mut client, _) = open.client("mqtt").await;
    let (first, rest) = CONNECT.split_at(3);
    let (second, third) = rest.split_at(1);
    client.send(part(first, Data::Binary, false)).await.unwrap();
    let ping = Message::Ping(Bytes::from_static(b"there?"));
    client.send(ping).await.unwrap();
    let pong = client.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"there?")));
    client
        .send(part(second, Data::Continue, false))
        .await
        .unwrap();
    client
        .send(part(third, Data::Continue, true))
        .await
        .unwrap();
    assert!(matches!(
        packets(&mut client, 1).await[0],
        Packet::ConnAck(_)
    ));
    // A pong that nobody asked for is no packet.
    client.send(Message::Pong(Bytes::new())).await.unwrap();
    client
        .send(Message::Binary(Bytes::from_static(PINGREQ)))
        .await
        .unwrap();
    assert_eq!(packets(&mut client, 1).await, [Packet::PingResp]);
    client.close(None).await.unwrap();
    let end = client.next().await;
    assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");
    open.close();
}

#[tokio::test]
async fn a_large_packet_comes_whole_in_one_frame_and_in_two() {
    const SUBSCRIBE: &[u8] = b"\x82\x06\x00\x01\x00\x01t\x00";
    let open = open().await;
    let (mut client, _) = open.client("mqtt").await;
    let begin = Bytes::from([CONNECT, SUBSCRIBE].concat());
    client.send(Message::Binary(begin)).await.unwrap();
    packets(&mut client, 2).await;

    // Neither its length nor where it is cut is a multiple of anything that the edge counts in.
    let body: Vec<u8> = (0..99_999_u32).map(|number| (number % 251) as u8).collect();
    let wire = [&b"\x30\xa2\x8d\x06\x00\x01t"[..], &body].concat();
    client
        .send(Message::Binary(Bytes::copy_from_slice(&wire)))
        .await
        .unwrap();
    let (first, second) = wire.split_at(50_001);
    client.send(part(first, Data::Binary, false)).await.unwrap();
    client
        .send(part(second, Data::Continue, true))
        .await
        .unwrap();
    for packet in packets(&mut client, 2).await {
        assert!(matches!(packet, Packet::Publish(publish) if publish.payload == body));
    }
    open.close();
}

#[tokio::test]
async fn clients_of_3_1_have_their_own_subprotocol() {
    const CONNECT_OF_3_1: &[u8] = b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01w";
    let open = open().await;
    let (mut client, agreed) = open.client("mqttv3.1").await;
    assert_eq!(agreed, "mqttv3.1");
    let connect = Message::Binary(Bytes::from_static(CONNECT_OF_3_1));
    client.send(connect).await.unwrap();
    assert!(matches!(
        packets(&mut client, 1).await[0],
        Packet::ConnAck(_)
    ));
    open.close();
}

/// The head of a frame of so many bytes, whose mask is zero.
fn head_of(len: u64) -> Vec<u8> {
    [&[0x82, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat()
}

#[tokio::test]
async fn a_large_frame_takes_memory_as_it_comes_and_one_too_large_ends_the_connection() {
    let open = open().await;
    let mut announced = Vec::new();
    let region = Region::new(ALLOCATOR);
    for _ in 0..8 {
        let mut socket = open.client("mqtt").await.0.into_inner();
        let begin = [head_of(16 << 20), CONNECT.to_vec()].concat();
        socket.write_all(&begin).await.unwrap();
        announced.push(socket);
    }
    // The eight are read before this one is answered: all share a thread.
    let mut socket = open.client("mqtt").await.0.into_inner();
    socket.write_all(&head_of(1 << 40)).await.unwrap();
    // A reset is as closed as an end.
    let end = socket.read_to_end(&mut Vec::new()).await;
    drop(end);
    let change = region.change();
    let grown = change
        .bytes_allocated
        .saturating_sub(change.bytes_deallocated);
    // Of them the other tests of this process take about a tenth.
    assert!(
        grown < 4 << 20,
        "{grown} bytes for what has only been announced"
    );
    drop(announced);
    open.close();
}
