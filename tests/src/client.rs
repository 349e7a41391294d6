//! A third-party client in a process of its own, fed and heard in JSON lines.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::{PATIENCE, Record, tools};

/// Whose client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// paho-mqtt.
    Paho,
    /// confluent-kafka, on librdkafka.
    Librdkafka,
    /// Apache Kafka's own.
    Java,
    /// pika.
    Pika,
}

/// One line of a client.
#[derive(Debug)]
pub enum Line {
    Ready,
    Acked(usize),
    Failed(String),
    Arrived(Box<Record>),
}

/// A running client. Dropping it kills it.
#[derive(Debug)]
pub struct Client {
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
    // Unbounded, since a bound would let a client that prints and a test that writes wait for each other.
    lines: Receiver<Line>,
}

impl Client {
    /// Starts a client and waits until it is connected, and subscribed if it consumes.
    ///
    /// # Panics
    /// When the client ends or says something else before it is ready.
    pub fn start(program: Program, arguments: &[&str]) -> Self {
        let client = Self::begin(program, arguments);
        match client.line() {
            Some(Line::Ready) => client,
            other => panic!("{program:?} {arguments:?} is not ready: {other:?}"),
        }
    }

    /// Starts a client without waiting.
    pub fn begin(program: Program, arguments: &[&str]) -> Self {
        let mut command = command(program);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = listen(child.stdout.take().expect("stdout is piped"), parse);
        let input = child.stdin.take().map(BufWriter::new);
        Self {
            child,
            input,
            lines,
        }
    }

    /// Hands a record to a publisher. `false` when the publisher is gone.
    pub fn publish(&mut self, record: &Record) -> bool {
        let line = serde_json::to_string(record).expect("a record is JSON");
        self.input
            .as_mut()
            .is_some_and(|input| writeln!(input, "{line}").is_ok())
    }

    /// Hands on what `publish` has gathered. `false` when the publisher is gone.
    pub fn flush(&mut self) -> bool {
        self.input
            .as_mut()
            .is_some_and(|input| input.flush().is_ok())
    }

    /// Hands on records from a thread of its own, as fast as the publisher reads, until they or the publisher end.
    pub fn feed(&mut self, records: impl Iterator<Item = Record> + Send + 'static) {
        let mut input = self.input.take().expect("a publisher is fed once");
        let write = move || {
            for record in records {
                let line = serde_json::to_string(&record).expect("a record is JSON");
                // A publisher that has ended is what the test waits for.
                if writeln!(input, "{line}").is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("client input".into())
            .spawn(write)
            .expect("a thread starts");
    }

    /// Ends the client at once. What it had printed before can still be read.
    pub fn kill(&mut self) {
        // It may have ended by itself; both calls then say so and nothing is lost.
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Ends the publisher's input; it ends when everything is acknowledged.
    pub fn finish(&mut self) {
        drop(self.input.take());
    }

    /// Publishes all records and waits until each is acknowledged.
    ///
    /// # Panics
    /// When one is not.
    pub fn publish_all(mut self, records: &[Record]) {
        for record in records {
            assert!(
                self.publish(record),
                "the publisher is gone: {:?}",
                self.line()
            );
        }
        self.finish();
        let mut acked = vec![false; records.len()];
        while acked.contains(&false) {
            match self.line() {
                Some(Line::Acked(number)) => {
                    let again = std::mem::replace(&mut acked[number], true);
                    assert!(!again, "record {number} was acknowledged twice");
                }
                Some(Line::Ready) => continue,
                other => panic!(
                    "{} acknowledged, then {other:?}",
                    acked.iter().filter(|done| **done).count()
                ),
            }
        }
    }

    /// The next line; `None` when the client has ended.
    ///
    /// # Panics
    /// When [`PATIENCE`] runs out.
    pub fn line(&self) -> Option<Line> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("a client has been silent for {PATIENCE:?}"),
        }
    }

    /// The next line, if it comes within `patience`.
    pub fn line_within(&self, patience: Duration) -> Option<Line> {
        self.lines.recv_timeout(patience).ok()
    }

    /// The next record of a consumer.
    ///
    /// # Panics
    /// When something else comes.
    pub fn arrival(&self) -> Record {
        match self.line() {
            Some(Line::Arrived(record)) => *record,
            other => panic!("waited for a message, got {other:?}"),
        }
    }

    /// The next `count` records of a consumer.
    pub fn arrivals(&self, count: usize) -> Vec<Record> {
        (0..count).map(|_| self.arrival()).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(program: Program) -> Command {
    let script = match program {
        Program::Paho => "clients/mqtt.py",
        Program::Librdkafka => "clients/kafka.py",
        Program::Pika => "clients/amqp.py",
        Program::Java => return tools::java("Client"),
    };
    let mut command = Command::new(tools::python());
    command.arg(tools::home().join(script));
    command
}

/// What a program prints, line by line, read on a thread of its own.
pub(crate) fn listen<T: Send + 'static>(output: ChildStdout, parse: fn(&str) -> T) -> Receiver<T> {
    let (sender, lines) = channel();
    let read = move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(parse(&line)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("client output".into())
        .spawn(read)
        .expect("a thread starts");
    lines
}

fn parse(line: &str) -> Line {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Acked { acked: usize },
        Failed { failed: String },
        Ready { ready: bool },
    }
    match serde_json::from_str(line) {
        Ok(Said::Acked { acked }) => Line::Acked(acked),
        Ok(Said::Failed { failed }) => Line::Failed(failed),
        Ok(Said::Ready { ready: true }) => Line::Ready,
        _ => match serde_json::from_str(line) {
            Ok(record) => Line::Arrived(Box::new(record)),
            Err(error) => Line::Failed(format!("{error}: {line}")),
        },
    }
}
