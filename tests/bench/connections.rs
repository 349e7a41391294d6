//! Many devices on one node: `cargo bench -p fairlead-tests --bench connections [COUNT [PING_SECONDS]]`.
//! Each has one subscription and a session that outlives its connection, then one that does not. Printed are how long a
//! storm of all of them takes, the resident memory that each costs, the CPU that they cost while all they do is to say
//! that they live, and the memory of each when it has gone. Then as many ping mosquitto, where there is one, and a
//! process that does nothing but answer: at once, and after pauses like those of the node.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time and lets it pass"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use fairlead_mqtt::codec::{Packet, Qos};
use fairlead_tests::{Device, Mesh, Node, allow_open_files, cpu_of};
use mio::{Events, Interest, Poll, Token};
use tempfile::TempDir;

/// Devices, where the limit of open files allows it.
const COUNT: usize = 20_000;
/// What the node keeps of that limit for itself, and what it has open before anybody comes.
const OTHER_FILES: usize = 300;
const PING_SECONDS: u16 = 60;
/// What a device promises is so many times what it does: the first to come has a storm to wait for.
const SLACK: u16 = 10;
/// Devices that connect at the same time; each of these threads goes on without waiting for an answer.
const THREADS: usize = 16;
/// So long nothing changes where nothing more happens: what is kept is checkpointed every second.
const REST: Duration = Duration::from_secs(3);
/// Between two looks at how many rest.
const LOOK: Duration = Duration::from_millis(200);
/// So often, at most.
const LOOKS_MAX: u32 = 10;
/// What makes no difference to it.
const NOISE_BYTES: u64 = 64 * 1024;
/// Says to this program that it is to be the floor, with so many milliseconds between two looks.
const FLOOR: &str = "floor";
/// What the node lets pass between two looks at so many.
const PAUSE_MS: u64 = 60;
const PING_RESPONSE: [u8; 2] = [0xd0, 0];

fn main() {
    if let Some(pause_ms) = env::args().skip_while(|word| word != FLOOR).nth(1) {
        let pause_ms = pause_ms.parse().expect("milliseconds");
        return answer(Duration::from_millis(pause_ms)).expect("what is ready is read and written");
    }
    // Cargo says that it is a benchmark that it runs.
    let numbers: Vec<usize> = env::args().filter_map(|word| word.parse().ok()).collect();
    let pings = numbers
        .get(1)
        .and_then(|seconds| u16::try_from(*seconds).ok())
        .unwrap_or(PING_SECONDS);
    let count = numbers.first().copied().unwrap_or(COUNT);
    let count = count.min(allow_open_files().saturating_sub(OTHER_FILES));
    let run = Run { count, pings };

    run.fairlead("kept sessions", &|mesh, id| {
        Device::dial(mesh, id, run.keep_alive(), None)
    });
    run.fairlead("sessions that end", &|mesh, id| {
        Device::passing(mesh.connect("mqtt"), id, run.keep_alive())
    });
    match Peer::mosquitto() {
        Some(mosquitto) => run.mosquitto(&mosquitto),
        None => println!("no mosquitto here to compare with"),
    }
    for pause_ms in [0, PAUSE_MS] {
        run.floor(pause_ms);
    }
}

struct Run {
    count: usize,
    /// Seconds in which each says once that it lives.
    pings: u16,
}

impl Run {
    fn keep_alive(&self) -> u16 {
        self.pings.saturating_mul(SLACK)
    }

    fn fairlead(&self, what: &str, dial: &(dyn Fn(&Mesh, &str) -> Device + Sync)) {
        let node = Node::new();
        let mesh = node.start();
        let empty = at_rest(&mesh);
        let (mut fleet, took) = storm(self.count, &|id: &str| dial(&mesh, id));
        println!(
            "{} devices with {what} connected and subscribed in {:.1} s, none refused",
            self.count,
            took.as_secs_f64()
        );
        while mesh.metric("fairlead_connections_resting", &[]) < self.count as f64 {
            thread::sleep(LOOK);
        }
        let each = |memory: u64| memory.saturating_sub(empty) as f64 / self.count as f64 / 1024.0;
        println!(
            "{:.2} KiB resident for each, above {:.1} MiB",
            each(at_rest(&mesh)),
            empty as f64 / 1_048_576.0
        );
        self.live(&mut fleet, "fairlead", || mesh.cpu());
        drop(fleet);
        println!(
            "{:.2} KiB resident for each when its device has gone",
            each(at_rest(&mesh))
        );
    }

    fn mosquitto(&self, mosquitto: &Peer) {
        let dial = |id: &str| Device::over(mosquitto.connect(), id, self.keep_alive(), None);
        let (mut fleet, _) = storm(self.count, &dial);
        self.live(&mut fleet, "mosquitto", || cpu_of(&mosquitto.child));
    }

    fn floor(&self, pause_ms: u64) {
        let floor = Peer::floor(pause_ms);
        let dial = |_| Device::passing(floor.connect(), "device", self.keep_alive());
        let mut fleet: Vec<Device> = (0..self.count).map(dial).collect();
        // It takes everything for a ping.
        fleet.iter_mut().for_each(Device::alive);
        let who = format!("the least possible every {pause_ms} ms");
        self.live(&mut fleet, &who, || cpu_of(&floor.child));
    }

