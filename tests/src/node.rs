//! A Fairlead of the test's own: the built binary, a fresh data directory, free loopback ports.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;

/// What a test can reach: the three doors, one of them over WebSocket as well, and the admin page.
const DOORS: [&str; 5] = ["mqtt", "mqtt-websocket", "kafka", "amqp", "admin"];

/// The unit of times under `/proc`, the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

const CONFIGURATION: &str = r#"
[node]
drain_ms = 3000
[admin]
bind = "127.0.0.1:0"
[[listeners]]
translator = "mqtt"
bind = "127.0.0.1:0"
[[listeners]]
translator = "mqtt"
transport = "websocket"
bind = "127.0.0.1:0"
[[listeners]]
translator = "kafka"
bind = "127.0.0.1:0"
[[listeners]]
translator = "amqp"
bind = "127.0.0.1:0"
"#;

/// A data directory and a configuration; the processes come and go.
#[derive(Debug)]
pub struct Node {
    home: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Node {
    /// # Panics
    /// When there is no room for a temporary directory.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let home = TempDir::new().expect("a temporary directory");
        fs::write(home.path().join("fairlead.toml"), CONFIGURATION)
            .expect("the configuration is written");
        Self {
            home,
            environment: Vec::new(),
        }
    }

    /// Adds lines to the configuration.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, lines: &str) {
        let file = File::options()
            .append(true)
            .open(self.home.path().join("fairlead.toml"));
        file.and_then(|mut file| file.write_all(lines.as_bytes()))
            .expect("the configuration is written");
    }

    /// Says how many threads serve its clients.
    ///
    /// # Panics
    /// When the configuration cannot be read and written.
    pub fn set_threads(&self, count: usize) {
        let file = self.home.path().join("fairlead.toml");
        let lines = fs::read_to_string(&file).expect("the configuration is read");
        let lines = lines.replacen("[node]", &format!("[node]\nthreads = {count}"), 1);
        fs::write(file, lines).expect("the configuration is written");
    }

    /// Sets what all processes of this node find in their environment.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// All that the processes of this node have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Starts the binary and waits until every door is open.
    ///
    /// # Panics
    /// With its log, when it ends before that.
    pub fn start(&self) -> Mesh {
        Starting {
            node: self,
            child: self.spawn(&[]),
        }
        .ready()
    }

    /// Starts the binary so that a write beyond what it may write is an error, and not its end.
    ///
    /// # Panics
    /// With its log, when it ends before its doors are open.
    pub fn start_undaunted(&self) -> Mesh {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        let child = self.serve(shell.arg(binary()), &[]);
        Starting { node: self, child }.ready()
    }

    /// Starts a second process that takes the doors over from the running one, and does not wait for it.
    pub fn upgrade(&self) -> Starting<'_> {
        Starting {
            node: self,
            child: self.spawn(&["--upgrade"]),
        }
    }

    /// Runs another verb of the binary on this node, and gives back how it ended and what it said.
    pub fn run(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null());
        finished(self.here(&mut command))
    }

    /// Runs a verb that is about no node.
    pub fn run_alone(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null());
        let environment = self.environment.iter();
        command.envs(environment.map(|(name, value)| (name, value)));
        finished(&mut command)
    }

    /// Runs `store` with a verb on the data directory, and gives back how that ended and the lines that it printed.
    ///
    /// # Panics
    /// When they are not JSON.
    pub fn look(&self, verb: &str) -> (ExitStatus, Vec<Value>) {
        let mut command = Command::new(binary());
        command.args(["store", verb, "--json"]).stdin(Stdio::null());
        let output = self.here(&mut command).output().expect("the binary runs");
        let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        let lines = lines.collect::<Result<_, _>>().expect("JSON");
        (output.status, lines)
    }

    /// Starts the binary where it is expected to refuse, and gives back how it ended and what it logged.
    ///
    /// # Panics
    /// When it serves.
    pub fn refuses_to_start(&self) -> (ExitStatus, String) {
        let before = self.log().len();
        let mut child = self.spawn(&[]);
        let said = listen(child.stdout.take().expect("stdout is piped"));
        if let Ok(line) = said.recv_timeout(PATIENCE) {
            child.kill().expect("a child can be killed");
            panic!("it serves: {line}\n{}", self.log());
        }
        let status = child.wait().expect("a child can be waited for");
        (status, self.log().split_off(before))
    }

    /// The arguments that say which node is meant.
    fn here<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let environment = self.environment.iter();
        command
            .envs(environment.map(|(name, value)| (name, value)))
            .arg("--data-dir")
            .arg(self.data_dir())
            .arg("--config")
            .arg(self.home.path().join("fairlead.toml"))
    }

    fn spawn(&self, more: &[&str]) -> Child {
        self.serve(&mut Command::new(binary()), more)
    }

    fn serve(&self, command: &mut Command, more: &[&str]) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.home.path().join("log"))
            .expect("a log file");
        self.here(command.arg("serve").args(more))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts")
    }
}

