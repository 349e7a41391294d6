//! The protocol as the rest sees it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use fairlead_canon::Origin;
use fairlead_kernel::{BadSetting, BoxFuture, Carrier, Closed, Conn, Door, Kernel, Translator};

use crate::session;
use crate::settings::Settings;

/// Its word in configuration and metric labels.
pub(crate) const NAME: &str = "kafka";

/// Its number in stored envelopes and name spaces.
pub(crate) const ORIGIN: Origin = Origin(2);

const DOORS: &[Door] = &[
    Door {
        port: 9092,
        is_tls: false,
        carrier: Carrier::Stream,
    },
    Door {
        port: 9093,
        is_tls: true,
        carrier: Carrier::Stream,
    },
];

/// The protocol.
#[derive(Clone, Debug, Default)]
pub struct Kafka {
    settings: Arc<Settings>,
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

    fn configured(
        &self,
        settings: &BTreeMap<String, String>,
    ) -> Result<Arc<dyn Translator>, BadSetting> {
        let settings = Arc::new(Settings::read(settings)?);
        Ok(Arc::new(Self { settings }))
    }

    fn serve(&self, conn: Conn, kernel: Arc<Kernel>) -> BoxFuture<'static, Closed> {
        Box::pin(session::serve(conn, kernel, Arc::clone(&self.settings)))
    }
}
