//! Who acts.

use crate::Text;

/// A tenant. The default one is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

/// How a principal proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Not at all; loopback only.
    Anonymous,
    /// A password.
    Password,
    /// A client certificate.
    Certificate,
}

/// Who acts on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its tenant.
    pub tenant: TenantId,
    /// What the client calls itself; proves nothing.
    pub client: Text,
    /// Its name; `anonymous` without proof.
    pub name: Text,
    /// Groups it belongs to.
    pub groups: Box<[Text]>,
    /// How it proved who it is.
    pub proof: Proof,
}

impl Principal {
    /// The principal of a client that proved nothing.
    pub fn anonymous() -> Self {
        Self {
            tenant: TenantId::default(),
            client: Text::new(),
            name: Text::from_static("anonymous"),
            groups: Box::default(),
            proof: Proof::Anonymous,
        }
    }
}
