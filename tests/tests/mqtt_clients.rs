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
fn paho_for_java_lives_through_a_crash_in_3_1() {
    lives(Make::PahoJava311, 3, "mqtt");
}

#[test]
fn paho_for_java_lives_through_a_crash_in_3_1_1() {
    lives(Make::PahoJava311, 4, "mqtt");
}

#[test]
fn hivemqs_client_lives_through_a_crash_over_websocket() {
    lives(Make::HiveMqOverWebSocket, 5, "mqtt-websocket");
}

#[test]
fn hivemqs_client_lives_through_a_crash() {
    lives(Make::HiveMq, 5, "mqtt");
}

/// What is published while the server is away waits in the client, and arrives once, in order.
fn keeps_what_the_server_cannot_take(make: Make) {
    if !tools::ready() {
        return;
    }
    let (node, relay) = (Node::new(), Relay::new());
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    let mut desk = connected(Make::Paho, &mesh.port("mqtt"), kept("desk"));
    subscribe(&mut desk, "readings/#", 2);
    drop(desk);
    let mut pump = connected(make, &relay.port(), kept("pump"));

    relay.lead_to(None);
    mesh.kill();
    pump.wait("lost");
    let bodies: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    for body in &bodies {
        pump.order(&json!({"do": "publish", "to": "readings/1", "body": body, "qos": 2}));
    }
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    for _ in &bodies {
        pump.wait("published");
    }
    expect_bodies(&mesh, &bodies);
}

fn kept(id: &str) -> Value {
    json!({"id": id, "clean": false, "expiry": 3600})
}

/// What waited for the session of `desk` is this and nothing else.
fn expect_bodies(mesh: &Mesh, bodies: &[String]) {
    let mut desk = connected(Make::Paho, &mesh.port("mqtt"), kept("desk"));
    // Behind the last of them in the same queue.
    publish_directly(mesh, "readings/end", "end");
    let mut heard = Vec::new();
    loop {
        let message = desk.wait("message");
        match message["body"].as_str() {
            Some("end") => break,
            body => heard.push(body.expect("text").to_owned()),
        }
    }
    assert_eq!(heard, bodies);
}

#[test]
fn paho_keeps_what_the_server_cannot_take() {
    keeps_what_the_server_cannot_take(Make::Paho);
}

#[test]
fn mqtt_js_keeps_what_the_server_cannot_take() {
    keeps_what_the_server_cannot_take(Make::MqttJs);
}

#[test]
fn hivemqs_client_keeps_what_the_server_cannot_take() {
    keeps_what_the_server_cannot_take(Make::HiveMq);
}

#[test]
fn paho_for_java_keeps_on_disk_what_the_server_cannot_take() {
    keeps_on_disk_what_the_server_cannot_take(Make::PahoJava);
}

#[test]
fn paho_for_java_keeps_on_disk_what_the_server_cannot_take_in_3_1_1() {
    keeps_on_disk_what_the_server_cannot_take(Make::PahoJava311);
}

fn keeps_on_disk_what_the_server_cannot_take(make: Make) {
    if !tools::ready() {
        return;
    }
    let (node, relay) = (Node::new(), Relay::new());
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    let mut desk = connected(Make::Paho, &mesh.port("mqtt"), kept("desk"));
    subscribe(&mut desk, "readings/#", 2);
    drop(desk);
    let mut terms = kept("pump");
    terms["directory"] = json!(node.data_dir().with_file_name("pump"));
    let mut pump = connected(make, &relay.port(), terms.clone());

    relay.lead_to(None);
    mesh.kill();
    pump.wait("lost");
    let bodies: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    for body in &bodies {
        pump.order(&json!({"do": "publish", "to": "readings/1", "body": body, "qos": 2}));
        pump.wait("taken");
    }
    pump.kill();
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    let mut pump = connected(make, &relay.port(), terms);
    for _ in &bodies {
        pump.wait("delivered");
    }
    expect_bodies(&mesh, &bodies);
}

/// What a client that acknowledges by hand has not acknowledged comes to the next one of its session, and nothing else.
fn acknowledges_by_hand(make: Make) {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt");
    let mut terms = kept("pump");
    terms["acknowledges"] = json!(false);
    let mut pump = connected(make, &port, terms.clone());
    subscribe(&mut pump, "orders/#", 1);
    let mut desk = connected(Make::Paho, &port, json!({"id": "desk"}));
    for body in ["first", "second", "third"] {
        publish(&mut desk, "orders/1", body, 1);
        expect_message(&mut pump, "orders/1", body, false);
    }
    pump.order(&json!({"do": "acknowledge", "count": 2}));
    disconnect(&mut pump);
    assert_eq!(connect(&mut pump, terms), true);
    expect_message(&mut pump, "orders/1", "third", false);
    publish(&mut desk, "orders/1", "fourth", 1);
    expect_message(&mut pump, "orders/1", "fourth", false);
}

