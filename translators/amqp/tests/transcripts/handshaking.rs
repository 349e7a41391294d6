use bytes::Bytes;
use fairlead_amqp::codec::{LongStr, PROTOCOL_HEADER, connection};
use fairlead_kernel::ClosedReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Mesh, hear, short};

//= connection.protocol-header
#[tokio::test]
async fn a_client_of_another_version_is_told_ours_and_hung_up_on() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.dial();
    peer.io.write_all(b"AMQP\x03\x01\0\0").await.unwrap();
    let mut answer = Vec::new();
    peer.io.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, PROTOCOL_HEADER);
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Malformed);
}

//= connection.start.mechanisms
#[tokio::test]
async fn the_server_offers_plain_and_amqplain_and_says_what_it_can() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.dial();
    peer.io.write_all(&PROTOCOL_HEADER).await.unwrap();
    let start = hear!(peer, 0, ConnectionStart);
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!(&start.mechanisms.0[..], b"PLAIN AMQPLAIN");
    let capabilities = start.server_properties.get(b"capabilities").unwrap();
    assert!(format!("{capabilities:?}").contains("publisher_confirms"));
}

//= connection.start-ok.amqplain
#[tokio::test]
async fn amqplain_logs_in_with_a_table() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.dial();
    peer.io.write_all(&PROTOCOL_HEADER).await.unwrap();
    hear!(peer, 0, ConnectionStart);
    let table = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest";
    let said = connection::StartOk {
        mechanism: short("AMQPLAIN"),
        response: LongStr(Bytes::from_static(table)),
        ..connection::StartOk::default()
    };
    peer.send(0, said).await;
    peer.tune(131_072, 0).await;
    peer.open("/").await;
    hear!(peer, 0, ConnectionOpenOk);
}

//= connection.start-ok.refused
#[tokio::test]
async fn a_wrong_password_is_refused_with_403_and_counted() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.dial();
    peer.greet("somebody", "wrong").await;
    let text = peer.closes_connection(403).await;
    assert!(text.starts_with("ACCESS_REFUSED - "), "{text}");
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Refused);
    let page = mesh.kernel.metrics_page();
    assert!(page.contains("fairlead_logins_refused_total{listener=\"test\",protocol=\"amqp\"} 1"));
}

#[tokio::test]
async fn a_client_that_does_not_know_the_capability_just_sees_the_socket_close() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.dial();
    peer.io.write_all(&PROTOCOL_HEADER).await.unwrap();
    hear!(peer, 0, ConnectionStart);
    let said = connection::StartOk {
        mechanism: short("PLAIN"),
        response: LongStr(Bytes::from_static(b"\0a\0wrong")),
        ..connection::StartOk::default()
    };
    peer.send(0, said).await;
    assert_eq!(peer.read().await, 0);
}

//= connection.tune-ok.limits
#[tokio::test]
async fn limits_are_agreed_at_the_smallest_frame_and_refused_one_byte_below() {
    let mesh = Mesh::new().await;
    for (frame_max, is_legal) in [(4096, true), (4095, false), (131_073, false)] {
        let mut peer = mesh.dial();
        peer.greet("a", "secret").await;
        peer.tune(frame_max, 0).await;
        if is_legal {
            peer.open("/").await;
            hear!(peer, 0, ConnectionOpenOk);
        } else {
            peer.closes_connection(530).await;
        }
    }
}

//= connection.open.virtual-host
#[tokio::test]
async fn there_is_one_virtual_host() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.dial();
    peer.greet("a", "secret").await;
    peer.tune(131_072, 0).await;
    peer.open("other").await;
    let text = peer.closes_connection(530).await;
    assert_eq!(text, "NOT_ALLOWED - vhost other not found");
}

#[tokio::test]
async fn a_method_out_of_turn_ends_the_handshake() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.dial();
    peer.io.write_all(&PROTOCOL_HEADER).await.unwrap();
    hear!(peer, 0, ConnectionStart);
    peer.open("/").await;
    peer.closes_connection(503).await;
}

//= connection.handshake-deadline
#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_hung_up_on_after_ten_seconds() {
    let mesh = Mesh::new().await;
    let peer = mesh.dial();
    let start = tokio::time::Instant::now();
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Silent);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn a_frame_of_nine_kilobytes_before_login_is_refused_unread() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.dial();
    peer.io.write_all(&PROTOCOL_HEADER).await.unwrap();
    hear!(peer, 0, ConnectionStart);
    peer.io.write_all(&[1, 0, 0, 0, 0, 0x24, 0]).await.unwrap();
    peer.closes_connection(501).await;
}
