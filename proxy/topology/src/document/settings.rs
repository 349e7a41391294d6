//! How a stream's settings are kept.

use bytes::Bytes;
use fairlead_canon::{Compaction, Path, Retention, SyncMode, Text};
use serde::{Deserialize, Serialize};

use super::{DocumentError, pick};
use crate::{AtFull, DeadLetter, Settings};

#[derive(Serialize, Deserialize)]
pub(super) struct SettingsRecord {
    sync: u8,
    age_ms: Option<u64>,
    bytes: Option<u64>,
    /// Youngest age and time that deletes are kept.
    compaction: Option<(u64, u64)>,
    priority_max: u8,
    dead_letter: Option<DeadLetterRecord>,
    returns_max: Option<u16>,
    is_single_active: bool,
}

#[derive(Serialize, Deserialize)]
struct DeadLetterRecord {
    realm: String,
    path: Option<Vec<u8>>,
    takes_refused: bool,
    at_full: u8,
}

impl SettingsRecord {
    pub(super) fn of(settings: &Settings) -> Self {
        let compaction = settings.compaction;
        Self {
            sync: settings.sync as u8,
            age_ms: settings.retention.age_ms,
            bytes: settings.retention.bytes,
            compaction: compaction.map(|c| (c.lag_min_ms, c.deletes_kept_ms)),
            priority_max: settings.priority_max,
            dead_letter: settings.dead_letter.as_ref().map(DeadLetterRecord::of),
            returns_max: settings.returns_max,
            is_single_active: settings.is_single_active,
        }
    }

    pub(super) fn read(self) -> Result<Settings, DocumentError> {
        let modes = [SyncMode::Always, SyncMode::Interval];
        let compaction = self
            .compaction
            .map(|(lag_min_ms, deletes_kept_ms)| Compaction {
                lag_min_ms,
                deletes_kept_ms,
            });
        Ok(Settings {
            sync: pick(self.sync, &modes, |mode| *mode as u8)?,
            retention: Retention {
                age_ms: self.age_ms,
                bytes: self.bytes,
            },
            compaction,
            priority_max: self.priority_max,
            dead_letter: self.dead_letter.map(DeadLetterRecord::read).transpose()?,
            returns_max: self.returns_max,
            is_single_active: self.is_single_active,
        })
    }
}

impl DeadLetterRecord {
    fn of(route: &DeadLetter) -> Self {
        Self {
            realm: route.realm.to_string(),
            path: route.path.as_ref().map(|path| path.as_stored().to_vec()),
            takes_refused: route.takes_refused,
            at_full: route.at_full as u8,
        }
    }

    fn read(self) -> Result<DeadLetter, DocumentError> {
        let path = self.path.map(|path| Path::from_stored(Bytes::from(path)));
        let path = path.transpose().map_err(|_cause| DocumentError {
            what: "damaged path",
        })?;
        Ok(DeadLetter {
            realm: Text::from(self.realm),
            path,
            takes_refused: self.takes_refused,
            at_full: pick(self.at_full, &[AtFull::Drop, AtFull::Wait], |at| *at as u8)?,
        })
    }
}
