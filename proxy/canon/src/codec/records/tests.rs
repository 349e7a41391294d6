//! Record batches of others, and ours. `golden/*.bin` were written by the record builder of a stock
//! Java producer (4.4.0): `none` to `zstd` hold the same five records, at base offset 7.

use crate::codec::records::{self, Record};
use crate::limits::{BATCH_MESSAGES_MAX, INFLATE_BYTES_MAX, RECORD_HEADERS_MAX};
use crate::{
    Address, Batch, Damage, EventTime, Opened, Path, ProducerId, Promise, ReplyTo, Timestamp,
    Value, crc32c,
};
use bytes::Bytes;

const NONE: &[u8] = include_bytes!("golden/none.bin");
const COMPRESSED: [&[u8]; 4] = [
    include_bytes!("golden/gzip.bin"),
    include_bytes!("golden/snappy.bin"),
    include_bytes!("golden/lz4.bin"),
    include_bytes!("golden/zstd.bin"),
];

fn place() -> Address {
    Address::shared(Path::from_segments(["orders", "eu"]).unwrap())
}

fn accept(bytes: &[u8]) -> Result<Batch, Damage> {
    records::accept(Bytes::copy_from_slice(bytes))
}

fn open(bytes: &[u8]) -> Vec<Opened> {
    accept(bytes).unwrap().open(&place()).unwrap()
}

/// With a checksum that fits.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn the_head_of_a_stock_batch_is_told_without_opening_it() {
    for bytes in COMPRESSED.into_iter().chain([NONE]) {
        let batch = accept(bytes).unwrap();
        assert_eq!((batch.count, batch.span), (5, 5));
        assert_eq!(batch.time, Timestamp(1_700_000_000_006));
        assert_eq!(batch.bytes, bytes);
        let stamp = batch.stamp.unwrap();
        assert_eq!((stamp.producer, stamp.epoch), (ProducerId(4242), 3));
        assert_eq!(
            (stamp.first, stamp.last),
            (i32::MAX - 1, 2),
            "sequences wrap"
        );
        assert!(!batch.flags.transactional && !batch.flags.control);
    }
}

#[test]
fn records_of_a_stock_batch_keep_order_duplicates_nulls_and_times() {
    let opened = open(NONE);
    let deltas: Vec<u32> = opened.iter().map(|opened| opened.delta).collect();
    assert_eq!(deltas, [0, 1, 2, 3, 4]);
    let messages: Vec<_> = opened.iter().map(|opened| &opened.message).collect();
    assert!(messages.iter().all(|message| message.address == place()));

    let headers: Vec<(Bytes, Value)> = messages[0]
        .headers
        .iter()
        .map(|header| (header.name, header.value))
        .collect();
    assert_eq!(
        headers,
        [
            (Bytes::from("a"), Value::Text("1".into())),
            (Bytes::from("b"), Value::Null),
            (Bytes::from("a"), Value::Bytes(Bytes::from_static(b"\xff"))),
            (Bytes::new(), Value::Text("".into())),
        ]
    );
    assert_eq!(messages[1].key, None);
    assert_eq!(messages[2].key.as_deref(), Some(&b""[..]));
    assert_eq!(messages[2].body.as_deref(), Some(&b""[..]));
    assert_eq!(messages[3].body, None);
    assert_eq!(messages[4].body_len(), 70_000);
    let times: Vec<_> = messages
        .iter()
        .map(|message| message.terms.event_at)
        .collect();
    let ms = |past: i64| Some(EventTime::Millis(1_700_000_000_000 + past));
    assert_eq!(times, [ms(0), ms(1), ms(-1), ms(5), ms(6)]);
}

#[test]
fn a_strangers_headers_become_properties() {
    let message = open(NONE).swap_remove(2).message;
    let properties = message.properties.unwrap();
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    let replies = Path::from_segments(["replies", "eu"]).unwrap();
    assert_eq!(
        properties.reply_to,
        Some(ReplyTo::Address(Address::shared(replies)))
    );
}

#[test]
fn every_compression_opens_to_the_same_messages() {
    let plain = open(NONE);
    for bytes in COMPRESSED {
        for (opened, plain) in open(bytes).iter().zip(&plain) {
            assert_eq!(opened.message, plain.message);
        }
    }
}

#[test]
fn bodies_of_an_uncompressed_batch_are_slices_of_it() {
    let batch = accept(NONE).unwrap();
    let range = batch.bytes.as_ptr_range();
    for opened in batch.open(&place()).unwrap() {
        if let Some(body) = opened.message.body.filter(|body| !body.is_empty()) {
            assert!(range.contains(&body.as_ptr()));
        }
    }
}

