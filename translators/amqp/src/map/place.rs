//! Exchange and routing key as an address, and back; reply names (`mapping.md` sections 5.4 and 12).

use bytes::Bytes;
use fairlead_canon::{Address, Path, PathTooLong, RealmId, ReplyTo, Text};

use crate::codec::ShortStr;
use crate::names::{RoutingKey, key_of, path_of};

/// The exchange whose keys are addresses of the shared realm.
pub(crate) const SHARED_EXCHANGE: &str = "amq.topic";

/// Begins routing keys of the default exchange that mean an address of the shared realm, not a queue.
pub(crate) const ADDRESS_PREFIX: &str = "fl.address:";

/// The root of the shared realm under which other realms are written (`$reply/q/<queue>`).
const REPLY_ROOT: &[u8] = b"$reply";

/// The address of a routing key on an exchange other than the default one.
pub(crate) fn address_on(realm: RealmId, key: &[u8]) -> Result<Address, PathTooLong> {
    let path = path_of(key)?;
    Ok(match realm {
        RealmId::SHARED => from_shared(path),
        realm => Address::new(realm, path),
    })
}

/// The address of a routing key on the default exchange: a queue, or a reply name of ours.
pub(crate) fn address_of_default(key: &[u8]) -> Result<Address, PathTooLong> {
    match key.strip_prefix(ADDRESS_PREFIX.as_bytes()) {
        Some(shared) => Ok(from_shared(path_of(shared)?)),
        None => queue_address(key),
    }
}

/// Where a message with that routing key was published, as its readers are told.
///
/// The key of a queue is one segment; told as words, it means the same on whichever exchange the
/// message is published when it dies. A key with escapes in it stays one segment.
pub(crate) fn shown_address(key: &[u8], addresses: &[Address]) -> Address {
    let [first, ..] = addresses else {
        return Address::new(RealmId::QUEUES, Path::EMPTY);
    };
    let is_plain = !key.iter().any(|byte| matches!(byte, b'/' | b'%'));
    if first.realm == RealmId::QUEUES
        && is_plain
        && key.contains(&b'.')
        && let Ok(path) = path_of(key)
    {
        return Address::new(RealmId::QUEUES, path);
    }
    first.clone()
}

/// Where a queue of that name is reached.
pub(crate) fn queue_address(name: &[u8]) -> Result<Address, PathTooLong> {
    Ok(Address::new(RealmId::QUEUES, Path::from_segments([name])?))
}

/// A shared path, or the queue that it stands for under the root of replies.
fn from_shared(path: Path) -> Address {
    let mut segments = path.segments();
    let said = (
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    );
    if let (Some(REPLY_ROOT), Some(b"q"), Some(queue), None) = said
        && let Ok(address) = queue_address(queue)
    {
        return address;
    }
    Address::shared(path)
}

/// The routing key under which an address is shown.
pub(crate) fn routing_key(address: &Address) -> RoutingKey {
    let mut segments = address.path.segments();
    if address.realm == RealmId::QUEUES
        && let (Some(name), None) = (segments.next(), segments.next())
        && let Some(key) = ShortStr::new(Bytes::copy_from_slice(name))
    {
        return RoutingKey::Whole(key);
    }
    key_of(&address.path)
}

/// What a `reply_to` asks for.
pub(super) fn reply_to(said: &ShortStr) -> Option<ReplyTo> {
    let text = Text::try_from(said.as_bytes().clone()).ok()?;
    Some(match text.strip_prefix(ADDRESS_PREFIX) {
        Some(key) => ReplyTo::Address(Address::shared(path_of(key.as_bytes()).ok()?)),
        None => ReplyTo::Entity(text),
    })
}

/// A wish for replies as a `reply_to`; `None` when it does not fit.
pub(super) fn reply_name(reply_to: &ReplyTo) -> Option<ShortStr> {
    match reply_to {
        ReplyTo::Entity(name) => ShortStr::new(name.as_bytes().clone()),
        ReplyTo::Opaque(bytes) => ShortStr::new(bytes.clone()),
        ReplyTo::Address(address) => match routing_key(address) {
            RoutingKey::Whole(key) if address.realm == RealmId::QUEUES => Some(key),
            RoutingKey::Whole(key) => {
                ShortStr::new([ADDRESS_PREFIX.as_bytes(), key.as_bytes()].concat())
            }
            RoutingKey::Cut(..) => None,
        },
    }
}
