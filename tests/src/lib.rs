//! What the tests that cross rooms share: a running Fairlead, programs around other people's clients,
//! and the records that they exchange. Expectations stand in `tests/*.rs`, except for the audit of a [`Load`].
//!
//! Begin with [`Node`], which starts the binary, and [`Client`], which starts a client beside it.
//! A test whose tools are absent says so on stderr and passes: see [`tools`].

mod bucket;
mod client;
mod device;
mod dice;
mod files;
mod fleet;
mod load;
mod mosquitto;
mod node;
mod readers;
mod record;
mod relay;
mod seen;
pub mod tools;

pub use bucket::Bucket;
pub use client::{Client, Line, Program};
pub use device::{Device, packet_id, publish};
pub use dice::Dice;
pub use files::allow_open_files;
pub use fleet::{Make, Member};
pub use load::Load;
pub use mosquitto::{Mosquitto, Running};
pub use node::{Mesh, Node, Starting, cpu_of};
pub use readers::{Manner, Readers};
pub use record::{Record, Value};
pub use relay::Relay;
pub use seen::{Seen, Tongue};

use std::time::Duration;

/// How long a test waits for a line, a connection or an exit before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