/// A process that has been started and may not have opened its doors yet.
#[derive(Debug)]
pub struct Starting<'a> {
    node: &'a Node,
    child: Child,
}

impl Starting<'_> {
    /// Waits until every door is open.
    ///
    /// # Panics
    /// With its log, when it ends before that.
    pub fn ready(mut self) -> Mesh {
        let said = listen(self.child.stdout.take().expect("stdout is piped"));
        let mut ports = BTreeMap::new();
        while ports.len() < DOORS.len() {
            match said.recv_timeout(PATIENCE) {
                Ok(line) => ports.extend(door(&line)),
                Err(gone) => panic!(
                    "fairlead opened only {ports:?}: {gone}\n{}",
                    self.node.log()
                ),
            }
        }
        Mesh {
            child: self.child,
            ports,
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}

/// A running Fairlead. Dropping it kills it.
#[derive(Debug)]
pub struct Mesh {
    child: Child,
    ports: BTreeMap<&'static str, SocketAddr>,
}

impl Mesh {
    /// The port of `mqtt`, `mqtt-websocket`, `kafka`, `amqp` or `admin`, as text for a command line.
    pub fn port(&self, door: &str) -> String {
        self.address(door).port().to_string()
    }

    /// Where a door is.
    pub fn address(&self, door: &str) -> SocketAddr {
        self.ports[door]
    }

    /// A plain connection to a door, with [`PATIENCE`] on reads and writes.
    pub fn connect(&self, door: &str) -> TcpStream {
        let stream = TcpStream::connect(self.ports[door]).expect("the door is open");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout is legal");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a timeout is legal");
        stream
    }

    /// The body of an admin page.
    pub fn page(&self, path: &str) -> String {
        let mut stream = self.connect("admin");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        .expect("admin listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("admin answers");
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("not HTTP: {answer}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        body.to_owned()
    }

    /// The sum of all series of a metric whose labels include these.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let page = self.page("/metrics");
        let wanted: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        let series = page.lines().filter_map(|line| line.rsplit_once(' '));
        series
            .filter(|(key, _)| {
                key.split('{').next() == Some(name)
                    && wanted.iter().all(|label| key.contains(label))
            })
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }

    /// The most memory the process has had resident so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that the process has resident, in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// That part of it which is no page of a file, such as the binary: the system has no other copy.
    pub fn own_memory(&self) -> u64 {
        self.status("RssAnon:")
    }

    fn status(&self, what: &str) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(what))
            .expect("Linux tells");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kib * 1024
    }

    /// The time that processors have spent on the process, all threads.
    pub fn cpu(&self) -> Duration {
        cpu_of(&self.child)
    }

    /// Whether the process has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_none()
    }

    /// From now on it can write nothing beyond this byte of any file, as on a disk that fails there. It must have been
    /// started by [`Node::start_undaunted`].
    ///
    /// # Panics
    /// When the system does not allow that.
    pub fn cannot_write_beyond(&self, byte: u64) {
        let limit = Rlimit {
            current: Some(byte),
            maximum: Some(byte),
        };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit)
            .expect("a child can be limited");
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs");
        self.child.wait().expect("a child can be waited for")
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then say so and nothing is lost.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How a command ended and what it said.
fn finished(command: &mut Command) -> (ExitStatus, String) {
    let output = command.output().expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&said).into_owned())
}

/// The time that processors have spent on a process that runs, all threads.
///
/// # Panics
/// When it has been waited for.
pub fn cpu_of(child: &Child) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
    // The name, which is the only field that may contain spaces, ends with the last bracket.
    let (_, fields) = stat.rsplit_once(") ").expect("Linux tells");
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
    Duration::from_millis((ticks(11) + ticks(12)) * 1000 / TICKS_PER_SECOND)
}

/// The binary that `FAIRLEAD_BINARY` names, or the one that cargo builds beside this test, built if it is not up to date.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("FAIRLEAD_BINARY") {
            return PathBuf::from(named);
        }
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "fairlead",
            "--bin",
            "fairlead",
        ]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo runs").success(),
            "fairlead does not build"
        );
        // The test is target/<profile>/deps/<test>.
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test.ancestors().nth(2).expect("cargo's layout");
        profile.join("fairlead")
    })
}

/// The door that a start-up line speaks of: a name and the address it listens on.
fn door(line: &str) -> Option<(&'static str, SocketAddr)> {
    let name = DOORS.into_iter().find(|name| {
        line.split_whitespace()
            .any(|word| word.trim_end_matches(':') == *name)
    })?;
    let address = line.split_whitespace().find_map(|word| word.parse().ok())?;
    Some((name, address))
}

fn listen(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    let read = move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The test stops listening when the doors are open; the pipe is read on, so that it never fills.
            drop(sender.send(line));
        }
    };
    thread::Builder::new()
        .name("fairlead output".into())
        .spawn(read)
        .expect("a thread starts");
    lines
}