#[test]
fn paho_for_java_acknowledges_by_hand() {
    acknowledges_by_hand(Make::PahoJava);
}

#[test]
fn paho_for_java_acknowledges_by_hand_in_3_1_1() {
    acknowledges_by_hand(Make::PahoJava311);
}

#[test]
fn hivemqs_client_acknowledges_by_hand() {
    acknowledges_by_hand(Make::HiveMq);
}

#[test]
fn mqtt_js_uses_aliases_both_ways_and_every_property_over_websocket() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt-websocket");
    let make = Make::MqttJsOverWebSocket;
    let mut writer = connected(make, &port, json!({"id": "writer", "aliases": 10}));
    let mut reader = connected(make, &port, json!({"id": "reader", "aliases": 10}));
    subscribe(&mut reader, "a/long/topic/#", 1);
    let message = json!({
        "do": "publish", "to": "a/long/topic/of/a/sensor", "body": "21.5", "qos": 1,
        "content_type": "text/plain", "reply_to": "answers/1", "correlation": "42",
        "headers": {"unit": "C", "grade": ["a", "b"]},
    });
    for _ in 0..3 {
        writer.order(&message);
        writer.wait("published");
        let heard = reader.wait("message");
        for field in [
            "to",
            "body",
            "content_type",
            "reply_to",
            "correlation",
            "headers",
        ] {
            assert_eq!(heard[field], message[field], "{field}");
        }
    }
    for (member, event) in [(&mut writer, "sent"), (&mut reader, "received")] {
        let packets: Vec<Value> = (0..3).map(|_| member.wait(event)).collect();
        let by_alias = json!({"topic": "", "alias": 1});
        let by_both = json!({"topic": message["to"], "alias": 1});
        assert_eq!(packets, [by_both, by_alias.clone(), by_alias], "{event}");
    }
}

#[test]
fn hivemqs_client_is_sent_no_more_than_its_receive_maximum() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt");
    let terms = json!({"id": "reader", "receive_max": 3, "acknowledges": false});
    let mut reader = connected(Make::HiveMq, &port, terms);
    for (filter, qos) in [("jobs/#", 2), ("live/#", 0)] {
        subscribe(&mut reader, filter, qos);
    }
    let mut writer = connected(Make::HiveMq, &port, json!({"id": "writer"}));
    for number in 0..10 {
        publish(&mut writer, "jobs/1", &number.to_string(), 2);
    }
    // Three, and not the fourth: what follows them is a message that the window does not hold up.
    let mut heard = 0;
    while heard < 10 {
        let window = (10 - heard).min(3);
        for number in heard..heard + window {
            expect_message(&mut reader, "jobs/1", &number.to_string(), false);
        }
        publish(&mut writer, "live/1", "live", 0);
        expect_message(&mut reader, "live/1", "live", false);
        reader.order(&json!({"do": "acknowledge", "count": window + 1}));
        heard += window;
    }
}

#[test]
fn hivemqs_client_publishes_a_stream_at_qos_2() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt");
    let mut reader = connected(Make::HiveMq, &port, json!({"id": "reader"}));
    subscribe(&mut reader, "jobs/+", 2);
    let mut writer = connected(Make::HiveMq, &port, json!({"id": "writer"}));
    writer.order(&json!({"do": "stream", "to": "jobs/1", "qos": 2, "count": 1000}));
    for number in 0..1_000 {
        expect_message(&mut reader, "jobs/1", &number.to_string(), false);
    }
    assert_eq!(writer.wait("streamed"), "1000");
}

