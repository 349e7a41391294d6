//! What an operator can set, and do while it runs, as other people's clients see it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use fairlead_tests::{Make, Member, Mesh, Node, Relay, tools};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

/// The secret of the issuer of [`TOKEN`].
const SECRET: &str = "a secret that is long enough for HS256";

/// That it is for `ada`, until the year 2286.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.\
                     J-a2mclf2dQiBRm1ner9_YuRwoaj4ckXtUYouRdjhs0";

fn dial(make: Make, port: &str, mut terms: Value) -> Member {
    let mut member = Member::start(make, port);
    terms["do"] = json!("connect");
    member.order(&terms);
    member
}

fn connected(make: Make, port: &str, terms: Value) -> Member {
    let mut member = dial(make, port, terms);
    member.wait("connected");
    member
}

fn paho(mesh: &Mesh, id: &str) -> Member {
    connected(Make::Paho, &mesh.port("mqtt"), json!({"id": id}))
}

fn subscribe(member: &mut Member, filter: &str, qos: u8) {
    member.order(&json!({"do": "subscribe", "filter": filter, "qos": qos}));
    assert_eq!(member.wait("subscribed"), json!([qos]), "{filter}");
}

fn publish(member: &mut Member, to: &str, body: &str) {
    member.order(&json!({"do": "publish", "to": to, "body": body, "qos": 1}));
    assert_eq!(member.wait("published"), body);
}

fn expect_message(member: &mut Member, to: &str, body: &str) {
    let message = member.wait("message");
    assert_eq!(
        (&message["to"], &message["body"]),
        (&json!(to), &json!(body))
    );
}

#[test]
fn paho_is_told_where_to_go_for_now_and_for_good() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    node.configure("[translators.mqtt]\nserver_reference = \"b.example:1883\"\n");
    let mesh = node.start();
    let mut pump = paho(&mesh, "pump");
    mesh.stop();
    let other = json!({"why": "Use another server", "server": "b.example:1883"});
    assert_eq!(pump.wait("lost"), other);

    node.configure("moved_to = \"c.example:1883\"\n");
    let mesh = node.start();
    let mut pump = dial(Make::Paho, &mesh.port("mqtt"), json!({"id": "pump"}));
    let moved = json!({"why": "Server moved", "server": "c.example:1883"});
    assert_eq!(pump.wait("refused"), moved);
}

#[test]
fn topics_of_paho_are_called_otherwise_here() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let rules =
        r#"'publish up/# ^up/(\w+)-(\d+)$ plant/%c/$2/$1', 'subscribe down/+ plant/$1/7/temp'"#;
    node.configure(&format!("[translators.mqtt]\nrewrite = [{rules}]\n"));
    let mesh = node.start();
    let (mut desk, mut pump) = (paho(&mesh, "desk"), paho(&mesh, "pump"));
    subscribe(&mut desk, "down/pump", 1);
    publish(&mut pump, "up/temp", "as it is");
    publish(&mut pump, "up/temp-7", "21.5");
    expect_message(&mut desk, "plant/pump/7/temp", "21.5");
}

#[test]
fn one_paho_of_a_sticky_group_has_all_until_it_leaves() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    node.configure("[translators.mqtt]\nsticky_groups = [\"shift\"]\n");
    let mesh = node.start();
    let (mut left, mut right) = (paho(&mesh, "left"), paho(&mesh, "right"));
    subscribe(&mut left, "$share/shift/jobs/+", 1);
    subscribe(&mut right, "$share/shift/jobs/+", 1);
    let mut desk = paho(&mesh, "desk");
    for number in 0..20 {
        let number = number.to_string();
        publish(&mut desk, "jobs/1", &number);
        expect_message(&mut left, "jobs/1", &number);
    }
    // paho hands a message on before it acknowledges it, and a goodbye in between would overtake that. Its thread
    // is done with the last one when it has seen this answer.
    publish(&mut left, "done", "all of them");
    left.order(&json!({"do": "disconnect"}));
    left.wait("lost");
    publish(&mut desk, "jobs/1", "for the other");
    expect_message(&mut right, "jobs/1", "for the other");
    assert!(!right.has("message"));
}

#[test]
fn paho_shows_a_token_in_the_place_of_a_password() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let secret = node.data_dir().with_file_name("secret");
    fs::write(&secret, SECRET).expect("the secret is written");
    node.configure(&format!("[auth.jwt]\nsecret = {secret:?}\n"));
    let mesh = node.start();
    let login = |token: &str| json!({"id": "pump", "user": "ada", "password": token});
    let mut pump = connected(Make::Paho, &mesh.port("mqtt"), login(TOKEN));
    publish(&mut pump, "plant/1", "proven");

    let forged = TOKEN.replace("J-a2", "J-a3");
    for terms in [login(&forged), json!({"id": "stranger"})] {
        let mut stranger = dial(Make::Paho, &mesh.port("mqtt"), terms);
        let refused = stranger.wait("refused");
        assert_ne!(refused["why"], "Success", "{refused}");
    }
    let labels = [("listener", "mqtt")];
    assert!(mesh.metric("fairlead_logins_refused_total", &labels) >= 2.0);
}

