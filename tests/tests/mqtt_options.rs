//! What clients of MQTT 5 may ask for, and what keeps them in bounds, as paho and mosquitto's clients see it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fairlead_mqtt::codec::{Delivery, Packet, Qos};
use fairlead_tests::{Device, Make, Member, Mesh, Node, tools};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::Instant;

/// After such a silence a client that publishes lets others go first.
const LULL: Duration = Duration::from_millis(1);

fn paho(mesh: &Mesh, mut terms: Value) -> Member {
    let mut member = Member::start(Make::Paho, &mesh.port("mqtt"));
    terms["do"] = json!("connect");
    member.order(&terms);
    member.wait("connected");
    member
}

/// Subscribes, and gives back what is granted.
fn subscribe(member: &mut Member, filter: &str, mut options: Value) -> Value {
    options["do"] = json!("subscribe");
    options["filter"] = json!(filter);
    options["qos"] = json!(1);
    member.order(&options);
    member.wait("subscribed")[0].clone()
}

fn publish(member: &mut Member, to: &str, body: &str, mut options: Value) {
    options["do"] = json!("publish");
    options["to"] = json!(to);
    options["body"] = json!(body);
    options["qos"] = json!(1);
    member.order(&options);
}

fn published(member: &mut Member, to: &str, body: &str, options: Value) {
    publish(member, to, body, options);
    assert_eq!(member.wait("published"), body);
}

/// The next message has this body; whether it says that it is retained.
fn next_is(member: &mut Member, body: &str) -> bool {
    let message = member.wait("message");
    assert_eq!(message["body"], body, "{message}");
    message["retain"].as_bool().expect("a flag")
}

#[test]
fn paho_hears_of_what_is_retained_as_it_asked() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut pump = paho(&mesh, json!({"id": "pump"}));
    let retain = || json!({"retain": true});
    published(&mut pump, "set/1", "kept", retain());
    // What follows is heard instead of what is not sent.
    let (new, never) = (1, 2);
    subscribe(&mut pump, "set/#", json!({"handling": never}));
    published(&mut pump, "set/2", "fresh", retain());
    assert!(!next_is(&mut pump, "fresh"));
    subscribe(&mut pump, "set/#", json!({"handling": new}));
    published(&mut pump, "set/2", "fresh", retain());
    assert!(!next_is(&mut pump, "fresh"));
    subscribe(
        &mut pump,
        "set/+",
        json!({"handling": new, "as_published": true}),
    );
    let mut first = [pump.wait("message"), pump.wait("message")];
    first.sort_by_key(|message| message["to"].to_string());
    assert_eq!(first[0]["body"], "kept");
    assert_eq!(
        (&first[0]["retain"], &first[1]["retain"]),
        (&json!(true), &json!(true))
    );

    let mut desk = paho(&mesh, json!({"id": "desk"}));
    subscribe(
        &mut desk,
        "live/#",
        json!({"as_published": true, "no_local": true}),
    );
    published(&mut desk, "live/1", "its own", json!({}));
    published(&mut pump, "live/1", "of another", retain());
    assert!(next_is(&mut desk, "of another"));
}

#[test]
fn the_delayed_will_of_paho_waits_until_it_is_back_or_its_time_is_over() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut desk = paho(&mesh, json!({"id": "desk"}));
    subscribe(&mut desk, "wills/+", json!({}));
    let mortal = |id: &str, delay: u32| {
        let will = json!({"to": format!("wills/{id}"), "body": "gone", "qos": 1, "retain": false, "delay": delay});
        json!({"id": id, "clean": false, "expiry": 600, "will": will})
    };
    let pump = paho(&mesh, mortal("pump", 1));
    paho(&mesh, mortal("fan", 2)).kill();
    let back = paho(&mesh, mortal("fan", 600));
    pump.kill();
    assert_eq!(desk.wait("message")["to"], "wills/pump");
    // Behind the moment at which the other one's would have come.
    published(&mut desk, "$delayed/2/wills/none", "later", json!({}));
    next_is(&mut desk, "later");
    drop(back);
}

#[test]
fn what_paho_publishes_for_later_comes_later() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut pump = paho(&mesh, json!({"id": "pump"}));
    subscribe(&mut pump, "jobs/+", json!({}));
    published(&mut pump, "$delayed/2/jobs/1", "in two seconds", json!({}));
    published(&mut pump, "$delayed/1/jobs/1", "in a second", json!({}));
    published(&mut pump, "jobs/1", "at once", json!({}));
    for body in ["at once", "in a second", "in two seconds"] {
        next_is(&mut pump, body);
    }
}

#[test]
fn a_message_of_paho_ends_when_its_life_is_over() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let kept = || json!({"id": "pump", "clean": false, "expiry": 600});
    let mut pump = paho(&mesh, kept());
    subscribe(&mut pump, "jobs/+", json!({}));
    drop(pump);
    let mut desk = paho(&mesh, json!({"id": "desk"}));
    subscribe(&mut desk, "clock", json!({}));
    published(&mut desk, "jobs/1", "short", json!({"life": 1}));
    published(&mut desk, "jobs/1", "long", json!({"life": 600}));
    published(&mut desk, "$delayed/2/clock", "two seconds", json!({}));
    next_is(&mut desk, "two seconds");
    next_is(&mut paho(&mesh, kept()), "long");
}

