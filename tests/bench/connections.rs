//! Many devices on one node: `cargo bench -p fairlead-tests --bench connections [COUNT [PING_SECONDS]]`.
//! Each has a session that outlives its connection and one subscription. Printed are how long a storm of all of them
//! takes, the resident memory that each costs, the CPU that they cost while all they do is to say that they live, and
//! the memory of a session whose device has gone. Then as many ping mosquitto, where there is one.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time and lets it pass"
)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use fairlead_mqtt::codec::Qos;
use fairlead_tests::{Device, Mesh, Node, allow_open_files, cpu_of};

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
/// So often, at most.
const LOOKS_MAX: u32 = 10;
/// What makes no difference to it.
const NOISE_BYTES: u64 = 64 * 1024;

fn main() {
    // Cargo says that it is a benchmark that it runs.
    let numbers: Vec<usize> = env::args().filter_map(|word| word.parse().ok()).collect();
    let pings = numbers
        .get(1)
        .and_then(|seconds| u16::try_from(*seconds).ok())
        .unwrap_or(PING_SECONDS);
    let count = numbers.first().copied().unwrap_or(COUNT);
    let count = count.min(allow_open_files().saturating_sub(OTHER_FILES));
    let node = Node::new();
    let mesh = node.start();
    let empty = at_rest(&mesh);

    let keep_alive = pings.saturating_mul(SLACK);
    let dial = |id: &str| Device::dial(&mesh, id, keep_alive, None);
    let (mut fleet, took) = storm(count, &dial);
    println!(
        "{count} devices connected and subscribed in {:.1} s, none refused",
        took.as_secs_f64()
    );
    let each = |memory: u64| memory.saturating_sub(empty) as f64 / count as f64 / 1024.0;
    println!(
        "{:.2} KiB resident for each, above {:.1} MiB",
        each(at_rest(&mesh)),
        empty as f64 / 1_048_576.0
    );

    let time = Duration::from_secs(pings.into());
    live(&mut fleet, time, "fairlead", || mesh.cpu());

    drop(fleet);
    println!(
        "{:.2} KiB resident for each session when its device has gone",
        each(at_rest(&mesh))
    );
    drop(mesh);
    let Some(mosquitto) = Mosquitto::start() else {
        return println!("no mosquitto here to compare with");
    };
    let dial = |id: &str| Device::over(mosquitto.connect(), id, keep_alive, None);
    let (mut fleet, _) = storm(count, &dial);
    live(&mut fleet, time, "mosquitto", || cpu_of(&mosquitto.child));
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

/// Each says once that it lives, spread evenly over the time; what that costs whoever answers.
fn live(fleet: &mut [Device], time: Duration, who: &str, cpu: impl Fn() -> Duration) {
    let (before, began) = (cpu(), Instant::now());
    let count = u32::try_from(fleet.len()).expect("some thousands");
    for (number, device) in (0..).zip(fleet) {
        let due = time * number / count;
        thread::sleep(due.saturating_sub(began.elapsed()));
        device.ping();
    }
    let spent = cpu() - before;
    println!(
        "{:.2} % of a core of {who} while each pings once in {time:?}, {:.1} us for each",
        spent.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0,
        spent.as_secs_f64() * 1e6 / f64::from(count)
    );
}

/// A mosquitto for comparison, which ends with this.
struct Mosquitto {
    child: Child,
    address: SocketAddr,
    _home: tempfile::TempDir,
}

impl Mosquitto {
    fn start() -> Option<Self> {
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
            _home: home,
        };
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
        Some(mosquitto)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("its door is open");
        stream.set_nodelay(true).expect("an option of a socket");
        stream
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
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
