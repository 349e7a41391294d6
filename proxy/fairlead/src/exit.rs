//! How the process ends when it does not end well: the words and the exit status.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use miette::{Diagnostic, MietteHandlerOpts, Report};
use thiserror::Error;

use crate::config::ConfigError;

/// Something failed.
const FAILED: u8 = 1;
/// The configuration, what a command was asked for, or a damaged data directory was refused.
const REFUSED: u8 = 3;
/// The log is poisoned: start again, and recovery decides what was kept (`EX_TEMPFAIL`).
const POISONED: u8 = 75;

/// Why a command failed.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum Failure {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] Box<ConfigError>),
    /// Something that was asked for makes no sense.
    #[error("{0}")]
    Refused(String),
    /// Something failed.
    #[error("{what}")]
    Failed {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A data directory is not what was durable there.
    #[error("{places} damaged places in {dir}")]
    #[diagnostic(help("{outlook}; restore a copy that `fairlead store check` finds whole"))]
    Damaged {
        /// How many.
        places: usize,
        /// Where.
        dir: String,
        /// What a node does there.
        outlook: &'static str,
    },
    /// A write or sync of the log failed.
    #[error("the log is poisoned: a write or sync failed, and nothing is acknowledged any more")]
    #[diagnostic(help("look at the disk; the next start recovers what was acknowledged"))]
    Poisoned,
}

impl Failure {
    /// A failure while doing something.
    pub(crate) fn of<E>(what: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let what = what.into();
        move |source| Self::Failed {
            what,
            source: source.into(),
        }
    }

    /// Standard output is gone.
    pub(crate) fn output(error: io::Error) -> Self {
        Self::of("cannot write to standard output")(error)
    }

    /// Says on standard error what failed, and gives the exit status.
    pub(crate) fn report(self) -> ExitCode {
        let status = self.status();
        // Whoever searches a log for a file and a byte must find them in one piece. A second
        // call finds the hook in place.
        miette::set_hook(Box::new(|_| {
            Box::new(MietteHandlerOpts::new().wrap_lines(false).build())
        }))
        .ok();
        let report = match self {
            Self::Config(fault) => Report::new(*fault),
            Self::Refused(_) | Self::Failed { .. } | Self::Damaged { .. } | Self::Poisoned => {
                Report::new(self)
            }
        };
        // Where standard error is gone, only the status is left to tell.
        writeln!(io::stderr().lock(), "{report:?}").ok();
        ExitCode::from(status)
    }

    /// The exit status; 2 is the command line parser's own.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Refused(_) | Self::Damaged { .. } => REFUSED,
            Self::Failed { .. } => FAILED,
            Self::Poisoned => POISONED,
        }
    }
}
