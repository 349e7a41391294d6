//! Where a message has died, as headers of a list (`mapping.md` section 11). Out only: what somebody says of
//! deaths is an ordinary header when it comes in, and gives way to ours when the message has died.
//!
//! `fl-deaths` is a JSON list, the latest death in front, each an object: `stream`, `reason`, `count`, `first_at` and
//! `last_at` in milliseconds, `realm` and `path` (a list of segments) under which it had been published, and `life_ms` where
//! it had one. A segment that is not text is an object with its `base64`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::parts::{Part, Role};
use crate::{Death, Deaths, Loss, LossCode, Message, Path, Text, Value};

/// The whole history.
const HISTORY: &str = "fl-deaths";

/// The headers of the first and of the last death: stream, realm and reason, under names that are known elsewhere.
const FIRST: [&str; 3] = [
    "x-first-death-queue",
    "x-first-death-exchange",
    "x-first-death-reason",
];
const LAST: [&str; 3] = [
    "x-last-death-queue",
    "x-last-death-exchange",
    "x-last-death-reason",
];

/// Adds them to what is carried, if there are any. They are lost when they are longer than a value may be.
pub(super) fn add(message: &Message, bytes_max: usize, parts: &mut Vec<Part>) -> Loss {
    let deaths = message.properties.as_deref().map(|said| &said.deaths);
    let Some((deaths, last)) = deaths.and_then(|deaths| Some((deaths, deaths.iter().next()?)))
    else {
        return Loss::NONE;
    };
    let history = json(deaths);
    let mut loss = Loss::NONE;
    if history.len() > bytes_max {
        loss.add(LossCode::Deaths);
        return loss;
    }
    parts.retain(|part| !is_ours(&part.name));
    parts.push(part(HISTORY, Text::from(history)));
    // Forgotten only when the history is longer than we remember, and then not the first of all.
    add_place(FIRST, deaths.first().unwrap_or(last), parts);
    add_place(LAST, last, parts);
    loss
}

fn is_ours(name: &Bytes) -> bool {
    let mut names = FIRST.iter().chain(&LAST).chain([&HISTORY]);
    names.any(|ours| name == ours)
}

fn add_place([stream, realm, reason]: [&'static str; 3], death: &Death, parts: &mut Vec<Part>) {
    parts.push(part(stream, death.stream.clone()));
    // Of the realms that every node has, others do not know the names.
    if !death.realm.starts_with('=') {
        parts.push(part(realm, death.realm.clone()));
    }
    parts.push(part(reason, Text::from_static(death.reason.word())));
}

fn part(name: &'static str, value: Text) -> Part {
    Part {
        name: Bytes::from_static(name.as_bytes()),
        value: Value::Text(value),
        role: Role::Header,
    }
}

fn json(deaths: &Deaths) -> String {
    let deaths: Vec<_> = deaths.iter().map(object).collect();
    format!("[{}]", deaths.join(","))
}

fn object(death: &Death) -> String {
    let life = death.life_ms.map(|life| format!(r#","life_ms":{life}"#));
    format!(
        r#"{{"stream":{},"reason":{},"count":{},"first_at":{},"last_at":{},"realm":{},"path":{}{}}}"#,
        quoted(&death.stream),
        quoted(death.reason.word()),
        death.count,
        death.first_at.0,
        death.last_at.0,
        quoted(&death.realm),
        list(&death.path),
        life.unwrap_or_default(),
    )
}

fn list(path: &Path) -> String {
    let segment = |segment: &[u8]| match std::str::from_utf8(segment) {
        Ok(text) => quoted(text),
        Err(_not_text) => format!(r#"{{"base64":"{}"}}"#, BASE64_STANDARD.encode(segment)),
    };
    let segments: Vec<_> = path.segments().map(segment).collect();
    format!("[{}]", segments.join(","))
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            _ if letter < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}
