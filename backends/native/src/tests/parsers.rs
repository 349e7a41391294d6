//! Any bytes: no panic, and nothing taken for true that was not written.

use bytes::Bytes;
use fairlead_canon::{
    Class, EntityId, Kind, Offset, Overflow, ProducerId, SizeLimits, Spec, Stamp, Timestamp,
};
use fairlead_ports::{Aborted, CursorId, Lsn, Space, Writers};
use fairlead_testkit::trace::Trace;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::frame::{HEADER_BYTES, Header, Salt};
use crate::log_file::FileHeader;
use crate::record::{self, Data, Record};
use crate::superblock::{Epoch, Superblock};

/// Records of all kinds, from random operations.
fn records(seed: u64, count: usize) -> Vec<Record> {
    let mut trace = Trace::new(seed);
    let ops = std::iter::repeat_with(|| trace.unit().ops).flatten();
    let mut random = StdRng::seed_from_u64(seed);
    let restores = std::iter::repeat_with(|| restore(&mut random)).take(count / 100);
    let records = ops.filter_map(record_of).take(count);
    records.chain(restores).collect()
}

/// What traces do not ask for, since nobody may make it up.
fn restore(random: &mut StdRng) -> Record {
    let some = |random: &mut StdRng| random.random_range(0..4);
    let (producers, batches) = (some(random), some(random));
    let (open, aborted) = (some(random), some(random));
    let stamp = |random: &mut StdRng| Stamp {
        producer: ProducerId(random.random()),
        epoch: random.random(),
        first: random.random(),
        last: random.random(),
    };
    let ended = |random: &mut StdRng| Aborted {
        producer: ProducerId(random.random()),
        first: Offset(random.random()),
        last: Offset(random.random()),
    };
    let writers = Writers {
        producers: (0..producers)
            .map(|_| (ProducerId(random.random()), random.random()))
            .collect(),
        batches: (0..batches)
            .map(|_| (Offset(random.random()), stamp(random)))
            .collect(),
        open: (0..open)
            .map(|_| (ProducerId(random.random()), Offset(random.random())))
            .collect(),
        aborted: (0..aborted).map(|_| ended(random)).collect(),
    };
    Record::Restore {
        entity: EntityId(random.random()),
        writers: Box::new(writers),
    }
}

fn record_of(op: fairlead_ports::Op) -> Option<Record> {
    use fairlead_ports::Op;
    Some(match op {
        Op::Append { to, batch } => {
            let targets = to
                .iter()
                .map(|target| (target.entity, Offset(target.entity.0 * 7)))
                .collect();
            Record::Data(Data {
                targets,
                batch,
                is_placed: to.len() == 2,
            })
        }
        Op::Create { entity, spec } => Record::Create { entity, spec },
        Op::Alter { entity, spec } => Record::Alter { entity, spec },
        Op::Delete { entity } => Record::Delete { entity },
        Op::Settle {
            entity,
            cursor,
            ranges,
            outcome,
        } => Record::Settle {
            entity,
            cursor,
            ranges,
            outcome,
        },
        Op::Trim { entity, to } => Record::Trim { entity, to },
        Op::Mark { entity, upto } => Record::Mark { entity, upto },
        Op::Put {
            space,
            key,
            value,
            due,
        } => {
            let due = due.filter(|_| value.is_some());
            Record::Put {
                space,
                key,
                value,
                due,
            }
        }
        Op::EndTxn {
            producer,
            epoch,
            decision,
            entity,
        } => Record::EndTxn {
            producer,
            epoch,
            decision,
            entity,
        },
        Op::Restore { entity, writers } => Record::Restore { entity, writers },
        Op::Expect { .. } => return None,
    })
}

fn encoded(record: &Record) -> Bytes {
    let mut out = Vec::new();
    record.encode(&mut out);
    out.into()
}

#[test]
fn every_record_is_read_as_it_was_written() {
    for record in records(1, 5_000) {
        let bytes = encoded(&record);
        assert!(record::is_intact(&bytes));
        assert_eq!(Record::decode(&bytes), Some(record));
    }
}

#[test]
fn the_length_of_a_batch_is_never_underestimated() {
    for record in records(2, 3_000) {
        if let Record::Data(data) = &record {
            assert!(encoded(&record).len() <= Data::len_max(&data.batch, data.targets.len()));
        }
    }
}

#[test]
fn the_length_of_what_is_remembered_of_writers_is_known_before() {
    for record in records(4, 1_000) {
        if let Record::Restore { writers, .. } = &record {
            assert_eq!(encoded(&record).len(), record::writers::len(writers));
        }
    }
}

