//! `sessions list`, `sessions show`, `sessions kick`.

use hyper::Method;
use serde_json::Value;

use crate::ask::Node;
use crate::cli::{Kick, Named, Sessions};
use crate::exit::Failure;
use crate::lists::{self, in_url};
use crate::say;

pub(crate) fn run(verb: Sessions) -> Result<(), Failure> {
    match verb {
        Sessions::List(list) => lists::print("mailbox", &list),
        Sessions::Show(named) => show(&named),
        Sessions::Kick(kick) => self::kick(&kick),
    }
}

/// One object, in lines: it is read by people and by scripts.
fn show(named: &Named) -> Result<(), Failure> {
    let node = Node::of(&named.home)?;
    let session = node.ask(Method::GET, &path(&named.name), Vec::new())?;
    say(&format!("{session:#}"))
}

fn kick(kick: &Kick) -> Result<(), Failure> {
    let Named { name, home } = &kick.named;
    let node = Node::of(home)?;
    let (path, done) = if kick.forget {
        (path(name), "is removed")
    } else {
        (format!("{}/connection", path(name)), "is disconnected")
    };
    let Value::Null = node.ask(Method::DELETE, &path, Vec::new())? else {
        return Err(Failure::Refused("not the admin page".to_owned()));
    };
    say(&format!("session {} {done}", name.escape_debug()))
}

fn path(name: &str) -> String {
    format!("/v1/sessions/{}", in_url(name))
}
