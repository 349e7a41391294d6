//! `$SYS` beside the real mosquitto: every name that it tells is told here too, with a value of the same form, or
//! stands below with a reason; and the same clients are counted as it counts them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use fairlead_tests::{Mosquitto, Node, Running, tools};

/// What is not told, and why.
const UNTOLD: [(&str, &str); 3] = [
    ("$SYS/broker/messages/stored", NO_SUM),
    ("$SYS/broker/store/messages/bytes", NO_SUM),
    ("$SYS/broker/store/messages/count", NO_SUM),
];

const NO_SUM: &str =
    "queues of sessions that are away are not in memory, and nobody counts over all of them";

/// What both tell once the clients of [`act`] have been there, beside the one that watches.
const TOLD: [(&str, &str); 11] = [
    ("clients/total", "2"),
    ("clients/connected", "1"),
    ("clients/active", "1"),
    ("clients/disconnected", "1"),
    ("clients/inactive", "1"),
    ("clients/expired", "0"),
    ("subscriptions/count", "3"),
    ("shared_subscriptions/count", "1"),
    ("publish/messages/received", "3"),
    ("publish/bytes/received", "12"),
    ("messages/received", "14"),
];

/// Enough for half a minute of a server that tells everything every second.
const LINES_MAX: usize = 30 * NAMES;

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

    /// So many names, and what is told under each.
    fn values(&self, count: usize) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        while values.len() < count {
            values.extend([self.next()]);
        }
        values
    }

    /// Waits until all of this is told at the same time.
    fn expect(&self, wanted: &[(&str, &str)]) {
        let root = |name: &str| format!("$SYS/broker/{name}");
        let mut told = BTreeMap::new();
        for _ in 0..LINES_MAX {
            told.extend([self.next()]);
            let mut wanted = wanted.iter();
            if wanted.all(|(name, value)| told.get(&root(name)).is_some_and(|told| told == value)) {
                return;
            }
        }
        panic!("{wanted:?} is not told, but {told:#?}");
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
    let theirs = Watcher::start(mosquitto_sub(&["--unix", &socket])).values(NAMES);

    let node = Node::new();
    let mesh = node.start();
    let ours = Watcher::start(mosquitto_sub(&["-p", &mesh.port("mqtt")]));
    let ours = ours.values(NAMES - UNTOLD.len());

    let names = theirs.keys().filter(|name| !ours.contains_key(*name));
    let untold: BTreeSet<&str> = names.map(String::as_str).collect();
    assert_eq!(untold, UNTOLD.map(|(name, _)| name).into());
    for (name, value) in &ours {
        let theirs = theirs.get(name);
        let theirs = theirs.unwrap_or_else(|| panic!("mosquitto has no {name}"));
        assert_eq!(form(value), form(theirs), "{name}: {value}, {theirs}");
    }
}

/// A value with a 0 in place of each number, and without the name of who tells it.
fn form(value: &str) -> String {
    let value = value
        .trim_start_matches("fairlead")
        .trim_start_matches("mosquitto");
    let mut form = String::new();
    for letter in value.chars() {
        let letter = if letter.is_ascii_digit() { '0' } else { letter };
        if letter != '0' || !form.ends_with('0') {
            form.push(letter);
        }
    }
    form
}

#[test]
fn the_same_clients_are_counted_as_mosquitto_counts_them() {
    if !tools::ready() || !Mosquitto::is_installed() {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true\nsys_interval 1\n");
    let socket = mosquitto.socket().display().to_string();
    expect_told(&["--unix", &socket]);

    let node = Node::new();
    node.configure("[translators.mqtt]\nsys_interval = 1\n");
    let mesh = node.start();
    expect_told(&["-p", &mesh.port("mqtt")]);
}

/// What the server at this place tells while [`act`] happens.
fn expect_told(place: &[&str]) {
    let watcher = Watcher::start(mosquitto_sub(place));
    watcher.next();
    act(place);
    watcher.expect(&TOLD);
}

/// A client that leaves a session behind, with two subscriptions of its own and one in a group, and three
/// that publish, to it and past it.
fn act(place: &[&str]) {
    let run = |program, arguments: &[&str]| {
        let mut command = Command::new(program);
        let status = command.args(place).args(arguments).status();
        assert!(status.expect("mosquitto's clients are installed").success());
    };
    let session = ["-i", "pump", "-c", "-q", "1", "-E"];
    let filters = ["-t", "plant/+", "-t", "set/#", "-t", "$share/shift/plant/#"];
    run("mosquitto_sub", &[&session[..], &filters].concat());
    for topic in ["plant/1", "plant/2"] {
        run("mosquitto_pub", &["-q", "1", "-t", topic, "-m", "21.5"]);
    }
    // Not retained: mosquitto leaves such a PUBLISH out of its count, and one of QoS 2.
    run("mosquitto_pub", &["-t", "set/1", "-m", "22.5"]);
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
    watcher.values(NAMES - UNTOLD.len());
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
    watcher.expect(&[
        ("publish/messages/received", "3"),
        ("publish/bytes/received", "12"),
    ]);
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
