//! `store dump`: the records of the log, oldest first.
//!
//! Values of documents are not printed: among them are verifiers of passwords.

use std::io::{self, Write};

use fairlead_backends::{Entry, Kept, Said, SealedFile, Segment};
use fairlead_canon::{Address, Batch, EntityId, Message, Opened, Path};
use fairlead_ports::{Op, Place, Target};
use serde_json::{Value, json};

use super::names::Names;
use super::{open, printed, site, unread, unreadable, verdict};
use crate::cli::Dump;
use crate::exit::Failure;

/// Bytes shown of a body, a key or an unreadable batch.
const BYTES_SHOWN: usize = 256;

pub(super) fn run(dump: &Dump) -> Result<(), Failure> {
    let (inspection, dir) = open(&dump.list.home)?;
    // A definition may lie behind the first record of its entity: names are read first.
    let mut names = Names::default();
    inspection
        .read(&mut |entry| names.learn(&entry))
        .map_err(unreadable)?;
    let only = dump.entity.map(EntityId);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut result = Ok(());
    let mut print = |entry: Entry| {
        if result.is_ok() && only.is_none_or(|only| is_about(&entry.said, only)) {
            result = if dump.list.json {
                writeln!(out, "{}", json(&entry, &names))
            } else {
                readable(&mut out, &entry, &names)
            };
        }
    };
    let report = match only {
        Some(only) => inspection.read_with(only, &mut print),
        None => inspection.read(&mut print),
    };
    let report = report.map_err(unreadable)?;
    if !dump.list.json {
        result = result.and_then(|()| unread(&mut out, &report, "records in segments"));
    }
    printed(result.and_then(|()| out.flush()))?;
    verdict(&inspection, &report, dir)
}

fn is_about(said: &Said, only: EntityId) -> bool {
    let Said::Op(op) = said else {
        return false;
    };
    match op {
        Op::Append { to, .. } => to.iter().any(|target| target.entity == only),
        Op::Create { entity, .. }
        | Op::Alter { entity, .. }
        | Op::Delete { entity }
        | Op::Settle { entity, .. }
        | Op::Trim { entity, .. }
        | Op::Mark { entity, .. }
        | Op::Restore { entity, .. } => *entity == only,
        Op::EndTxn { entity, .. } => entity.is_none_or(|entity| entity == only),
        Op::Put { .. } | Op::Expect { .. } => false,
    }
}

fn readable(out: &mut impl Write, entry: &Entry, names: &Names) -> io::Result<()> {
    match &entry.kept {
        Kept::Log { file, byte, wall } => write!(out, "{file}:{byte} {} ", wall.0)?,
        Kept::Segment(segment) => write!(out, "{} {} ", shown_segment(segment), entry.lsn.0)?,
    }
    let op = match &entry.said {
        Said::Op(op) => op,
        Said::Sealed(files) => return sealed(out, files),
    };
    let name = |entity: &EntityId| names.readable(*entity);
    match op {
        Op::Append { to, batch } => appended(out, to, batch, names),
        Op::Create { entity, spec } => writeln!(out, "create {}: {spec:?}", name(entity)),
        Op::Alter { entity, spec } => writeln!(out, "alter {}: {spec:?}", name(entity)),
        Op::Delete { entity } => writeln!(out, "delete {}", name(entity)),
        Op::Settle {
            entity,
            cursor,
            ranges,
            outcome,
        } => {
            let (name, cursor) = (name(entity), cursor.0);
            writeln!(
                out,
                "settle {name}, cursor {cursor}: {ranges:?} {outcome:?}"
            )
        }
        Op::Trim { entity, to } => writeln!(out, "trim {}: below {}", name(entity), to.0),
        Op::Mark { entity, upto } => writeln!(out, "mark {}: below {}", name(entity), upto.0),
        Op::Put {
            space, key, value, ..
        } => {
            let key = shown(key).escape_ascii();
            match value {
                Some(value) => writeln!(
                    out,
                    "put space {} \"{key}\": {} bytes",
                    space.0,
                    value.len()
                ),
                None => writeln!(out, "remove space {} \"{key}\"", space.0),
            }
        }
        Op::EndTxn {
            producer,
            epoch,
            decision,
            ..
        } => writeln!(
            out,
            "end transaction of producer {}, epoch {epoch}: {decision:?}",
            producer.0
        ),
        Op::Restore { entity, writers } => writeln!(
            out,
            "restore {}: {} producers, {} open transactions, {} aborted",
            name(entity),
            writers.producers.len(),
            writers.open.len(),
            writers.aborted.len()
        ),
        // A condition is judged and never kept.
        Op::Expect { .. } => Ok(()),
    }
}

fn sealed(out: &mut impl Write, files: &[SealedFile]) -> io::Result<()> {
    writeln!(out, "sealed {} log files", files.len())?;
    for SealedFile { file, segments } in files {
        match segments.as_slice() {
            [] => writeln!(out, "  {file}: nobody needs it")?,
            segments => {
                let names: Vec<_> = segments.iter().map(shown_segment).collect();
                writeln!(out, "  {file}: in {}", names.join(" and "))?;
            }
        }
    }
    Ok(())
}

fn shown_segment(segment: &Segment) -> String {
    format!("{} ({})", segment.name, site(segment.site))
}

