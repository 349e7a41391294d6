//! What real clients sent (recorded in `tests/corpus`) decodes, and encodes to the same bytes.

#![cfg(test)]

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use fairlead_mqtt::codec::{Packet, Version, decode};

//= MQTT311-7.0.0-2
#[test]
fn recordings_of_real_clients_decode_and_encode_to_the_same_bytes() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut kinds = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let recorded = fs::read(&path).unwrap();
        let (mut src, mut again) = (BytesMut::from(&recorded[..]), BytesMut::new());
        let mut version = Version::V311;
        while let Some(packet) = decode(&mut src, version, 1 << 20).unwrap() {
            if let Packet::Connect(connect) = &packet {
                version = connect.version;
            }
            packet.encode(version, &mut again).unwrap();
            kinds += 1;
        }
        assert_eq!(again, recorded, "{}", path.display());
    }
    assert!(kinds > 40, "{kinds} packets");
}
