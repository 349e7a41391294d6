//! The configuration: one TOML file, unknown keys are errors, and every fault is shown at its line.

mod file;
mod resolve;

use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fairlead_backends::Spare;
use fairlead_canon::SyncMode;
use fairlead_edge::{Identity, Network};
use fairlead_kernel::{Carrier, Translator};
use fairlead_policy::{Anonymous, TokenRules};
use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

use crate::cli::Home;

pub(crate) use file::LogFormat;

/// What the node is to be; checked as a whole.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) threads: usize,
    pub(crate) connections_max: u32,
    pub(crate) drain_max: Duration,
    pub(crate) memory_bytes_max: u64,
    /// URL of the object store.
    pub(crate) objects: Option<String>,
    pub(crate) store: Store,
    pub(crate) anonymous: Anonymous,
    /// Which tokens are believed.
    pub(crate) tokens: Option<TokenRules>,
    pub(crate) admin: Admin,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) logs: Logs,
}

/// How messages are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Store {
    pub(crate) sync: SyncMode,
    pub(crate) log_bytes_max: u64,
    pub(crate) spare: Spare,
}

/// Where the admin page is.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) bind: SocketAddr,
    pub(crate) hosts: Vec<String>,
}

/// One listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) bind: SocketAddr,
    pub(crate) identity: Option<Identity>,
    pub(crate) carrier: Carrier,
    pub(crate) proxies: Vec<Network>,
    pub(crate) origins: Vec<String>,
    pub(crate) translator: Arc<dyn Translator>,
}

/// What is logged, and how.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// Why a configuration cannot be used.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{path}: the configuration cannot be used")]
    Fault {
        path: String,
        what: String,
        #[source_code]
        text: NamedSource<String>,
        #[label("{what}")]
        at: SourceSpan,
    },
}

/// Something wrong, and where in the text.
#[derive(Debug)]
pub(crate) struct Fault {
    what: String,
    at: Range<usize>,
}

impl Config {
    /// Reads the file that `home` names, or takes the defaults where it names none.
    pub(crate) fn load(home: &Home) -> Result<Self, Box<ConfigError>> {
        let translators = fairlead_translators::all();
        let (path, text) = match &home.config {
            None => (PathBuf::from("defaults"), String::new()),
            Some(path) => match fs::read_to_string(path) {
                Ok(text) => (path.clone(), text),
                Err(source) => {
                    let path = path.clone();
                    return Err(Box::new(ConfigError::Unreadable { path, source }));
                }
            },
        };
        let parsed = Self::parse(&text, &translators);
        let mut config = parsed.map_err(|fault| {
            let path = path.display().to_string();
            Box::new(ConfigError::Fault {
                text: NamedSource::new(&path, text),
                path,
                what: fault.what,
                at: fault.at.into(),
            })
        })?;
        if let Some(data_dir) = &home.data_dir {
            config.data_dir.clone_from(data_dir);
        }
        Ok(config)
    }

    fn parse(text: &str, translators: &[Arc<dyn Translator>]) -> Result<Self, Fault> {
        let file: file::File = toml::from_str(text).map_err(|error| Fault {
            what: error.message().to_owned(),
            at: error.span().unwrap_or_default(),
        })?;
        resolve::resolve(file, translators)
    }

    /// What an operator should know before using it.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let is_bare =
            |listener: &&Listener| !listener.bind.ip().is_loopback() && listener.identity.is_none();
        let bare = self.listeners.iter().filter(is_bare).map(|listener| {
            let (name, bind) = (&listener.name, listener.bind);
            format!("listener {name} ({bind}) is open to the network without TLS: passwords and messages can be read on their way")
        });
        let admin = Some(self.admin.bind).filter(|bind| !bind.ip().is_loopback());
        let admin = admin.map(|bind| {
            format!("the admin page ({bind}) is open to the network without TLS: its token can be read on its way")
        });
        let weak = Some(self.store.sync).filter(|sync| *sync == SyncMode::Interval);
        let weak = weak.map(|_| {
            "store.sync is interval: a power cut may take what was acknowledged in the last 50 ms"
                .to_owned()
        });
        bare.chain(admin).chain(weak).collect()
    }
}
