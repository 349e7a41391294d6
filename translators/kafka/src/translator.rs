//! The protocol as the rest sees it.

use std::net::SocketAddr;
use std::sync::Arc;

use fairlead_canon::Origin;
use fairlead_kernel::{BoxFuture, Closed, Conn, Door, Kernel, Translator};

use crate::Settings;
use crate::session;

/// Its word in configuration and metric labels.
pub const NAME: &str = "kafka";

/// Its number in stored envelopes and name spaces.
pub const ORIGIN: Origin = Origin(2);

const DOORS: &[Door] = &[
    Door {
        port: 9092,
        is_tls: false,
    },
    Door {
        port: 9093,
        is_tls: true,
    },
];

/// The protocol.
#[derive(Clone, Debug, Default)]
pub struct Kafka {
    settings: Arc<Settings>,
}

impl Kafka {
    /// With settings of its own.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
        }
    }
}

impl Translator for Kafka {
    fn name(&self) -> &'static str {
        NAME
    }

    fn origin(&self) -> Origin {
        ORIGIN
    }

    fn doors(&self) -> &'static [Door] {
        DOORS
    }

    fn example(&self, at: SocketAddr) -> String {
        format!("echo hello | kcat -b {at} -t plant.7.temp -P")
    }

    fn serve(&self, conn: Conn, kernel: Arc<Kernel>) -> BoxFuture<'static, Closed> {
        Box::pin(session::serve(conn, kernel, Arc::clone(&self.settings)))
    }
}
