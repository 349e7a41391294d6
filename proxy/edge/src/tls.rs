//! TLS of a listener: its certificate and key, checked when it is opened and not when the first
//! client comes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora_core::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// What a listener shows its clients: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, then its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Identity {
    /// Whether a listener could use it now.
    pub fn check(&self) -> Result<(), TlsError> {
        acceptor(self).map(|_acceptor| ())
    }
}

/// Why a listener has no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is missing or not what it should be.
    #[error("{file} cannot be used")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key do not fit, or are not good enough.
    #[error("certificate {file} and its key cannot be used")]
    Pair {
        /// The certificate's file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
}

/// Accepts TLS 1.2 and 1.3 with this identity, by ring.
pub(crate) fn acceptor(identity: &Identity) -> Result<Acceptor, TlsError> {
    let at = |file: &Path| {
        let file = file.to_path_buf();
        move |source| TlsError::File { file, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&identity.certificate)
        .and_then(Iterator::collect)
        .map_err(at(&identity.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(at(&identity.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|source| TlsError::Pair {
            file: identity.certificate.clone(),
            source,
        })?;
    Ok(Acceptor::from_server_config(Arc::new(config)))
}
