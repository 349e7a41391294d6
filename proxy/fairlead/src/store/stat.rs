//! `store stat`: what there is, and how much.

use std::io::{self, Write};

use fairlead_backends::{Measures, Report, SegmentSum, Site, Sum};
use fairlead_canon::{EntityId, Kind, Spec};
use fairlead_ports::Marks;
use serde_json::{Map, Value, json};

use super::names::Names;
use super::{extent, open, place, printed, site, sum, unreadable, verdict};
use crate::cli::List;
use crate::exit::Failure;

pub(super) fn run(list: &List) -> Result<(), Failure> {
    let (inspection, dir) = open(&list.home)?;
    let mut names = Names::default();
    let report = inspection
        .read(&mut |entry| names.learn(&entry))
        .map_err(unreadable)?;
    let (_, measures) = inspection.measure().map_err(unreadable)?;
    let mut out = io::stdout().lock();
    printed(if list.json {
        writeln!(out, "{}", json(&report, &measures, &names))
    } else {
        readable(&mut out, &report, &measures, &names)
    })?;
    verdict(&inspection, &report, dir)
}

fn readable(
    out: &mut impl Write,
    report: &Report,
    measures: &Measures,
    names: &Names,
) -> io::Result<()> {
    let (files, bytes, frames) = (report.files, measures.file_bytes, report.frames);
    writeln!(out, "{files} log files of {bytes} bytes, {frames} frames")?;
    extent(out, report)?;
    writeln!(out, "\n{:>10} {:>14}  RECORDS", "COUNT", "BYTES")?;
    for (kind, sum) in &measures.records {
        row(out, *sum, kind)?;
    }
    writeln!(out, "\n{:>10} {:>14}  ENTITIES", "MESSAGES", "BYTES")?;
    for (entity, (spec, marks)) in &measures.entities {
        let sum = Sum {
            count: marks.count,
            bytes: marks.bytes,
        };
        let (from, to, kind) = (marks.start.0, marks.end.0, kind(spec.kind));
        let name = names.readable(*entity);
        row(
            out,
            sum,
            &format!("{name}: {kind}, offsets from {from} to below {to}"),
        )?;
    }
    writeln!(out, "\n{:>10} {:>14}  DOCUMENTS", "COUNT", "BYTES")?;
    for (space, sum) in &measures.documents {
        row(out, *sum, &format!("space {}", space.0))?;
    }
    writeln!(out, "\n{:>10} {:>14}  SEGMENTS", "COUNT", "BYTES")?;
    for (at, of) in &measures.segments {
        let (live, bytes) = (of.live.count, of.live.bytes);
        let mut name = format!("{}: {live} records of {bytes} bytes live", site(*at));
        match of.unnamed {
            Some(0) => {}
            Some(more) => {
                name += &format!("; {more} more that nothing names, which a node deletes")
            }
            None => name += "; what else is there could not be listed",
        }
        row(out, of.all, &name)?;
    }
    let (live, dead) = live_and_dead(measures);
    writeln!(
        out,
        "\n{live} bytes of records in the log live (messages that are kept, and documents), {dead} dead"
    )
}

fn row(out: &mut impl Write, sum: Sum, name: &str) -> io::Result<()> {
    writeln!(out, "{:>10} {:>14}  {name}", sum.count, sum.bytes)
}

fn live_and_dead(measures: &Measures) -> (u64, u64) {
    let live = measures.live_bytes();
    (live, measures.record_bytes().saturating_sub(live))
}

fn json(report: &Report, measures: &Measures, names: &Names) -> Value {
    let entity = |(entity, (spec, marks)): (&EntityId, &(Spec, Marks))| {
        json!({
            "of": names.json(*entity),
            "kind": kind(spec.kind),
            "start": marks.start.0,
            "end": marks.end.0,
            "count": marks.count,
            "bytes": marks.bytes,
        })
    };
    let records = measures.records.iter();
    let documents = measures.documents.iter();
    let segments = measures.segments.iter();
    let segment = |(at, of): (&Site, &SegmentSum)| {
        let of = json!({ "segments": sum(of.all), "live": sum(of.live), "unnamed": of.unnamed });
        (site(*at).to_owned(), of)
    };
    let (live, dead) = live_and_dead(measures);
    json!({
        "files": report.files,
        "file_bytes": measures.file_bytes,
        "frames": report.frames,
        "begin": place(report.begin.as_ref()),
        "end": place(report.end.as_ref()),
        "records": records.map(|(kind, of)| ((*kind).to_owned(), sum(*of))).collect::<Map<_, _>>(),
        "entities": measures.entities.iter().map(entity).collect::<Vec<_>>(),
        "documents": documents.map(|(space, of)| (space.0.to_string(), sum(*of))).collect::<Map<_, _>>(),
        "segments": segments.map(segment).collect::<Map<_, _>>(),
        "live_bytes": live,
        "dead_bytes": dead,
    })
}

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Log => "log",
        Kind::Queue => "queue",
        Kind::Latest => "latest",
    }
}
