//! The keys of one file, read again when the file changes.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};

use super::Claims;

/// Keys of a set: all of them may have to be tried.
const KEYS_MAX: usize = 64;

/// The largest file of keys.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A shorter secret can be guessed (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

#[derive(Debug)]
pub(super) struct Keys {
    path: PathBuf,
    read: fn(&[u8]) -> Result<Vec<Key>, &'static str>,
    /// What the file looked like when it was looked at last.
    seen: Option<(SystemTime, u64)>,
    list: Vec<Key>,
}

/// A key, and the one algorithm in which it signs.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Keys {
    /// Of a set, or one public key.
    pub(super) fn public(path: PathBuf) -> io::Result<Self> {
        Self::open(path, public)
    }

    /// A secret that is shared with the issuer.
    pub(super) fn secret(path: PathBuf) -> io::Result<Self> {
        Self::open(path, secret)
    }

    fn open(path: PathBuf, read: fn(&[u8]) -> Result<Vec<Key>, &'static str>) -> io::Result<Self> {
        let mut keys = Self {
            path,
            read,
            seen: None,
            list: Vec::new(),
        };
        keys.look()?;
        Ok(keys)
    }

    /// The keys as the file has them; if it cannot be read, as it had them.
    pub(super) fn current(&mut self) -> &[Key] {
        if let Err(error) = self.look() {
            let path = self.path.display();
            tracing::warn!(%error, %path, "keys stay as they were");
        }
        &self.list
    }

    fn look(&mut self) -> io::Result<()> {
        let about = fs::metadata(&self.path)?;
        let seen = Some((about.modified()?, about.len()));
        if seen == self.seen {
            return Ok(());
        }
        // Said once for each change.
        self.seen = seen;
        if about.len() > FILE_BYTES_MAX {
            return Err(invalid("a file of keys above 1 MiB"));
        }
        self.list = (self.read)(&fs::read(&self.path)?).map_err(invalid)?;
        Ok(())
    }
}

impl Key {
    /// The claims of a token that this key has signed.
    pub(super) fn open(&self, token: &[u8], header: &Header) -> Option<Claims> {
        let is_named = match (&header.kid, &self.id) {
            (Some(wanted), Some(id)) => wanted == id,
            (Some(_) | None, _) => true,
        };
        if !is_named || header.alg != self.algorithm {
            return None;
        }
        let mut only = Validation::new(self.algorithm);
        only.required_spec_claims.clear();
        only.validate_exp = false;
        only.validate_aud = false;
        let opened = jsonwebtoken::decode::<Claims>(token, &self.key, &only);
        opened.ok().map(|token| token.claims)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "not ours, and it grows")]
    fn of(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
            _ => return None,
        };
        Some(Self {
            id: jwk.common.key_id.clone(),
            algorithm,
            key: DecodingKey::from_jwk(jwk).ok()?,
        })
    }
}

/// Keys of a set that sign in another way are passed over.
fn public(file: &[u8]) -> Result<Vec<Key>, &'static str> {
    if file.trim_ascii_start().starts_with(b"-----BEGIN") {
        let rsa = DecodingKey::from_rsa_pem(file).map(|key| (Algorithm::RS256, key));
        let either =
            rsa.or_else(|_other| DecodingKey::from_ec_pem(file).map(|key| (Algorithm::ES256, key)));
        let (algorithm, key) = either.map_err(|_cause| "not a public key of RSA or P-256")?;
        let id = None;
        return Ok(vec![Key { id, algorithm, key }]);
    }
    let set: JwkSet = serde_json::from_slice(file).map_err(|_cause| "neither JWKS nor PEM")?;
    let keys: Vec<Key> = set.keys.iter().filter_map(Key::of).collect();
    match keys.len() {
        0 => Err("no key for RS256, ES256 or HS256"),
        1..=KEYS_MAX => Ok(keys),
        _ => Err("more than 64 keys"),
    }
}

fn secret(file: &[u8]) -> Result<Vec<Key>, &'static str> {
    let secret = file.trim_ascii_end();
    if secret.len() < SECRET_BYTES_MIN {
        return Err("a secret of less than 32 bytes");
    }
    Ok(vec![Key {
        id: None,
        algorithm: Algorithm::HS256,
        key: DecodingKey::from_secret(secret),
    }])
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
