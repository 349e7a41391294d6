//! The name in a client's certificate, which has been checked already.

use fairlead_canon::Text;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Where in a certificate its owner's name is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameFrom {
    /// The first mail address, host name or URI among the alternative names; without one, as
    /// [`NameFrom::Common`].
    #[default]
    Alternative,
    /// The common name of its subject.
    Common,
}

/// The owner's name; `None` when there is none, or none that is text.
pub(crate) fn name(certificate: &CertificateDer<'_>, from: NameFrom) -> Option<Text> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let alternative = || match from {
        NameFrom::Alternative => alternative_name(&certificate),
        NameFrom::Common => None,
    };
    let common = || {
        let mut common = certificate.subject().iter_common_name();
        let name = common.next()?.as_str().ok()?;
        Some(Text::from(name.to_owned()))
    };
    alternative().or_else(common)
}

fn alternative_name(certificate: &X509Certificate<'_>) -> Option<Text> {
    let names = certificate.subject_alternative_name().ok()??;
    let mut names = names.value.general_names.iter();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are not written as text"
    )]
    names.find_map(|name| match name {
        GeneralName::RFC822Name(name) | GeneralName::DNSName(name) | GeneralName::URI(name) => {
            Some(Text::from((*name).to_owned()))
        }
        _ => None,
    })
}
