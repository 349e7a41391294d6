//! The file as it is written. Every key is optional; what is not here is an error.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) node: Node,
    pub(super) admin: Admin,
    pub(super) listeners: Vec<Listener>,
    pub(super) tls: BTreeMap<String, Tls>,
    /// What holds for all listeners of a translator unless one says otherwise.
    pub(super) translators: BTreeMap<String, Spanned<Settings>>,
    pub(super) auth: Auth,
    pub(super) limits: Limits,
    pub(super) store: Store,
    pub(super) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Node {
    pub(super) data_dir: Option<PathBuf>,
    /// Threads that serve connections; as many as there are cores.
    pub(super) threads: Option<Spanned<usize>>,
    pub(super) connections_max: Option<Spanned<u32>>,
    pub(super) drain_ms: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    pub(super) bind: Option<SocketAddr>,
    /// Names under which the page may be asked for, besides addresses and `localhost`.
    pub(super) hosts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) translator: Spanned<String>,
    /// For labels and logs; the translator's name unless said.
    pub(super) name: Option<String>,
    /// 127.0.0.1 and the translator's usual port unless said.
    pub(super) bind: Option<SocketAddr>,
    /// A name from `[tls]`.
    pub(super) tls: Option<Spanned<String>>,
    /// What carries the bytes; `tcp` unless said.
    pub(super) transport: Option<Spanned<Transport>>,
    /// Load balancers that say for whom they speak: addresses, or networks such as `10.0.0.0/8`.
    #[serde(default)]
    pub(super) proxies: Vec<Spanned<String>>,
    /// Web pages that may connect over WebSocket, by their origin; any, if none is named.
    #[serde(default)]
    pub(super) origins: Vec<String>,
    /// In the translator's own words.
    #[serde(default)]
    pub(super) settings: Settings,
}

/// In a translator's own words.
pub(super) type Settings = BTreeMap<String, Spanned<Setting>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Transport {
    Tcp,
    WebSocket,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Setting {
    Text(String),
    Number(i64),
    Switch(bool),
    /// One line each.
    Lines(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Whoever connects needs a certificate that one of these authorities has signed.
    pub(super) clients: Option<PathBuf>,
    /// Where in it the name of the user is.
    #[serde(default)]
    pub(super) client_name: NameWord,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NameWord {
    /// The first alternative name, or else the common name.
    #[default]
    San,
    /// The common name.
    Cn,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Auth {
    pub(super) anonymous: AnonymousWord,
    pub(super) jwt: Option<Spanned<Jwt>>,
}

/// Signed tokens in the place of passwords.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Jwt {
    /// JWKS, or a public key in PEM.
    pub(super) keys: Option<PathBuf>,
    /// A secret shared with the issuer, for HS256.
    pub(super) secret: Option<PathBuf>,
    /// The claim that is the user's name; `sub` unless said.
    pub(super) user: Option<String>,
    /// The claim that has to be the client's own name.
    pub(super) client: Option<String>,
    /// The claim with grants.
    pub(super) acl: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    /// Whether a connection ends with its token.
    pub(super) disconnects: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// What messages that are kept in memory only may take.
    pub(super) memory_bytes: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    /// Where class `object` is kept: `s3://bucket/prefix` (endpoint, region and keys by their AWS_ names
    /// in the environment) or `file:///directory`.
    pub(super) objects: Option<String>,
    pub(super) sync: SyncWord,
    /// Where publishes are refused; from half of it on, the oldest log is sealed.
    pub(super) log_bytes_max: Option<Spanned<u64>>,
    /// What must stay free on the disk, whatever else is on it.
    pub(super) free_bytes_min: Option<Spanned<u64>>,
    /// The same, as a part of the disk; the greater holds. Unless it is said, at most 4 GiB.
    pub(super) free_percent_min: Option<Spanned<u8>>,
}

/// When a durable promise is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SyncWord {
    /// When it is on the disk.
    #[default]
    Always,
    /// When it is written: a power cut may take the last 50 ms.
    Interval,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AnonymousWord {
    Never,
    #[default]
    Loopback,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) level: Level,
    pub(super) format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object per line.
    Json,
}

impl Setting {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Switch(is_on) => is_on.to_string(),
            Self::Lines(lines) => lines.join("\n"),
        }
    }
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
