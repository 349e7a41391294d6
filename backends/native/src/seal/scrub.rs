//! Reading everything that is kept once in a while, so that damage is found while there is still a
//! good copy somewhere. What is damaged is counted and named; nothing is changed.

use std::ops::ControlFlow;

use tokio::time::Instant;

use super::{SealError, Sealer, View, survey};
use crate::homes::{Home, Site};
use crate::limits::{SCRUB_AFTER, SCRUB_EVERY, SCRUB_PAUSE};
use crate::lsn::FileNo;
use crate::mould::random;
use crate::record;
use crate::state::State;

/// What is still to be read in this round, and when.
#[derive(Debug)]
pub(crate) struct Scrub {
    rest: Vec<Piece>,
    next: Instant,
}

/// A log file, or a segment in the data directory. Whoever runs an object store scrubs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    File(FileNo),
    Segment(Home),
}

impl Scrub {
    /// The first round begins soon.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            rest: Vec::new(),
            next: now + SCRUB_AFTER,
        }
    }

    /// When there is something to be read.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Reads the next piece if it is time; what is wrong with it.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        sealer: &Sealer,
        state: &State,
        view: &View,
    ) -> Result<(), SealError> {
        if now < self.next {
            return Ok(());
        }
        if self.rest.is_empty() {
            self.rest = pieces(view);
        }
        let piece = self.draw(sealer);
        let is_done = self.rest.is_empty();
        self.next = now + if is_done { SCRUB_EVERY } else { SCRUB_PAUSE };
        match piece {
            Some(Piece::File(number)) => match sealer.check_file(state, number) {
                Err(SealError::Unsettled) => {
                    self.rest.push(Piece::File(number));
                    self.next = now + SCRUB_PAUSE;
                    Ok(())
                }
                checked => checked.map(drop),
            },
            Some(Piece::Segment(home)) => check_segment(sealer, &home),
            None => Ok(()),
        }
    }

    /// Any of them: rounds that are cut short by a restart must not leave out the same ones each time.
    fn draw(&mut self, sealer: &Sealer) -> Option<Piece> {
        let count = u64::try_from(self.rest.len()).ok()?;
        let at = random(sealer.entropy.as_ref()).checked_rem(count)?;
        Some(self.rest.swap_remove(usize::try_from(at).ok()?))
    }
}

fn pieces(view: &View) -> Vec<Piece> {
    let segments = view.homes.segments().into_iter();
    let near = segments.filter(|home| home.site == Site::Directory);
    let files = view.uses.0.keys().copied();
    let files = files.filter(|file| view.homes.of(*file).is_empty());
    let below = files.filter(|file| *file < crate::lsn::file_of(view.applied));
    near.map(Piece::Segment)
        .chain(below.map(Piece::File))
        .collect()
}

fn check_segment(sealer: &Sealer, home: &Home) -> Result<(), SealError> {
    let mut is_sound = true;
    let reader = sealer.sites.reader(home.site)?;
    reader.visit(home.stamp, &mut |_, record| {
        is_sound &= record::is_intact(record);
        ControlFlow::Continue(())
    })?;
    let what = || home.stamp.id.to_string();
    is_sound
        .then_some(())
        .ok_or_else(|| SealError::Damaged { what: what() })
}

impl Sealer {
    /// Whether every record that is needed of a file is there and whole; what was found.
    pub(super) fn check_file(
        &self,
        state: &State,
        number: FileNo,
    ) -> Result<survey::Survey, SealError> {
        let Some(file) = self.files.get(number) else {
            // It was sealed or released meanwhile.
            return Ok(survey::Survey::default());
        };
        let survey = survey::of_file(state, &file)?;
        // Asked before the count, so that what it does not find here has been given up in the count.
        let is_settled = state.graves().len() == 0;
        // Counted after the survey: it can only have become less meanwhile.
        let needed = state.ground.uses.lock().of(number).references;
        if survey.references >= needed && !state.ground.is_faulty() {
            return Ok(survey);
        }
        Err(match is_settled || state.ground.is_faulty() {
            true => SealError::Damaged {
                what: number.name(),
            },
            false => SealError::Unsettled,
        })
    }
}
