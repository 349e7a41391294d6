//! Who gets in, by each protocol's own client: anonymous until the first user exists, then only with a password.

use std::fs;
use std::process::{Command, Output};
use std::thread::yield_now;

use fairlead_tests::{Client, Line, Mesh, Node, PATIENCE, Program, Record, tools};
use tokio::time::Instant;

const DOORS: [(&str, Program); 3] = [
    ("mqtt", Program::Paho),
    ("kafka", Program::Librdkafka),
    ("amqp", Program::Pika),
];

#[test]
fn the_first_user_ends_anonymous_access_at_every_door() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    for (door, program) in DOORS {
        publishes(&mesh, door, program, None);
    }

    let password = node.data_dir().join("password");
    fs::write(&password, "correct horse\n").expect("the password is written");
    let (status, said) = node.run(&[
        "users",
        "add",
        "alice",
        "--password-file",
        &password.display().to_string(),
    ]);
    assert!(status.success(), "{said}");
    let (_, listed) = node.run(&["users", "list"]);
    assert!(listed.contains("alice"), "{listed}");
    assert!(!listed.contains("correct horse"), "a password is shown");

    for (door, program) in DOORS {
        publishes(&mesh, door, program, Some("alice:correct horse"));
        let before = mesh.metric("fairlead_logins_refused_total", &[("protocol", door)]);
        is_refused(&mesh, door, program, Some("alice:wrong"));
        is_refused(&mesh, door, program, None);
        let refused = mesh.metric("fairlead_logins_refused_total", &[("protocol", door)]) - before;
        assert!(refused >= 1.0, "no refused login is counted at {door}");
    }
    let connected: Vec<Client> = DOORS
        .map(|(door, program)| stays(&mesh, door, program, "alice:correct horse"))
        .into();
    let (status, said) = node.run(&["users", "remove", "alice"]);
    assert!(status.success(), "{said}");
    for (door, _) in DOORS {
        // A client may come back, and is refused.
        wait_until(|| connections(&mesh, door) < 1.0);
    }
    drop(connected);

    assert!(
        node.log().contains("login"),
        "no refused login is logged: {}",
        node.log()
    );
    assert!(
        !node.log().contains("correct horse"),
        "a password is logged"
    );
}

#[test]
fn kcat_logs_in_with_the_right_password_only() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let password = node.data_dir().join("password");
    fs::write(&password, "horse\n").expect("the password is written");
    let password = password.display().to_string();
    let (status, said) = node.run(&["users", "add", "alice", "--password-file", &password]);
    assert!(status.success(), "{said}");

    let refused = || mesh.metric("fairlead_logins_refused_total", &[("protocol", "kafka")]);
    let right = kcat(&mesh, "horse");
    assert!(right.status.success(), "{right:?}");
    assert!(refused() < 1.0, "the right password was refused");
    let wrong = kcat(&mesh, "donkey");
    assert!(!wrong.status.success(), "{wrong:?}");
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("authentication failed"), "{said}");
    assert!(refused() >= 1.0, "no refused login is counted");
}

/// Asks for the list of topics as alice.
fn kcat(mesh: &Mesh, password: &str) -> Output {
    let mut command = Command::new("kcat");
    command.args(["-L", "-m", "10"]);
    command.args(["-b", &format!("127.0.0.1:{}", mesh.port("kafka"))]);
    command.args(["-X", "security.protocol=SASL_PLAINTEXT"]);
    command.args(["-X", "sasl.mechanism=PLAIN", "-X", "sasl.username=alice"]);
    command.args(["-X", &format!("sasl.password={password}")]);
    command.output().expect("kcat runs")
}

fn publishes(mesh: &Mesh, door: &str, program: Program, login: Option<&str>) {
    start(mesh, door, program, login).publish_all(&[Record::new("greeting", "hello")]);
}

/// The client ends, or says that it failed, without an acknowledgement.
fn is_refused(mesh: &Mesh, door: &str, program: Program, login: Option<&str>) {
    let mut client = start(mesh, door, program, login);
    client.publish(&Record::new("greeting", "hello"));
    client.finish();
    while let Some(line) = client.line() {
        assert!(
            !matches!(line, Line::Acked(_)),
            "{program:?} got in as {login:?}"
        );
    }
}

/// A client that is in.
fn stays(mesh: &Mesh, door: &str, program: Program, login: &str) -> Client {
    wait_until(|| connections(mesh, door) < 1.0);
    let let_in = || mesh.metric("fairlead_logins_accepted_total", &[("protocol", door)]);
    let before = let_in();
    let client = start(mesh, door, program, Some(login));
    wait_until(|| let_in() > before);
    client
}

