//! Proofs of passwords as other brokers keep them, checked in their own form.
//!
//! | form | digest |
//! |---|---|
//! | `$7$rounds$salt$digest` | PBKDF2 with HMAC-SHA-512 |
//! | `$6$salt$digest` | SHA-512 of password and salt, once |
//!
//! Salt and digest are base64. The second is weak: a reason to change the password, not to refuse it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

/// The most rounds that a stored proof may ask for.
const ROUNDS_MAX: u32 = 1_000_000;

/// The longest salt, in bytes.
const SALT_BYTES_MAX: usize = 64;

const DIGEST_BYTES: usize = 64;

/// A proof that was read.
pub(crate) struct Imported {
    /// `None`: hashed once, salt last.
    rounds: Option<u32>,
    salt: Vec<u8>,
    digest: [u8; DIGEST_BYTES],
}

impl Imported {
    /// Reads one of the forms above.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix('$')?.split('$');
        let rounds = match fields.next()? {
            "7" => Some(fields.next()?.parse().ok()?),
            "6" => None,
            _ => return None,
        };
        let salt = STANDARD.decode(fields.next()?).ok()?;
        let digest = STANDARD.decode(fields.next()?).ok()?.try_into().ok()?;
        let is_sound = fields.next().is_none()
            && salt.len() <= SALT_BYTES_MAX
            && rounds.is_none_or(|rounds| (1..=ROUNDS_MAX).contains(&rounds));
        is_sound.then_some(Self {
            rounds,
            salt,
            digest,
        })
    }

    /// Whether this is the password.
    pub(crate) fn fits(&self, password: &[u8]) -> bool {
        let digest: [u8; DIGEST_BYTES] = match self.rounds {
            Some(rounds) => {
                pbkdf2::pbkdf2_hmac_array::<Sha512, DIGEST_BYTES>(password, &self.salt, rounds)
            }
            None => Sha512::new()
                .chain_update(password)
                .chain_update(&self.salt)
                .finalize()
                .into(),
        };
        digest.ct_eq(&self.digest).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "$7$101$pxj271wu6daFNXy6$kJc48whnL7STxOEmLGrDvuhLXmYz9QCBn57Gxg8GPMKAPT4DmZKE+D6kcwmEQGcH2RWpceL2wxbB5RCbiAmG3g==";

    #[test]
    fn a_proof_that_another_broker_made_fits_its_password_and_no_other() {
        let proof = Imported::parse(KEPT).unwrap();
        assert!(proof.fits(b"pencil"));
        assert!(!proof.fits(b"pen"));
        let digest = Sha512::new().chain_update(b"pencilsalt").finalize();
        let (salt, digest) = (STANDARD.encode("salt"), STANDARD.encode(digest));
        let once = Imported::parse(&format!("$6${salt}${digest}")).unwrap();
        assert!(once.fits(b"pencil") && !once.fits(b"pen"));
    }

    #[test]
    fn what_asks_for_too_much_or_is_no_proof_is_refused() {
        let most = KEPT.replace("$101$", "$1000000$");
        assert!(Imported::parse(&most).is_some());
        for wrong in [
            "",
            "plain",
            "$5$a$b",
            "$7$101$AAAA",
            &KEPT.replace("$101$", "$1000001$"),
            &KEPT.replace("$101$", "$0$"),
            &format!("{KEPT}$"),
            &KEPT.replace("3g==", "3g"),
        ] {
            assert!(Imported::parse(wrong).is_none(), "{wrong}");
        }
    }
}