#[test]
fn a_client_that_comes_too_often_is_listed_and_pardoned() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    node.configure("[translators.mqtt]\nconnects_max = 2\nban_seconds = 600\n");
    let mesh = node.start();
    for _ in 0..2 {
        let mut flapper = paho(&mesh, "flapper");
        flapper.order(&json!({"do": "disconnect"}));
        flapper.wait("lost");
    }
    let terms = json!({"id": "flapper"});
    let mut flapper = dial(Make::Paho, &mesh.port("mqtt"), terms);
    assert_eq!(flapper.wait("refused")["why"], "Banned");
    let banned = || node.run(&["sessions", "banned"]).1;
    let listed: Value = serde_json::from_str(banned().trim()).expect("one line of JSON");
    assert_eq!(listed["client"], "flapper");
    assert!(listed["seconds_left"].as_u64() <= Some(600), "{listed}");

    let (status, said) = node.run(&["sessions", "pardon", "flapper"]);
    assert!(status.success(), "{said}");
    assert_eq!(banned(), "");
    paho(&mesh, "flapper");
    let (status, said) = node.run(&["sessions", "pardon", "flapper"]);
    assert!(!status.success(), "{said}");
}

#[test]
fn sessions_are_listed_and_paho_is_told_that_it_was_sent_away() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let terms = json!({"id": "pump", "clean": false, "expiry": 600});
    let mut pump = connected(Make::Paho, &mesh.port("mqtt"), terms);
    subscribe(&mut pump, "plant/#", 1);
    let (_, listed) = node.run(&["sessions", "list"]);
    assert!(listed.contains("pump"), "{listed}");
    let (_, shown) = node.run(&["sessions", "show", "pump"]);
    for part in ["\"plant/#\"", "\"connected\": true", "600000"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (status, said) = node.run(&["sessions", "kick", "pump"]);
    assert!(status.success(), "{said}");
    assert_eq!(pump.wait("lost")["why"], "Administrative action");
    // It comes back by itself, to its session.
    assert_eq!(pump.wait("connected"), true);
}

#[test]
fn paho_may_use_what_is_named_after_it_and_is_told_no_elsewhere() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let grants = node.data_dir().with_file_name("grants.json");
    let rules = r#"{"rules": [{"allow": "both", "at": "own/%c/#"}]}"#;
    fs::write(&grants, rules).expect("the grants are written");
    let grants = grants.display().to_string();
    let (status, said) = node.run(&["grants", "set", "*", "--file", &grants]);
    assert!(status.success(), "{said}");
    for mut member in [paho(&mesh, "pump"), paho(&mesh, "desk")] {
        member.order(&json!({"do": "subscribe", "filter": "others/+", "qos": 1}));
        assert_eq!(member.wait("subscribed"), json!([0x87]));
    }
    let mut pump = paho(&mesh, "pump");
    subscribe(&mut pump, "own/+/+", 1);
    pump.order(&json!({"do": "publish", "to": "own/desk/1", "body": "not mine", "qos": 1}));
    assert_eq!(pump.wait("unpublished"), "Not authorized");
    publish(&mut pump, "own/pump/1", "mine");
    expect_message(&mut pump, "own/pump/1", "mine");
}

/// What a load balancer says when 192.0.2.7 has come to it, in both versions of its protocol.
const HEADERS: [&[u8]; 2] = [
    b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 1883\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x9c\x40\x07\x5b",
];

#[test]
fn paho_behind_a_load_balancer_has_its_own_address() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let [port, _] = free_ports();
    node.configure(&format!(
        "[[listeners]]\ntranslator = \"mqtt\"\nname = \"balanced\"\n\
         bind = \"127.0.0.1:{port}\"\nproxies = [\"127.0.0.0/8\"]\n"
    ));
    let mesh = node.start();
    let come = |header| {
        let relay = Relay::announcing(header);
        relay.lead_to(Some(([127, 0, 0, 1], port).into()));
        dial(Make::Paho, &relay.port(), json!({"id": "pump"}))
    };
    // Without a user only loopback may enter, and the load balancer's own address is that.
    for header in HEADERS {
        let refused = come(header).wait("refused");
        assert_eq!(refused["why"], "Bad user name or password");
    }
    let mut near = come(b"PROXY TCP4 127.0.0.2 127.0.0.1 40000 1883\r\n");
    near.wait("connected");
    publish(&mut near, "plant/1", "let in");

    let mut direct = dial(Make::Paho, &port.to_string(), json!({"id": "pump"}));
    direct.wait("lost");
    let labels = [("listener", "balanced"), ("reason", "proxy_header")];
    assert!(mesh.metric("fairlead_connections_turned_away_total", &labels) >= 1.0);
    mesh.stop();
    let log = node.log();
    assert!(log.matches("192.0.2.7:40000").count() >= 2, "{log}");
}

