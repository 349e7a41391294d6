//! What the edge knows of MQTT.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::Origin;
use fairlead_kernel::{
    BadSetting, BoxFuture, Carrier, Closed, Conn, ConnInfo, Door, KeptSession, Kernel, Served,
    Stream, Translator,
};

use crate::census::Census;
use crate::settings::Settings;
use crate::{NAME, ORIGIN, session};

/// The translator of MQTT 3.1, 3.1.1 and 5.
#[derive(Clone, Debug, Default)]
pub struct Mqtt {
    settings: Arc<Settings>,
    /// Of all listeners.
    census: Arc<Census>,
}

const DOORS: &[Door] = &[
    Door {
        port: 1883,
        is_tls: false,
        carrier: Carrier::Stream,
    },
    Door {
        port: 8883,
        is_tls: true,
        carrier: Carrier::Stream,
    },
    Door {
        port: 8083,
        is_tls: false,
        carrier: WEBSOCKET,
    },
    Door {
        port: 8084,
        is_tls: true,
        carrier: WEBSOCKET,
    },
];

/// The second is what clients of 3.1 ask for.
//= MQTT-6.0.0-4: the subprotocol that is answered is mqtt.
const WEBSOCKET: Carrier = Carrier::WebSocket(&["mqtt", "mqttv3.1"]);

impl Translator for Mqtt {
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
        let (host, port) = (at.ip(), at.port());
        format!("mosquitto_pub -V 5 -h {host} -p {port} -t plant/7/temp -m 21.5 -q 1")
    }

    fn configured(
        &self,
        settings: &BTreeMap<String, String>,
    ) -> Result<Arc<dyn Translator>, BadSetting> {
        let settings = Arc::new(Settings::read(settings)?);
        let census = Arc::clone(&self.census);
        Ok(Arc::new(Self { settings, census }))
    }

    fn session(&self, kept: &Stream, kernel: &Kernel) -> Option<KeptSession> {
        session::told(kept, kernel)
    }

    fn serve(&self, conn: Conn, kernel: Arc<Kernel>) -> BoxFuture<'static, Closed> {
        let place = self.place(conn.info, kernel);
        Box::pin(session::serve(conn.io, place, conn.drain))
    }

    fn attend(
        &self,
        conn: Conn,
        kernel: Arc<Kernel>,
        quiet: Duration,
    ) -> BoxFuture<'static, Served> {
        let place = self.place(conn.info, kernel);
        Box::pin(session::attend(conn.io, place, conn.drain, quiet))
    }
}

impl Mqtt {
    fn place(&self, info: ConnInfo, kernel: Arc<Kernel>) -> session::Place {
        self.census.opened(&kernel);
        session::Place {
            info,
            kernel,
            settings: Arc::clone(&self.settings),
            census: Arc::clone(&self.census),
        }
    }
}
