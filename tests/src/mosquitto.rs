//! A real mosquitto beside Fairlead, and its clients.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::process::getuid;
use tempfile::TempDir;

use crate::PATIENCE;

const SERVER: &str = "/usr/sbin/mosquitto";

/// A mosquitto of the test's own, at a socket in a directory of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Mosquitto {
    child: Child,
    home: TempDir,
}

impl Mosquitto {
    /// Whether there is one; says on stderr if there is none.
    pub fn is_installed() -> bool {
        let is_here = Path::new(SERVER).exists();
        if !is_here {
            eprintln!("skipped: no mosquitto here; tests/tools installs it");
        }
        is_here
    }

    /// Starts one with these lines of configuration; returns once it runs.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(lines: &str) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let configuration = home.path().join("mosquitto.conf");
        let socket = home.path().join("socket");
        // Otherwise it would become another user, who may not use the directory.
        let user = if getuid().is_root() {
            "user root\n"
        } else {
            ""
        };
        let text = format!("{user}listener 0 {}\n{lines}", socket.display());
        fs::write(&configuration, text).expect("the configuration is written");
        let mut child = Command::new(SERVER)
            .arg("-c")
            .arg(&configuration)
            .stderr(Stdio::piped())
            .spawn()
            .expect("mosquitto is installed");
        let said = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut lines = said.lines().map_while(Result::ok);
        lines
            .find(|line| line.ends_with(" running"))
            .expect("mosquitto starts");
        Self { child, home }
    }

    /// Where it listens, for `--unix`.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("socket")
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then say so and nothing is lost.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A program that goes on, and what it prints. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    printed: Receiver<String>,
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// When it is not installed.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto's clients are installed");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let (sender, printed) = channel();
        let read = move || {
            let mut lines = lines.map_while(Result::ok);
            // The test may have heard enough.
            lines.try_for_each(|line| sender.send(line)).ok();
        };
        let reader = thread::Builder::new().name("mosquitto output".into());
        reader.spawn(read).expect("a thread starts");
        Self { child, printed }
    }

    /// The next line.
    ///
    /// # Panics
    /// When none comes.
    pub fn line(&self) -> String {
        self.printed.recv_timeout(PATIENCE).expect("it goes on")
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