    /// Each says once that it lives, spread evenly over the time, and waits for nobody; what that costs whoever answers, and
    /// how long each waits. Answers are looked for between two signs: nothing here is woken by one, as no other machine is.
    fn live(&self, fleet: &mut [Device], who: &str, cpu: impl Fn() -> Duration) {
        let time = Duration::from_secs(self.pings.into());
        let count = u32::try_from(fleet.len()).expect("some thousands");
        let mut said = Vec::with_capacity(fleet.len());
        let mut waits = Vec::with_capacity(fleet.len());
        let (before, began) = (cpu(), Instant::now());
        for number in 0..count {
            let due = time * number / count;
            thread::sleep(due.saturating_sub(began.elapsed()));
            while waits.len() < said.len() && fleet[waits.len()].has_more() {
                fleet[waits.len()].alive();
                waits.push(Instant::elapsed(&said[waits.len()]));
            }
            said.push(Instant::now());
            fleet[said.len() - 1].send([Packet::PingReq]);
        }
        for (device, said) in fleet.iter_mut().zip(&said).skip(waits.len()) {
            device.alive();
            waits.push(said.elapsed());
        }
        let spent = cpu() - before;
        waits.sort_unstable();
        println!(
            "{:.2} % of a core of {who} while each pings once in {time:?}, {:.1} us for each; answered in {:.1?}, 99 of 100 in {:.1?}",
            spent.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0,
            spent.as_secs_f64() * 1e6 / f64::from(count),
            waits[waits.len() / 2],
            waits[waits.len() * 99 / 100],
        );
    }
}

/// Everybody connects at once, and subscribes.
fn storm(count: usize, dial: &(impl Fn(&str) -> Device + Sync)) -> (Vec<Device>, Duration) {
    let began = Instant::now();
    let crew = |first: usize| {
        let numbers = (first..count).step_by(THREADS);
        let mut devices: Vec<Device> = numbers
            .map(|number| {
                let id = format!("device-{number:05}");
                let mut device = dial(&id);
                device.ask(&format!("devices/{id}/commands"), Qos::AtLeastOnce);
                device
            })
            .collect();
        for device in &mut devices {
            device.admitted();
            device.granted(Qos::AtLeastOnce);
        }
        devices
    };
    let fleet = thread::scope(|scope| {
        let crews: Vec<_> = (0..THREADS)
            .map(|first| scope.spawn(move || crew(first)))
            .collect();
        let devices = crews
            .into_iter()
            .flat_map(|crew| crew.join().expect("no device is refused"));
        devices.collect()
    });
    (fleet, began.elapsed())
}

/// What Fairlead is compared with; it ends with this.
struct Peer {
    child: Child,
    address: SocketAddr,
    _home: Option<TempDir>,
}

impl Peer {
    fn mosquitto() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("any port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let home = tempfile::tempdir().expect("a temporary directory");
        let file = home.path().join("mosquitto.conf");
        let lines = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nlog_type none\n",
            address.port()
        );
        fs::write(&file, lines).expect("the configuration is written");
        let mut command = Command::new("/usr/sbin/mosquitto");
        command.arg("-c").arg(file);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        let mosquitto = Self {
            child,
            address,
            _home: Some(home),
        };
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
        Some(mosquitto)
    }

    /// A process that answers and does nothing else: see [`answer`].
    fn floor(pause_ms: u64) -> Self {
        let mut command = Command::new(env::current_exe().expect("a process has a file"));
        let command = command.args([FLOOR, &pause_ms.to_string()]);
        let command = command.stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts again");
        let mut said = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says where it is");
        Self {
            child,
            address: line.trim().parse().expect("an address"),
            _home: None,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("its door is open");
        stream.set_nodelay(true).expect("an option of a socket");
        stream
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Answers whatever comes with a PINGRESP, for ever, in one thread and with the least that this takes: `epoll_wait`, `recv`
/// and `send`, and a pause after each round.
fn answer(pause: Duration) -> io::Result<()> {
    allow_open_files();
    let mut poll = Poll::new()?;
    let mut door = mio::net::TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    println!("{}", door.local_addr()?);
    poll.registry()
        .register(&mut door, Token(0), Interest::READABLE)?;
    let mut sockets = Vec::new();
    let mut events = Events::with_capacity(1024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let Some(number) = event.token().0.checked_sub(1) else {
                while let Ok((mut socket, _)) = door.accept() {
                    socket.set_nodelay(true)?;
                    let token = Token(sockets.len() + 1);
                    poll.registry()
                        .register(&mut socket, token, Interest::READABLE)?;
                    sockets.push(socket);
                }
                continue;
            };
            if sockets[number].read(&mut [0; 256])? > 0 {
                sockets[number].write_all(&PING_RESPONSE)?;
            }
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
}

/// The resident memory once it stays about the same: the system takes pages back all the time.
fn at_rest(mesh: &Mesh) -> u64 {
    let mut resident = mesh.memory();
    for _ in 0..LOOKS_MAX {
        thread::sleep(REST);
        let before = std::mem::replace(&mut resident, mesh.memory());
        if resident.abs_diff(before) <= NOISE_BYTES {
            break;
        }
    }
    resident
}