#[test]
fn one_paho_at_a_time_has_an_exclusive_subscription() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut first = paho(&mesh, json!({"id": "first"}));
    let mut second = paho(&mesh, json!({"id": "second"}));
    let filter = "$exclusive/valves/+";
    assert_eq!(subscribe(&mut first, filter, json!({})), 1);
    let quota_exceeded = 0x97;
    assert_eq!(subscribe(&mut second, filter, json!({})), quota_exceeded);
    first.order(&json!({"do": "disconnect"}));
    first.wait("lost");
    // Let in when its earlier connection has ended here, too.
    drop(paho(&mesh, json!({"id": "first"})));
    assert_eq!(subscribe(&mut second, filter, json!({})), 1);
    published(&mut second, "valves/1", "open", json!({}));
    next_is(&mut second, "open");
}

#[test]
fn paho_gets_no_more_than_it_takes_and_is_told_where_to_be_answered() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    node.configure("[translators.mqtt]\nresponse_topics = \"answers\"\n");
    let mesh = node.start();
    let mut pump = paho(
        &mesh,
        json!({"id": "pump", "size_max": 200, "asks_response_topic": true}),
    );
    assert_eq!(pump.wait("response_topic"), "answers/pump");
    subscribe(&mut pump, "jobs/+", json!({}));
    published(&mut pump, "jobs/1", &"x".repeat(200), json!({}));
    published(&mut pump, "jobs/1", "small", json!({}));
    next_is(&mut pump, "small");
    let labels = [("reason", "too_large_for_reader")];
    assert!(mesh.metric("fairlead_messages_dropped_total", &labels) >= 1.0);
}

#[test]
fn a_listener_keeps_paho_in_bounds() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    node.configure(
        "[translators.mqtt]\npacket_bytes_max = 1024\nqueue_messages_max = 3\nchecks_payload = true\n",
    );
    let mesh = node.start();
    let kept = || json!({"id": "pump", "clean": false, "expiry": 600});
    let mut pump = paho(&mesh, kept());
    subscribe(&mut pump, "jobs/+", json!({}));
    drop(pump);
    let mut desk = paho(&mesh, json!({"id": "desk"}));
    for number in 0..10 {
        published(&mut desk, "jobs/1", &number.to_string(), json!({}));
    }
    publish(&mut desk, "jobs/1", "\u{ff}", json!({"is_text": true}));
    assert_eq!(desk.wait("unpublished"), "Payload format invalid");
    let mut pump = paho(&mesh, kept());
    for body in ["7", "8", "9"] {
        next_is(&mut pump, body);
    }
    publish(&mut desk, "jobs/1", &"x".repeat(1024), json!({}));
    let lost = desk.wait("lost");
    assert_eq!(lost["why"], "Packet too large");
    // What paho did wrong it is also told in words.
    let words = lost["words"].as_str();
    assert!(words.is_some_and(|words| words.contains("1024")), "{lost}");
}

#[test]
fn paho_publishes_as_fast_as_the_listener_lets_it_and_loses_nothing() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    node.configure("[translators.mqtt]\npublish_rate = 20\n");
    let mesh = node.start();
    let mut pump = paho(&mesh, json!({"id": "pump"}));
    let begin = Instant::now();
    for number in 0..60 {
        publish(&mut pump, "jobs/1", &number.to_string(), json!({}));
    }
    for number in 0..60 {
        assert_eq!(pump.wait("published"), number.to_string());
    }
    // A second's worth at once, and the rest as the rate has it; the last read may bring a few more.
    assert!(begin.elapsed() > Duration::from_secs(1));
}

#[test]
fn a_mosquitto_sub_that_stops_reading_loses_what_is_beyond_its_room_and_slows_nobody() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut desk = paho(&mesh, json!({"id": "desk"}));
    subscribe(&mut desk, "live/+", json!({}));
    published(&mut desk, "flood/1", "ready", json!({"retain": true}));
    let slow = Slow::start(&mesh, "flood/+");
    // Its 8 MiB here, and what fits between two sockets.
    let body = "x".repeat(64 * 1024);
    for _ in 0..400 {
        published(&mut desk, "flood/1", &body, json!({}));
    }
    published(&mut desk, "live/1", "still here", json!({}));
    next_is(&mut desk, "still here");
    let labels = [("reason", "slow_reader")];
    assert!(mesh.metric("fairlead_messages_dropped_total", &labels) >= 1.0);
    drop(slow);
}

/// A `mosquitto_sub` of QoS 0 that has heard one message and is stopped since. Dropping it kills it.
struct Slow(Child);

impl Slow {
    fn start(mesh: &Mesh, filter: &str) -> Self {
        let mut child = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &mesh.port("mqtt"), "-t", filter])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto's clients are installed");
        let mut heard = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        heard.read_line(&mut line).expect("text");
        assert_eq!(line, "ready\n");
        kill_process(Pid::from_child(&child), Signal::STOP).expect("it runs");
        Self(child)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then say so and nothing is lost.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn who_subscribes_before_another_publishes_hears_it_although_neither_waits() {
    let node = Node::new();
    node.set_threads(1);
    let mesh = node.start();
    let mut reader = Device::passing(mesh.connect("mqtt"), "reader", 0);
    let mut writer = Device::passing(mesh.connect("mqtt"), "writer", 0);
    assert!(!reader.admitted() && !writer.admitted());
    for round in 0..50 {
        // In the middle of its work the writer would not let others go first.
        let begin = Instant::now();
        while begin.elapsed() < 5 * LULL {
            reader.ping();
        }
        let topic = format!("round/{round}");
        reader.ask(&topic, Qos::AtMostOnce);
        let message = fairlead_tests::publish(&topic, Delivery::AtMostOnce, b"heard");
        writer.send([Packet::Publish(message)]);
        reader.granted(Qos::AtMostOnce);
        assert!(matches!(reader.next(), Packet::Publish(_)), "round {round}");
    }
}
