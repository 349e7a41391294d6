//! Who somebody is: users, their proofs, and the rule for clients without one.
//!
//! A user is one JSON document under its name in namespace [`NAMESPACE`]. There is no default user
//! and no default password: while no user exists, clients whose both ends are loopback may enter
//! as anonymous, and nobody else enters at all. Begin with [`Authn`].

mod external;
mod imported;
mod keys;
mod patience;
mod plain;
mod rule;
mod scram;
mod token;
mod user;
mod verified;
mod verifier;

pub use rule::{Anonymous, Authn, NAMESPACE};
pub use token::TokenRules;
pub use user::{NAME_BYTES_MAX, PASSWORD_BYTES_MAX, User, UserError, is_user_name};
pub use verifier::Verifier;
