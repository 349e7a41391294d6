//! What is written is read; what is damaged is refused; nothing panics.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use fairlead_ports::Lsn;
use parking_lot::Mutex;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::cache::{Cache, Held, Part};
use crate::footer::{self, Footer};
use crate::map::Map;
use crate::{Compression, LogId, Reader, SegmentError, SegmentId, Segments, Stamp, Writer};
use crate::{block, field, page};

const LOG: LogId = LogId(*b"the log of tests");
const ID: SegmentId = SegmentId { made: 7, random: 9 };

/// Segments in a map, whatever they are called.
#[derive(Debug, Default)]
struct Drawer(Mutex<BTreeMap<SegmentId, Vec<u8>>>);

impl Segments for Drawer {
    fn create(&self, _: LogId, id: SegmentId, parts: &[Bytes]) -> Result<(), SegmentError> {
        self.0.lock().insert(id, parts.concat());
        Ok(())
    }

    fn read(&self, _: LogId, id: SegmentId, range: Range<u64>) -> Result<Bytes, SegmentError> {
        let drawer = self.0.lock();
        let segment = drawer.get(&id).ok_or(SegmentError::Missing)?;
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let at = segment.len() as u64;
        let bytes = segment.get(range);
        bytes
            .map(Bytes::copy_from_slice)
            .ok_or(SegmentError::damaged(at, "more bytes"))
    }

    fn delete(&self, _: LogId, id: SegmentId) -> Result<(), SegmentError> {
        self.0.lock().remove(&id);
        Ok(())
    }

    fn list(&self, _: LogId) -> Result<Vec<SegmentId>, SegmentError> {
        Ok(self.0.lock().keys().copied().collect())
    }
}

type Records = Vec<(Lsn, Vec<u8>)>;

/// Records of many sizes in an order that is not that of their LSNs.
fn records(seed: u64, count: usize, len_max: usize) -> Records {
    let mut random = StdRng::seed_from_u64(seed);
    let record = |n| {
        let mut bytes = vec![b'x'; random.random_range(10..len_max)];
        let half = bytes.len() / 2;
        random.fill_bytes(&mut bytes[half..]);
        (Lsn(n * 64), bytes)
    };
    let mut records: Records = (1..=count as u64).map(record).collect();
    records.sort_by_key(|(lsn, _)| lsn.0 % 7);
    records
}

fn kept(records: &Records, compression: Compression) -> (Arc<Drawer>, Stamp) {
    let mut writer = Writer::new(LOG, ID, compression);
    records
        .iter()
        .for_each(|(lsn, record)| writer.push(*lsn, record));
    let (stamp, parts) = writer.finish();
    let drawer = Arc::new(Drawer::default());
    drawer.create(LOG, stamp.id, &parts).unwrap();
    (drawer, stamp)
}

fn reader(drawer: &Arc<Drawer>) -> Reader {
    Reader::new(Arc::clone(drawer) as _, LOG, 1 << 20)
}

