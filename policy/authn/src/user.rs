//! A user as it is kept: proofs of its password, never the password.

use std::fmt;

use argon2::password_hash::{self, Output, ParamsString, PasswordHash, SaltString};
use argon2::{ARGON2ID_IDENT, Argon2, Params, PasswordHasher, Version};
use fairlead_ports::Entropy;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::imported::Imported;
use crate::keys::ScramKeys;

/// Longest name of a user, in bytes: what the strictest protocol can carry.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest password, in bytes. Longer ones are refused before any work is done on them.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// The most memory one check may take, in KiB. A stored hash that asks for more is refused.
const HASH_KIB_MAX: u32 = 64 * 1024;

/// The most passes over that memory.
const HASH_PASSES_MAX: u32 = 16;

/// The proofs of one user's password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct User(Proofs);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Proofs {
    Own(Own),
    Imported(Foreign),
}

/// Made here, of the password itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    argon2id: String,
    scram_sha_256: ScramKeys,
}

/// Made elsewhere. It proves a password that is shown, and nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Foreign {
    imported: String,
}

/// Why a user could not be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UserError {
    /// The password is empty or too long.
    #[error("a password has 1 to {PASSWORD_BYTES_MAX} bytes")]
    Password,
    /// The document is not what [`User::to_json`] writes, or asks for more work than we do.
    #[error("not a user's document")]
    Document,
    /// The proof is in none of the forms that can be imported.
    #[error("neither $7$ROUNDS$SALT$DIGEST nor $6$SALT$DIGEST")]
    Proof,
}

/// Whether this can be a user's name: 1 to [`NAME_BYTES_MAX`] bytes, no control characters, and
/// neither `/` nor space, so that it stays one word in paths, logs and configuration.
pub fn is_user_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/')
}

impl User {
    /// A user with this password. Takes tens of milliseconds and 19 MiB on purpose: not for a
    /// thread that serves clients.
    pub fn with_password(password: &str, entropy: &dyn Entropy) -> Result<Self, UserError> {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Err(UserError::Password);
        }
        let mut salts = [[0; 16]; 2];
        for salt in &mut salts {
            entropy.fill(salt);
        }
        let [hash_salt, scram_salt] = salts;
        Ok(Self(Proofs::Own(Own {
            argon2id: hash(password.as_bytes(), &hash_salt)?,
            scram_sha_256: ScramKeys::derive(password.as_bytes(), scram_salt),
        })))
    }

    /// A user of another broker, by the proof that it kept. Such a user can log in where the password
    /// is shown (PLAIN), not by SCRAM, until it is given a password here.
    pub fn imported(proof: &str) -> Result<Self, UserError> {
        Imported::parse(proof).ok_or(UserError::Proof)?;
        let imported = proof.to_owned();
        Ok(Self(Proofs::Imported(Foreign { imported })))
    }

    /// What a password that is shown is checked against.
    pub(crate) fn hash(self) -> String {
        match self.0 {
            Proofs::Own(own) => own.argon2id,
            Proofs::Imported(foreign) => foreign.imported,
        }
    }

    /// What a proof without the password is checked against.
    pub(crate) fn scram_keys(self) -> Option<ScramKeys> {
        match self.0 {
            Proofs::Own(own) => Some(own.scram_sha_256),
            Proofs::Imported(_) => None,
        }
    }

    /// Reads a stored user.
    pub fn from_json(document: &[u8]) -> Result<Self, UserError> {
        let user: Self = serde_json::from_slice(document).map_err(|_why| UserError::Document)?;
        let is_affordable = match &user.0 {
            Proofs::Own(own) => is_affordable(&own.argon2id),
            Proofs::Imported(foreign) => Imported::parse(&foreign.imported).is_some(),
        };
        if is_affordable {
            Ok(user)
        } else {
            Err(UserError::Document)
        }
    }

    /// The form in which it is stored.
    pub fn to_json(&self) -> Result<Vec<u8>, UserError> {
        serde_json::to_vec(self).map_err(|_why| UserError::Document)
    }
}

/// Proofs are secrets: they stay out of logs.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(***)")
    }
}

