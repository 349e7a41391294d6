//! Text of the foreign codec and text of ours: both are checked bytes, so nothing is copied.

use fairlead_canon::Text;
use kafka_protocol::protocol::StrBytes;

/// Ours.
pub(crate) fn ours(text: StrBytes) -> Text {
    // Both types hold checked UTF-8, so this never falls back.
    Text::try_from(text.into_bytes()).unwrap_or_default()
}

/// Theirs.
pub(crate) fn theirs(text: &Text) -> StrBytes {
    StrBytes::from_utf8(text.as_bytes().clone()).unwrap_or_default()
}

/// Theirs, from a message of our own.
pub(crate) fn said(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
