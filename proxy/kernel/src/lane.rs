//! Which lane of a stream a message goes to.

use std::hash::{BuildHasher, Hasher};

use fairlead_canon::{Address, EntityId, Kind, Message};
use fairlead_topology::Stream;

/// The lane of a stream that a message of this publisher goes to.
pub(crate) fn choose(stream: &Stream, message: &Message, publisher: &[u8]) -> Option<EntityId> {
    if let [only] = &*stream.lanes {
        return Some(*only);
    }
    let lanes = stream.lanes.len();
    let lane = match (stream.kind, &message.key) {
        (Kind::Queue, _) => by_priority(message.terms.priority, lanes),
        (Kind::Log | Kind::Latest, Some(key)) => by_key(key, lanes),
        (Kind::Log | Kind::Latest, None) => by_publisher(publisher, &message.address, lanes),
    };
    stream.lanes.get(lane).copied()
}

/// Higher priorities than there are lanes share the highest one.
fn by_priority(priority: Option<u8>, lanes: usize) -> usize {
    usize::from(priority.unwrap_or(0)).min(lanes.saturating_sub(1))
}

/// The lane for a message with a key: as the default partitioner of record logs chooses it
/// (32-bit murmur2 of the key, sign bit cleared, modulo the number of lanes), so that foreign
/// producers and ours agree.
fn by_key(key: &[u8], lanes: usize) -> usize {
    let positive = usize::try_from(murmur2(key) & 0x7fff_ffff).unwrap_or(0);
    positive.checked_rem(lanes).unwrap_or(0)
}

/// The lane for a message without a key: the same for one publisher and address, so that its
/// order holds.
fn by_publisher(publisher: &[u8], address: &Address, lanes: usize) -> usize {
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    hasher.write(publisher);
    hasher.write(address.path.as_stored());
    let hash = usize::try_from(hasher.finish() >> 32).unwrap_or(0);
    hash.checked_rem(lanes).unwrap_or(0)
}

/// MurmurHash2, 32 bits, with the seed that record logs use.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Published test values of the reference implementation (its own unit test).
    #[test]
    fn agrees_with_the_reference_hash() {
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (
                b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            (b"abc", 479_470_107),
        ];
        for (key, expected) in cases {
            assert_eq!(
                murmur2(key).cast_signed(),
                expected,
                "{}",
                key.escape_ascii()
            );
        }
    }
}