fn appended(out: &mut impl Write, to: &[Target], batch: &Batch, names: &Names) -> io::Result<()> {
    writeln!(
        out,
        "append {} messages, {} bytes",
        batch.count,
        batch.bytes.len()
    )?;
    for target in to {
        let name = names.readable(target.entity);
        match base(target) {
            Some(base) => writeln!(out, "  to {name} at offset {base}")?,
            None => writeln!(out, "  to {name}")?,
        }
    }
    let Some(messages) = messages(batch) else {
        return writeln!(out, "  bytes \"{}\"", shown(&batch.bytes).escape_ascii());
    };
    for opened in messages {
        let Message { key, body, .. } = &opened.message;
        write!(out, "  +{}", opened.delta)?;
        if let Some(key) = key {
            write!(out, " key \"{}\"", shown(key).escape_ascii())?;
        }
        match body {
            Some(body) => writeln!(
                out,
                " body \"{}\" of {} bytes",
                shown(body).escape_ascii(),
                body.len()
            )?,
            None => writeln!(out, " no body")?,
        }
    }
    Ok(())
}

fn json(entry: &Entry, names: &Names) -> Value {
    let (what, detail) = match &entry.said {
        Said::Op(op) => detail(op, names),
        Said::Sealed(files) => ("sealed", files.iter().map(sealed_json).collect()),
    };
    let (len, lsn) = (entry.len, entry.lsn.0);
    match &entry.kept {
        Kept::Log { file, byte, wall } => json!({
            "file": file,
            "byte": byte,
            "wall_ms": wall.0,
            "len": len,
            "lsn": lsn,
            "record": what,
            "detail": detail,
        }),
        Kept::Segment(segment) => json!({
            "segment": segment.name,
            "in": site(segment.site),
            "len": len,
            "lsn": lsn,
            "record": what,
            "detail": detail,
        }),
    }
}

fn sealed_json(file: &SealedFile) -> Value {
    let segments: Vec<_> = file.segments.iter().map(segment_json).collect();
    json!({ "file": file.file, "segments": segments })
}

fn segment_json(segment: &Segment) -> Value {
    json!({ "segment": segment.name, "in": site(segment.site) })
}

fn detail(op: &Op, names: &Names) -> (&'static str, Value) {
    let of = |entity: &EntityId| names.json(*entity);
    match op {
        Op::Append { to, batch } => ("append", batch_json(to, batch, names)),
        Op::Create { entity, spec } => (
            "create",
            json!({ "of": of(entity), "spec": format!("{spec:?}") }),
        ),
        Op::Alter { entity, spec } => (
            "alter",
            json!({ "of": of(entity), "spec": format!("{spec:?}") }),
        ),
        Op::Delete { entity } => ("delete", json!({ "of": of(entity) })),
        Op::Settle {
            entity,
            cursor,
            ranges,
            outcome,
        } => {
            let ranges: Vec<_> = ranges
                .iter()
                .map(|range| [range.start, range.end])
                .collect();
            let outcome = format!("{outcome:?}");
            let detail = json!({ "of": of(entity), "cursor": cursor.0, "ranges": ranges, "outcome": outcome });
            ("settle", detail)
        }
        Op::Trim { entity, to } => ("trim", json!({ "of": of(entity), "below": to.0 })),
        Op::Mark { entity, upto } => ("mark", json!({ "of": of(entity), "below": upto.0 })),
        Op::Put {
            space,
            key,
            value,
            due,
        } => (
            "put",
            json!({
                "space": space.0,
                "key": text(key),
                "value_bytes": value.as_ref().map(|value| value.len()),
                "due_ms": due.map(|due| due.0),
            }),
        ),
        Op::EndTxn {
            producer,
            epoch,
            decision,
            entity,
        } => (
            "end_txn",
            json!({
                "of": entity.as_ref().map(of),
                "producer": producer.0,
                "epoch": epoch,
                "decision": format!("{decision:?}"),
            }),
        ),
        Op::Restore { entity, writers } => (
            "restore",
            json!({
                "of": of(entity),
                "producers": writers.producers.len(),
                "open": writers.open.len(),
                "aborted": writers.aborted.len(),
            }),
        ),
        Op::Expect { .. } => ("expect", Value::Null),
    }
}

fn batch_json(to: &[Target], batch: &Batch, names: &Names) -> Value {
    let target =
        |target: &Target| json!({ "of": names.json(target.entity), "offset": base(target) });
    let message = |opened: &Opened| {
        let Message { key, body, .. } = &opened.message;
        json!({
            "delta": opened.delta,
            "key": key.as_deref().map(text),
            "body": body.as_deref().map(text),
            "body_bytes": body.as_ref().map(|body| body.len()),
        })
    };
    let messages = messages(batch).map(|all| all.iter().map(message).collect::<Vec<_>>());
    json!({
        "to": to.iter().map(target).collect::<Vec<_>>(),
        "codec": format!("{:?}", batch.codec),
        "count": batch.count,
        "bytes": batch.bytes.len(),
        "time_ms": batch.time.0,
        "deadline_ms": batch.deadline.map(|deadline| deadline.0),
        "messages": messages,
    })
}

/// The messages of a batch, where it can be opened. Those whose form has no address get none.
fn messages(batch: &Batch) -> Option<Vec<Opened>> {
    batch.open(&Address::shared(Path::default())).ok()
}

fn base(target: &Target) -> Option<u64> {
    match target.place {
        Place::At(base) | Place::Expect(base) => Some(base.0),
        Place::Next | Place::IfRoom => None,
    }
}

fn shown(bytes: &[u8]) -> &[u8] {
    bytes.get(..BYTES_SHOWN).unwrap_or(bytes)
}

/// The beginning of some bytes: as text where they are text, otherwise `{"hex": ...}`.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text.get(..text.floor_char_boundary(BYTES_SHOWN))),
        Err(_) => {
            let hex: String = shown(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            json!({ "hex": hex })
        }
    }
}
