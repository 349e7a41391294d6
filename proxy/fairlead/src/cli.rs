//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::node::Start;

/// One broker for clients of several protocols.
#[derive(Debug, Parser)]
#[command(name = "fairlead", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Serve clients until told to stop (SIGTERM)
    Serve(Serve),
    /// Check a configuration without using it
    Check(Home),
    /// Logs that are read by offset
    #[command(subcommand)]
    Topics(Listing),
    /// Queues with competing consumers
    #[command(subcommand)]
    Queues(Listing),
    /// Sessions that outlive their connection
    #[command(subcommand)]
    Sessions(Sessions),
    /// Who may connect
    #[command(subcommand)]
    Users(Users),
    /// Who may publish and subscribe where; while there are none, everybody everywhere
    #[command(subcommand)]
    Grants(Grants),
    /// Look into the data directory of a stopped node, or a copy of one; changes nothing there
    #[command(subcommand)]
    Store(Store),
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) home: Home,
    /// Take the listening sockets over from the process that runs on the same data directory
    #[arg(long)]
    upgrade: bool,
}

/// Which node is meant.
#[derive(Debug, Default, Args)]
pub(crate) struct Home {
    /// Configuration file; without one, every protocol listens on its usual port on 127.0.0.1
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory; goes before the one in the file [default: ./data]
    #[arg(long, value_name = "DIR", env = "FAIRLEAD_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Listing {
    /// List them with their sizes
    List(List),
    /// Keep one elsewhere from now on, with everything that it holds, while it is used
    ///
    /// From memory to disk or back, it is copied in rounds while publishers and consumers go on; they wait
    /// for the last one, mostly some milliseconds (fairlead_store_move* on the metrics page tell). Whoever
    /// changes or removes the stream itself waits for all of it. How far it is goes to standard error. If more is published than can be copied meanwhile, the
    /// move is refused, and nothing has changed.
    SetClass(SetClass),
}

#[derive(Debug, Args)]
pub(crate) struct SetClass {
    #[command(flatten)]
    pub(crate) named: Named,
    /// In memory; on the local disk; in the object store, with the local log in front of it
    pub(crate) class: StorageClass,
    /// In memory, what it holds is gone after a restart: say that this is meant
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// What was done as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StorageClass {
    Memory,
    Local,
    Object,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) home: Home,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sessions {
    /// List them with their sizes
    List(List),
    /// Show one: its subscriptions, and what waits for it
    Show(Named),
    /// End the connection of one
    Kick(Kick),
    /// List clients that are kept out because they came too often
    Banned(Home),
    /// Let a client in again that came too often
    Pardon(Named),
}

/// One thing by its name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) home: Home,
}

#[derive(Debug, Args)]
pub(crate) struct Kick {
    /// End the session too: what waits for it is gone
    #[arg(long)]
    pub(crate) forget: bool,
    #[command(flatten)]
    pub(crate) named: Named,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Grants {
    /// Set those of a user, or with the name '*' those of everybody, from a JSON file
    Set(SetGrants),
    /// Set those of all users in an ACL file with lines `topic`, `user` and `pattern`, and those of everybody
    Import(Import),
    /// Remove those of a user, or '*'
    Remove(Named),
    /// List whose there are
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct SetGrants {
    /// `{"rules": [{"allow": "both", "at": "plant/%u/#"}, {"deny": "subscribe", "is": "#"}]}`
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) named: Named,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// Add a user or change its password; the first user ends anonymous access
    Add(AddUser),
    /// Add the users of a password file with lines NAME:$7$ROUNDS$SALT$DIGEST or NAME:$6$SALT$DIGEST
    Import(Import),
    /// Remove a user
    Remove(Named),
    /// List the names of all users
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct AddUser {
    pub(crate) name: String,
    /// Read the password from the first line of a file; otherwise from a prompt or standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) home: Home,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) home: Home,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Verify every checksum; damage is named by file and byte, and the exit status is 3
    Check(Check),
    /// Show what there is, and how much
    Stat(List),
    /// Print the records of the log, oldest first
    Dump(Dump),
    /// Copy what the running node keeps, while it goes on; start a node on the copy to restore it
    Backup(Backup),
    /// Try out whether an object store keeps what class `object` rests on; needs no data directory
    Selfcheck(SelfCheck),
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where to, on the node's own disk: empty, or not there
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) home: Home,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Cut off the end of a damaged log from this place on, the one that a check has printed
    #[arg(long, value_name = "LSN", requires = "accept_loss")]
    pub(crate) truncate_at: Option<u64>,
    /// How many records that loses: the number that a check has printed
    #[arg(long, value_name = "N", requires = "truncate_at")]
    pub(crate) accept_loss: Option<u64>,
    /// Let the next start make a damaged or missing index anew; refused when the log does not go
    /// back to its beginning
    #[arg(long)]
    pub(crate) rebuild_index: bool,
    #[command(flatten)]
    pub(crate) list: List,
}

#[derive(Debug, Args)]
pub(crate) struct SelfCheck {
    /// s3://BUCKET/PREFIX (endpoint, region and keys by their AWS_ names in the environment) or
    /// file:///DIRECTORY
    pub(crate) url: String,
    /// Rounds of 16 creates of one name at the same moment
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) rounds: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// Only records about this entity
    #[arg(long, value_name = "N")]
    pub(crate) entity: Option<u64>,
    #[command(flatten)]
    pub(crate) list: List,
}

impl Serve {
    pub(crate) fn start(&self) -> Start {
        if self.upgrade {
            Start::Upgrade
        } else {
            Start::Fresh
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
