//! `topics set-class`, `queues set-class`.

use std::io::{self, Write};

use clap::ValueEnum;
use hyper::Method;
use serde_json::{Value, json};

use crate::ask::Node;
use crate::cli::SetClass;
use crate::exit::Failure;
use crate::lists::in_url;
use crate::say;

pub(crate) fn set(family: &str, wanted: &SetClass) -> Result<(), Failure> {
    let node = Node::of(&wanted.named.home)?;
    let name = &wanted.named.name;
    let class = wanted.class.to_possible_value();
    let class = class.as_ref().map_or("", |class| class.get_name());
    let body = json!({
        "family": family,
        "class": class,
        "accept_loss": wanted.accept_loss,
    });
    let path = format!("/v1/streams/{}/class", in_url(name));
    let look = format!("{path}?family={family}");
    let body = body.to_string().into_bytes();
    let name = name.escape_debug();
    let tell = |seen: &Value| {
        // Whoever asked waits for the end in any case.
        writeln!(io::stderr(), "{name}: {}", so_far(seen)).ok();
    };
    let kept = node.ask_long((Method::PUT, &path, body), &look, tell)?;
    if kept.get("class").is_none() {
        return Err(Failure::Refused("not the admin page".to_owned()));
    }
    match wanted.json {
        true => say(&kept.to_string()),
        false => say(&format!("{name} is of class {class}{}", in_all(&kept))),
    }
}

/// How far a change is.
fn so_far(seen: &Value) -> String {
    let copied = seen.get("move").filter(|copied| copied["is_over"] == false);
    let Some(copied) = copied else {
        return "waits for its turn".to_owned();
    };
    format!(
        "{} of {} messages, {} of {} bytes copied, round {}",
        copied["messages"],
        copied["messages_held"],
        copied["bytes"],
        copied["bytes_held"],
        copied["rounds"]
    )
}

/// What it was in the end; nothing where nothing was copied.
fn in_all(kept: &Value) -> String {
    let Some(copied) = kept.get("move").filter(|copied| !copied.is_null()) else {
        return String::new();
    };
    format!(
        ": {} messages, {} bytes copied in {} rounds; others waited {} us at most",
        copied["messages"], copied["bytes"], copied["rounds"], copied["longest_pause_us"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(is_over: bool) -> Value {
        json!({ "class": "memory", "move": {
            "messages": 3, "bytes": 40, "messages_held": 5, "bytes_held": 60,
            "rounds": 2, "longest_pause_us": 700, "is_over": is_over,
        }})
    }

    #[test]
    fn a_change_tells_how_far_it_is_and_what_it_was() {
        let far = "3 of 5 messages, 40 of 60 bytes copied, round 2";
        assert_eq!(so_far(&seen(false)), far);
        let all = ": 3 messages, 40 bytes copied in 2 rounds; others waited 700 us at most";
        assert_eq!(in_all(&seen(true)), all);
    }

    #[test]
    fn a_change_that_copies_nothing_or_has_not_begun_tells_no_numbers() {
        let nothing = json!({ "class": "object", "move": null });
        assert_eq!(in_all(&nothing), "");
        assert_eq!(so_far(&nothing), "waits for its turn");
        assert_eq!(so_far(&seen(true)), "waits for its turn");
    }
}
