//! Named limits of the edge, with their reasons.

use std::time::Duration;

/// From accept to the first byte of a protocol: a load balancer's header, TLS, an upgrade. Pingora's
/// own limit for TLS is a minute, long enough to hold a connection for nothing.
pub(crate) const LAYERS: Duration = Duration::from_secs(10);

/// How long an accepted connection waits for the node to open its store: a hand-over's longest
/// drain and a recovery after it. Longer, and clients have given up.
pub(crate) const OPENING: Duration = Duration::from_secs(30);

/// After so much quiet a connection may rest. Shorter, and clients that say something every few seconds are put to rest and woken
/// in turns, which costs more than a message; longer, and a fleet that has come at once takes its room for longer.
pub const QUIET: Duration = Duration::from_secs(5);

/// How long either side of a hand-over waits for the other's next word.
pub(crate) const HANDOVER_STEP: Duration = Duration::from_secs(5);

/// Between a hand-over that failed and the next: a lack of files does not pass at once.
pub(crate) const HANDOVER_PAUSE: Duration = Duration::from_secs(1);

/// The most listening sockets of a process: what one message between two processes carries well
/// below the kernel's own limit of 253.
pub const LISTENERS_MAX: usize = 64;
