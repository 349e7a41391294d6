//! The same script against RabbitMQ and against Fairlead: what clients see is the same.
//!
//! `clients/outcomes.py` acts out scenarios with pika: arguments and their refusals, time to live, dead letters and
//! their headers, limits, priorities, transactions. RabbitMQ runs as a process of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use fairlead_tests::{Node, tools};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// What the wrapper in /usr/sbin calls: it would switch users and drop our environment.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Headers that later versions of RabbitMQ write, and this one does not.
const LATER: &str = "x-last-death-";

/// Scenarios in which the two differ, and why.
const KNOWN: [(&str, &str); 2] = [
    (
        "a_full_queue_in_a_transaction",
        "a transaction takes effect as a whole or not at all",
    ),
    (
        "a_history_of_its_own",
        "what a client says of deaths is not believed: RabbitMQ does not either since 4.0",
    ),
];

type Outcomes = BTreeMap<String, Value>;

#[test]
fn clients_see_the_same_as_with_rabbitmq() {
    if !tools::ready() {
        return;
    }
    if !Path::new(SERVER).exists() {
        eprintln!("skipped: no rabbitmq-server here; tests/tools installs it");
        return;
    }
    let theirs = thread::Builder::new()
        .name("rabbitmq".into())
        .spawn(|| outcomes(&Rabbit::start().port.to_string()))
        .expect("a thread starts");
    let node = Node::new();
    let mesh = node.start();
    let ours = outcomes(&mesh.port("amqp"));
    let theirs = theirs.join().expect("RabbitMQ answers");
    assert!(theirs.len() > 45, "every scenario was acted out");
    let mut differences = Vec::new();
    for (scenario, theirs) in &theirs {
        let ours = ours.get(scenario).unwrap_or(&Value::Null);
        if let Some((_, why)) = KNOWN.iter().find(|(known, _)| known == scenario) {
            assert_ne!(ours, theirs, "{scenario} is the same by now, though {why}");
            continue;
        }
        compare(scenario, theirs, ours, &mut differences);
    }
    let differences = differences.join("\n");
    assert!(differences.is_empty(), "{differences}\n{}", node.log());
}

/// What a broker did, by scenario.
fn outcomes(port: &str) -> Outcomes {
    let output = Command::new(tools::home().join(".tools/venv/bin/python"))
        .arg(tools::home().join("clients/outcomes.py"))
        .arg(port)
        .stderr(Stdio::inherit())
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", output.status);
    let lines = String::from_utf8(output.stdout).expect("lines are text");
    lines.lines().map(outcome).collect()
}

fn outcome(line: &str) -> (String, Value) {
    let said: Value = serde_json::from_str(line).expect("a line is JSON");
    let scenario = said["scenario"].as_str().expect("a scenario has a name");
    (scenario.to_owned(), said["outcome"].clone())
}

/// Notes where two outcomes differ.
fn compare(at: &str, theirs: &Value, ours: &Value, differences: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let names = theirs.keys().chain(ours.keys());
            let names: std::collections::BTreeSet<_> =
                names.filter(|name| !name.starts_with(LATER)).collect();
            for name in names {
                let value = |said: &serde_json::Map<_, _>| said.get(name).cloned();
                let (theirs, ours) = (value(theirs), value(ours));
                let [theirs, ours] = [theirs, ours].map(Option::unwrap_or_default);
                compare(&format!("{at}/{name}"), &theirs, &ours, differences);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                compare(&format!("{at}/{index}"), theirs, ours, differences);
            }
        }
        _ if theirs == ours => {}
        _ => differences.push(format!("{at}\n  RabbitMQ: {theirs}\n  Fairlead: {ours}")),
    }
}

/// A RabbitMQ of the test's own, on loopback.
struct Rabbit {
    home: TempDir,
    port: u16,
    /// Erlang's port mapper: left to itself, the server starts one that outlives it.
    mapper: Child,
    server: Child,
}

impl Rabbit {
    fn start() -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let [port, distribution, mapper] = free_ports();
        fs::write(home.path().join("plugins"), "[].").expect("no plugins are asked for");
        let path = |name: &str| home.path().join(name);
        let server = Command::new(SERVER)
            .env("HOME", home.path())
            .env("RABBITMQ_NODENAME", format!("outcomes{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env("RABBITMQ_MNESIA_BASE", path("data"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", mapper.to_string())
            .stdout(Stdio::piped())
            .spawn();
        let mapper = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &mapper.to_string()])
            .spawn();
        let rabbit = Self {
            home,
            port,
            mapper: mapper.expect("epmd starts"),
            server: server.expect("rabbitmq-server starts"),
        };
        rabbit.wait()
    }

    /// Reads what the server says until it has started.
    fn wait(mut self) -> Self {
        let said = self.server.stdout.as_mut().expect("stdout is piped");
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        assert!(
            lines.any(|line| line.contains("Starting broker... completed")),
            "RabbitMQ did not start"
        );
        self
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        // The number of the Erlang process, which the shell around it has started.
        let pid = fs::read_to_string(self.home.path().join("pid")).ok();
        let pid = pid.and_then(|pid| pid.trim().parse().ok());
        match pid.and_then(Pid::from_raw) {
            Some(pid) => drop(kill_process(pid, Signal::TERM)),
            None => drop(self.server.kill()),
        }
        // Both have ended by themselves, or are made to.
        drop(self.server.wait());
        drop(self.mapper.kill());
        drop(self.mapper.wait());
    }
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address").port())
}
