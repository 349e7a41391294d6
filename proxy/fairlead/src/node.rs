//! A node from its first socket to its last goodbye.
//!
//! ```text
//! sockets (own or inherited) -> doors open, clients wait -> store opened, kernel -> gate opens
//! -> serving -> signal or hand-over -> doors closed, clients gone -> store closed
//! ```

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fairlead_backends::{Objects, Patience, Place, open_files_max};
use fairlead_edge::{Admin, Cause, Edge, Gate, Keeper, Listener, Settings, Socket, Taken, Token};
use fairlead_ports::Entropy;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::banner::Banner;
use crate::config::Config;
use crate::exit::Failure;
use crate::logging;
use crate::opening::Opening;
use crate::system::SystemEntropy;

/// Threads for the kernel's own tasks and the admin page, beside those that serve clients.
const BACKGROUND_THREADS: usize = 1;

/// How long those tasks have to end, and with the last of them the store: what clients were told
/// is kept by then, what nobody was promised is not.
const BACKGROUND_END: Duration = Duration::from_secs(10);

/// Open files that are neither connections nor the log: the index, the admin page, what the system needs.
const OWN_FILES: u64 = 128;

/// How long a process that takes over waits for the data directory beyond the other's drain: for
/// a slow disk.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// Recent log in memory: several seconds of heavy traffic, so that readers that keep up never
/// touch the disk.
const TAIL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Name of the admin page's socket among the listeners.
const ADMIN: &str = "admin";

/// How a node comes to its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It binds them.
    Fresh,
    /// The process that runs on the same data directory hands them over.
    Upgrade,
}

/// What was opened before anybody is served.
struct Sockets {
    admin: Socket,
    listeners: Vec<Listener>,
    /// The running process, still to be told that its clients are accepted here.
    taken: Option<Taken>,
}

/// Serves until the end.
pub(crate) fn serve(config: Config, start: Start) -> Result<(), Failure> {
    logging::start(&config.logs).map_err(Failure::of("cannot log"))?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    make_data_dir(&config.data_dir)?;
    let entropy = SystemEntropy::new().map_err(Failure::of("no randomness"))?;
    let entropy: Arc<dyn Entropy> = Arc::new(entropy);
    let token = Token::of(&config.data_dir, &*entropy).map_err(Failure::of("admin.token"))?;
    let sockets = sockets(&config, start)?;
    let banner = Banner::of(&config.data_dir, &sockets.listeners, &sockets.admin);
    let (keeper, gate) = fairlead_edge::gate();
    let opening = Opening {
        stores: stores(&config)?,
        lock_patience: config.drain_max + LOCK_PATIENCE,
        anonymous: config.anonymous,
        tokens: config.tokens.clone(),
        entropy,
        start,
        admin: sockets.admin.address(),
        banner,
    };
    run(&config, sockets, (keeper, gate), token, opening)
}

fn run(
    config: &Config,
    sockets: Sockets,
    (keeper, gate): (Keeper, Gate),
    token: Token,
    opening: Opening,
) -> Result<(), Failure> {
    let admin_socket = sockets.admin.share().map_err(Failure::of("admin page"))?;
    let edge = Edge::new(
        settings(config),
        sockets.listeners,
        vec![sockets.admin],
        gate.clone(),
    )
    .map_err(Failure::of("cannot listen"))?;
    let background = background().map_err(Failure::of("cannot start threads"))?;
    let hosts = config.admin.hosts.clone();
    let translators = fairlead_translators::all();
    let admin = Admin::new(gate, edge.drain(), token, hosts, translators);
    background.spawn(async move {
        if let Err(error) = admin.serve(admin_socket).await {
            tracing::error!(%error, "the admin page ended");
        }
    });
    if let Some(taken) = sockets.taken {
        // All that can be wrong without the store has been found out by now.
        taken
            .confirm()
            .map_err(Failure::of("the running process is gone"))?;
    }
    let counters = edge.counters();
    let opened = thread::Builder::new()
        .name("fairlead-open".into())
        .spawn(move || {
            let result = opening.run(keeper, counters, background.handle());
            (result, background)
        })
        .map_err(Failure::of("cannot start threads"))?;
    end(edge.run(), opened)
}

/// A thread that opens the store; it has the runtime for as long as it needs it.
type Opened = JoinHandle<(Result<(), Failure>, Runtime)>;

fn end(cause: Cause, opened: Opened) -> Result<(), Failure> {
    if cause != Cause::Failed && !opened.is_finished() {
        // Nothing was served, so nothing has to be closed; reading a long log is not waited for.
        return Ok(());
    }
    let Ok((result, background)) = opened.join() else {
        return Err(Failure::of("cannot open the store")("a thread panicked"));
    };
    // Whatever still holds the store is a task there; the last one closes it.
    background.shutdown_timeout(BACKGROUND_END);
    match cause {
        Cause::Signal | Cause::HandedOver => Ok(()),
        Cause::Failed => result.and(Err(Failure::Poisoned)),
    }
}

