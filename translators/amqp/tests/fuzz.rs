//! Damages frames of a corpus and feeds them to the codec; `translators/testkit` says how, and for how long.
//!
//! An input that fails is worth a file in `tests/corpus`.

#![cfg(test)]

use bytes::BytesMut;
use fairlead_amqp::codec::{Frame, Payload, encode_content, encode_method, protocol_header};
use fairlead_amqp::names::{RoutingKey, key_of, path_of};
use fairlead_translator_testkit::fuzz::{self, Fuzz};

const FRAME_MAX: usize = 131_072;

/// What can be read can be written, and what was written reads as much.
fn feed(input: &[u8]) -> usize {
    let mut stream = BytesMut::from(input);
    if stream.starts_with(b"A") && protocol_header(&mut stream) != Ok(true) {
        return 0;
    }
    let mut frames = 0;
    while let Ok(Some(frame)) = Frame::decode(&mut stream, FRAME_MAX) {
        frames += 1;
        let mut out = BytesMut::new();
        match &frame.payload {
            Payload::Method(method) => encode_method(&mut out, frame.channel, method).unwrap(),
            Payload::Header(header) => {
                encode_content(&mut out, frame.channel, header, b"", FRAME_MAX).unwrap();
            }
            Payload::Body(body) => {
                // Any bytes are a routing key; they must come home.
                let key = &body[..body.len().min(255)];
                let home = key_of(&path_of(key).unwrap());
                assert!(matches!(home, RoutingKey::Whole(whole) if whole.as_bytes() == key));
                continue;
            }
            Payload::Heartbeat => continue,
        }
        assert!(Frame::decode(&mut out, FRAME_MAX).unwrap().is_some());
        assert!(out.is_empty());
    }
    frames
}

#[test]
fn damaged_frames_are_understood_or_refused_and_nothing_else() {
    let corpus = fuzz::files(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"));
    let mut fuzz = Fuzz::over(corpus, b"FAS");
    let frames = fuzz.by_ref().map(|input| feed(&input)).sum();
    fuzz.finish(frames);
}
