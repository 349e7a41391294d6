//! TLS listeners.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::bench::{Bench, POLITE, Running};
use crate::{Clients, Identity, NameFrom, TlsError};

/// A certificate for `localhost` in files of its own.
fn identity(dir: &Path) -> (Identity, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let identity = Identity {
        certificate: dir.join("cert.pem"),
        key: dir.join("key.pem"),
        clients: None,
    };
    fs::write(&identity.certificate, made.cert.pem()).unwrap();
    fs::write(&identity.key, made.signing_key.serialize_pem()).unwrap();
    (identity, made.cert.der().clone())
}

type Secured = BufReader<StreamOwned<ClientConnection, TcpStream>>;

fn secure(running: &Running, root: CertificateDer<'static>, shows: Option<Signed>) -> Secured {
    secure_behind(running, &[], (root, shows))
}

/// A client for whom these bytes are said first, in the clear.
fn secure_behind(
    running: &Running,
    header: &[u8],
    (root, shows): (CertificateDer<'static>, Option<Signed>),
) -> Secured {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shows {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::try_from(key).unwrap();
            config
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = running.client().0.into_inner();
    socket.write_all(header).unwrap();
    BufReader::new(StreamOwned::new(session, socket))
}

#[test]
fn a_tls_listener_serves_clients_that_trust_it_and_turns_plain_ones_away() {
    let bench = Bench::new();
    let (identity, root) = identity(bench.dir.path());
    let running = bench.run(POLITE, Some(identity), Vec::new());
    running.keeper.open(bench.kernel());

    let mut client = secure(&running, root, None);
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");

    let mut plain = running.client();
    plain.say("this is no handshake\n");
    assert_ne!(plain.hears_bytes(), b"hello\n");
    running.stop();
}

#[test]
fn a_load_balancer_says_for_whom_it_speaks_before_the_handshake() {
    let bench = Bench::new();
    let (identity, root) = identity(bench.dir.path());
    let running = bench.listen(POLITE, Vec::new(), |listener| {
        listener.identity = Some(identity);
        listener.proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    running.keeper.open(bench.kernel());
    let text = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 8883\r\n";
    let binary =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x9c\x40\x22\xb3";
    for header in [&text[..], binary] {
        let mut client = secure_behind(&running, header, (root.clone(), None));
        let mut heard = String::new();
        client.read_line(&mut heard).unwrap();
        client.get_mut().write_all(b"who\n").unwrap();
        client.read_line(&mut heard).unwrap();
        assert_eq!(heard, "hello\nnobody at 192.0.2.7:40000\n");
    }
    running.stop();
}

/// An authority in a file, and a certificate that it has signed.
fn authority(dir: &Path) -> (PathBuf, Signed) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let file = dir.join("ca.pem");
    fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::new(vec!["pump-7.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "pump 7");
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let signed = (certificate.der().clone(), key.serialize_der());
    (file, signed)
}

type Signed = (CertificateDer<'static>, Vec<u8>);

fn named(name_from: NameFrom) -> String {
    let bench = Bench::new();
    let (mut identity, root) = identity(bench.dir.path());
    let (authorities, signed) = authority(bench.dir.path());
    identity.clients = Some(Clients {
        authorities,
        name_from,
    });
    let running = bench.run(POLITE, Some(identity), Vec::new());
    running.keeper.open(bench.kernel());
    let mut client = secure(&running, root.clone(), Some(signed));
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    client.get_mut().write_all(b"who\n").unwrap();
    client.read_line(&mut line).unwrap();

    let mut without = secure(&running, root, None);
    assert!(without.read_line(&mut String::new()).is_err());
    running.stop();
    line
}

#[test]
fn a_client_is_known_by_the_name_in_its_certificate_and_needs_one() {
    let heard = named(NameFrom::Alternative);
    assert!(heard.starts_with("hello\npump-7.example at "), "{heard}");
    let heard = named(NameFrom::Common);
    assert!(heard.starts_with("hello\npump 7 at "), "{heard}");
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

    let unsigned = Identity {
        clients: Some(Clients {
            authorities: good.key.clone(),
            name_from: NameFrom::default(),
        }),
        ..good.clone()
    };
    let fault = unsigned.check().unwrap_err();
    assert!(matches!(fault, TlsError::Authorities { .. }), "{fault}");

    let swapped = Identity {
        key: good.certificate.clone(),
        ..good
    };
    assert!(matches!(swapped.check(), Err(TlsError::File { .. })));
}
