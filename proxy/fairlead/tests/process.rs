//! The binary as an operator meets it: started, asked, upgraded, stopped.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails fails the test"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a configuration: one plain listener per protocol, on any port.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut text = "[admin]\nbind = \"127.0.0.1:0\"\n".to_owned();
        for translator in fairlead_translators::all() {
            let name = translator.name();
            text += &format!("[[listeners]]\ntranslator = \"{name}\"\nbind = \"127.0.0.1:0\"\n");
        }
        fs::write(home.path().join("fairlead.toml"), text).unwrap();
        Self(home)
    }

    fn data_dir(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data_dir())
            .stdin(Stdio::null());
        command
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts a node and waits until it serves.
    fn serve(&self, more: &[&str]) -> Node {
        let mut command = self.command(&["serve"]);
        command
            .arg("--config")
            .arg(self.0.path().join("fairlead.toml"));
        let mut child = command.args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut doors = Vec::new();
        while doors.len() < fairlead_translators::all().len() + 1 {
            let line = lines.next().expect("a line for each door").unwrap();
            doors.extend(door(&line));
        }
        Node { child, doors }
    }
}

/// Name and address, of a line that says where something listens.
fn door(line: &str) -> Option<(String, SocketAddr)> {
    let (name, address) = line.trim().split_once(' ')?;
    Some((name.to_owned(), address.trim().parse().ok()?))
}

struct Node {
    child: Child,
    doors: Vec<(String, SocketAddr)>,
}

impl Node {
    fn clients(&self) -> Vec<TcpStream> {
        let connect = |(_, address): &(String, SocketAddr)| TcpStream::connect(address).unwrap();
        self.doors.iter().map(connect).collect()
    }

    /// SIGTERM, and its exit status.
    fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_node_serves_every_door_and_ends_well_when_told_to() {
    let home = Home::new();
    let node = home.serve(&[]);
    let clients = node.clients();
    assert_eq!(node.stop(), Some(0));
    for mut client in clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        // Closed or reset: the process is gone. What it said before does not matter here.
        client.read_to_end(&mut Vec::new()).ok();
    }
}

#[test]
fn the_next_process_takes_over_doors_and_data_and_the_old_one_ends_well() {
    let home = Home::new();
    let old = home.serve(&[]);
    add_user(&home, "ada");
    let waiting = old.clients();
    let new = home.serve(&["--upgrade"]);
    assert_eq!(new.doors, old.doors);
    assert_eq!(old.wait(), Some(0));
    assert_eq!(text(&home.ask(&["users", "list"])), "ada\n");
    new.clients();
    drop(waiting);
    assert_eq!(new.stop(), Some(0));
}

#[test]
fn an_upgrade_where_nothing_runs_is_a_start() {
    let home = Home::new();
    assert_eq!(home.serve(&["--upgrade"]).stop(), Some(0));
}

#[test]
fn users_outlive_the_process_even_when_it_is_killed() {
    let home = Home::new();
    let mut node = home.serve(&[]);
    add_user(&home, "ada");
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    let node = home.serve(&[]);
    assert_eq!(text(&home.ask(&["users", "list"])), "ada\n");
    let removed = home.ask(&["users", "remove", "ada"]);
    assert!(removed.status.success(), "{}", text(&removed));
    assert_eq!(text(&home.ask(&["users", "list"])), "");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_backup_of_a_running_node_is_whole_and_serves() {
    let (home, restored) = (Home::new(), Home::new());
    let node = home.serve(&[]);
    add_user(&home, "ada");
    let dir = restored.data_dir();
    let backup = home.ask(&["store", "backup", dir.to_str().unwrap()]);
    assert!(backup.status.success(), "{}", text(&backup));
    let removed = home.ask(&["users", "remove", "ada"]);
    assert!(removed.status.success(), "{}", text(&removed));
    let again = home.ask(&["store", "backup", dir.to_str().unwrap()]);
    assert!(!again.status.success(), "never over what is there");
    let check = restored.ask(&["store", "check"]);
    assert!(check.status.success(), "{}", text(&check));
    let copy = restored.serve(&[]);
    assert_eq!(text(&restored.ask(&["users", "list"])), "ada\n");
    assert_eq!(copy.stop(), Some(0));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_data_directory_has_one_node() {
    let home = Home::new();
    let node = home.serve(&[]);
    let file = home.0.path().join("fairlead.toml");
    let second = home.ask(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second);
    assert!(said.contains("is open in another process"), "{said}");
    // The commands still find the one that runs.
    assert!(home.ask(&["users", "list"]).status.success());
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_command_without_a_node_says_how_to_start_one() {
    let home = Home::new();
    let asked = home.ask(&["topics", "list"]);
    assert_eq!(asked.status.code(), Some(1));
    assert!(text(&asked).contains("fairlead serve"), "{}", text(&asked));
}

#[test]
fn a_bad_configuration_is_refused_at_its_line() {
    let home = Home::new();
    let file = home.0.path().join("fairlead.toml");
    fs::write(&file, "[node]\ndata_dir = \"x\"\nthreadz = 2\n").unwrap();
    let file = file.to_str().unwrap();
    for verb in ["check", "serve"] {
        let refused = home.ask(&[verb, "--config", file]);
        assert_eq!(refused.status.code(), Some(3));
        let said = text(&refused);
        assert!(said.contains("fairlead.toml:3:1"), "{said}");
        assert!(said.contains("unknown field `threadz`"), "{said}");
    }
    assert!(!home.data_dir().exists());
}

fn add_user(home: &Home, name: &str) {
    let file = home.0.path().join("password");
    fs::write(&file, "correct horse\n").unwrap();
    let added = home.ask(&[
        "users",
        "add",
        name,
        "--password-file",
        file.to_str().unwrap(),
    ]);
    assert!(added.status.success(), "{}", text(&added));
    assert!(text(&added).contains("the first user"), "{}", text(&added));
}
