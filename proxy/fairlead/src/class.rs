//! `topics set-class`, `queues set-class`.

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
    let body = body.to_string().into_bytes();
    let Value::Null = node.ask(Method::PUT, &path, body)? else {
        return Err(Failure::Refused("not the admin page".to_owned()));
    };
    say(&format!("{} is of class {class}", name.escape_debug()))
}
