//! What an idle device costs in memory, counted byte by byte over the whole process, from its socket to its place in the
//! store: one with a session that is kept and one subscription of QoS 1, and the same when the device has gone.

use std::alloc::System;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use fairlead_edge::{self as edge, Edge, Keeper, Listener, Socket, gate, path_in};
use fairlead_kernel::Carrier;
use fairlead_kernel::testing::{CountingEntropy, RuntimeClock, kernel};
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::Qos;
use fairlead_native::{Native, Settings, World};
use fairlead_tests::{Device, PATIENCE, allow_open_files};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Enough that what all of them share is little for each.
const DEVICES: usize = 1_000;
/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(50);
/// After so much of it a connection rests.
const QUIET: Duration = Duration::from_millis(500);
/// Longer than the test.
const KEEP_ALIVE_SECONDS: u16 = 3_600;
/// Heap that a connected one may take that rests, without its task and its place in the runtime: 3,030 were counted, of them
/// 1,040 for the cache of the index.
const CONNECTED_BYTES_MAX: usize = 3_200;
/// Heap of a session whose device has gone: 1,810 were counted, with the same cache.
const GONE_BYTES_MAX: usize = 1_950;

#[test]
fn an_idle_device_with_a_kept_session_takes_little_memory_and_less_when_it_has_gone() {
    assert!(allow_open_files() > 2 * DEVICES + 100, "open files");
    let home = TempDir::new().expect("a temporary directory");
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (address, _keeper) = serve(&runtime, &home);
    let mut fleet = Vec::with_capacity(DEVICES);
    // What the first one needs for all.
    let _first = settle_in([connect(address, DEVICES)]);

    let region = Region::new(ALLOCATOR);
    fleet.extend(settle_in(
        (0..DEVICES).map(|number| connect(address, number)),
    ));
    at_rest(&runtime, &region, CONNECTED_BYTES_MAX);
    drop(fleet);
    at_rest(&runtime, &region, GONE_BYTES_MAX);
}

/// Serves on a port of its own, from a store on disk, until what comes back is dropped.
fn serve(runtime: &Runtime, home: &TempDir) -> (SocketAddr, Keeper) {
    let (keeper, gate) = gate();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = Socket::open(&"front".into(), any, &mut Vec::new()).expect("any port");
    let address = socket.address();
    let listener = Listener {
        socket,
        identity: None,
        carrier: Carrier::Stream,
        proxies: Vec::new(),
        origins: Vec::new(),
        translator: Arc::new(Mqtt::default()),
    };
    let settings = edge::Settings {
        threads: 2,
        connections_max: 2 * DEVICES as u32,
        drain_max: Duration::ZERO,
        quiet: QUIET,
        handover: path_in(home.path()),
    };
    let edge = Edge::new(settings, vec![listener], Vec::new(), gate).expect("it can listen");
    // It ends with its keeper, and the process with the test.
    drop(
        std::thread::Builder::new()
            .spawn(move || edge.run())
            .expect("a thread"),
    );
    let kernel = runtime.block_on(async {
        let clock = Arc::new(RuntimeClock::at(1));
        let entropy = Arc::new(CountingEntropy::default());
        let world = World::on_disk(Arc::clone(&clock) as _, entropy);
        let store = Native::open(&Settings::new(home.path()), &world).expect("a fresh store");
        kernel(Arc::new(store), clock).await.expect("it opens")
    });
    keeper.open(kernel);
    (address, keeper)
}

fn connect(address: SocketAddr, number: usize) -> Device {
    let stream = TcpStream::connect(address).expect("the door is open");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout is legal");
    let id = format!("device-{number:05}");
    let mut device = Device::over(stream, &id, KEEP_ALIVE_SECONDS, None);
    device.ask(&format!("devices/{id}/commands"), Qos::AtLeastOnce);
    device
}

/// Waits until all are let in and subscribed.
fn settle_in(devices: impl IntoIterator<Item = Device>) -> Vec<Device> {
    let mut devices: Vec<Device> = devices.into_iter().collect();
    for device in &mut devices {
        device.admitted();
        device.granted(Qos::AtLeastOnce);
    }
    devices
}

/// Waits until what is on its way to the disk has arrived there, and no more than this is left of each device.
fn at_rest(runtime: &Runtime, region: &Region<'_, System>, bytes_max: usize) {
    let each = || {
        let change = region.change();
        change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated)
            / DEVICES
    };
    let rest = async {
        while each() > bytes_max {
            sleep(LOOK).await;
        }
    };
    let rested = runtime.block_on(async { timeout(PATIENCE, rest).await });
    println!("{} bytes each", each());
    assert!(rested.is_ok(), "{} bytes each", each());
}
