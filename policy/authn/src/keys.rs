//! The keys that SCRAM-SHA-256 (RFC 5802, RFC 7677) keeps in place of a password.

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Rounds of PBKDF2. As many as every common client still accepts.
const ITERATIONS: u32 = 16_384;

/// Bytes of a SHA-256 digest.
pub(crate) const DIGEST_BYTES: usize = 32;

/// Bytes of a SHA-256 block.
const BLOCK_BYTES: usize = 64;

pub(crate) type Sha256Digest = [u8; DIGEST_BYTES];

/// Enough to check a client's proof and to prove ourselves, not enough to log in elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScramKeys {
    #[serde(with = "as_base64")]
    pub(crate) salt: [u8; 16],
    pub(crate) iterations: u32,
    #[serde(with = "as_base64")]
    stored_key: Sha256Digest,
    #[serde(with = "as_base64")]
    server_key: Sha256Digest,
}

impl ScramKeys {
    pub(crate) fn derive(password: &[u8], salt: [u8; 16]) -> Self {
        let salted: Sha256Digest =
            pbkdf2::pbkdf2_hmac_array::<Sha256, DIGEST_BYTES>(password, &salt, ITERATIONS);
        Self {
            salt,
            iterations: ITERATIONS,
            stored_key: Sha256::digest(hmac(&salted, &[b"Client Key"])).into(),
            server_key: hmac(&salted, &[b"Server Key"]),
        }
    }

    /// Keys that no password fits, the same each time for a name, so that an unknown user's
    /// conversation looks like a known one's.
    pub(crate) fn decoy(secret: &Sha256Digest, name: &[u8]) -> Self {
        let digest = hmac(secret, &[name]);
        let mut salt = [0; 16];
        salt.copy_from_slice(&digest[..16]);
        Self {
            salt,
            iterations: ITERATIONS,
            stored_key: hmac(secret, &[name, b"stored"]),
            server_key: hmac(secret, &[name, b"server"]),
        }
    }

    /// Our own signature if the client's proof holds for this conversation.
    pub(crate) fn check(&self, conversation: &[u8], proof: &Sha256Digest) -> Option<Sha256Digest> {
        let mut client_key = hmac(&self.stored_key, &[conversation]);
        for (byte, mask) in client_key.iter_mut().zip(proof) {
            *byte ^= mask;
        }
        let shown: Sha256Digest = Sha256::digest(client_key).into();
        bool::from(shown.ct_eq(&self.stored_key)).then(|| hmac(&self.server_key, &[conversation]))
    }
}

/// HMAC-SHA-256 over the parts, one after the other.
pub(crate) fn hmac(key: &Sha256Digest, parts: &[&[u8]]) -> Sha256Digest {
    // HMAC pads a short key with zeros to one block, which is done here so that it cannot fail.
    let mut block = [0; BLOCK_BYTES];
    block[..DIGEST_BYTES].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

mod as_base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        from: D,
    ) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        bytes
            .try_into()
            .map_err(|_why| D::Error::custom("a key of another length"))
    }
}
