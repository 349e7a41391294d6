//! mosquitto_pub, mosquitto_sub and mosquitto_rr, as their man pages have them.

use std::io::Write;
use std::process::{Command, Stdio};

use fairlead_tests::{Node, Relay, Running, tools};

/// Runs one of the programs to its end, and gives back what it printed.
fn run(program: &str, port: &str, arguments: &[&str]) -> String {
    let output = command(program, port, arguments)
        .output()
        .expect("mosquitto's clients are installed");
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).expect("text")
}

fn command(program: &str, port: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-h", "127.0.0.1", "-p", port])
        .args(arguments);
    command
}

/// The same of a program that goes on.
fn start(program: &str, port: &str, arguments: &[&str]) -> Running {
    Running::start(command(program, port, arguments))
}

/// A retained message, a session by wildcard over `kill -9` of the server, and a will, in one version.
fn lives(version: &str, expiry: &[&str]) {
    if !tools::ready() {
        return;
    }
    let (node, relay) = (Node::new(), Relay::new());
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    let publish = |port: &str, topic, qos, body| {
        run(
            "mosquitto_pub",
            port,
            &["-V", version, "-t", topic, "-q", qos, "-m", body],
        );
    };
    run(
        "mosquitto_pub",
        &relay.port(),
        &["-V", version, "-r", "-q", "1", "-t", "set/1", "-m", "kept"],
    );
    let session = [
        "-V", version, "-c", "-i", "pump", "-q", "2", "-t", "orders/#", "-t", "set/+",
    ];
    let session = [&session[..], expiry].concat();
    let will = [
        "--will-topic",
        "wills/pump",
        "--will-payload",
        "gone",
        "--will-retain",
    ];
    let format = ["-F", "%t %q %r %p"];
    let pump = start(
        "mosquitto_sub",
        &relay.port(),
        &[&session[..], &will, &format].concat(),
    );
    assert_eq!(pump.line(), "set/1 1 1 kept");
    publish(&relay.port(), "orders/eu/1", "2", "first");
    assert_eq!(pump.line(), "orders/eu/1 2 0 first");

    relay.lead_to(None);
    mesh.kill();
    let mesh = node.start();
    publish(&mesh.port("mqtt"), "orders/eu/2", "1", "while it was away");
    relay.lead_to(Some(mesh.address("mqtt")));
    let mut line = pump.line();
    if line == "orders/eu/1 2 0 first" {
        // Its exchange was cut by the crash, after it had been printed.
        line = pump.line();
    }
    assert_eq!(line, "orders/eu/2 1 0 while it was away");

    drop(pump);
    let heard = run(
        "mosquitto_sub",
        &mesh.port("mqtt"),
        &["-V", version, "-t", "wills/+", "-C", "1", "-v"],
    );
    assert_eq!(heard, "wills/pump gone\n");
}

#[test]
fn mosquitto_lives_through_a_crash_in_3_1() {
    lives("mqttv31", &[]);
}

#[test]
fn mosquitto_lives_through_a_crash_in_3_1_1() {
    lives("mqttv311", &[]);
}

#[test]
fn mosquitto_lives_through_a_crash_in_5() {
    lives("mqttv5", &["-x", "3600"]);
}

#[test]
fn mosquitto_rr_gets_the_answer_to_its_request() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt");
    let desk = [
        "-V", "5", "-c", "-x", "60", "-i", "desk", "-q", "1", "-t", "ask",
    ];
    run("mosquitto_sub", &port, &[&desk[..], &["-E"]].concat());
    let ask = [
        "-V",
        "5",
        "-q",
        "1",
        "-t",
        "ask",
        "-e",
        "answers/7",
        "-m",
        "how much?",
    ];
    let ask = [
        &ask[..],
        &["-D", "publish", "correlation-data", "forty-two"],
    ]
    .concat();
    let asks = start("mosquitto_rr", &port, &ask);

    let request = run(
        "mosquitto_sub",
        &port,
        &[&desk[..], &["-C", "1", "-F", "%R|%D|%p"]].concat(),
    );
    assert_eq!(request, "answers/7|forty-two|how much?\n");
    let answer = ["-V", "5", "-q", "1", "-t", "answers/7", "-m", "21.5"];
    run(
        "mosquitto_pub",
        &port,
        &[
            &answer[..],
            &["-D", "publish", "correlation-data", "forty-two"],
        ]
        .concat(),
    );
    assert_eq!(asks.line(), "21.5");
    assert!(asks.ended().success());
}

#[test]
fn a_thousand_lines_of_mosquitto_pub_at_qos_2_come_in_order() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("mqtt");
    let reader = [
        "-V", "5", "-c", "-x", "60", "-i", "reader", "-q", "2", "-t", "lines",
    ];
    run("mosquitto_sub", &port, &[&reader[..], &["-E"]].concat());
    let mut writer = command(
        "mosquitto_pub",
        &port,
        &["-V", "5", "-q", "2", "-t", "lines", "-l"],
    )
    .stdin(Stdio::piped())
    .spawn()
    .expect("mosquitto's clients are installed");
    let lines: String = (0..1_000).map(|number| format!("{number}\n")).collect();
    let mut input = writer.stdin.take().expect("stdin is piped");
    input.write_all(lines.as_bytes()).expect("it reads");
    drop(input);
    assert!(writer.wait().expect("it ends").success());
    assert_eq!(
        run(
            "mosquitto_sub",
            &port,
            &[&reader[..], &["-C", "1000"]].concat()
        ),
        lines
    );
}
