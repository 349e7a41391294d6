//! The frame guard: no request reaches the foreign codec before its lengths and counts are proven.
//!
//! That codec allocates by counts from the wire: a Metadata request of 21 bytes can ask for 154 GB.
//! The tables stand beside the requests, as `Handler::LAYOUT`.

use fairlead_canon::shape::{Layout, Misfit};

/// Most items in all lists of one request together: more topics, partitions and members than a
/// client asks about at once, and at some 200 bytes each what we are willing to decode.
pub(crate) const ITEMS_MAX: usize = 65_536;

/// Proves that a body is a request of this layout and version. Bytes after the last field are passed
/// over, as apache/kafka does: librdkafka 2.16 leaves three after a Metadata request for all topics.
pub(crate) fn check(layout: &Layout, version: i16, body: &[u8]) -> Result<(), Misfit> {
    layout.check(version, body, ITEMS_MAX).map(drop)
}
