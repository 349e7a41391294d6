//! Three who read a [`Load`] while the server is struck, each by its protocol, and what they must have got in the end.

use std::collections::BTreeSet;

use crate::load::{MARKER, Publisher, Sent, assert_holds, sent};
use crate::{Client, Line, Load, Mesh, Program};

/// How many are taken at a time where the server confirms it.
const TAKEN_AT_ONCE: usize = 50;

/// What readers do with what they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// They acknowledge it.
    Takes,
    /// They do not, so it comes again.
    Holds,
}

/// A queue's consumer, a consumer group and a session, and what each got in all its lives.
#[derive(Debug)]
pub struct Readers([Reader; 3]);

#[derive(Debug)]
struct Reader {
    program: Program,
    /// What may have been acknowledged.
    got: BTreeSet<Sent>,
    /// What the server confirmed to be acknowledged.
    taken: BTreeSet<Sent>,
}

/// Where all of one life arrives.
#[derive(Debug, Default)]
struct Life {
    arrived: Vec<Sent>,
    /// How many of them are confirmed to be acknowledged.
    taken: usize,
    /// What is not of the load: it ends it.
    markers: u32,
}

impl Readers {
    /// Makes the queue and the session; a group needs nothing.
    pub fn prepare(mesh: &Mesh) -> Self {
        let port = mesh.port("amqp");
        let declare = ["declare", &port, "read", "--bind", "amq.topic", "load.#"];
        drop(Client::start(Program::Pika, &declare));
        let readers = [Program::Pika, Program::Librdkafka, Program::Paho].map(Reader::new);
        let [_, _, session] = &readers;
        drop(ready(session.begin(mesh, Manner::Holds)));
        Self(readers)
    }

    /// All three read while `struck` has the server, and are ended when it returns.
    ///
    /// # Panics
    /// When something arrives that is not as it was sent, or was confirmed to be acknowledged before.
    pub fn read(&mut self, mesh: Mesh, manner: Manner, struck: impl FnOnce(Mesh)) {
        let clients = self.0.each_ref().map(|reader| reader.begin(&mesh, manner));
        let clients = clients.map(ready);
        struck(mesh);
        for (reader, mut client) in self.0.iter_mut().zip(clients) {
            client.kill();
            let mut life = Life::default();
            while let Some(line) = client.line() {
                reader.hear(&mut life, line);
            }
            if manner == Manner::Takes {
                reader.keep(life);
            }
        }
    }

    /// Each reader takes what is left up to the markers that the load ends with, and has then got all that was
    /// acknowledged to who sent it.
    ///
    /// # Panics
    /// When one has not.
    pub fn audit(mut self, mesh: &Mesh, load: &Load) {
        for reader in &mut self.0 {
            let client = ready(reader.begin(mesh, Manner::Takes));
            let mut life = Life::default();
            let markers = Load::markers(|from| reader.reads(from));
            while life.markers < markers {
                let line = client.line().expect("a reader that goes on");
                reader.hear(&mut life, line);
            }
            reader.keep(life);
            let all = load.acked().iter().copied();
            let all = all.filter(|sent| reader.reads(sent.publisher)).collect();
            assert_holds(&format!("{:?}", reader.program), &reader.got, &all);
        }
    }
}

impl Reader {
    fn new(program: Program) -> Self {
        Self {
            program,
            got: BTreeSet::new(),
            taken: BTreeSet::new(),
        }
    }

    /// Whether a publisher's messages are for it: the group has one topic, the two others all.
    fn reads(&self, from: Publisher) -> bool {
        self.program != Program::Librdkafka || from == Publisher::Kafka
    }

    fn begin(&self, mesh: &Mesh, manner: Manner) -> Client {
        let at_once = TAKEN_AT_ONCE.to_string();
        let (door, what, kept): (_, &str, &[&str]) = match self.program {
            Program::Pika => ("amqp", "read", &[]),
            Program::Librdkafka => ("kafka", "load.kafka", &["--group", "readers"]),
            Program::Paho => ("mqtt", "load/#", &["--session", "reader"]),
            Program::Java => unreachable!("nobody reads with it"),
        };
        let manner: &[&str] = match (manner, self.program) {
            (Manner::Holds, _) => &["--hold"],
            // Nobody says whether an acknowledgement of MQTT has arrived.
            (Manner::Takes, Program::Paho) => &[],
            (Manner::Takes, _) => &["--confirm", &at_once],
        };
        let port = mesh.port(door);
        Client::begin(
            self.program,
            &[&["consume", &port, what], kept, manner].concat(),
        )
    }

    fn hear(&self, life: &mut Life, line: Line) {
        let record = match line {
            Line::Arrived(record) => record,
            Line::Acked(last) => return life.taken = last + 1,
            // A member is told again what it is given; the strike ends connections.
            Line::Ready | Line::Failed(_) => return,
        };
        let Some(sent) = sent(&record) else {
            assert_eq!(record.body.as_deref(), Some(MARKER));
            life.markers += 1;
            return;
        };
        let program = self.program;
        assert!(sent.is_whole(&record), "{program:?} got {sent:?} otherwise");
        assert!(
            !self.taken.contains(&sent),
            "{program:?} got {sent:?} again"
        );
        life.arrived.push(sent);
    }

    /// Keeps what was acknowledged. Of what a client is about to acknowledge when it ends, nobody knows.
    fn keep(&mut self, life: Life) {
        let in_doubt = match self.program {
            Program::Paho => life.arrived.len(),
            Program::Pika | Program::Librdkafka | Program::Java => TAKEN_AT_ONCE,
        };
        let got = life.arrived.iter().take(life.taken + in_doubt);
        self.got.extend(got.copied());
        self.taken
            .extend(life.arrived.iter().take(life.taken).copied());
    }
}

fn ready(client: Client) -> Client {
    match client.line() {
        Some(Line::Ready) => client,
        other => panic!("a reader is not ready: {other:?}"),
    }
}
