//! `topics list`, `queues list`, `sessions list`.

use std::io::{self, Write};

use hyper::Method;
use serde_json::Value;

use crate::ask::Node;
use crate::cli::List;
use crate::exit::Failure;

/// Prints every stream of a family, page by page.
pub(crate) fn print(family: &str, list: &List) -> Result<(), Failure> {
    let node = Node::of(&list.home)?;
    let mut out = io::stdout().lock();
    let mut after = None;
    if !list.json {
        head(&mut out).map_err(Failure::output)?;
    }
    loop {
        let page = node.ask(Method::GET, &path(family, after.as_deref()), Vec::new())?;
        for stream in page
            .get("streams")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let printed = if list.json {
                writeln!(out, "{stream}")
            } else {
                row(&mut out, stream)
            };
            printed.map_err(Failure::output)?;
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(()),
        }
    }
}

fn path(family: &str, after: Option<&str>) -> String {
    let mut path = format!("/v1/streams?family={family}");
    if let Some(after) = after {
        path.push_str("&after=");
        path.push_str(&in_url(after));
    }
    path
}

/// Text as part of a URL: letters and digits as they are, every other byte by its number.
pub(crate) fn in_url(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>6} {:>10} {:>10} {:>9} {:>12}  NAME",
        "LANES", "READY", "UNSETTLED", "CONSUMERS", "BYTES"
    )
}

fn row(out: &mut impl Write, stream: &Value) -> io::Result<()> {
    let number = |key: &str| stream.get(key).and_then(Value::as_u64).unwrap_or_default();
    let name = stream
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // A name is a client's choice: what could move the cursor is shown, not sent.
    let name = name.escape_debug();
    writeln!(
        out,
        "{:>6} {:>10} {:>10} {:>9} {:>12}  {name}",
        number("lanes"),
        number("ready"),
        number("unsettled"),
        number("consumers"),
        number("bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_its_way_through_a_url() {
        assert_eq!(
            path("log", Some("a b&c/ü")),
            "/v1/streams?family=log&after=a%20b%26c%2F%C3%BC"
        );
    }

    #[test]
    fn a_row_cannot_move_the_cursor() {
        let mut out = Vec::new();
        let stream = serde_json::json!({ "name": "a\u{1b}[2Jb", "ready": 7 });
        row(&mut out, &stream).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("a\\u{1b}[2Jb\n"), "{text:?}");
        assert!(text.contains(" 7 "), "{text:?}");
    }
}
