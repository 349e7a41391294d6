//! `store check`: is every byte what it should be?

use std::io::{self, Write};

use fairlead_backends::{Cut, Damage, Report};
use fairlead_ports::Lsn;
use serde_json::{Value, json};

use super::names::Names;
use super::{extent, open, place, printed, refused, sum, unread, unreadable, verdict};
use crate::cli::{Check, List};
use crate::config::Config;
use crate::exit::Failure;

/// Entities named per damaged place, for people; `--json` has all.
const ENTITIES_SHOWN: usize = 20;

pub(super) fn run(check: &Check) -> Result<(), Failure> {
    let list = &check.list;
    if check.rebuild_index {
        let dir = Config::load(&list.home)?.data_dir;
        fairlead_backends::rebuild_index(&dir).map_err(|error| refused(&dir, error))?;
    }
    let given_up = match check.truncate_at.zip(check.accept_loss) {
        Some((lsn, records)) => Some(truncate(list, Lsn(lsn), records)?),
        None => None,
    };
    let (inspection, dir) = open(&list.home)?;
    let mut names = Names::default();
    let report = inspection
        .check(&mut |entry| names.learn(&entry))
        .map_err(unreadable)?;
    let mut out = io::stdout().lock();
    printed(if list.json {
        writeln!(out, "{}", json(&report, given_up.as_ref(), &names))
    } else {
        given_up
            .map_or(Ok(()), |cut| gone(&mut out, &cut, &names))
            .and_then(|()| readable(&mut out, &report, &names))
    })?;
    verdict(&inspection, &report, dir)
}

fn truncate(list: &List, lsn: Lsn, records: u64) -> Result<Cut, Failure> {
    let dir = Config::load(&list.home)?.data_dir;
    let cut = fairlead_backends::truncate(&dir, lsn, records);
    cut.map_err(|error| refused(&dir, error))
}

fn gone(out: &mut impl Write, cut: &Cut, names: &Names) -> io::Result<()> {
    let (lsn, records) = (cut.lsn.0, cut.records);
    writeln!(
        out,
        "the log was cut off at {lsn}; {records} records are lost"
    )?;
    concerned(out, &cut.lost, names)
}

fn readable(out: &mut impl Write, report: &Report, names: &Names) -> io::Result<()> {
    writeln!(
        out,
        "{} log files, {} frames, {} records; {} segments of {} bytes",
        report.files, report.frames, report.records, report.segments.count, report.segments.bytes
    )?;
    unread(out, report, "segments")?;
    if report.unreadable_slots == 1 {
        writeln!(
            out,
            "one slot of the superblock does not validate; the other one holds"
        )?;
    }
    for damage in &report.damages {
        damaged(out, damage, names)?;
    }
    extent(out, report)?;
    if report.is_torn {
        writeln!(
            out,
            "torn tail: a write was cut off there, before it was acknowledged; the next start drops it"
        )?;
    }
    if let Some(cut) = &report.cut {
        return way_out(out, cut, names);
    }
    if !report.damages.is_empty() {
        return Ok(());
    }
    let verdict = if report.unread.count == 0 {
        "whole: every checksum is right, and a node can start here"
    } else {
        "every checksum of what was read is right; what was not read may be damaged"
    };
    writeln!(out, "{verdict}")
}

fn damaged(out: &mut impl Write, damage: &Damage, names: &Names) -> io::Result<()> {
    let file = damage.file.display();
    writeln!(
        out,
        "DAMAGE in {file} at byte {}: {}",
        damage.at, damage.what
    )?;
    if let Some(record) = damage.record {
        writeln!(out, "  first record that is not whole: at byte {record}")?;
    }
    concerned(out, damage, names)
}

/// What it costs to go on without a copy.
fn way_out(out: &mut impl Write, cut: &Cut, names: &Names) -> io::Result<()> {
    let (lsn, records) = (cut.lsn.0, cut.records);
    writeln!(
        out,
        "without a copy to restore, `store check --truncate-at {lsn} --accept-loss {records}` cuts off everything \
         from there on: {records} records that are legible, and what is not"
    )?;
    concerned(out, &cut.lost, names)
}

fn concerned(out: &mut impl Write, damage: &Damage, names: &Names) -> io::Result<()> {
    for (entity, offsets) in damage.entities.iter().take(ENTITIES_SHOWN) {
        let name = names.readable(*entity);
        match offsets {
            Some(offsets) => writeln!(
                out,
                "  concerns {name}, offsets from {} to below {}",
                offsets.start, offsets.end
            )?,
            None => writeln!(out, "  concerns {name}")?,
        }
    }
    if let Some(more) = damage.entities.len().checked_sub(ENTITIES_SHOWN + 1) {
        writeln!(out, "  and {} more entities", more + 1)?;
    }
    if damage.documents > 0 {
        writeln!(out, "  concerns {} writes of documents", damage.documents)?;
    }
    Ok(())
}

fn json(report: &Report, given_up: Option<&Cut>, names: &Names) -> Value {
    json!({
        "whole": report.damages.is_empty() && report.unread.count == 0,
        "torn": report.is_torn,
        "unreadable_superblock_slots": report.unreadable_slots,
        "files": report.files,
        "frames": report.frames,
        "records": report.records,
        "segments": sum(report.segments),
        "unread": sum(report.unread),
        "unread_because": report.unread_why,
        "begin": place(report.begin.as_ref()),
        "end": place(report.end.as_ref()),
        "proven": place(report.proven.as_ref()),
        "damages": report.damages.iter().map(|damage| damage_json(damage, names)).collect::<Vec<_>>(),
        "given_up": given_up.map(|cut| cut_json(cut, names)),
        "cut": report.cut.as_ref().map(|cut| cut_json(cut, names)),
    })
}

fn damage_json(damage: &Damage, names: &Names) -> Value {
    let entity = |(entity, offsets): (&_, &Option<std::ops::Range<u64>>)| {
        let offsets = offsets.as_ref();
        json!({
            "of": names.json(*entity),
            "from": offsets.map(|offsets| offsets.start),
            "below": offsets.map(|offsets| offsets.end),
        })
    };
    json!({
        "file": damage.file.display().to_string(),
        "byte": damage.at,
        "record_byte": damage.record,
        "what": damage.what,
        "entities": damage.entities.iter().map(entity).collect::<Vec<_>>(),
        "documents": damage.documents,
    })
}

fn cut_json(cut: &Cut, names: &Names) -> Value {
    let lost = damage_json(&cut.lost, names);
    json!({ "lsn": cut.lsn.0, "records": cut.records, "lost": lost })
}
