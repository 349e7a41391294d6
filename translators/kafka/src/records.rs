//! What a fetch shows of stored batches.
//!
//! Record batches leave as they came, with their place written into the first 16 bytes:
//!
//! ```text
//! 0   8   base offset            ours
//! 8   4   length                 theirs
//! 12  4   partition leader epoch ours
//! 16  …   magic, checksum, the rest: theirs, not copied
//! ```
//! Messages of other protocols that lie next to each other are gathered into one batch.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::codec::records;
use fairlead_canon::{Address, Codec, Damage, Loss, Origin};
use fairlead_kernel::Stored;

/// The pieces of one partition's answer.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) pieces: Vec<Bytes>,
    /// Bytes in all pieces.
    pub(crate) size: usize,
    /// Fields that records have no place for.
    pub(crate) losses: Vec<(Origin, Loss)>,
}

/// There is one leader and it never changes.
const LEADER_EPOCH: i32 = 0;

const PATCHED: usize = 16;

/// Records gathered into one batch: what a reader has to hold at once stays small.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;

/// Shows batches, in offset order; `place` is the address of the topic.
pub(crate) fn show(batches: &[Stored], place: &Address) -> Result<Shown, Damage> {
    let mut shown = Shown::default();
    let mut rest = batches;
    while let Some((first, after)) = rest.split_first() {
        match first.batch.codec {
            Codec::RecordsV2 => {
                shown.push_verbatim(first)?;
                rest = after;
            }
            Codec::Envelope => {
                let (run, after) = rest.split_at(run_of_envelopes(rest));
                shown.push_gathered(run, place)?;
                rest = after;
            }
        }
    }
    Ok(shown)
}

/// How many envelopes stand at the head and fit one batch; at least one.
fn run_of_envelopes(batches: &[Stored]) -> usize {
    let mut bytes = 0usize;
    let fits = |stored: &&Stored| {
        bytes = bytes.saturating_add(stored.batch.bytes.len());
        stored.batch.codec == Codec::Envelope && bytes <= GATHERED_BYTES_MAX
    };
    batches.iter().take_while(fits).count().max(1)
}

impl Shown {
    fn push_verbatim(&mut self, stored: &Stored) -> Result<(), Damage> {
        let bytes = &stored.batch.bytes;
        let damage = Damage {
            what: "record batch is too short",
            at: bytes.len(),
        };
        let head = bytes.first_chunk::<PATCHED>().ok_or(damage)?;
        let [_, _, _, _, _, _, _, _, length @ .., _, _, _, _] = *head;
        let length: [u8; 4] = length;
        let mut patched = BytesMut::with_capacity(PATCHED);
        patched.put_i64(i64::try_from(stored.base.0).unwrap_or(i64::MAX));
        patched.put_slice(&length);
        patched.put_i32(LEADER_EPOCH);
        self.push(patched.freeze());
        self.push(bytes.slice(PATCHED..));
        Ok(())
    }

    fn push_gathered(&mut self, run: &[Stored], place: &Address) -> Result<(), Damage> {
        let Some(base) = run.first().map(|first| first.base.0) else {
            return Ok(());
        };
        let mut gathered = Vec::with_capacity(run.len());
        for stored in run {
            let from_base = stored.base.0.saturating_sub(base);
            for opened in stored.batch.open(place)? {
                let delta = from_base.saturating_add(u64::from(opened.delta));
                let delta = u32::try_from(delta).unwrap_or(u32::MAX);
                let (record, loss) = records::record(&opened.message, place, delta);
                gathered.push(record);
                if !loss.is_none() {
                    self.losses.push((opened.message.origin, loss));
                }
            }
        }
        self.push(records::build(
            i64::try_from(base).unwrap_or(i64::MAX),
            &gathered,
        ));
        Ok(())
    }

    fn push(&mut self, piece: Bytes) {
        self.size += piece.len();
        self.pieces.push(piece);
    }
}
