//! MQTT over WebSocket, through a whole edge: the frames are the edge's business, what they carry is ours.

#![cfg(test)]

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
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::{WebSocketStream, client_async};

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
