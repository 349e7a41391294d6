//! From the file as written to a configuration that fits together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use fairlead_backends::Spare;
use fairlead_canon::SyncMode;
use fairlead_edge::{BadNetwork, Clients, Identity, LISTENERS_MAX, NameFrom, Network};
use fairlead_kernel::{Carrier, Door, Translator};
use fairlead_policy::{Anonymous, TokenRules};
use toml::Spanned;

use super::file::{self, AnonymousWord, File, NameWord, SyncWord, Transport};
use super::{Admin, Config, Fault, Listener, Logs, Store};
use translators::Translators;

mod translators;

const ADMIN_PORT: u16 = 9080;
const DATA_DIR: &str = "./data";
/// More threads than this serve nobody better.
const THREADS: RangeInclusive<u64> = 1..=256;
/// An idle connection costs a few KiB: the most keeps a node below its memory, not above a fad.
const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// Unless it is told: a fleet of devices, in a few hundred MiB.
const CONNECTIONS_MAX: u32 = 50_000;
/// Longer than ten minutes, and whoever waits for the process kills it.
const DRAIN_MS: RangeInclusive<u64> = 0..=600_000;
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Below it a single large message fills the store; above it is a slip of the finger.
const MEMORY_BYTES: RangeInclusive<u64> = 64 << 20..=1 << 40;
const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// Below it there is no room for two files beside the one in use; above it is a slip of the finger.
const LOG_BYTES: RangeInclusive<u64> = 512 << 20..=1 << 50;
const LOG_BYTES_MAX: u64 = 8 << 30;
/// Nothing, for a disk that somebody else watches, or up to all that a large disk has.
const FREE_BYTES: RangeInclusive<u64> = 0..=1 << 50;
const FREE_PERCENT: RangeInclusive<u64> = 0..=50;

/// As many as cores but for one, which the store and the kernel's own tasks keep busy: with one more,
/// threads that serve clients wait for locks and for each other instead.
fn threads_of_this_machine() -> usize {
    let cores = available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(1).max(1)
}

pub(super) fn resolve(file: File, translators: &[Arc<dyn Translator>]) -> Result<Config, Fault> {
    let node = &file.node;
    let threads = within(node.threads.as_ref(), THREADS)?;
    let connections = within(node.connections_max.as_ref(), CONNECTIONS)?;
    let drain_ms = within(node.drain_ms.as_ref(), DRAIN_MS)?;
    let memory = within(file.limits.memory_bytes.as_ref(), MEMORY_BYTES)?;
    let translators = &Translators::of(translators, &file.translators)?;
    let listeners = if file.listeners.is_empty() {
        plain_doors(translators)
    } else {
        listeners(&file.listeners, &file.tls, translators)?
    };
    Ok(Config {
        data_dir: node.data_dir.clone().unwrap_or(PathBuf::from(DATA_DIR)),
        threads: threads.unwrap_or_else(threads_of_this_machine),
        connections_max: connections.unwrap_or(CONNECTIONS_MAX),
        drain_max: drain_ms.map_or(DRAIN_MAX, Duration::from_millis),
        memory_bytes_max: memory.unwrap_or(MEMORY_BYTES_MAX),
        store: store(&file.store)?,
        objects: file.store.objects,
        anonymous: match file.auth.anonymous {
            AnonymousWord::Never => Anonymous::Never,
            AnonymousWord::Loopback => Anonymous::Loopback,
        },
        tokens: file.auth.jwt.map(tokens).transpose()?,
        admin: Admin {
            bind: file.admin.bind.unwrap_or(loopback(ADMIN_PORT)),
            hosts: file.admin.hosts,
        },
        listeners,
        logs: Logs {
            level: file.log.level.word().to_owned(),
            format: file.log.format,
        },
    })
}

fn tokens(said: Spanned<file::Jwt>) -> Result<TokenRules, Fault> {
    let at = said.span();
    let jwt = said.into_inner();
    if jwt.keys.is_none() && jwt.secret.is_none() {
        let what = "needs `keys` or `secret`".to_owned();
        return Err(Fault { what, at });
    }
    Ok(TokenRules {
        keys: jwt.keys,
        secret: jwt.secret,
        user: jwt.user.unwrap_or("sub".to_owned()),
        client: jwt.client,
        acl: jwt.acl,
        issuer: jwt.issuer,
        audience: jwt.audience,
        disconnects: jwt.disconnects,
    })
}

fn store(said: &file::Store) -> Result<Store, Fault> {
    let usual = Spare::default();
    let log_bytes = within(said.log_bytes_max.as_ref(), LOG_BYTES)?;
    let free_bytes = within(said.free_bytes_min.as_ref(), FREE_BYTES)?;
    let free_percent = within(said.free_percent_min.as_ref(), FREE_PERCENT)?;
    Ok(Store {
        sync: match said.sync {
            SyncWord::Always => SyncMode::Always,
            SyncWord::Interval => SyncMode::Interval,
        },
        log_bytes_max: log_bytes.unwrap_or(LOG_BYTES_MAX),
        spare: Spare {
            bytes: free_bytes.unwrap_or(usual.bytes),
            percent: free_percent.unwrap_or(usual.percent),
            // Who names a part means it.
            percent_bytes_max: free_percent.map_or(usual.percent_bytes_max, |_percent| u64::MAX),
            ..usual
        },
    })
}

