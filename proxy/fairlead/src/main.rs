//! `fairlead`: the configuration, the wiring and the command line; the rooms hold the rest.

mod address;
mod ask;
mod banner;
mod class;
mod cli;
mod config;
mod exit;
mod grants;
mod lists;
mod logging;
mod measures;
mod node;
mod opening;
mod password;
mod sessions;
mod store;
mod system;
mod users;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Listing, Verb};
use crate::config::Config;
use crate::exit::Failure;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.verb {
        Verb::Serve(serve) => node::serve(Config::load(&serve.home)?, serve.start()),
        Verb::Check(home) => check(&Config::load(&home)?),
        Verb::Topics(verb) => streams("log", verb),
        Verb::Queues(verb) => streams("queue", verb),
        Verb::Sessions(verb) => sessions::run(verb),
        Verb::Users(verb) => users::run(verb),
        Verb::Grants(verb) => grants::run(verb),
        Verb::Store(verb) => store::run(verb),
        Verb::Version => say(concat!("fairlead ", env!("CARGO_PKG_VERSION"))),
    }
}

fn streams(family: &str, verb: Listing) -> Result<(), Failure> {
    match verb {
        Listing::List(list) => lists::print(family, &list),
        Listing::SetClass(wanted) => class::set(family, &wanted),
    }
}

fn check(config: &Config) -> Result<(), Failure> {
    for warning in config.warnings() {
        say(&format!("warning: {warning}"))?;
    }
    for listener in &config.listeners {
        if let Some(identity) = &listener.identity {
            let what = format!("listener {}", listener.name);
            identity.check().map_err(Failure::of(what))?;
        }
    }
    say("the configuration can be used")
}

/// One line on standard output.
fn say(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{line}").map_err(Failure::output)
}
