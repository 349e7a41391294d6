//! An edge in this process whose clients rest after a moment of quiet.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fairlead_edge::{Cause, Edge, Keeper, Listener, Settings, Socket, gate, path_in, take};
use fairlead_kernel::testing::{CountingEntropy, RuntimeClock};
use fairlead_kernel::{Backing, Carrier, DropReason, Kernel, Meters};
use fairlead_memory::Memory;
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::Qos;
use fairlead_ports::Store;
use fairlead_tests::{Device, PATIENCE};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::rules::{Note, Notes};

/// Between two looks at who rests.
const LOOK: Duration = Duration::from_millis(1);

pub(crate) struct House {
    pub(crate) kernel: Arc<Kernel>,
    address: SocketAddr,
    keeper: Keeper,
    edge: JoinHandle<Cause>,
    runtime: Runtime,
    home: TempDir,
}

impl House {
    pub(crate) fn open(quiet: Duration) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let runtime = Runtime::new().expect("a runtime");
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
        let settings = Settings {
            threads: 2,
            connections_max: 1_000,
            drain_max: PATIENCE,
            quiet,
            handover: path_in(home.path()),
        };
        let edge = Edge::new(settings, vec![listener], Vec::new(), gate).expect("it can listen");
        let edge = std::thread::Builder::new()
            .spawn(move || edge.run())
            .expect("a thread");
        let opening = async {
            let store = Arc::new(Memory::new(1 << 28));
            let backing = Backing {
                store: Arc::clone(&store) as Arc<dyn Store>,
                documents: store,
                clock: Arc::new(RuntimeClock::at(1)),
                entropy: Arc::new(CountingEntropy::default()),
            };
            Kernel::open(backing, |directory| Arc::new(Notes(directory))).await
        };
        let kernel = runtime.block_on(opening).expect("an empty store");
        keeper.open(Arc::clone(&kernel));
        Self {
            kernel,
            address,
            keeper,
            edge,
            runtime,
            home,
        }
    }

    /// A client that has not been let in yet, and its line.
    pub(crate) fn dial(&self, id: &str, keep_alive: u16) -> (Device, TcpStream) {
        let line = TcpStream::connect(self.address).expect("the door is open");
        line.set_read_timeout(Some(PATIENCE))
            .expect("a timeout is legal");
        let same = line.try_clone().expect("a line has many handles");
        (Device::over(line, id, keep_alive, None), same)
    }

    pub(crate) fn client(&self, id: &str) -> Device {
        let (mut device, _line) = self.dial(id, 0);
        device.admitted();
        device
    }

    /// One that has subscribed to a topic of its own name.
    pub(crate) fn subscriber(&self, id: &str) -> Device {
        let mut device = self.client(id);
        device.subscribe(id, Qos::AtLeastOnce);
        device
    }

    fn meters(&self) -> Arc<Meters> {
        self.kernel.meters("mqtt", "front").expect("it is open")
    }

    pub(crate) fn resting(&self) -> i64 {
        self.meters().resting.get()
    }

    /// Waits until so many rest.
    pub(crate) fn rest(&self, count: i64) {
        self.wait(count, |meters| meters.resting.get());
    }

    /// Waits until so many messages were left out that are not granted.
    pub(crate) fn withheld(&self, count: i64) {
        self.wait(count, |meters| {
            meters.dropped_for(DropReason::NotGranted) as i64
        });
    }

    /// Waits until nobody is connected.
    pub(crate) fn empty(&self) {
        self.wait(0, |meters| meters.connections.get());
    }

    fn wait(&self, count: i64, of: fn(&Meters) -> i64) {
        let meters = self.meters();
        let wait = async {
            while of(&meters) != count {
                sleep(LOOK).await;
            }
        };
        let waited = self
            .runtime
            .block_on(async { timeout(PATIENCE, wait).await });
        assert!(waited.is_ok(), "{} instead of {count}", of(&meters));
    }

    /// Notes something in the rules, or takes it back.
    pub(crate) fn note(&self, note: Note, holds: Option<()>) {
        self.runtime.block_on(note.put(&self.kernel, holds));
    }

    /// Asks everybody to leave, as a next process does.
    pub(crate) fn drain(&self) {
        let path: PathBuf = path_in(self.home.path());
        loop {
            // The offer begins a moment after the gate opens.
            if let Some((_sockets, taken)) = take(&path).expect("an offer") {
                return taken.confirm().expect("it is heard");
            }
        }
    }

    /// Waits until everybody has left.
    pub(crate) fn end(self) {
        drop(self.keeper);
        self.edge.join().expect("it ends");
    }
}