#[test]
fn any_change_of_a_record_breaks_its_checksum_and_no_bytes_make_the_parser_panic() {
    let mut random = StdRng::seed_from_u64(3);
    for record in records(3, 3_000) {
        let mut bytes = encoded(&record).to_vec();
        for _ in 0..8 {
            let at = random.random_range(0..bytes.len());
            let bit = 1 << random.random_range(0..8);
            bytes[at] ^= bit;
            assert!(!record::is_intact(&bytes));
            // What passes for a record without its checksum is still read within its bounds.
            let read = Record::decode(&Bytes::from(bytes.clone()));
            drop(read);
            bytes[at] ^= bit;
        }
        bytes.truncate(random.random_range(0..bytes.len()));
        assert!(!record::is_intact(&bytes));
        drop(Record::decode(&Bytes::from(bytes)));
    }
}

#[test]
fn random_bytes_are_nothing() {
    let mut random = StdRng::seed_from_u64(4);
    for _ in 0..100_000 {
        let mut bytes = vec![0; random.random_range(0..200)];
        random.fill_bytes(&mut bytes);
        if let Some(kind) = bytes.get_mut(8) {
            *kind %= 10;
        }
        assert!(!record::is_intact(&bytes));
        drop(Record::decode(&Bytes::from(bytes.clone())));
        assert!(record::places(&bytes).take(1000).count() < 1000);
        assert_eq!(Header::decode(&bytes), None);
        assert_eq!(FileHeader::decode(&bytes), None);
        assert_eq!(Superblock::decode(&bytes), None);
    }
}

#[test]
fn a_frame_is_only_whole_under_its_own_salt() {
    let mut out = Vec::new();
    let all = records(5, 20);
    all.iter().for_each(|record| record.encode(&mut out));
    let mut header = Header {
        len: u32::try_from(HEADER_BYTES + out.len()).unwrap(),
        crc: 0,
        previous_crc: 1,
        lsn: Lsn(4096),
        previous: Lsn(0),
        epoch: Epoch(1),
        wall: Timestamp(5),
        records: 20,
        flags: 0,
        synced: Lsn(0),
    };
    let head = header.seal(Salt(77), &out);
    let frame = [head.as_slice(), &out].concat();
    let read = Header::decode(&frame).unwrap();
    assert_eq!(read, header);
    assert!(read.is_intact(Salt(77), &frame));
    assert!(!read.is_intact(Salt(78), &frame));
    for at in 0..frame.len() {
        let mut bent = frame.clone();
        bent[at] ^= 16;
        let is_whole =
            Header::decode(&bent).is_some_and(|header| header.is_intact(Salt(77), &bent));
        assert!(!is_whole, "byte {at}");
    }
}

#[test]
fn the_layout_on_disk_stays_as_it_is() {
    let spec = Spec {
        limits: SizeLimits {
            count_max: Some(5),
            bytes_max: None,
            overflow: Overflow::DropHead,
        },
        ..Spec::new(Kind::Queue, Class::Local)
    };
    let create = encoded(&Record::Create {
        entity: EntityId(0x0102),
        spec,
    });
    assert_eq!(
        create.slice(8..24)[..],
        [2, 0, 1, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        create.slice(24..44)[..],
        [1, 8, 2, 0, 0, 0, 0, 0, 0, 0, 2, 8, 2, 0, 0, 0, 0, 0, 0, 0]
    );
    let settle = encoded(&Record::Settle {
        entity: EntityId(1),
        cursor: CursorId(2),
        ranges: std::iter::once(3..4).collect(),
        outcome: fairlead_canon::Outcome::Done,
    });
    assert_eq!(
        (
            settle.len(),
            settle[8],
            settle[10],
            settle[12],
            settle[16],
            settle[24],
            settle[32],
            settle[40]
        ),
        (48, 3, 1, 1, 1, 2, 3, 4)
    );
    let put = Record::Put {
        space: Space(9),
        key: "k".into(),
        value: Some("vv".into()),
        due: Some(Timestamp(7)),
    };
    let put = encoded(&put);
    assert_eq!(
        put.slice(8..)[..],
        [
            5, 0, 9, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'k', b'v', b'v'
        ]
    );
    let data = fairlead_testkit::make::message("body");
    let data = Record::Data(Data {
        targets: std::iter::once((EntityId(1), Offset(2))).collect(),
        batch: data,
        is_placed: false,
    });
    let data = encoded(&data);
    assert_eq!(data.len(), 48 + 16 + 4);
    assert_eq!(data.slice(8..20)[..], [1, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(data.slice(64..)[..], *b"body");
}
