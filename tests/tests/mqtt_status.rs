//! `$SYS` beside the real mosquitto: every name that it tells is told here too, or stands below with a reason.

use std::collections::BTreeSet;
use std::process::Command;

use fairlead_tests::{Mosquitto, Node, Running, tools};

/// What is not told, and why.
const UNTOLD: [(&str, &str); 3] = [
    (
        "$SYS/broker/messages/stored",
        "nobody counts over all queues",
    ),
    (
        "$SYS/broker/store/messages/bytes",
        "nobody counts over all queues",
    ),
    (
        "$SYS/broker/store/messages/count",
        "nobody counts over all queues",
    ),
];

/// As many names as it tells while nothing happens; all of them lie retained once it has looked twice.
const NAMES: usize = 53;

/// A `mosquitto_sub` of everything under `$SYS`.
struct Watcher(Running);

impl Watcher {
    fn start(mut command: Command) -> Self {
        command.args(["-t", "$SYS/#", "-F", "%t|%p"]);
        Self(Running::start(command))
    }

    /// The next name and value.
    fn next(&self) -> (String, String) {
        let line = self.0.line();
        let (name, value) = line.split_once('|').expect("name and value");
        (name.to_owned(), value.to_owned())
    }

    fn names(&self, count: usize) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        while names.len() < count {
            names.insert(self.next().0);
        }
        names
    }
}

fn mosquitto_sub(arguments: &[&str]) -> Command {
    let mut command = Command::new("mosquitto_sub");
    command.args(arguments);
    command
}

#[test]
fn every_name_that_mosquitto_tells_is_told_or_stands_in_the_list() {
    if !tools::ready() || !Mosquitto::is_installed() {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true\nsys_interval 1\n");
    let socket = mosquitto.socket().display().to_string();
    let theirs = Watcher::start(mosquitto_sub(&["--unix", &socket])).names(NAMES);

    let node = Node::new();
    let mesh = node.start();
    let ours = Watcher::start(mosquitto_sub(&["-p", &mesh.port("mqtt")]));
    let ours = ours.names(NAMES - UNTOLD.len());

    let untold: BTreeSet<&str> = theirs.difference(&ours).map(String::as_str).collect();
    assert_eq!(untold, UNTOLD.map(|(name, _)| name).into());
    let own: Vec<&String> = ours.difference(&theirs).collect();
    assert!(own.is_empty(), "mosquitto has no {own:?}");
}

#[test]
fn what_is_told_and_what_is_measured_agree() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    node.configure("[translators.mqtt]\nsys_interval = 1\n");
    let mesh = node.start();
    let watcher = Watcher::start(mosquitto_sub(&["-p", &mesh.port("mqtt")]));
    watcher.names(NAMES - UNTOLD.len());
    let publish = |door: &str| {
        let status = Command::new("mosquitto_pub")
            .args([
                "-p",
                &mesh.port(door),
                "-q",
                "1",
                "-t",
                "plant/1",
                "-m",
                "21.5",
            ])
            .status();
        assert!(status.expect("mosquitto's clients are installed").success());
    };
    (0..3).for_each(|_| publish("mqtt"));
    let told = |name: &str, wanted: &str| loop {
        let (topic, value) = watcher.next();
        if topic == name && value == wanted {
            return;
        }
    };
    told("$SYS/broker/publish/messages/received", "3");
    told("$SYS/broker/publish/bytes/received", "12");
    let published = |listener| {
        let labels = [("protocol", "mqtt"), ("listener", listener)];
        mesh.metric("fairlead_messages_published_total", &labels)
    };
    assert_eq!((published("mqtt"), published("mqtt-websocket")), (3.0, 0.0));
    let accepted = [("listener", "mqtt")];
    assert_eq!(
        mesh.metric("fairlead_logins_accepted_total", &accepted),
        4.0
    );

    // A listener over WebSocket hears no plain client out.
    let refused = Command::new("mosquitto_pub")
        .args(["-p", &mesh.port("mqtt-websocket"), "-t", "a", "-m", "b"])
        .output()
        .expect("mosquitto's clients are installed");
    assert!(!refused.status.success());
    let labels = [("listener", "mqtt-websocket"), ("reason", "websocket")];
    assert_eq!(
        mesh.metric("fairlead_connections_turned_away_total", &labels),
        1.0
    );
}