fn sockets(config: &Config, start: Start) -> Result<Sockets, Failure> {
    let (mut inherited, taken) = match start {
        Start::Fresh => (Vec::new(), None),
        Start::Upgrade => take(&config.data_dir)?,
    };
    let name: Arc<str> = ADMIN.into();
    let admin = open_socket(&name, config.admin.bind, &mut inherited)?;
    let mut listeners = Vec::with_capacity(config.listeners.len());
    for one in &config.listeners {
        listeners.push(Listener {
            socket: open_socket(&one.name, one.bind, &mut inherited)?,
            identity: one.identity.clone(),
            carrier: one.carrier,
            proxies: one.proxies.clone(),
            origins: one.origins.clone(),
            translator: Arc::clone(&one.translator),
        });
    }
    // What is left belongs to listeners that the configuration no longer names; it closes here.
    Ok(Sockets {
        admin,
        listeners,
        taken,
    })
}

fn open_socket(
    name: &Arc<str>,
    bind: SocketAddr,
    inherited: &mut Vec<Socket>,
) -> Result<Socket, Failure> {
    Socket::open(name, bind, inherited).map_err(Failure::of("cannot listen"))
}

fn take(data_dir: &Path) -> Result<(Vec<Socket>, Option<Taken>), Failure> {
    let path = fairlead_edge::path_in(data_dir);
    match fairlead_edge::take(&path)
        .map_err(Failure::of("the running process hands nothing over"))?
    {
        Some((sockets, taken)) => Ok((sockets, Some(taken))),
        None => {
            tracing::info!("no process runs on this data directory; starting afresh");
            Ok((Vec::new(), None))
        }
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        threads: config.threads,
        connections_max: connections_max(config),
        drain_max: config.drain_max,
        quiet: fairlead_edge::QUIET,
        handover: fairlead_edge::path_in(&config.data_dir),
    }
}

fn stores(config: &Config) -> Result<fairlead_backends::Settings, Failure> {
    let objects = config.objects.as_deref().map(objects).transpose()?;
    Ok(fairlead_backends::Settings {
        dir: config.data_dir.clone(),
        memory_bytes_max: config.memory_bytes_max,
        tail_bytes_max: TAIL_BYTES_MAX,
        objects: objects.map(Arc::new),
        log_bytes_max: config.store.log_bytes_max,
        spare: config.store.spare,
        sync: config.store.sync,
    })
}

/// The object store at a URL, with what the environment says about it.
pub(crate) fn objects(url: &str) -> Result<Objects, Failure> {
    let of_stores = |(name, _): &(String, String)| name.starts_with("AWS_");
    let place = Place {
        url: url.to_owned(),
        options: std::env::vars().filter(of_stores).collect(),
        patience: Patience::default(),
    };
    Objects::open(&place).map_err(Failure::of(format!("cannot use {url}")))
}

fn background() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(BACKGROUND_THREADS)
        .thread_name("fairlead-background")
        .enable_all()
        .build()
}

/// For the operator alone: it holds messages, users' proofs and the admin token.
fn make_data_dir(data_dir: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(Failure::of(format!("cannot make {}", data_dir.display())))
}

/// As many connections as configured, or as many as there can be open files. The usual soft limit
/// is a leftover of `select`, so it is raised as far as it goes first.
fn connections_max(config: &Config) -> u32 {
    let hard = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: hard,
        maximum: hard,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let own = OWN_FILES + open_files_max(config.store.log_bytes_max);
    let room = u32::try_from(files.saturating_sub(own)).unwrap_or(u32::MAX);
    if room < config.connections_max {
        tracing::warn!(
            files,
            room,
            "fewer connections than configured: too few open files"
        );
    }
    config.connections_max.min(room.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(result: Result<(), Failure>) -> Opened {
        let background = background().unwrap();
        thread::Builder::new()
            .spawn(move || (result, background))
            .unwrap()
    }

    #[test]
    fn a_store_that_is_lost_while_serving_ends_the_process_with_75() {
        let failure = end(Cause::Failed, opened(Ok(()))).unwrap_err();
        assert_eq!(failure.status(), 75);
    }

    #[test]
    fn a_store_that_does_not_open_ends_the_process_with_its_own_reason() {
        let why = Failure::of("cannot open the store")("damaged");
        let failure = end(Cause::Failed, opened(Err(why))).unwrap_err();
        assert_eq!(failure.status(), 1);
        assert_eq!(failure.to_string(), "cannot open the store");
    }

    #[test]
    fn a_process_that_was_told_to_end_ends_well_although_its_store_is_not_open() {
        let (never, wait) = std::sync::mpsc::channel::<()>();
        let opening = thread::Builder::new()
            .spawn(move || {
                wait.recv().ok();
                (Ok(()), background().unwrap())
            })
            .unwrap();
        assert!(end(Cause::Signal, opening).is_ok());
        drop(never);
    }
}
