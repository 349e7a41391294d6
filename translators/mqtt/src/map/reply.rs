//! Names that stand for other realms, under the reserved root `$reply`.

use fairlead_canon::{Address, Path, RealmId, ReplyTo, Text};

use crate::names;

const QUEUE: &[u8] = b"$reply/q/";

/// The address of a topic; `None` when no client may publish there.
pub(crate) fn address_of(topic: &Text) -> Option<Address> {
    let topic = topic.as_bytes();
    if let Some(name) = topic.strip_prefix(QUEUE) {
        return names::path_of(name)
            .ok()
            .map(|path| Address::new(RealmId::QUEUES, path));
    }
    let root = topic.split(|byte| *byte == b'/').next()?;
    if matches!(root, b"$SYS" | b"$share" | b"$reply") {
        return None;
    }
    names::path_of(topic).ok().map(Address::shared)
}

/// What a Response Topic asks for.
pub(super) fn reply_to(topic: &Text) -> ReplyTo {
    match address_of(topic) {
        Some(address) => ReplyTo::Address(address),
        None => ReplyTo::Opaque(topic.clone().into_bytes()),
    }
}

/// The Response Topic that leads there; `None` when MQTT has no name for it.
pub(super) fn response_topic(reply: &ReplyTo) -> Option<Text> {
    match reply {
        ReplyTo::Address(address) if address.realm == RealmId::SHARED => {
            topic_of(&[], &address.path)
        }
        ReplyTo::Address(address) if address.realm == RealmId::QUEUES => {
            topic_of(QUEUE, &address.path)
        }
        ReplyTo::Address(_) => None,
        ReplyTo::Entity(name) => topic_of(QUEUE, &Path::from_segments([name.as_bytes()]).ok()?),
        ReplyTo::Opaque(bytes) => {
            let text = Text::try_from(bytes.clone()).ok()?;
            let is_topic = !text.is_empty() && !text.contains(['+', '#', '\0']);
            is_topic.then_some(text)
        }
    }
}

fn topic_of(root: &[u8], path: &Path) -> Option<Text> {
    let mut topic = root.to_vec();
    let fits = names::put_topic(path, &mut topic) && topic.len() <= names::TOPIC_BYTES_MAX;
    fits.then(|| Text::try_from(topic).ok()).flatten()
}
