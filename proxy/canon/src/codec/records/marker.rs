//! The batch that ends a transaction in a log.
//!
//! ```text
//! attributes   transactional, control      sequence -1      one record:
//! key          version i16 = 0 · kind i16 (0 aborted, 1 committed)
//! value        version i16 = 0 · epoch of the coordinator i32
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::head::{Head, Written};
use super::record::{self, Record};
use super::{HEAD, timestamp};
use crate::{Batch, BatchFlags, Codec, ProducerId, Timestamp};

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its records count.
    Committed,
    /// They never did.
    Aborted,
}

/// The only coordinator there is has one epoch.
const COORDINATOR_EPOCH: i32 = 0;

/// The marker of a producer's transaction that ended at this time.
pub fn marker(ending: Ending, producer: ProducerId, epoch: i16, at: Timestamp) -> Batch {
    let time = i64::try_from(at.0).unwrap_or(i64::MAX);
    let kind: i16 = match ending {
        Ending::Aborted => 0,
        Ending::Committed => 1,
    };
    let key = [0_i16.to_be_bytes(), kind.to_be_bytes()].concat();
    let mut value = BytesMut::new();
    value.put_i16(0);
    value.put_i32(COORDINATOR_EPOCH);
    let record = Record {
        time,
        key: Some(Bytes::from(key)),
        value: Some(value.freeze()),
        ..Record::default()
    };
    let mut bytes = BytesMut::zeroed(HEAD);
    record::write(&record, time, &mut BytesMut::new(), &mut bytes);
    let written = Written {
        first_time: time,
        max_time: time,
        count: 1,
        ..Written::default()
    };
    Head::write(&mut bytes, 0, &written);
    Head::mark(&mut bytes, producer, epoch);
    Batch {
        codec: Codec::RecordsV2,
        bytes: bytes.freeze(),
        count: 1,
        span: 1,
        time: timestamp(time),
        deadline: None,
        stamp: None,
        flags: BatchFlags {
            transactional: true,
            control: true,
        },
        keys: Vec::new(),
    }
}
