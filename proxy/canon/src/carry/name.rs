//! Header names that a list cannot hold: `%x` and hex, with a guard `25` before what reads like that.

use bytes::Bytes;

use super::Cells;
use crate::value::text::{hex, unhex};

const MARK: &[u8] = b"%";
const GUARD: &[u8] = b"25";

pub(super) fn encode(cells: Cells, name: &Bytes) -> Bytes {
    if !cells.holds_name(name) {
        return [b"%x", &*hex(name)].concat().into();
    }
    match escape(cells, name) {
        Some(_) => [MARK, GUARD, name.get(1..).unwrap_or_default()]
            .concat()
            .into(),
        None => name.clone(),
    }
}

pub(super) fn decode(cells: Cells, written: &Bytes) -> Bytes {
    match escape(cells, written) {
        None => written.clone(),
        Some(Escape { guarded: None, raw }) => raw,
        Some(Escape {
            guarded: Some(rest),
            ..
        }) => [MARK, rest].concat().into(),
    }
}

/// A name that reads like an escape: the bytes it stands for and, when guarded, what follows the first guard.
struct Escape<'a> {
    guarded: Option<&'a [u8]>,
    raw: Bytes,
}

fn escape(cells: Cells, name: &[u8]) -> Option<Escape<'_>> {
    let after = name.strip_prefix(MARK)?;
    let mut rest = after;
    while let Some(unguarded) = rest.strip_prefix(GUARD) {
        rest = unguarded;
    }
    let raw = unhex(rest.strip_prefix(b"x")?)?;
    // Only what the list cannot hold is ever escaped; the empty name can be held.
    let raw = Some(raw).filter(|raw| !cells.holds_name(raw))?;
    Some(Escape {
        guarded: after.strip_prefix(GUARD),
        raw: raw.into(),
    })
}