#[test]
fn a_transactional_batch_says_so_and_a_control_batch_holds_no_messages() {
    let batch = accept(include_bytes!("golden/transactional.bin")).unwrap();
    assert!(batch.flags.transactional && !batch.flags.control);
    assert_eq!(batch.open(&place()).unwrap().len(), 1);
    let batch = accept(include_bytes!("golden/control.bin")).unwrap();
    assert!(batch.flags.transactional && batch.flags.control);
    assert_eq!(batch.open(&place()).unwrap().len(), 0);
}

#[test]
fn a_time_given_by_the_log_is_not_the_publishers() {
    let opened = open(include_bytes!("golden/append_time.bin"));
    assert_eq!(opened[0].message.terms.event_at, None);
    assert_eq!(opened[0].message.terms.promise, Promise::Durable);
}

#[test]
fn offset_and_leader_epoch_may_change_and_every_other_byte_may_not() {
    let small = include_bytes!("golden/append_time.bin");
    for at in 0..small.len() {
        let mut bytes = small.to_vec();
        bytes[at] ^= 0x10;
        let is_patched_on_the_way = at < 8 || (12..16).contains(&at);
        assert_eq!(accept(&bytes).is_ok(), is_patched_on_the_way, "byte {at}");
    }
    for len in 0..small.len() {
        assert!(accept(&small[..len]).is_err());
    }
}

#[test]
fn what_is_built_is_what_was_said_and_what_a_stock_producer_builds() {
    let records: Vec<Record> = open(NONE)
        .into_iter()
        .map(|opened| records::record(&opened.message, &place(), opened.delta).0)
        .collect();
    let built = records::build(7, &records);
    // Producer id, epoch and sequence are those of nobody; the rest is byte for byte the same.
    let mut expected = NONE.to_vec();
    expected[43..57].fill(0xff);
    expected[12..16].fill(0);
    assert_eq!(built, signed(expected));
}

#[test]
fn gaps_between_offsets_are_kept() {
    let record = |delta| Record {
        delta,
        ..Record::default()
    };
    let batch = accept(&records::build(100, &[record(3), record(9)])).unwrap();
    assert_eq!((batch.count, batch.span), (2, 10));
    let opened = batch.open(&place()).unwrap();
    assert_eq!((opened[0].delta, opened[1].delta), (3, 9));
    assert!(records::build(0, &[]).is_empty());
}

#[test]
fn raw_snappy_without_frames_is_read() {
    let mut bytes = NONE[..61].to_vec();
    bytes[22] = 2;
    let raw = snap::raw::Encoder::new().compress_vec(&NONE[61..]).unwrap();
    bytes.extend_from_slice(&raw);
    assert_eq!(open(&signed(bytes)).len(), 5);
}

type Compress<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// A batch of one record of `len` zeros, compressed as `attributes` says.
fn bomb(attributes: u8, compress: Compress<'_>, len: usize) -> Vec<u8> {
    let record = Record {
        value: Some(vec![0; len].into()),
        ..Record::default()
    };
    let plain = records::build(0, &[record]);
    let mut bytes = plain[..61].to_vec();
    bytes[22] = attributes;
    bytes.extend_from_slice(&compress(&plain[61..]));
    signed(bytes)
}