fn all(reader: &Reader, stamp: Stamp) -> Result<Records, SegmentError> {
    let mut seen = Vec::new();
    reader.visit(stamp, &mut |lsn, record| {
        seen.push((lsn, record.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(seen)
}

/// Whether every record is as it was, or refused as damaged.
fn same_or_refused(reader: &Reader, stamp: Stamp, records: &Records) -> Result<(), String> {
    for (lsn, record) in records {
        match reader.record(stamp, *lsn, u32::try_from(record.len()).unwrap()) {
            Ok(Some(read)) if read == *record => {}
            Err(SegmentError::Damaged { .. }) => {}
            other => return Err(format!("{lsn:?} gave {other:?}")),
        }
    }
    Ok(())
}

#[test]
fn every_record_is_found_by_its_lsn_and_nothing_else_is() {
    for compression in [Compression::None, Compression::Zstd] {
        let records = records(1, 3_000, 400);
        let (drawer, stamp) = kept(&records, compression);
        let reader = reader(&drawer);
        for (lsn, record) in &records {
            let len = u32::try_from(record.len()).unwrap();
            assert_eq!(reader.record(stamp, *lsn, len).unwrap().unwrap(), record);
            assert_eq!(reader.record(stamp, Lsn(lsn.0 + 1), len), Ok(None));
        }
        assert_eq!(reader.record(stamp, Lsn(0), 10), Ok(None));
        assert_eq!(all(&reader, stamp).unwrap(), records);
    }
}

#[test]
fn a_record_larger_than_a_block_has_one_of_its_own() {
    let records = vec![
        (Lsn(3), vec![1; 10]),
        (Lsn(1), vec![2; 3 * block::TARGET_BYTES]),
        (Lsn(2), vec![3; 10]),
    ];
    let (drawer, stamp) = kept(&records, Compression::Zstd);
    assert_eq!(all(&reader(&drawer), stamp).unwrap(), records);
    assert!(stamp.bytes < block::TARGET_BYTES as u64, "it compresses");
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_changes_nothing() {
    for compression in [Compression::None, Compression::Zstd] {
        let records = records(2, 12, 300);
        let (drawer, stamp) = kept(&records, compression);
        let whole = drawer.0.lock()[&ID].clone();
        for at in 0..whole.len() {
            drawer.0.lock().get_mut(&ID).unwrap()[at] ^= 1 << (at % 8);
            let reader = reader(&drawer);
            same_or_refused(&reader, stamp, &records).unwrap_or_else(|it| panic!("{at}: {it}"));
            let visited = all(&reader, stamp);
            assert!(
                matches!(visited, Err(SegmentError::Damaged { .. })),
                "a whole reading does not pass over byte {at}: {visited:?}"
            );
            drawer.0.lock().insert(ID, whole.clone());
        }
    }
}

#[test]
fn a_segment_that_was_cut_off_is_refused_at_every_length() {
    let records = records(3, 12, 300);
    let (drawer, stamp) = kept(&records, Compression::None);
    let whole = drawer.0.lock()[&ID].clone();
    for len in 0..whole.len() {
        drawer.0.lock().insert(ID, whole[..len].to_vec());
        let reader = reader(&drawer);
        same_or_refused(&reader, stamp, &records).unwrap();
        assert!(all(&reader, stamp).is_err(), "cut to {len}");
        let stamp = Stamp {
            bytes: len as u64,
            ..stamp
        };
        assert!(all(&reader, stamp).is_err(), "cut to {len} and known so");
    }
}

#[test]
fn a_segment_under_a_foreign_name_or_of_a_foreign_log_is_refused() {
    let (drawer, stamp) = kept(&records(4, 12, 300), Compression::None);
    let foreign = Reader::new(Arc::clone(&drawer) as _, LogId([0; 16]), 1 << 20);
    assert!(all(&foreign, stamp).is_err());
    let whole = drawer.0.lock()[&ID].clone();
    let id = SegmentId { made: 7, random: 8 };
    drawer.0.lock().insert(id, whole);
    assert!(all(&reader(&drawer), Stamp { id, ..stamp }).is_err());
}

#[test]
fn the_cache_stays_below_its_limit_and_forgets_what_it_is_told_to() {
    let mut cache = Cache::new(10_000);
    let other = SegmentId { made: 1, random: 1 };
    for number in 0..100 {
        let id = if number % 2 == 0 { ID } else { other };
        let part = Part::Block(number);
        cache.put(id, part, Held::Bytes(Bytes::from(vec![0; 1_000])));
        assert!(cache.bytes() <= 10_000);
    }
    assert!(cache.get(other, Part::Block(99)).is_some());
    assert!(cache.get(ID, Part::Block(0)).is_none(), "the oldest went");
    cache.forget(ID);
    assert!(cache.get(ID, Part::Block(98)).is_none());
    cache.forget(other);
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn a_part_in_use_outlives_one_that_is_not() {
    let mut cache = Cache::new(4_000);
    for number in 0..50 {
        let bytes = Held::Bytes(Bytes::from(vec![0; 1_000]));
        cache.put(ID, Part::Page(number), bytes);
        assert!(cache.get(ID, Part::Page(0)).is_some(), "after {number}");
    }
}

#[test]
fn a_name_tells_its_segment() {
    let id = SegmentId {
        made: u64::MAX,
        random: 0x10,
    };
    assert_eq!(SegmentId::of_name(&id.to_string()), Some(id));
    for name in [
        "",
        "1-2.segment",
        "ffffffffffffffff-0000000000000010",
        "-.segment",
    ] {
        assert_eq!(SegmentId::of_name(name), None, "{name}");
    }
}

/// Bytes with a right checksum in front, so that what is behind it is looked at.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.splice(0..0, [0; 4]);
    field::seal(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..5_000)) {
        for bytes in [bytes.clone(), sealed(bytes)] {
            page::decode(&bytes).map(Iterator::count);
            page::find(&bytes, Lsn(7));
            Map::decode(&bytes, 16).map(|map| map.page_with(Lsn(7)));
            Footer::decode(&bytes);
            drop(block::decode(&Bytes::from(bytes)));
        }
    }

    #[test]
    fn a_block_never_claims_more_memory_than_a_file_of_the_log(raw in any::<u32>()) {
        let mut bytes = raw.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&zstd::bulk::compress(&[7; 1_000], 1).unwrap());
        let block = block::decode(&Bytes::from(sealed(bytes)));
        prop_assert_eq!(block.is_some(), raw == 1_000);
    }

    #[test]
    fn a_footer_is_read_as_it_was_written(made: u64, random: u64, directory: u64, bytes: u32) {
        let id = SegmentId { made, random };
        let footer = Footer { log: LOG, id, directory, directory_bytes: bytes };
        let encoded = footer.encode();
        prop_assert_eq!(encoded.len(), footer::BYTES);
        prop_assert_eq!(Footer::decode(&encoded), Some(footer));
    }
}
