//! `sessions list`, `sessions show`, `sessions kick`, `sessions banned`, `sessions pardon`.

use hyper::Method;
use serde_json::Value;

use crate::ask::Node;
use crate::cli::{Home, Kick, Named, Sessions};
use crate::exit::Failure;
use crate::lists::{self, in_url};
use crate::say;

pub(crate) fn run(verb: Sessions) -> Result<(), Failure> {
    match verb {
        Sessions::List(list) => lists::print("mailbox", &list),
        Sessions::Show(named) => show(&named),
        Sessions::Kick(kick) => self::kick(&kick),
        Sessions::Banned(home) => banned(&home),
        Sessions::Pardon(named) => pardon(&named),
    }
}

/// One object per line.
fn banned(home: &Home) -> Result<(), Failure> {
    let all = Node::of(home)?.ask(Method::GET, "/v1/bans", Vec::new())?;
    let all = all.as_array().into_iter().flatten();
    all.map(Value::to_string).try_for_each(|ban| say(&ban))
}

fn pardon(named: &Named) -> Result<(), Failure> {
    let node = Node::of(&named.home)?;
    let path = format!("/v1/bans/{}", in_url(&named.name));
    node.ask(Method::DELETE, &path, Vec::new())?;
    say(&format!(
        "client {} may come again",
        named.name.escape_debug()
    ))
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
