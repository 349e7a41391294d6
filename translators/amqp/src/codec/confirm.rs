//! Class 85: publisher confirms.
#![expect(
    missing_docs,
    reason = "fields are named as the specification names them"
)]

use super::method::fields;

fields! {
    /// Asks for confirms on this channel.
    Select { | no_wait | }
    /// Each publish from here on is confirmed.
    SelectOk {}
}
