//! Named limits that several rooms share.

/// The longest message body, in bytes. Above it a publish is refused as too large.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most that a compressed batch may become when opened, in bytes: four full bodies.
pub const INFLATE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How deep lists and maps nest in a value. Deeper ones are refused where they are read.
pub const VALUE_DEPTH_MAX: usize = 16;

/// The most messages in one batch: as many of the smallest records as fit in a batch of 1 MiB. Opened,
/// they take some 32 MiB beside their bytes.
pub const BATCH_MESSAGES_MAX: u32 = 131_072;

/// The most headers of one record. While it is opened, each takes some 200 bytes.
pub const RECORD_HEADERS_MAX: usize = 16_384;