#[test]
fn hivemqs_client_proves_itself_by_scram_and_once_more_while_connected() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let password = node.data_dir().join("password");
    std::fs::write(&password, "pencil\n").expect("the password is written");
    let password = password.display().to_string();
    let (status, said) = node.run(&["users", "add", "ada", "--password-file", &password]);
    assert!(status.success(), "{said}");

    let port = mesh.port("mqtt");
    let login = |password| json!({"id": "pump", "scram": {"name": "ada", "password": password}});
    let mut pump = connected(Make::HiveMq, &port, login("pencil"));
    publish(&mut pump, "orders/1", "proven", 1);
    pump.order(&json!({"do": "prove"}));
    assert_eq!(pump.wait("proven"), true);
    publish(&mut pump, "orders/1", "proven again", 1);

    let mut stranger = Member::start(Make::HiveMq, &port);
    let mut terms = login("pen");
    terms["do"] = json!("connect");
    stranger.order(&terms);
    let refused = stranger.wait("refused");
    assert!(refused.to_string().contains("NOT_AUTHORIZED"), "{refused}");
}

#[test]
fn hivemqs_client_ends_a_kept_session_by_an_expiry_of_zero() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt");
    let mut pump = Member::start(Make::HiveMq, &port);
    assert_eq!(connect(&mut pump, kept("pump")), false);
    subscribe(&mut pump, "orders/#", 2);
    disconnect(&mut pump);
    publish_directly(&mesh, "orders/1", "waits");
    assert_eq!(
        connect(&mut pump, json!({"id": "pump", "clean": false})),
        true
    );
    expect_message(&mut pump, "orders/1", "waits", false);
    disconnect(&mut pump);
    assert_eq!(connect(&mut pump, kept("pump")), false);
}

fn disconnect(member: &mut Member) {
    member.order(&json!({"do": "disconnect"}));
    member.wait("lost");
}

#[test]
fn two_of_aiomqtt_share_the_work_and_one_takes_over_from_the_other() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt");
    let mut workers =
        ["left", "right"].map(|id| connected(Make::Aiomqtt, &port, json!({"id": id})));
    for worker in &mut workers {
        subscribe(worker, "$share/shift/jobs/+", 1);
    }
    let mut desk = connected(Make::Aiomqtt, &port, json!({"id": "desk"}));
    for number in 0..100 {
        publish(&mut desk, "jobs/1", &number.to_string(), 1);
    }
    let [mut left, mut right] = workers;
    // Taking turns, each has half.
    let heard = [numbers(&mut left, 50), numbers(&mut right, 50)].concat();
    assert_eq!(sorted(heard), (0..100).collect::<Vec<_>>());

    left.kill();
    for number in 100..110 {
        publish(&mut desk, "jobs/1", &number.to_string(), 1);
    }
    // Some may have been on their way to the other.
    assert_eq!(
        sorted(numbers(&mut right, 10)),
        (100..110).collect::<Vec<_>>()
    );
}

/// The next messages, whose bodies are numbers.
fn numbers(member: &mut Member, count: usize) -> Vec<u32> {
    let number = |message: Value| message["body"].as_str().and_then(|body| body.parse().ok());
    (0..count)
        .map(|_| number(member.wait("message")).expect("a number"))
        .collect()
}

fn sorted(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers
}

#[test]
fn gmqtt_is_told_by_which_subscription_and_takes_aliases() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt");
    let mut reader = connected(Make::Gmqtt, &port, json!({"id": "reader", "aliases": 5}));
    for (filter, number) in [("plant/#", 7), ("plant/+/temp", 9)] {
        reader.order(&json!({"do": "subscribe", "filter": filter, "qos": 1, "number": number}));
        assert_eq!(reader.wait("subscribed"), json!([1]));
    }
    let mut writer = connected(Make::Gmqtt, &port, json!({"id": "writer"}));
    for (topic, alias, numbers) in [
        ("plant/1/temp", 1, json!([7, 9])),
        ("plant/1/temp", 1, json!([7, 9])),
        ("plant/1/fan", 2, json!([7])),
    ] {
        let headers = json!([["unit", "C"], ["unit", "K"]]);
        writer.order(&json!({
            "do": "publish", "to": topic, "body": "21.5", "qos": 1,
            "content_type": "text/plain", "reply_to": "answers/1", "headers": headers,
        }));
        writer.wait("published");
        let message = reader.wait("message");
        assert!(is_message(&message, topic, "21.5", false), "{message}");
        assert_eq!(
            (&message["content_type"], &message["reply_to"]),
            (&json!("text/plain"), &json!("answers/1"))
        );
        assert_eq!(
            (&message["headers"], &message["alias"]),
            (&headers, &json!(alias))
        );
        let mut told: Vec<u64> =
            serde_json::from_value(message["subscriptions"].clone()).expect("numbers");
        told.sort_unstable();
        assert_eq!(json!(told), numbers, "{topic}");
    }
}