#[test]
fn nothing_is_inflated_beyond_the_limit() {
    use std::io::Write as _;
    // One member for each MiB, so that equal ones are compressed once.
    let member = |plain: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    };
    let zeros = member(&[0; 1 << 20]);
    let gzip = |plain: &[u8]| {
        let mut chunks = plain.chunks(1 << 20);
        let first = member(chunks.next().unwrap_or_default());
        let rest = chunks.flat_map(|chunk| {
            if chunk.len() == 1 << 20 {
                zeros.clone()
            } else {
                member(chunk)
            }
        });
        first.into_iter().chain(rest).collect()
    };
    let snappy = |plain: &[u8]| snap::raw::Encoder::new().compress_vec(plain).unwrap();
    let lz4 = |plain: &[u8]| {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |plain: &[u8]| zstd::bulk::compress(plain, 1).unwrap();
    let compressions: [(u8, Compress<'_>); 4] = [(1, &gzip), (2, &snappy), (3, &lz4), (4, &zstd)];
    for (attributes, compress) in compressions {
        // Gzip opens slowly without optimisation; its limit is that of the other streams.
        if attributes != 1 {
            let fits = bomb(attributes, compress, INFLATE_BYTES_MAX - 64);
            assert_eq!(open(&fits).len(), 1);
        }
        let over = accept(&bomb(attributes, compress, INFLATE_BYTES_MAX)).unwrap();
        let refused = over.open(&place()).unwrap_err();
        assert_eq!(refused.what, "inflated size above the limit");
    }
}

#[test]
fn more_records_than_a_batch_may_have_are_refused_before_they_are_read() {
    let mut bytes = NONE.to_vec();
    for (count, is_accepted) in [(BATCH_MESSAGES_MAX, true), (BATCH_MESSAGES_MAX + 1, false)] {
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        let accepted = accept(&signed(bytes.clone()));
        assert_eq!(accepted.is_ok(), is_accepted);
        assert!(accepted.is_err() || accepted.unwrap().open(&place()).is_err());
    }
}

#[test]
fn a_record_has_its_most_headers_and_not_one_more() {
    for (count, is_read) in [(RECORD_HEADERS_MAX, true), (RECORD_HEADERS_MAX + 1, false)] {
        let record = Record {
            headers: vec![(Bytes::new(), None); count],
            ..Record::default()
        };
        let batch = accept(&records::build(0, &[record])).unwrap();
        assert_eq!(batch.open(&place()).is_ok(), is_read);
    }
}

/// Any change to the bytes gives messages or an error, never a panic.
#[test]
fn damaged_batches_with_a_right_checksum_do_no_harm() {
    let mut state = 1_u64;
    let mut random = |end: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % end
    };
    let short = records::build(
        0,
        &[
            Record {
                key: Some("k".into()),
                headers: vec![("a".into(), None), ("b".into(), Some("1".into()))],
                ..Record::default()
            },
            Record {
                delta: 1,
                value: Some("v".into()),
                ..Record::default()
            },
        ],
    );
    let seeds: Vec<&[u8]> = COMPRESSED.into_iter().chain([&short[..]; 8]).collect();
    for _ in 0..20_000 {
        let mut bytes = seeds[random(seeds.len())].to_vec();
        for _ in 0..=random(3) {
            let at = 21 + random(bytes.len().min(400) - 21);
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)] ^ u8::try_from(random(3)).unwrap();
        }
        bytes.truncate(bytes.len() - random(2) * random(bytes.len() - 61));
        if let Ok(batch) = accept(&signed(bytes)) {
            let _whatever = batch.open(&place());
        }
    }
}

#[test]
fn a_marker_is_byte_for_byte_what_other_brokers_write() {
    let marker = records::marker(
        records::Ending::Committed,
        ProducerId(7),
        3,
        Timestamp(0x0102_0304),
    );
    let mut expected = Vec::new();
    expected.extend(0_i64.to_be_bytes()); // base offset
    expected.extend(66_i32.to_be_bytes()); // length
    expected.extend(0_i32.to_be_bytes()); // leader epoch
    expected.push(2); // magic
    expected.extend(marker.bytes[17..21].iter()); // checksum, checked below
    expected.extend(0x30_i16.to_be_bytes()); // transactional, control
    expected.extend(0_i32.to_be_bytes()); // last offset delta
    expected.extend(0x0102_0304_i64.to_be_bytes());
    expected.extend(0x0102_0304_i64.to_be_bytes());
    expected.extend(7_i64.to_be_bytes()); // producer
    expected.extend(3_i16.to_be_bytes()); // its epoch
    expected.extend((-1_i32).to_be_bytes()); // no sequence
    expected.extend(1_i32.to_be_bytes()); // one record
    expected.extend([0x20, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(marker.bytes, expected);
    let accepted = accept(&marker.bytes).unwrap();
    assert!(accepted.flags.control && accepted.flags.transactional);
    let place = place();
    assert!(
        records::open(&marker, &place).unwrap().is_empty(),
        "no message"
    );
}

#[test]
fn a_batch_that_shows_its_arrival_keeps_its_records_and_has_the_checksum_of_its_bytes() {
    let record = Record {
        time: 5,
        value: Some(Bytes::from_static(b"v")),
        ..Record::default()
    };
    let batch = accept(&records::build(0, std::slice::from_ref(&record))).unwrap();
    let shown = records::arrived(batch, Timestamp(9));
    assert_eq!(shown.time, Timestamp(9));
    assert_eq!(accept(&shown.bytes).unwrap().time, Timestamp(9));
    assert_eq!(records::read(&shown.bytes).unwrap(), [record]);
    let place = place();
    let opened = records::open(&shown, &place).unwrap().remove(0);
    assert_eq!(opened.message.terms.event_at, None);
    assert_eq!(opened.message.terms.accepted_at, Timestamp(9));
}
