//! Signed tokens (JWT, RFC 7519) in the place of a password.
//!
//! A token is believed if one of our keys has signed it in that key's own algorithm, and its time has
//! come and is not over. The clock is the node's; the library's own checks of time and of what is said
//! for whom are off, because they pass over claims of another type.

mod keys;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Principal, Proof, Text, Timestamp, Token};
use fairlead_ports::Clock;
use serde_json::{Map, Value};

use crate::rule::proven;
use crate::user::is_user_name;
use keys::Keys;

/// Which tokens are believed, and what is read from them.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// A file with the keys: JWKS, or one public key in PEM. Read again when it changes.
    pub keys: Option<PathBuf>,
    /// A file whose bytes are a secret shared with the issuer (HS256). Read again when it changes.
    pub secret: Option<PathBuf>,
    /// The claim that is the user's name.
    pub user: String,
    /// The claim that is the only name under which the client may come.
    pub client: Option<String>,
    /// The claim with what the user may do: a list of rules as in grants.
    pub acl: Option<String>,
    /// Who must have issued it.
    pub issuer: Option<String>,
    /// For whom it must be.
    pub audience: Option<String>,
    /// Whether connections end when their token does.
    pub disconnects: bool,
}

/// How far the issuer's clock may be off.
const SKEW: Duration = Duration::from_secs(5);

/// Checks tokens; it reads files, so it lives on a thread that may wait.
#[derive(Debug)]
pub(crate) struct Tokens {
    rules: TokenRules,
    keys: Vec<Keys>,
    clock: Arc<dyn Clock>,
}

/// The longest token.
pub(crate) const BYTES_MAX: usize = 16 * 1024;

type Claims = Map<String, Value>;

impl Tokens {
    /// Reads the keys; without any that can be read there is nothing to begin with.
    pub(crate) fn open(rules: TokenRules, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let public = rules.keys.clone().map(Keys::public);
        let secret = rules.secret.clone().map(Keys::secret);
        let keys = public
            .into_iter()
            .chain(secret)
            .collect::<io::Result<_>>()?;
        Ok(Self { rules, keys, clock })
    }

    /// Whom a token shows, or why it shows nobody.
    pub(crate) fn check(&mut self, token: &[u8]) -> Result<Principal, &'static str> {
        let header = jsonwebtoken::decode_header(token).map_err(|_cause| "not a token")?;
        let mut keys = self.keys.iter_mut().flat_map(|keys| keys.current());
        let claims = keys.find_map(|key| key.open(token, &header));
        let claims = claims.ok_or("a token that no key of ours has signed")?;
        let ends = self.check_time(&claims)?;
        self.check_parties(&claims)?;
        let name = text(&claims, &self.rules.user)?.ok_or("a token without a user")?;
        if !is_user_name(&name) {
            return Err("a token for what is no user's name");
        }
        let token = Token {
            ends: self.rules.disconnects.then_some(ends),
            client: self.wanted(&claims, self.rules.client.as_ref())?,
            grants: self.grants(&claims)?,
        };
        Ok(proven(&name, Proof::Token(Arc::new(token))))
    }

    /// When it ends.
    fn check_time(&self, claims: &Claims) -> Result<Timestamp, &'static str> {
        let now = self.clock.wall();
        let ends = time(claims, "exp")?.ok_or("a token that never ends")?;
        if ends.after(SKEW) <= now {
            return Err("a token whose time is over");
        }
        let begins = time(claims, "nbf")?.unwrap_or_default();
        match begins > now.after(SKEW) {
            true => Err("a token whose time has not come"),
            false => Ok(ends),
        }
    }

    fn check_parties(&self, claims: &Claims) -> Result<(), &'static str> {
        if let Some(wanted) = &self.rules.issuer
            && text(claims, "iss")?.as_deref() != Some(&**wanted)
        {
            return Err("a token of another issuer");
        }
        let is_for = |wanted: &String| match claims.get("aud") {
            Some(Value::String(one)) => one == wanted,
            Some(Value::Array(list)) => list.iter().any(|one| one == wanted),
            _ => false,
        };
        match &self.rules.audience {
            Some(wanted) if !is_for(wanted) => Err("a token for somebody else"),
            Some(_) | None => Ok(()),
        }
    }

    /// A claim that has to be there if it is asked for.
    fn wanted(&self, claims: &Claims, name: Option<&String>) -> Result<Option<Text>, &'static str> {
        let Some(name) = name else { return Ok(None) };
        let found = text(claims, name)?.ok_or("a token that lacks a claim")?;
        Ok(Some(found))
    }

    /// The rules as a document; a token without any says nothing about them.
    fn grants(&self, claims: &Claims) -> Result<Option<Bytes>, &'static str> {
        let name = self.rules.acl.as_ref();
        let Some(rules) = name.and_then(|name| claims.get(name)) else {
            return Ok(None);
        };
        let document = serde_json::json!({ "rules": rules });
        Ok(Some(document.to_string().into()))
    }
}

/// Whether a password looks like a token: `{"` in base64, and three parts.
pub(crate) fn is_like(password: &[u8]) -> bool {
    password.starts_with(b"eyJ") && password.iter().filter(|byte| **byte == b'.').count() == 2
}

fn text(claims: &Claims, name: &str) -> Result<Option<Text>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(Text::from(text.clone()))),
        Some(_) => Err("a token with a claim that is no text"),
    }
}

/// Seconds since 1970, perhaps with a fraction, which is passed over.
fn time(claims: &Claims, name: &str) -> Result<Option<Timestamp>, &'static str> {
    let Some(claim) = claims.get(name) else {
        return Ok(None);
    };
    let whole = claim.as_u64().or_else(|| {
        let text = claim.as_f64()?.trunc().to_string();
        text.parse().ok()
    });
    let seconds = whole.ok_or("a token with a time that is no number")?;
    Ok(Some(Timestamp(seconds.saturating_mul(1000))))
}

#[cfg(test)]
mod tests;
