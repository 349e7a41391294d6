//! How long and how often an object store is asked.

use std::time::Duration;

use fairlead_segment::SegmentError;
use object_store::Error;

/// How long and how often an object store is asked before a call is `Unavailable`.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often a request is made, the first time included.
    pub tries: u32,
    /// The pause before the second try; each one after is twice as long.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// How long one request may take.
    pub request: Duration,
}

impl Default for Patience {
    /// What `storage.md` fixes: 5 tries, 50 ms to 5 s apart.
    fn default() -> Self {
        Self {
            tries: 5,
            pause: Duration::from_millis(50),
            pause_max: Duration::from_secs(5),
            request: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// Makes requests until one is answered, or too many were not.
    pub(crate) async fn ask<T, F: Future<Output = object_store::Result<T>>>(
        self,
        request: impl Fn() -> F,
    ) -> Result<T, SegmentError> {
        let mut pause = self.pause;
        let mut tries = 1;
        loop {
            let answer = tokio::time::timeout(self.request, request()).await;
            let what = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Error::NotFound { .. })) => return Err(SegmentError::Missing),
                Ok(Err(Error::AlreadyExists { .. } | Error::Precondition { .. })) => {
                    return Err(SegmentError::Exists);
                }
                Ok(Err(error)) if !may_pass(&error) => return Err(unavailable(&error)),
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => "no answer in time".to_owned(),
            };
            if tries >= self.tries {
                return Err(SegmentError::Unavailable { what });
            }
            tracing::debug!(tries, what, "an object store is asked again");
            tokio::time::sleep(pause).await;
            pause = self.pause_max.min(pause.saturating_mul(2));
            tries += 1;
        }
    }
}

/// Whether the same request may succeed a little later.
fn may_pass(error: &Error) -> bool {
    !matches!(
        error,
        Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

pub(crate) fn unavailable(error: &Error) -> SegmentError {
    SegmentError::Unavailable {
        what: error.to_string(),
    }
}
