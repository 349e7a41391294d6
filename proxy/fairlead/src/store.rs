//! `store check`, `store stat`, `store dump`: looking into a data directory that no node has open.

mod backup;
mod check;
mod dump;
mod names;
mod selfcheck;
mod stat;

use std::io;
use std::path::Path;

use fairlead_backends::{Inspection, OpenError, Report};

use crate::cli::{Home, Store};
use crate::config::Config;
use crate::exit::Failure;

pub(crate) fn run(verb: Store) -> Result<(), Failure> {
    match verb {
        Store::Check(list) => check::run(&list),
        Store::Stat(list) => stat::run(&list),
        Store::Dump(dump) => dump::run(&dump),
        Store::Backup(backup) => backup::run(&backup),
        Store::Selfcheck(check) => selfcheck::run(&check),
    }
}

fn open(home: &Home) -> Result<(Inspection, String), Failure> {
    let dir = Config::load(home)?.data_dir;
    let inspection = fairlead_backends::inspect(&dir);
    Ok((
        inspection.map_err(|error| refused(&dir, error))?,
        dir.display().to_string(),
    ))
}

fn refused(dir: &Path, error: OpenError) -> Failure {
    let what = if matches!(error, OpenError::Locked { .. }) {
        "stop the node, or look at a copy of its data directory".into()
    } else {
        format!("cannot look into {}", dir.display())
    };
    Failure::of(what)(error)
}

/// Damage that was met, as the end of a command.
fn verdict(report: &Report, dir: String) -> Result<(), Failure> {
    match report.damages.len() {
        0 => Ok(()),
        places => Err(Failure::Damaged { places, dir }),
    }
}

fn unreadable(error: OpenError) -> Failure {
    Failure::of("cannot read the log")(error)
}

/// What was printed before, and whether it arrived.
fn printed(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(Failure::output)
}
