//! The bearer token: random, made at the first start, readable by the operator alone.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fairlead_ports::Entropy;
use subtle::ConstantTimeEq;

const RANDOM_BYTES: usize = 32;

/// Allows changes through the admin page.
pub struct Token(String);

impl Token {
    /// The token of a data directory; makes one (mode 0600) if there is none.
    pub fn of(data_dir: &Path, entropy: &dyn Entropy) -> io::Result<Self> {
        match Self::read(data_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::create(data_dir, entropy)
            }
            other => other,
        }
    }

    /// The token of a data directory in which a node has run.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path(data_dir))?;
        let token = text.trim();
        if token.len() < RANDOM_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "admin.token is damaged: remove it, and the next start makes another",
            ));
        }
        Ok(Self(token.to_owned()))
    }

    fn create(data_dir: &Path, entropy: &dyn Entropy) -> io::Result<Self> {
        let mut bytes = [0; RANDOM_BYTES];
        entropy.fill(&mut bytes);
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path(data_dir))?;
        file.write_all(token.as_bytes())?;
        file.sync_all()?;
        Ok(Self(token))
    }

    /// The token itself, for a request of ours.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn is(&self, claimed: &str) -> bool {
        self.0.as_bytes().ct_eq(claimed.as_bytes()).into()
    }
}

/// A secret: it stays out of logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}
