//! `users add`, `users remove`, `users list`: the proofs are made here, so that a password never
//! leaves this process.

use fairlead_authn::{User, is_user_name};
use hyper::Method;
use serde_json::Value;

use crate::ask::Node;
use crate::cli::{AddUser, List, RemoveUser, Users};
use crate::exit::Failure;
use crate::lists::in_url;
use crate::password;
use crate::say;
use crate::system::SystemEntropy;

pub(crate) fn run(verb: Users) -> Result<(), Failure> {
    match verb {
        Users::Add(add) => self::add(&add),
        Users::Remove(user) => remove(&user),
        Users::List(list) => self::list(&list),
    }
}

fn add(add: &AddUser) -> Result<(), Failure> {
    if !is_user_name(&add.name) {
        return Err(Failure::Refused(
            "a user's name is one word of at most 255 bytes, without '/'".to_owned(),
        ));
    }
    let node = Node::of(&add.home)?;
    let is_first = names(&node)?.is_empty();
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

fn remove(user: &RemoveUser) -> Result<(), Failure> {
    let node = Node::of(&user.home)?;
    node.ask(Method::DELETE, &path(&user.name), Vec::new())?;
    if names(&node)?.is_empty() {
        say("no user is left: clients on this machine may connect without a login")?;
    }
    say(&format!("user {} is removed", user.name))
}

fn list(list: &List) -> Result<(), Failure> {
    for name in names(&Node::of(&list.home)?)? {
        if list.json {
            say(&serde_json::json!({ "name": name }).to_string())?;
        } else {
            say(&name)?;
        }
    }
    Ok(())
}

fn names(node: &Node) -> Result<Vec<String>, Failure> {
    let answer = node.ask(Method::GET, "/v1/users", Vec::new())?;
    let names = answer.get("users").and_then(Value::as_array);
    let texts = names.into_iter().flatten().filter_map(Value::as_str);
    Ok(texts.map(str::to_owned).collect())
}

fn path(name: &str) -> String {
    format!("/v1/users/{}", in_url(name))
}