fn connections(mesh: &Mesh, door: &str) -> f64 {
    mesh.metric("fairlead_connections", &[("protocol", door)])
}

fn wait_until(is_so: impl Fn() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < patience, "it did not come so");
        yield_now();
    }
}

fn start(mesh: &Mesh, door: &str, program: Program, login: Option<&str>) -> Client {
    let port = mesh.port(door);
    let mut arguments = vec!["publish", port.as_str()];
    arguments.extend(login.into_iter().flat_map(|login| ["--login", login]));
    Client::begin(program, &arguments)
}

/// Runs a client of MQTT to its end.
fn mosquitto(program: &str, mesh: &Mesh, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &mesh.port("mqtt")])
        .args(arguments)
        .output()
        .expect("mosquitto's clients are installed")
}

#[test]
fn users_of_mosquitto_move_with_their_passwords_and_get_grants_while_the_node_runs() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let file = node.data_dir().join("imported").display().to_string();
    for (name, created) in [("ada", "-c"), ("bob", "-b")] {
        let made = Command::new("mosquitto_passwd")
            .args(["-b", created, &file, name, "pencil"])
            .output()
            .expect("mosquitto_passwd is installed");
        assert!(made.status.success(), "{made:?}");
    }
    let (status, said) = node.run(&["users", "import", &file]);
    assert!(status.success(), "{said}");

    let publish = |user, password, topic| {
        let login = ["-u", user, "-P", password, "-i", user];
        let message = ["-V", "5", "-q", "1", "-t", topic, "-m", "x"];
        mosquitto("mosquitto_pub", &mesh, &[&login[..], &message].concat())
    };
    assert!(publish("ada", "pencil", "a").status.success());
    assert!(!publish("ada", "pen", "a").status.success());

    let grants = node.data_dir().join("grants.json");
    let rules = r#"{"rules":[{"allow":"both","at":"own/%u/#"}]}"#;
    fs::write(&grants, rules).expect("the grants are written");
    let grants = grants.display().to_string();
    let (status, said) = node.run(&["grants", "set", "*", "--file", &grants]);
    assert!(status.success(), "{said}");
    let denied = publish("ada", "pencil", "own/bob/1");
    let said = String::from_utf8_lossy(&denied.stderr).to_lowercase();
    assert!(said.contains("not authorized"), "{denied:?}");
    let allowed = publish("ada", "pencil", "own/ada/1");
    assert!(allowed.stderr.is_empty(), "{allowed:?}");
}

#[test]
fn a_session_is_shown_and_its_connection_ended() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let subscribe = [
        "-V",
        "5",
        "-c",
        "-x",
        "600",
        "-i",
        "pump",
        "-q",
        "1",
        "-t",
        "a/+",
        "-t",
        "$share/g/b",
        "-E",
    ];
    let subscribed = mosquitto("mosquitto_sub", &mesh, &subscribe);
    assert!(subscribed.status.success(), "{subscribed:?}");
    mosquitto("mosquitto_pub", &mesh, &["-q", "1", "-t", "a/1", "-m", "x"]);
    let (_, shown) = node.run(&["sessions", "show", "pump"]);
    for part in [
        "\"a/+\"",
        "\"$share/g/b\"",
        "\"QoS 1\"",
        "\"granted\": \"all\"",
        "\"user\": \"anonymous\"",
        "\"ready\": 1",
        "\"connected\": false",
        "600000",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(mesh.metric("fairlead_sessions", &[]), 1.0);
    let (status, _) = node.run(&["sessions", "kick", "pump"]);
    assert!(!status.success(), "it is not connected");

    let mut listens = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &mesh.port("mqtt")])
        .args([
            "-V", "5", "-c", "-x", "600", "-i", "pump", "-q", "1", "-t", "a/+",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("mosquitto_sub is installed");
    let heard = listens.stdout.as_mut().expect("stdout is piped");
    let mut first = [0; 2];
    std::io::Read::read_exact(heard, &mut first).expect("the message that waited");
    let (status, said) = node.run(&["sessions", "kick", "pump", "--forget"]);
    assert!(status.success(), "{said}");
    let (status, _) = node.run(&["sessions", "show", "pump"]);
    assert!(!status.success(), "the session is gone");
    assert_eq!(mesh.metric("fairlead_sessions", &[]), 0.0);
    listens.kill().expect("it can be stopped");
    listens.wait().expect("it stops");
}