/// An argon2id hash in PHC text form, with the crate's defaults (19 MiB, 2 passes).
pub(crate) fn hash(password: &[u8], salt: &[u8; 16]) -> Result<String, UserError> {
    let salt = SaltString::encode_b64(salt).map_err(|_why| UserError::Password)?;
    Argon2::default()
        .hash_password(password, &salt)
        .map(|hash| hash.to_string())
        .map_err(|_why| UserError::Password)
}

/// What no password fits, and to find that out is as much work as with any other hash. To make it is none:
/// a process that nobody logs in to has no need of those 19 MiB.
pub(crate) fn decoy(entropy: &dyn Entropy) -> Result<String, password_hash::Error> {
    let (mut salt, mut output) = ([0; 16], [0; Params::DEFAULT_OUTPUT_LEN]);
    entropy.fill(&mut salt);
    entropy.fill(&mut output);
    let salt = SaltString::encode_b64(&salt)?;
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::default().into()),
        params: ParamsString::try_from(&Params::default())?,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&output)?),
    };
    Ok(hash.to_string())
}

fn is_affordable(argon2id: &str) -> bool {
    PasswordHash::new(argon2id)
        .ok()
        .filter(|hash| hash.algorithm == ARGON2ID_IDENT)
        .and_then(|hash| Params::try_from(&hash).ok())
        .is_some_and(|p| p.m_cost() <= HASH_KIB_MAX && p.t_cost() <= HASH_PASSES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::Counter;

    #[test]
    fn a_user_reads_back_as_it_was_written_and_holds_no_password() {
        let user = User::with_password("correct horse", &Counter::default()).unwrap();
        let json = user.to_json().unwrap();
        assert_eq!(User::from_json(&json).unwrap(), user);
        let text = String::from_utf8(json).unwrap();
        assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert!(!text.contains("correct horse"));
        assert_eq!(format!("{user:?}"), "User(***)");
    }

    #[test]
    fn a_decoy_looks_like_any_other_hash_and_is_as_much_work() {
        let known = hash(b"correct horse", &[1; 16]).unwrap();
        let decoy = decoy(&Counter::default()).unwrap();
        let work = |hash: &str| {
            let hash = PasswordHash::new(hash).unwrap();
            let length = hash.hash.map(|output| output.len());
            (
                hash.algorithm.to_string(),
                hash.version,
                hash.params,
                length,
            )
        };
        assert_eq!(work(&decoy), work(&known));
        assert_eq!(decoy.len(), known.len());
    }

    #[test]
    fn an_imported_user_reads_back_and_knows_no_scram() {
        let salt_and_digest = format!("AAAA${}==", "A".repeat(86));
        let user = User::imported(&format!("$7$101${salt_and_digest}")).unwrap();
        assert_eq!(User::from_json(&user.to_json().unwrap()).unwrap(), user);
        assert!(user.scram_keys().is_none());
        assert_eq!(User::imported("pencil"), Err(UserError::Proof));
        let greedy = format!(r#"{{"imported":"$7$9999999${salt_and_digest}"}}"#);
        assert_eq!(User::from_json(greedy.as_bytes()), Err(UserError::Document));
    }

    #[test]
    fn a_document_that_asks_for_a_gigabyte_is_refused() {
        let user = User::with_password("pw", &Counter::default()).unwrap();
        let text = String::from_utf8(user.to_json().unwrap()).unwrap();
        assert!(User::from_json(text.as_bytes()).is_ok());
        let greedy = text.replace("m=19456", "m=1048576");
        assert_eq!(User::from_json(greedy.as_bytes()), Err(UserError::Document));
        let other = text.replace("argon2id$", "argon2d$");
        assert_eq!(User::from_json(other.as_bytes()), Err(UserError::Document));
    }

    #[test]
    fn a_password_is_neither_empty_nor_endless() {
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        assert!(User::with_password(&longest, &Counter::default()).is_ok());
        for wrong in ["", &format!("{longest}x")] {
            let made = User::with_password(wrong, &Counter::default());
            assert_eq!(made, Err(UserError::Password));
        }
    }

    #[test]
    fn a_name_is_one_word() {
        assert!(is_user_name("ada"));
        assert!(is_user_name(&"n".repeat(NAME_BYTES_MAX)));
        for wrong in ["", "a b", "a/b", "a\n", &"n".repeat(NAME_BYTES_MAX + 1)] {
            assert!(!is_user_name(wrong), "{wrong:?}");
        }
    }
}
