//! A third-party MQTT client that takes orders, in a process of its own: `clients/README.md` has the orders.

use std::collections::VecDeque;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;

use serde_json::Value;

use crate::client::listen;
use crate::{PATIENCE, tools};

/// Whose client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// paho-mqtt for Python.
    Paho,
    /// aiomqtt, on paho-mqtt's packets.
    Aiomqtt,
    /// gmqtt.
    Gmqtt,
    /// MQTT.js, over TCP.
    MqttJs,
    /// MQTT.js, over WebSocket.
    MqttJsOverWebSocket,
    /// The same over TLS.
    MqttJsOverSecureWebSocket,
    /// Eclipse Paho for Java, of MQTT 5.
    PahoJava,
    /// Eclipse Paho for Java, of MQTT 3.1 and 3.1.1.
    PahoJava311,
    /// HiveMQ's for Java.
    HiveMq,
    /// The same over WebSocket.
    HiveMqOverWebSocket,
}

/// A running client. Dropping it kills it, and then its will is published.
#[derive(Debug)]
pub struct Member {
    make: Make,
    child: Child,
    orders: ChildStdin,
    events: Receiver<Value>,
    /// Events that came before the one that was waited for.
    early: VecDeque<Value>,
}

impl Member {
    /// Starts the program; it has not connected yet.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(make: Make, port: &str) -> Self {
        let mut child = command(make, port)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {make:?}: {error}"));
        let said = child.stdout.take().expect("stdout is piped");
        Self {
            make,
            orders: child.stdin.take().expect("stdin is piped"),
            child,
            events: listen(said, |line| {
                serde_json::from_str(line).unwrap_or_else(|_| Value::from(line))
            }),
            early: VecDeque::new(),
        }
    }

    /// Hands it an order.
    ///
    /// # Panics
    /// When it has ended.
    pub fn order(&mut self, order: &Value) {
        let make = self.make;
        writeln!(self.orders, "{order}").unwrap_or_else(|error| {
            panic!("{make:?} does not hear {order}: {error}; {:?}", self.early)
        });
    }

    /// The next event of this name.
    ///
    /// # Panics
    /// When the program fails or ends before, or [`PATIENCE`] runs out.
    pub fn wait(&mut self, name: &str) -> Value {
        let at = self.find(name);
        let event = self.early.remove(at).expect("it was found there");
        event[name].clone()
    }

    /// The next event of this name, which stays the next.
    ///
    /// # Panics
    /// As [`Member::wait`].
    pub fn peek(&mut self, name: &str) -> Value {
        let at = self.find(name);
        self.early[at][name].clone()
    }

    /// Where in `early` the next event of this name is.
    fn find(&mut self, name: &str) -> usize {
        let is_wanted = |event: &Value| event.get(name).is_some();
        if let Some(at) = self.early.iter().position(is_wanted) {
            return at;
        }
        loop {
            let event = self.events.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                let (make, early) = (self.make, &self.early);
                panic!("{make:?}, waiting for {name}: {error}; before it {early:?}")
            });
            assert!(event.get("failed").is_none(), "{:?}: {event}", self.make);
            let is_it = is_wanted(&event);
            self.early.push_back(event);
            if is_it {
                return self.early.len() - 1;
            }
        }
    }

    /// Whether there are events of this name that nobody has waited for yet.
    pub fn has(&mut self, name: &str) -> bool {
        self.early.extend(self.events.try_iter());
        self.early.iter().any(|event| event.get(name).is_some())
    }

    /// Ends the process at once: its connection breaks without a goodbye.
    pub fn kill(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        // It may have ended by itself; both calls then say so and nothing is lost.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop();
    }
}

fn command(make: Make, port: &str) -> Command {
    let python = |script| {
        let mut command = Command::new(tools::python());
        command.arg(tools::home().join(script));
        command
    };
    let mut command = match make {
        Make::Paho => python("clients/fleet_paho.py"),
        Make::Aiomqtt => python("clients/fleet_aiomqtt.py"),
        Make::Gmqtt => python("clients/fleet_gmqtt.py"),
        Make::MqttJs | Make::MqttJsOverWebSocket | Make::MqttJsOverSecureWebSocket => {
            tools::node("clients/fleet_mqttjs.js")
        }
        Make::PahoJava => tools::java("FleetPaho"),
        Make::PahoJava311 => tools::java("FleetPaho3"),
        Make::HiveMq | Make::HiveMqOverWebSocket => tools::java("FleetHive"),
    };
    command.arg(port);
    match make {
        Make::MqttJsOverWebSocket | Make::HiveMqOverWebSocket => command.arg("ws"),
        Make::MqttJsOverSecureWebSocket => command.arg("wss"),
        Make::Paho
        | Make::Aiomqtt
        | Make::Gmqtt
        | Make::MqttJs
        | Make::PahoJava
        | Make::PahoJava311
        | Make::HiveMq => &mut command,
    };
    command
}
