//! Where clients come in: listeners on pingora, TLS, draining, hand-over, and the admin page.
//!
//! The edge decides nothing about messages: it turns an accepted socket into a `Conn`, gives it to
//! its translator, and sees to it that the last one leaves in time. Begin with [`Edge`]; what a
//! connection goes through is `reception.rs`, how a process ends is `ending.rs`.

mod admin;
mod certificate;
mod door;
mod ending;
mod gate;
mod handover;
mod layers;
mod limits;
mod lounge;
mod proxied;
mod reception;
mod server;
mod socket;
mod tls;
mod websocket;

pub use admin::{Admin, Token};
pub use certificate::NameFrom;
pub use ending::Cause;
pub use gate::{Gate, Keeper, gate};
pub use handover::{Taken, path_in, take};
pub use limits::{LISTENERS_MAX, QUIET};
pub use proxied::{BadNetwork, Network};
pub use server::{Counters, Edge, EdgeError, Listener, Settings};
pub use socket::{Socket, SocketError};
pub use tls::{Clients, Identity, TlsError};