/// The number, if it is said and within bounds.
fn within<N: Copy + TryInto<u64>>(
    said: Option<&Spanned<N>>,
    bounds: RangeInclusive<u64>,
) -> Result<Option<N>, Fault> {
    let Some(said) = said else {
        return Ok(None);
    };
    let number = *said.get_ref();
    match number.try_into() {
        Ok(wide) if bounds.contains(&wide) => Ok(Some(number)),
        _ => Err(Fault {
            what: format!("between {} and {}", bounds.start(), bounds.end()),
            at: said.span(),
        }),
    }
}

/// Without a word in the file: each translator's plain door, on this machine only.
fn plain_doors(translators: &Translators<'_>) -> Vec<Listener> {
    let doors = translators.iter().filter_map(|translator| {
        let is_plain = |door: &&Door| !door.is_tls && door.carrier == Carrier::Stream;
        let door = translator.doors().iter().find(is_plain)?;
        Some(Listener {
            name: translator.name().into(),
            bind: loopback(door.port),
            identity: None,
            carrier: Carrier::Stream,
            proxies: Vec::new(),
            origins: Vec::new(),
            translator: Arc::clone(translator),
        })
    });
    doors.collect()
}

fn listeners(
    written: &[file::Listener],
    tls: &BTreeMap<String, file::Tls>,
    translators: &Translators<'_>,
) -> Result<Vec<Listener>, Fault> {
    let mut names = BTreeSet::from(["admin".into()]);
    let mut listeners = Vec::with_capacity(written.len());
    for one in written {
        let listener = listener(one, tls, translators)?;
        let at = one.translator.span();
        if !names.insert(Arc::clone(&listener.name)) {
            let what = format!(
                "another listener is called {:?}: give this one a name",
                listener.name
            );
            return Err(Fault { what, at });
        }
        // One socket of those that can be handed over is the admin page's.
        if listeners.len() + 1 >= LISTENERS_MAX {
            let what = format!("at most {} listeners", LISTENERS_MAX - 1);
            return Err(Fault { what, at });
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

fn listener(
    written: &file::Listener,
    tls: &BTreeMap<String, file::Tls>,
    translators: &Translators<'_>,
) -> Result<Listener, Fault> {
    let wanted = written.translator.get_ref();
    let translator = translators.configured(&written.translator, &written.settings)?;
    let identity = written
        .tls
        .as_ref()
        .map(|name| identity(name, tls))
        .transpose()?;
    let is_tls = identity.is_some();
    let carrier = carrier(written.transport.as_ref(), &*translator)?;
    let fits = |door: &&Door| door.is_tls == is_tls && door.carrier == carrier;
    let door = translator.doors().iter().find(fits);
    let bind = written.bind.or(door.map(|door| loopback(door.port)));
    let Some(bind) = bind else {
        let what = "has no usual port of this kind: say where to bind".to_owned();
        return Err(Fault {
            what,
            at: written.translator.span(),
        });
    };
    let usual_name = usual_name(wanted, is_tls, carrier);
    let name = written.name.clone().unwrap_or(usual_name);
    if name.is_empty() || name.contains(|c: char| c.is_control() || c.is_whitespace()) {
        let what = "the name of a listener is one word".to_owned();
        return Err(Fault {
            what,
            at: written.translator.span(),
        });
    }
    Ok(Listener {
        name: name.into(),
        bind,
        identity,
        carrier,
        proxies: networks(&written.proxies)?,
        origins: written.origins.clone(),
        translator,
    })
}

fn usual_name(translator: &str, is_tls: bool, carrier: Carrier) -> String {
    let security = if is_tls { "-tls" } else { "" };
    let carrier = match carrier {
        Carrier::Stream => "",
        Carrier::WebSocket(_) => "-websocket",
    };
    format!("{translator}{carrier}{security}")
}

/// What carries the bytes, as one of the translator's doors knows it.
fn carrier(
    written: Option<&Spanned<Transport>>,
    translator: &dyn Translator,
) -> Result<Carrier, Fault> {
    let Some(written) = written.filter(|word| *word.get_ref() == Transport::WebSocket) else {
        return Ok(Carrier::Stream);
    };
    let mut known = translator.doors().iter().map(|door| door.carrier);
    let is_websocket = |carrier: &Carrier| matches!(carrier, Carrier::WebSocket(_));
    known.find(is_websocket).ok_or_else(|| Fault {
        what: format!("{} does not speak over it", translator.name()),
        at: written.span(),
    })
}

fn networks(written: &[Spanned<String>]) -> Result<Vec<Network>, Fault> {
    let networks = written.iter().map(|one| {
        one.get_ref().parse().map_err(|bad: BadNetwork| Fault {
            what: bad.to_string(),
            at: one.span(),
        })
    });
    networks.collect()
}

fn identity(name: &Spanned<String>, tls: &BTreeMap<String, file::Tls>) -> Result<Identity, Fault> {
    match tls.get(name.get_ref()) {
        Some(found) => Ok(Identity {
            certificate: found.certificate.clone(),
            key: found.key.clone(),
            clients: found.clients.clone().map(|authorities| Clients {
                authorities,
                name_from: match found.client_name {
                    NameWord::San => NameFrom::Alternative,
                    NameWord::Cn => NameFrom::Common,
                },
            }),
        }),
        None => Err(Fault {
            what: "is not in [tls]".to_owned(),
            at: name.span(),
        }),
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests;
