//! Other people's MQTT clients, unchanged: each lives through a crash of the server, and each does what it is known for.

use fairlead_tests::{Client, Make, Member, Mesh, Node, Program, Record, Relay, tools};
use serde_json::{Value, json};

/// A client that is connected.
fn connected(make: Make, port: &str, terms: Value) -> Member {
    let mut member = Member::start(make, port);
    connect(&mut member, terms);
    member
}

/// Whether there was a session; null when the client does not tell.
fn connect(member: &mut Member, mut terms: Value) -> Value {
    terms["do"] = json!("connect");
    member.order(&terms);
    member.wait("connected")
}

/// Subscribes, and expects the QoS that it asked for.
fn subscribe(member: &mut Member, filter: &str, qos: u8) {
    member.order(&json!({"do": "subscribe", "filter": filter, "qos": qos}));
    assert_eq!(member.wait("subscribed"), json!([qos]), "{filter}");
}

/// Publishes, and waits for the end of the exchange.
fn publish(member: &mut Member, to: &str, body: &str, qos: u8) {
    member.order(&json!({"do": "publish", "to": to, "body": body, "qos": qos}));
    assert_eq!(member.wait("published"), body);
}

/// What a message is, apart from what is special to a client.
fn is_message(message: &Value, to: &str, body: &str, retain: bool) -> bool {
    message["to"] == to && message["body"] == body && message["retain"] == retain
}

fn expect_message(member: &mut Member, to: &str, body: &str, retain: bool) {
    let message = member.wait("message");
    assert!(is_message(&message, to, body, retain), "{message}");
}

/// Passes over a message that comes a second time. Most libraries hand a message of QoS 2 on before they have kept
/// that they did; when the crash falls between, the exchange goes on and they hand it on again. What the server owes
/// them is tested packet by packet elsewhere.
fn pass_over_again(member: &mut Member, body: &str) {
    if member.peek("message")["body"] == body {
        member.wait("message");
    }
}

/// Publishes past the relay, as paho-mqtt.
fn publish_directly(mesh: &Mesh, to: &str, body: &str) {
    let publisher = Client::start(Program::Paho, &["publish", &mesh.port("mqtt")]);
    publisher.publish_all(&[Record::new(to, body)]);
}

/// Connects, publishes and hears at QoS 2, by wildcard and what was retained; is still the same session after
/// `kill -9` of the server; dies, and its will is heard and retained.
fn lives(make: Make, level: u8, door: &str) {
    if !tools::ready() {
        return;
    }
    let (node, relay) = (Node::new(), Relay::new());
    let mesh = node.start();
    relay.lead_to(Some(mesh.address(door)));
    let will = json!({"to": "wills/pump", "body": "gone", "qos": 1, "retain": true});
    let pump = json!({"id": "pump", "level": level, "clean": false, "expiry": 3600, "will": will});
    let mut pump = connected(make, &relay.port(), pump);
    let mut desk = connected(make, &relay.port(), json!({"id": "desk", "level": level}));

    desk.order(&json!({"do": "publish", "to": "set/1", "body": "kept", "qos": 1, "retain": true}));
    desk.wait("published");
    subscribe(&mut pump, "set/+", 1);
    expect_message(&mut pump, "set/1", "kept", true);
    subscribe(&mut pump, "orders/#", 2);
    publish(&mut desk, "orders/eu/1", "first", 2);
    expect_message(&mut pump, "orders/eu/1", "first", false);

    relay.lead_to(None);
    mesh.kill();
    let mesh = node.start();
    publish_directly(&mesh, "orders/eu/2", "while nobody was there");
    relay.lead_to(Some(mesh.address(door)));
    pass_over_again(&mut pump, "first");
    expect_message(&mut pump, "orders/eu/2", "while nobody was there", false);
    desk.wait("connected");
    publish(&mut desk, "orders/eu/3", "again", 2);
    expect_message(&mut pump, "orders/eu/3", "again", false);

    subscribe(&mut desk, "wills/+", 1);
    pump.kill();
    expect_message(&mut desk, "wills/pump", "gone", false);
    subscribe(&mut desk, "wills/#", 1);
    expect_message(&mut desk, "wills/pump", "gone", true);
}

#[test]
fn paho_lives_through_a_crash_in_3_1() {
    lives(Make::Paho, 3, "mqtt");
}

#[test]
fn paho_lives_through_a_crash_in_3_1_1() {
    lives(Make::Paho, 4, "mqtt");
}

#[test]
fn paho_lives_through_a_crash_in_5() {
    lives(Make::Paho, 5, "mqtt");
}

#[test]
fn aiomqtt_lives_through_a_crash() {
    lives(Make::Aiomqtt, 5, "mqtt");
}

#[test]
fn gmqtt_lives_through_a_crash() {
    lives(Make::Gmqtt, 5, "mqtt");
}

#[test]
fn mqtt_js_lives_through_a_crash() {
    lives(Make::MqttJs, 4, "mqtt");
}

#[test]
fn mqtt_js_lives_through_a_crash_over_websocket() {
    lives(Make::MqttJsOverWebSocket, 5, "mqtt-websocket");
}

#[test]
fn paho_for_java_lives_through_a_crash() {
    lives(Make::PahoJava, 5, "mqtt");
}

#[test]
fn hivemqs_client_lives_through_a_crash() {
    lives(Make::HiveMq, 5, "mqtt");
}