#[test]
fn mqtt_js_shows_its_certificate_over_secure_websocket() {
    shows_its_certificate(Make::MqttJsOverSecureWebSocket, "websocket", "lost");
}

#[test]
fn hivemqs_client_shows_its_certificate() {
    shows_its_certificate(Make::HiveMq, "tcp", "lost");
}

#[test]
fn paho_for_java_shows_its_certificate() {
    shows_its_certificate(Make::PahoJava, "tcp", "refused");
}

#[test]
fn paho_for_java_shows_its_certificate_in_3_1_1() {
    shows_its_certificate(Make::PahoJava311, "tcp", "refused");
}

/// A client is who its certificate says, in the same session after `kill -9` of the server; one without a certificate
/// is served where none is asked for, and nowhere else: `kept_out` is how the client tells that.
fn shows_its_certificate(make: Make, transport: &str, kept_out: &str) {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let home = node.data_dir().with_file_name("certificates");
    fs::create_dir(&home).expect("a directory");
    make_certificates(&home);
    let [port, open] = free_ports().map(|port| port.to_string());
    let listener = |name: &str, port: &str, tls: &str| {
        format!(
            "[[listeners]]\ntranslator = \"mqtt\"\nname = \"{name}\"\ntransport = \"{transport}\"\n\
             bind = \"127.0.0.1:{port}\"\ntls = \"{tls}\"\n"
        )
    };
    let (certificate, key) = (home.join("server.pem"), home.join("server.key"));
    node.configure(&format!(
        "{}{}[tls]\nmutual = {{ certificate = {certificate:?}, key = {key:?}, clients = {:?} }}\n\
         plain = {{ certificate = {certificate:?}, key = {key:?} }}\n\
         [translators.mqtt]\nrewrite = [\"publish who from/%u\"]\n",
        listener("fleet", &port, "mutual"),
        listener("open", &open, "plain"),
        home.join("authority.pem"),
    ));
    let mesh = node.start();
    let authority = home.join("authority.pem");
    let tls = json!({"ca": authority, "cert": home.join("pump.pem"), "key": home.join("pump.key")});
    let terms = json!({"id": "pump", "tls": tls, "clean": false, "expiry": 600});
    let mut pump = connected(make, &port, terms);
    subscribe(&mut pump, "from/+", 1);
    publish(&mut pump, "who", "secured");
    expect_message(&mut pump, "from/pump", "secured");

    mesh.kill();
    let mesh = node.start();
    pump.wait("lost");
    pump.wait("connected");
    publish(&mut pump, "who", "still");
    if pump.peek("message")["body"] == "secured" {
        // That it was acknowledged was not on disk yet.
        pump.wait("message");
    }
    expect_message(&mut pump, "from/pump", "still");

    let without = json!({"id": "stranger", "tls": {"ca": authority}});
    let mut stranger = connected(make, &open, without.clone());
    publish(&mut stranger, "who", "not known");
    expect_message(&mut pump, "from/anonymous", "not known");
    let mut stranger = dial(make, &port, without);
    stranger.wait(kept_out);
    assert!(!stranger.has("connected"));
    let labels = [("listener", "fleet"), ("reason", "tls")];
    let turned_away = mesh.metric("fairlead_connections_turned_away_total", &labels);
    assert!(turned_away >= 1.0, "{turned_away}");
}

/// Two that nothing listens at; whoever takes them first has them, so that the node could fail to start, and say so.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
    listeners.map(|one| one.local_addr().expect("it is bound").port())
}

/// An authority, a server and a client named `pump`, in PEM.
fn make_certificates(home: &Path) {
    let write = |name: &str, text: String| fs::write(home.join(name), text).expect("it is written");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let own = authority.self_signed(&key).expect("a certificate");
    write("authority.pem", own.pem());
    let authority = Issuer::new(authority, key);
    for (name, hosts) in [
        ("server", vec!["127.0.0.1".to_owned()]),
        ("pump", Vec::new()),
    ] {
        let mut of = CertificateParams::new(hosts).expect("names");
        of.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let signed = of.signed_by(&key, &authority).expect("a certificate");
        write(&format!("{name}.pem"), signed.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
