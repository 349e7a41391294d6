//! Whether an object store keeps what everything rests on. A pass means "not obviously broken": a
//! store that checks and then writes without a lock fails only when two requests meet in between.

use std::fmt;

use bytes::Bytes;
use fairlead_segment::{LogId, SegmentError, SegmentId};
use futures_util::future::join_all;

use crate::objects::{Objects, Requests};

/// Creates of one name at the same moment.
const CONTENDERS: u8 = 16;
/// Bytes of what each contender writes: enough that a write takes more than one packet.
const BODY_BYTES: usize = 4_096;

/// A promise that the store broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Creates of one name at the same moment: not exactly one succeeded.
    Winners {
        /// In which round, from 0.
        round: u32,
        /// How many succeeded.
        winners: usize,
    },
    /// What is read back is not what the winner of a round wrote.
    ReadBack {
        /// In which round, from 0.
        round: u32,
    },
    /// A create replaced what was there.
    Overwritten,
    /// A new object was not listed, or not read, at once.
    Hidden,
    /// A read of a range gave something else.
    Range,
    /// A deleted object was still there.
    Undead,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Winners { round, winners } => write!(
                out,
                "round {round}: {winners} of {CONTENDERS} concurrent creates of one name succeeded"
            ),
            Self::ReadBack { round } => {
                write!(
                    out,
                    "round {round}: what was read is not what the winner wrote"
                )
            }
            Self::Overwritten => write!(out, "a create replaced an object that existed"),
            Self::Hidden => write!(out, "a new object was not listed or read at once"),
            Self::Range => write!(out, "a read of a range gave other bytes"),
            Self::Undead => write!(out, "a deleted object was still there"),
        }
    }
}

/// Tries the promises out, in objects of a log that nobody has (`scratch`), and removes them. The error
/// is that of a store that could not be asked.
pub fn self_check(
    objects: &Objects,
    scratch: LogId,
    rounds: u32,
) -> Result<Vec<Finding>, SegmentError> {
    let requests = objects.requests();
    let check = Check {
        requests,
        scratch,
        findings: Vec::new(),
    };
    objects.wait(check.run(rounds))
}

struct Check {
    requests: Requests,
    scratch: LogId,
    findings: Vec<Finding>,
}

impl Check {
    async fn run(mut self, rounds: u32) -> Result<Vec<Finding>, SegmentError> {
        for round in 0..rounds {
            self.race(round).await?;
        }
        self.create_again().await?;
        self.ranges().await?;
        self.remove_all().await?;
        Ok(self.findings)
    }

    fn expect(&mut self, holds: bool, finding: Finding) {
        if !holds && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    async fn race(&mut self, round: u32) -> Result<(), SegmentError> {
        let id = number(u64::from(round));
        let create = |who| self.requests.create(self.scratch, id, vec![body(who)]);
        let results = join_all((0..CONTENDERS).map(create)).await;
        let mut winners = Vec::new();
        for (who, result) in (0..CONTENDERS).zip(results) {
            match result {
                Ok(()) => winners.push(who),
                Err(SegmentError::Exists) => {}
                Err(error) => return Err(error),
            }
        }
        let count = winners.len();
        let winners_are_one = Finding::Winners {
            round,
            winners: count,
        };
        self.expect(count == 1, winners_are_one);
        let read = self.read(id, 0..BODY_BYTES as u64).await?;
        let is_winner = winners.last().is_some_and(|who| read == Some(body(*who)));
        self.expect(count != 1 || is_winner, Finding::ReadBack { round });
        Ok(())
    }

    async fn create_again(&mut self) -> Result<(), SegmentError> {
        let id = number(u64::MAX);
        let before = self.requests.list(self.scratch).await?;
        self.requests
            .create(self.scratch, id, vec![body(1)])
            .await?;
        let listed = self.requests.list(self.scratch).await?;
        let read = self.read(id, 0..BODY_BYTES as u64).await?;
        let is_shown = listed.contains(&id) && !before.contains(&id);
        self.expect(is_shown && read == Some(body(1)), Finding::Hidden);
        let again = self.requests.create(self.scratch, id, vec![body(2)]).await;
        let kept = self.read(id, 0..BODY_BYTES as u64).await?;
        let is_refused = again == Err(SegmentError::Exists) && kept == Some(body(1));
        self.expect(is_refused, Finding::Overwritten);
        Ok(())
    }

    async fn ranges(&mut self) -> Result<(), SegmentError> {
        let id = number(u64::MAX - 1);
        let pattern: Bytes = (0..=255).cycle().take(BODY_BYTES).collect();
        let parts = vec![pattern.slice(..1_000), pattern.slice(1_000..)];
        self.requests.create(self.scratch, id, parts).await?;
        for range in [0..1, 1..17, 999..1_001, 4_095..4_096, 0..BODY_BYTES] {
            let read = self.read(id, range.start as u64..range.end as u64).await?;
            self.expect(read == Some(pattern.slice(range)), Finding::Range);
        }
        let behind = self.read(id, 4_000..5_000).await?;
        self.expect(behind.is_none(), Finding::Range);
        Ok(())
    }

    async fn remove_all(&mut self) -> Result<(), SegmentError> {
        for id in self.requests.list(self.scratch).await? {
            self.requests.delete(self.scratch, id).await?;
        }
        let left = self.requests.list(self.scratch).await?;
        let read = self.read(number(u64::MAX), 0..1).await?;
        self.expect(left.is_empty() && read.is_none(), Finding::Undead);
        Ok(())
    }

    async fn read(
        &self,
        id: SegmentId,
        range: std::ops::Range<u64>,
    ) -> Result<Option<Bytes>, SegmentError> {
        match self.requests.read(self.scratch, id, range).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(SegmentError::Missing | SegmentError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn number(random: u64) -> SegmentId {
    SegmentId { made: 0, random }
}

fn body(who: u8) -> Bytes {
    vec![who; BODY_BYTES].into()
}
