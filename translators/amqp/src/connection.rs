//! One connection: the handshake, then a loop that waits for the socket, the kernel and the clock.
//!
//! Channels hold what the specification puts in a channel; a [`Peer`] holds what they share. Each turn
//! handles everything that has come, hands it over once and writes once. Begin with [`serve`].

mod credentials;
mod deliver;
mod dispatch;
mod farewell;
mod handshake;
mod heartbeat;
mod peer;
mod pressure;
mod receipts;
mod session;

pub(crate) use deliver::Extra;
pub(crate) use peer::{Consumer, Peer};
pub(crate) use receipts::{Awaited, Returned, Then};
pub(crate) use session::serve;
