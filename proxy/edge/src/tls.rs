//! TLS of a listener: its certificate and key, checked when it is opened and not when the first
//! client comes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fairlead_canon::Text;
use fairlead_ports::Io;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::certificate::{self, NameFrom};

/// What a listener shows its clients: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, then its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// What clients have to show in turn.
    pub clients: Option<Clients>,
}

/// Who is let in by certificate: every client needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// The authorities that may have signed it: a PEM file.
    pub authorities: PathBuf,
    /// Where in it the client's name is.
    pub name_from: NameFrom,
}

/// TLS of one listener, ready to accept.
pub(crate) struct Secure {
    acceptor: TlsAcceptor,
    name_from: NameFrom,
}

impl Identity {
    /// Whether a listener could use it now.
    pub fn check(&self) -> Result<(), TlsError> {
        Secure::of(self).map(|_secure| ())
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
    /// No client could be checked against this file.
    #[error("authorities {file} cannot be used")]
    Authorities {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: VerifierBuilderError,
    },
}

/// Why a client is not secure.
#[derive(Debug, Error)]
#[error("TLS handshake failed: {0}")]
pub(crate) struct HandshakeError(#[from] std::io::Error);

impl Secure {
    /// Accepts TLS 1.2 and 1.3 with this identity, by ring.
    pub(crate) fn of(identity: &Identity) -> Result<Self, TlsError> {
        let chain = certificates(&identity.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(at(&identity.key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let pair = |source| TlsError::Pair {
            file: identity.certificate.clone(),
            source,
        };
        let builder = builder.map_err(pair)?;
        let builder = match &identity.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(verifier(&clients.authorities)?),
        };
        let config = builder.with_single_cert(chain, key).map_err(pair)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            name_from: identity
                .clients
                .as_ref()
                .map_or_else(NameFrom::default, |c| c.name_from),
        })
    }

    /// The secured connection, and the name in the client's certificate.
    pub(crate) async fn accept(
        &self,
        io: Box<dyn Io>,
    ) -> Result<(Box<dyn Io>, Option<Text>), HandshakeError> {
        // Boxed: several KiB that are of no use once the handshake is over.
        let secured = Box::pin(self.acceptor.accept(io)).await?;
        let shown = secured.get_ref().1.peer_certificates();
        let shown = shown.and_then(|chain| chain.first());
        let name = shown.and_then(|first| certificate::name(first, self.name_from));
        Ok((Box::new(secured), name))
    }
}

fn verifier(authorities: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    // What is no authority is passed over; a file without any is refused below.
    roots.add_parsable_certificates(certificates(authorities)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|source| TlsError::Authorities {
            file: authorities.to_path_buf(),
            source,
        })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(at(file))
}

fn at(file: &Path) -> impl FnOnce(pem::Error) -> TlsError {
    let file = file.to_path_buf();
    move |source| TlsError::File { file, source }
}
