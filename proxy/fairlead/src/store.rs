//! `store check`, `store stat`, `store dump`: looking into a data directory that no node has open.

mod backup;
mod check;
mod dump;
mod names;
mod selfcheck;
mod stat;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fairlead_backends::{Inspection, OpenError, Report, Site, Sum};
use serde_json::{Value, json};

use crate::cli::{Home, Store};
use crate::config::Config;
use crate::exit::Failure;
use crate::node::objects;

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
    let config = Config::load(home)?;
    let dir = config.data_dir;
    let objects = config.objects.as_deref().map(objects).transpose()?;
    let inspection = fairlead_backends::inspect(&dir, objects);
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

/// From where to where a start reads the log, for people.
fn extent(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let places = [
        ("the next start reads the log from", &report.begin),
        (
            "the log is known to have been durable up to",
            &report.proven,
        ),
        ("the log ends in", &report.end),
    ];
    for (what, place) in places {
        if let Some((file, byte)) = place {
            writeln!(out, "{what} {} at byte {byte}", file.display())?;
        }
    }
    Ok(())
}

/// How many and how much, for programs.
fn sum(sum: Sum) -> Value {
    json!({ "count": sum.count, "bytes": sum.bytes })
}

/// A place in a file, for programs.
fn place(place: Option<&(PathBuf, u64)>) -> Value {
    place.map_or(
        Value::Null,
        |(file, byte)| json!({ "file": file.display().to_string(), "byte": byte }),
    )
}

/// Where segments are, as the commands say it.
fn site(site: Site) -> &'static str {
    match site {
        Site::Directory => "data directory",
        Site::Objects => "object store",
    }
}

/// What of an object store was not read, for people.
fn unread(out: &mut impl Write, report: &Report, what: &str) -> io::Result<()> {
    let Some(why) = &report.unread_why else {
        return Ok(());
    };
    let (count, bytes) = (report.unread.count, report.unread.bytes);
    writeln!(
        out,
        "{count} {what} of {bytes} bytes are in the object store and were not read: {why}"
    )
}

/// Damage that was met, as the end of a command.
fn verdict(inspection: &Inspection, report: &Report, dir: String) -> Result<(), Failure> {
    let places = report.damages.len();
    if places == 0 {
        return Ok(());
    }
    let outlook = match inspection.is_refused().map_err(unreadable)? {
        true => "a node refuses to start there",
        false => "a node starts there, and refuses what is damaged to whoever asks for it",
    };
    Err(Failure::Damaged {
        places,
        dir,
        outlook,
    })
}

fn unreadable(error: OpenError) -> Failure {
    Failure::of("cannot read the log")(error)
}

/// What was printed before, and whether it arrived.
fn printed(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(Failure::output)
}
