//! TLS listeners.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::bench::{Bench, POLITE, Running};
use crate::{Identity, TlsError};

/// A certificate for `localhost` in files of its own.
fn identity(dir: &Path) -> (Identity, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let identity = Identity {
        certificate: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    fs::write(&identity.certificate, made.cert.pem()).unwrap();
    fs::write(&identity.key, made.signing_key.serialize_pem()).unwrap();
    (identity, made.cert.der().clone())
}

fn secure(
    running: &Running,
    root: CertificateDer<'static>,
) -> BufReader<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let client = running.client();
    BufReader::new(StreamOwned::new(session, client.0.into_inner()))
}

#[test]
fn a_tls_listener_serves_clients_that_trust_it_and_turns_plain_ones_away() {
    let bench = Bench::new();
    let (identity, root) = identity(bench.dir.path());
    let running = bench.run(POLITE, Some(identity), Vec::new());
    running.keeper.open(bench.kernel());

    let mut client = secure(&running, root);
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");

    let mut plain = running.client();
    plain.say("this is no handshake\n");
    assert_ne!(plain.hears_bytes(), b"hello\n");
    running.stop();
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (good, _) = identity(dir.path());
    assert!(good.check().is_ok());

    let missing = Identity {
        key: dir.path().join("none.pem"),
        ..good.clone()
    };
    let fault = missing.check().unwrap_err();
    assert!(fault.to_string().contains("none.pem"), "{fault}");

    let swapped = Identity {
        key: good.certificate.clone(),
        ..good
    };
    assert!(matches!(swapped.check(), Err(TlsError::File { .. })));
}
