//! An S3-compatible server of the test's own: versitygw over a fresh directory, on a free loopback port.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::{Node, tools};

const NAME: &str = "bucket";
const KEY: &str = "fairlead";
const SECRET: &str = "fairlead-secret";
/// A port that was free may be taken by somebody else before the server has it.
const TRIES: usize = 5;

/// A running server with one bucket. Dropping it kills it.
#[derive(Debug)]
pub struct Bucket {
    home: TempDir,
    child: Child,
    port: u16,
}

impl Bucket {
    /// Starts the server and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub fn start() -> Self {
        let home = TempDir::new().expect("a temporary directory");
        fs::create_dir_all(home.path().join("root").join(NAME)).expect("a bucket is a directory");
        fs::create_dir(home.path().join("beside")).expect("a directory is made");
        let started = (0..TRIES).find_map(|_| listen(home.path()));
        let (child, port) = started.expect("the object store starts");
        Self { home, child, port }
    }

    pub fn url(&self) -> String {
        format!("s3://{NAME}/segments")
    }

    /// Gives a node what it needs to be let in.
    pub fn admit(&self, node: &mut Node) {
        node.set("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port));
        node.set("AWS_REGION", "us-east-1");
        node.set("AWS_ACCESS_KEY_ID", KEY);
        node.set("AWS_SECRET_ACCESS_KEY", SECRET);
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        segments_in(self.home.path())
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then say so and nothing is lost.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn segments_in(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => segments_in(&path),
            path => usize::from(path.extension().is_some_and(|end| end == "segment")),
        })
        .sum()
}

fn listen(home: &Path) -> Option<(Child, u16)> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    let port = free.expect("a port is free").port();
    let mut command = Command::new(tools::object_store());
    let mut child = command
        .args(["--port", &format!("127.0.0.1:{port}")])
        .args(["--access", KEY, "--secret", SECRET, "--quiet"])
        .arg("posix")
        // Not every file system has the attributes that it would use otherwise.
        .arg("--sidecar")
        .arg(home.join("beside"))
        .arg(home.join("root"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("versitygw starts");
    // It says nothing of its own accord.
    while child.try_wait().expect("a child can be asked").is_none() {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some((child, port));
        }
        thread::yield_now();
    }
    None
}
