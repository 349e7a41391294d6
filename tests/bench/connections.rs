//! Many devices on one node: `cargo bench -p fairlead-tests --bench connections [COUNT [PING_SECONDS]]`.
//! Each has a session that outlives its connection and one subscription. Printed are how long a storm of all of them
//! takes, the resident memory that each costs, the CPU that they cost while all they do is to say that they live, and
//! the memory of a session whose device has gone.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time and lets it pass"
)]

use std::time::{Duration, Instant};
use std::{env, thread};

use fairlead_mqtt::codec::Qos;
use fairlead_tests::{Device, Mesh, Node, allow_open_files};

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

    let (mut fleet, took) = storm(&mesh, count, pings.saturating_mul(SLACK));
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

    let (before, began) = (mesh.cpu(), Instant::now());
    live(&mut fleet, Duration::from_secs(pings.into()));
    let share = (mesh.cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    println!(
        "{:.2} % of a core while each pings once in {pings} s",
        share * 100.0
    );

    drop(fleet);
    println!(
        "{:.2} KiB resident for each session when its device has gone",
        each(at_rest(&mesh))
    );
}

/// Everybody connects at once, and subscribes.
fn storm(mesh: &Mesh, count: usize, keep_alive: u16) -> (Vec<Device>, Duration) {
    let began = Instant::now();
    let crew = |first: usize| {
        let numbers = (first..count).step_by(THREADS);
        let mut devices: Vec<Device> = numbers
            .map(|number| {
                let id = format!("device-{number:05}");
                let mut device = Device::dial(mesh, &id, keep_alive, None);
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

/// Each says once that it lives, spread evenly over the time.
fn live(fleet: &mut [Device], time: Duration) {
    let began = Instant::now();
    let count = u32::try_from(fleet.len()).expect("some thousands");
    for (number, device) in (0..).zip(fleet) {
        let due = time * number / count;
        thread::sleep(due.saturating_sub(began.elapsed()));
        device.ping();
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
