//! Requests as real clients wrote them: librdkafka 2.16 (confluent-kafka), kcat and apache/kafka 4.4.
//!
//! Each line of a file is a request's name, its version and its bytes. Every one of them has to be
//! understood and answered in a form that another codec reads to its end.

use kafka_protocol::messages::{ApiKey, ResponseKind};

use crate::peer::Mesh;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

async fn is_understood(line: &str) {
    let mut words = line.split(' ');
    let (name, version) = (
        words.next().unwrap(),
        words.next().unwrap().parse().unwrap(),
    );
    let frame = bytes(words.next().unwrap());
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    peer.say_frame(&frame).await;
    let mut answer = peer
        .hear_frame()
        .await
        .unwrap_or_else(|| panic!("{line}: not answered"));
    assert_eq!(answer.split_to(4), frame[4..8], "{line}");
    let key = ApiKey::try_from(i16::from_be_bytes([frame[0], frame[1]])).unwrap();
    // Too new a version of this one is answered in the oldest form.
    let version = if name == "ApiVersions" && version > 4 {
        0
    } else {
        version
    };
    if key.response_header_version(version) > 0 {
        assert_eq!(answer.split_to(1)[..], [0], "{line}");
    }
    ResponseKind::decode(key, &mut answer, version).unwrap();
    assert!(answer.is_empty(), "{line}: {} bytes left", answer.len());
}

//= ApiVersions.golden
#[tokio::test(start_paused = true)]
async fn requests_of_real_clients_are_understood() {
    let files = [
        include_str!("../golden/librdkafka.txt"),
        include_str!("../golden/kcat.txt"),
        include_str!("../golden/java.txt"),
    ];
    for line in files.iter().flat_map(|file| file.lines()) {
        is_understood(line).await;
    }
}
