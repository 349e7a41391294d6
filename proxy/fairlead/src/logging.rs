//! Structured logs on standard error.

use std::error::Error;
use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Logs};

/// Pingora reports each start and stop of its own at `info`, where ours says it once; rustls warns
/// of what careless clients send, where ours says why a connection was refused.
const QUIET: &str = "pingora_core=warn,rustls=error";

/// Sends what the process has to say to standard error, in the configured form.
pub(crate) fn start(logs: &Logs) -> Result<(), Box<dyn Error + Send + Sync>> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", logs.level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false);
    match logs.format {
        LogFormat::Text => builder.with_ansi(is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
}

fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}
