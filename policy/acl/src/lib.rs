//! Who may publish and subscribe where. Begin with [`Acl`].

mod acl;
mod grants;
mod span;
mod weighing;

pub use acl::{Acl, EVERYBODY, NAMESPACE};
pub use grants::{BadGrants, Grants};
