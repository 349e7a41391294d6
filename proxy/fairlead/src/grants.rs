//! `grants set`, `grants import`, `grants remove`, `grants list`.

mod acl_file;

use std::fs;

use fairlead_acl::{EVERYBODY, Grants as Document};
use fairlead_authn::is_user_name;
use hyper::Method;

use crate::ask::Node;
use crate::cli::{Grants, Import, Named, SetGrants};
use crate::exit::Failure;
use crate::lists::in_url;
use crate::say;
use crate::users;

pub(crate) fn run(verb: Grants) -> Result<(), Failure> {
    match verb {
        Grants::Set(set) => self::set(&set),
        Grants::Import(import) => self::import(&import),
        Grants::Remove(named) => remove(&named),
        Grants::List(list) => users::print("grants", &list),
    }
}

fn set(set: &SetGrants) -> Result<(), Failure> {
    let Named { name, home } = &set.named;
    if name != EVERYBODY && !is_user_name(name) {
        return Err(Failure::Refused("neither a user's name nor '*'".to_owned()));
    }
    let what = format!("cannot read {}", set.file.display());
    let document = fs::read(&set.file).map_err(Failure::of(what))?;
    // The node believes what it is told; what would grant nothing is better found here.
    Document::from_json(&document).map_err(|why| Failure::Refused(why.to_string()))?;
    let node = Node::of(home)?;
    node.ask(Method::PUT, &path(name), document)?;
    say(&format!("grants of {name} are in force"))
}

/// All lines are understood before the first grant is set.
fn import(import: &Import) -> Result<(), Failure> {
    let what = format!("cannot read {}", import.file.display());
    let text = fs::read_to_string(&import.file).map_err(Failure::of(what))?;
    let documents = acl_file::documents(&text)?;
    let node = Node::of(&import.home)?;
    let count = documents.len();
    for (name, document) in documents {
        node.ask(Method::PUT, &path(&name), document)?;
    }
    say(&format!("{count} grants are in force"))
}

fn remove(named: &Named) -> Result<(), Failure> {
    let node = Node::of(&named.home)?;
    node.ask(Method::DELETE, &path(&named.name), Vec::new())?;
    say(&format!("grants of {} are removed", named.name))
}

fn path(name: &str) -> String {
    format!("/v1/grants/{}", in_url(name))
}
