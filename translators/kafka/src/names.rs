//! Topic names, and what they are in the shared realm.
//!
//! A topic's name is a name as record batches hold it (`fairlead_canon::codec::records::name`), of
//! bounded length.

use fairlead_canon::Path;
use fairlead_canon::codec::records::name;
pub use fairlead_canon::codec::records::name::path_of;

/// The longest topic name, in bytes (apache/kafka `Topic.MAX_NAME_LENGTH`).
pub const TOPIC_BYTES_MAX: usize = 249;

/// Whether a text may be a topic's name.
pub fn is_legal(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !matches!(text, "" | "." | "..") && text.len() <= TOPIC_BYTES_MAX && text.bytes().all(is_plain)
}

/// Whether a topic of this name belongs to clients' own bookkeeping and has no address.
pub fn is_private(name: &str) -> bool {
    name.starts_with("__")
}

/// The topic name of a path; `None` when it would be longer than [`TOPIC_BYTES_MAX`].
pub fn name_of(path: &Path) -> Option<String> {
    let name = name::name_of(path);
    let name = Some(name).filter(|name| name.len() <= TOPIC_BYTES_MAX)?;
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests;
