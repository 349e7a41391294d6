//! `users add`, `users import`, `users remove`, `users list`: the proofs are made here, so that a password never
//! leaves this process.

use std::fs;

use fairlead_authn::{User, is_user_name};
use hyper::Method;
use serde_json::Value;

use crate::ask::Node;
use crate::cli::{AddUser, Import, List, Named, Users};
use crate::exit::Failure;
use crate::lists::in_url;
use crate::password;
use crate::say;
use crate::system::SystemEntropy;

const USERS: &str = "users";

pub(crate) fn run(verb: Users) -> Result<(), Failure> {
    match verb {
        Users::Add(add) => self::add(&add),
        Users::Import(import) => self::import(&import),
        Users::Remove(user) => remove(&user),
        Users::List(list) => print("users", &list),
    }
}

fn add(add: &AddUser) -> Result<(), Failure> {
    if !is_user_name(&add.name) {
        return Err(Failure::Refused(
            "a user's name is one word of at most 255 bytes, without '/'".to_owned(),
        ));
    }
    let node = Node::of(&add.home)?;
    let is_first = names(&node, USERS)?.is_empty();
    let password = password::read(add.password_file.as_deref())?;
    let entropy = SystemEntropy::new().map_err(Failure::of("no randomness"))?;
    let user = User::with_password(&password, &entropy)
        .map_err(|why| Failure::Refused(why.to_string()))?;
    let document = user
        .to_json()
        .map_err(Failure::of("cannot write the user"))?;
    node.ask(Method::PUT, &path(&add.name), document)?;
    if is_first {
        say("this is the first user: from now on nobody connects without a login")?;
    }
    say(&format!("user {} can connect", add.name))
}

/// All lines are understood before the first user is written.
fn import(import: &Import) -> Result<(), Failure> {
    let what = format!("cannot read {}", import.file.display());
    let text = fs::read_to_string(&import.file).map_err(Failure::of(what))?;
    let lines = (1..).zip(text.lines());
    let wanted = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let users: Vec<(&str, Vec<u8>)> = wanted
        .map(|(number, line)| {
            let refused = |why: &str| Failure::Refused(format!("line {number}: {why}"));
            let (name, hash) = line
                .split_once(':')
                .ok_or_else(|| refused("no NAME:HASH"))?;
            if !is_user_name(name) {
                return Err(refused("the name is not one word of at most 255 bytes"));
            }
            let user = User::imported(hash).map_err(|why| refused(&why.to_string()))?;
            let document = user.to_json().map_err(|why| refused(&why.to_string()))?;
            Ok((name, document))
        })
        .collect::<Result<_, _>>()?;
    let node = Node::of(&import.home)?;
    let count = users.len();
    for (name, document) in users {
        node.ask(Method::PUT, &path(name), document)?;
    }
    say(&format!("{count} users can connect"))
}

fn remove(user: &Named) -> Result<(), Failure> {
    let node = Node::of(&user.home)?;
    node.ask(Method::DELETE, &path(&user.name), Vec::new())?;
    if names(&node, USERS)?.is_empty() {
        say("no user is left: clients on this machine may connect without a login")?;
    }
    say(&format!("user {} is removed", user.name))
}

/// Prints the names of a kind of document.
pub(crate) fn print(shelf: &str, list: &List) -> Result<(), Failure> {
    for name in names(&Node::of(&list.home)?, shelf)? {
        if list.json {
            say(&serde_json::json!({ "name": name }).to_string())?;
        } else {
            say(&name)?;
        }
    }
    Ok(())
}

fn names(node: &Node, shelf: &str) -> Result<Vec<String>, Failure> {
    let answer = node.ask(Method::GET, &format!("/v1/{shelf}"), Vec::new())?;
    let names = answer.get(shelf).and_then(Value::as_array);
    let texts = names.into_iter().flatten().filter_map(Value::as_str);
    Ok(texts.map(str::to_owned).collect())
}

fn path(name: &str) -> String {
    format!("/v1/users/{}", in_url(name))
}
