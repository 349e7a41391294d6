//! Bits rot, files are cut, swapped and mixed up.

mod objects;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_canon::Promise;
use fairlead_ports::{Space, Unit};
use fairlead_testkit::make::put;
use fairlead_testkit::trace::digest;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};

use super::{Inline, Script, check, open, runtime};
use crate::Inspection;
use crate::call::Job;
use crate::error::OpenError;
use crate::file_wal::Flush;
use crate::frame::{HEADER_BYTES, Header};
use crate::log_file::FileHeader;
use crate::lsn::{PAGE_BYTES, position_of};
use crate::pool::Filled;
use crate::sequencer::{Press, Taken};
use crate::superblock::Epoch;
use crate::vfs::Vfs;
use crate::vfs::sim::SimFs;

/// Of so many harms to a small directory one is done, unless the environment asks for all of them.
const HARMS_STEP: usize = 3;
/// How many zeros there are to one that is flipped.
const ZEROS_STEP: usize = 64;
/// Bytes between two lengths at which a file is cut.
const CUTS_STEP: usize = 251;
const FIRST: &str = "data/wal/0000000000000001.wal";

/// A log that was closed in order, so that all of it is proven.
async fn closed(seed: u64) -> (Script, SimFs) {
    played(Script::new(seed, 60).await)
}

/// The same, and the index has nothing of it: a start reads all.
async fn closed_without_checkpoint(seed: u64) -> (Script, SimFs) {
    let mut script = Script::new(seed, 60).await;
    script.checkpoint_every = usize::MAX;
    played(script)
}

/// A log that was closed in order, of which much is in segments, and files that are used again.
async fn sealed(seed: u64) -> (Script, SimFs) {
    let script = Script::new(seed, 250).await.sealing(2);
    let fs = SimFs::default();
    assert_eq!(script.play(&fs), 250);
    let paths = fs.paths();
    let count = |dir: &str| paths.iter().filter(|path| path.starts_with(dir)).count();
    assert!(
        count("data/sealed") + count("objects") > 1 && count("data/wal") > 1,
        "{paths:?}"
    );
    assert!(
        !paths.contains(&FIRST.into()),
        "it was used again: {paths:?}"
    );
    (script, fs)
}

/// A short log that was closed in order, with an index, segments in both places, and what follows them.
async fn small(seed: u64) -> (Script, SimFs) {
    let script = Script::new(seed, 30).await.sealing(1);
    let fs = SimFs::default();
    assert_eq!(script.play(&fs), 30);
    let paths = fs.paths();
    for dir in ["data/sealed", "objects", "data/wal"] {
        assert!(paths.iter().any(|path| path.starts_with(dir)), "{paths:?}");
    }
    (script, fs)
}

/// What a store shows whose files are as they are, or why it refuses.
async fn shown(fs: &SimFs) -> Result<Vec<String>, OpenError> {
    Ok(digest(&open(fs)?).await)
}

/// Nothing but what there was is seen; what is missing is named, by whoever asks for it and by a check, which
/// knows whether a node starts.
fn assert_honest(
    seen: Result<Vec<String>, OpenError>,
    all: &[String],
    before: &SimFs,
    place: &str,
) {
    let inspection = Inspection::open(Path::new("data"), before);
    let is_refused_there =
        inspection.and_then(|inspection| inspection.reaching(super::objects(before)).is_refused());
    match is_refused_there {
        Ok(is_refused) => assert_eq!(is_refused, seen.is_err(), "{place}"),
        Err(error) => assert!(is_refused(&error) && seen.is_err(), "{place}: {error}"),
    }
    match seen {
        Ok(seen) if seen == all => {}
        Ok(seen) => {
            assert!(is_honest(&seen, all), "{place}");
            let found = check(before).map(|report| report.damages.len());
            assert_ne!(found.expect("it starts"), 0, "{place}: called whole");
        }
        Err(error) => assert!(is_refused(&error), "{place}: {error}"),
    }
}

/// Whether what is seen is all there was, or says that it is damaged. What the index has of the log
/// is read only when somebody asks for it.
fn is_honest(seen: &[String], all: &[String]) -> bool {
    let mut pairs = seen.iter().zip(all);
    seen.len() == all.len() && pairs.all(|(seen, all)| seen == all || seen.starts_with("damage in"))
}

fn played(script: Script) -> (Script, SimFs) {
    let fs = SimFs::default();
    assert_eq!(script.play(&fs), 60);
    (script, fs)
}

/// A name, and what it does to a disk.
type Case<'a> = (&'static str, &'a dyn Fn(&SimFs));

fn is_refused(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::Damaged { .. } | OpenError::Missing { .. } | OpenError::Index { .. }
    )
}

#[tokio::test]
pub(super) async fn a_flipped_bit_changes_nothing_that_is_seen_or_is_refused() {
    let (script, fs) = sealed(11).await;
    let all = script.digests.last().unwrap();
    let mut random = StdRng::seed_from_u64(11);
    // By kind of file: refused, and shown with damage.
    let mut found = BTreeMap::<PathBuf, [usize; 2]>::new();
    for path in fs.paths() {
        for round in 0..80 {
            let copy = fs.copy();
            let mut place = (0, 0);
            copy.damage(&path, |bytes| {
                // Mostly where frames begin, where every byte counts; not where nothing was written.
                let pages = bytes.chunks(4096).enumerate();
                let written = pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
                let page = written
                    .choose(&mut random)
                    .map_or(0, |(page, _)| page * 4096);
                let at = if round % 3 == 0 {
                    random.random_range(0..bytes.len())
                } else {
                    (page + random.random_range(0..400)).min(bytes.len() - 1)
                };
                place = (at, 1 << random.random_range(0..8));
                bytes[place.0] ^= place.1;
            });
            let before = copy.copy();
            let seen = shown(&copy).await;
            let of_kind = found.entry(path.parent().unwrap().into()).or_default();
            of_kind[0] += usize::from(seen.is_err());
            of_kind[1] += usize::from(seen.as_ref().is_ok_and(|seen| seen != all));
            assert_honest(seen, all, &before, &format!("{path:?} {place:?}"));
        }
    }
    println!("refused, shown with damage: {found:?}");
    for dir in ["data", "data/wal", "data/sealed"] {
        let both = found[Path::new(dir)];
        assert!(both[0] + both[1] > 10, "{dir}: {both:?}");
    }
}

/// One change of one file. All of them, and not every third, are tried by
/// `FAIRLEAD_EVERY_HARM=1 cargo test -p fairlead-native --lib -- no_flipped_byte`.
#[derive(Clone, Debug)]
enum Harm {
    Flip(PathBuf, usize),
    Cut(PathBuf, usize),
}

impl Harm {
    /// Every byte that is not zero is flipped, and some of those that are; every file is cut at many lengths.
    fn all(fs: &SimFs) -> Vec<Self> {
        let mut all = Vec::new();
        for path in fs.paths() {
            fs.damage(&path, |bytes| {
                let places = bytes.iter().enumerate();
                let flipped = places.filter(|(at, byte)| **byte != 0 || at % ZEROS_STEP == 0);
                all.extend(flipped.map(|(at, _)| Self::Flip(path.clone(), at)));
                let cut = (0..bytes.len()).step_by(CUTS_STEP);
                all.extend(cut.map(|end| Self::Cut(path.clone(), end)));
            });
        }
        all
    }

    fn done_to(&self, fs: &SimFs) -> SimFs {
        let copy = fs.copy();
        match self {
            Self::Flip(path, at) => copy.damage(path, |bytes| bytes[*at] ^= 1 << (at % 8)),
            Self::Cut(path, end) => copy.damage(path, |bytes| bytes.truncate(*end)),
        }
        copy
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a longer run")]
fn no_flipped_byte_and_no_cut_of_a_small_directory_is_passed_over() {
    let (script, fs) = runtime().block_on(small(19));
    let step = std::env::var("FAIRLEAD_EVERY_HARM").map_or(HARMS_STEP, |_| 1);
    let harms: Vec<Harm> = Harm::all(&fs).into_iter().step_by(step).collect();
    let (all, next) = (script.digests.last(), AtomicUsize::new(0));
    let work = || {
        let runtime = runtime();
        while let Some(harm) = harms.get(next.fetch_add(1, Ordering::Relaxed)) {
            let harmed = harm.done_to(&fs);
            let before = harmed.copy();
            let seen = runtime.block_on(shown(&harmed));
            assert_honest(seen, all.unwrap(), &before, &format!("{harm:?}"));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    println!("{} of {:?}", harms.len(), fs.paths());
}

#[tokio::test]
async fn every_byte_of_a_proven_file_counts() {
    let (_, fs) = closed_without_checkpoint(18).await;
    let path = Path::new(FIRST);
    let mut random = StdRng::seed_from_u64(18);
    for _ in 0..300 {
        let copy = fs.copy();
        let mut place = 0;
        copy.damage(path, |bytes| {
            place = random.random_range(0..bytes.len());
            bytes[place] ^= 1 << random.random_range(0..8);
        });
        assert!(
            is_refused(&open(&copy).expect_err("a full file")),
            "byte {place}"
        );
    }
}

#[tokio::test]
async fn the_refusal_names_the_file_and_the_byte() {
    let (_, fs) = closed_without_checkpoint(12).await;
    let path = Path::new("data/wal/0000000000000002.wal");
    // The third frame of the second file, a byte in its records.
    fs.damage(path, |bytes| bytes[3 * 4096 + 70] ^= 1);
    let Err(OpenError::Damaged { file, at, .. }) = open(&fs) else {
        panic!("not refused")
    };
    assert_eq!((file.as_path(), at), (path, 3 * 4096));
}

#[tokio::test]
async fn damage_in_the_last_frame_is_a_tear_unless_it_was_proven() {
    let script = Script::new(14, 12).await;
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    for unit in &script.units {
        store.commit(unit.clone()).unwrap();
    }
    drop(store);
    let path = Path::new(FIRST);
    let last = |bytes: &[u8]| {
        (1..bytes.len() / 4096)
            .rev()
            .map(|page| page * 4096)
            .find(|at| bytes[*at] != 0)
            .unwrap()
    };
    fs.damage(path, |bytes| {
        let at = last(bytes);
        bytes[at + 20] ^= 1;
    });
    let subject = open(&fs).expect("a torn tail");
    let seen = digest(&subject).await;
    assert!(
        script
            .position(&seen)
            .is_some_and(|position| position < 12 && position + 4 > 12)
    );
    drop(subject);
    fs.damage(path, |bytes| {
        let at = last(bytes);
        bytes[at + 20] ^= 1;
    });
    assert!(
        is_refused(&open(&fs).unwrap_err()),
        "it was closed in order, so the last frame is proven"
    );
}

#[tokio::test]
pub(super) async fn damage_before_the_last_frames_is_refused_although_nothing_was_closed() {
    let script = Script::new(17, 20).await;
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    for unit in &script.units {
        store.commit(unit.clone()).unwrap();
    }
    drop(store);
    let path = Path::new(FIRST);
    let frames = |fs: &SimFs| {
        let mut frames = 0;
        fs.damage(path, |bytes| {
            frames = bytes
                .chunks(4096)
                .skip(1)
                .filter(|page| page.starts_with(b"FLFR"))
                .count()
        });
        frames
    };
    let count = frames(&fs);
    assert!(count > 5, "{count} frames");
    for frame in 1..=count {
        let copy = fs.copy();
        copy.damage(path, |bytes| bytes[frame * 4096 + 20] ^= 1);
        let result = open(&copy);
        // Each frame proves those before the one that was in flight when it was written.
        if frame < count {
            assert!(
                is_refused(&result.expect_err("a proven frame")),
                "frame {frame}"
            );
        } else {
            result.expect("a torn tail");
        }
    }
}

#[tokio::test]
async fn a_cut_or_missing_file_is_refused_or_loses_only_what_is_unused() {
    let (script, fs) = sealed(14).await;
    let all = script.digests.last().unwrap();
    for path in fs.paths() {
        let mut length = 0;
        fs.damage(&path, |bytes| length = bytes.len());
        let pages = (0..16).map(|page| page * 4096);
        let ends = pages.flat_map(|page| [0, 1, 511, 2000].map(|extra| page + extra));
        for end in ends.filter(|end| *end < length).chain([length - 1]) {
            let copy = fs.copy();
            copy.damage(&path, |bytes| bytes.truncate(end));
            let before = copy.copy();
            let seen = shown(&copy).await;
            assert_honest(seen, all, &before, &format!("{path:?} cut at byte {end}"));
        }
        let copy = fs.copy();
        copy.remove(&path).unwrap();
        let before = copy.copy();
        let seen = shown(&copy).await;
        assert_honest(seen, all, &before, &format!("{path:?} is missing"));
    }
}

#[tokio::test]
async fn files_that_are_missing_swapped_or_of_another_log_are_refused() {
    let (_, fs) = closed(15).await;
    let file = |n: u64| PathBuf::from(format!("data/wal/{n:016}.wal"));
    let superblock = Path::new("data/superblock");
    let stranger = SimFs::default();
    // A log of other identity: the entropy of `open` is not that of `Inline`.
    drop(open(&stranger).unwrap());
    let bytes_of = |fs: &SimFs, path: &Path| {
        let mut copy = Vec::new();
        fs.damage(path, |bytes| copy = bytes.clone());
        copy
    };
    let cases: [Case<'_>; 6] = [
        ("the first is gone", &|fs: &SimFs| {
            fs.remove(&file(1)).unwrap()
        }),
        ("a middle one is gone", &|fs: &SimFs| {
            fs.remove(&file(2)).unwrap()
        }),
        ("the superblock is gone", &|fs: &SimFs| {
            fs.remove(superblock).unwrap()
        }),
        ("all are gone", &|fs: &SimFs| {
            (1..9).for_each(|n| fs.remove(&file(n)).unwrap())
        }),
        ("two are swapped", &|fs: &SimFs| {
            let (a, b) = (bytes_of(fs, &file(1)), bytes_of(fs, &file(2)));
            fs.damage(&file(1), |bytes| *bytes = b);
            fs.damage(&file(2), |bytes| *bytes = a);
        }),
        ("one is of another log", &|fs: &SimFs| {
            let foreign = bytes_of(&stranger, &file(1));
            fs.damage(&file(1), |bytes| *bytes = foreign);
        }),
    ];
    for (name, damage) in &cases {
        let copy = fs.copy();
        damage(&copy);
        let error = open(&copy).expect_err(name);
        assert!(is_refused(&error), "{name}: {error}");
    }
}

/// Units that are written in one frame each and not synced, and where those frames lie.
fn unsynced(store: &mut Inline, keys: [&'static str; 2]) -> Vec<u64> {
    while store.pool.fill().unwrap() == Filled::More {}
    let one = |key| {
        let (mut job, _) = Job::new(
            [Unit {
                ops: [put(7, key, "unsynced")].into(),
                promise: Promise::Accepted,
            }]
            .into(),
        );
        assert_eq!(store.sequencer.take(&mut job), Taken::All);
        store.sequencer.answer(job);
        let order = store.sequencer.order(Press::Frame).unwrap();
        assert_eq!(order.flush, Flush::Later);
        store.carry_out(&order).unwrap();
        store.sequencer.landed(0);
        store.sequencer.settle();
        position_of(order.frame.unwrap().lsn)
    };
    keys.into_iter().map(one).collect()
}

fn has(store: &Inline, key: &'static str) -> bool {
    let documents = store.shared.state.documents.lock();
    documents.get(Space(7), key.as_bytes()).is_some()
}

#[tokio::test]
pub(super) async fn a_file_that_lost_its_end_is_refused_although_the_next_one_is_whole() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    for _ in 0..40 {
        let ops = [put(7, "a", "b")].into();
        let promise = Promise::Durable;
        store.commit(Unit { ops, promise }).unwrap();
    }
    drop(store);
    fs.damage(FIRST.as_ref(), |bytes| bytes[60 * 1024..].fill(0));
    let error = open(&fs).unwrap_err();
    assert!(is_refused(&error), "{error}");
}

#[tokio::test]
pub(super) async fn a_frame_behind_a_torn_one_is_never_taken_up_again() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let at = unsynced(&mut store, ["torn", "behind"]);
    let torn = usize::try_from(at[0]).unwrap();
    let survivor = fs.copy();
    survivor.damage(FIRST.as_ref(), |bytes| bytes[torn + HEADER_BYTES + 8] ^= 1);
    // The frame that begins a stay takes the place of the torn one, and is as long.
    for start in 1..3 {
        let store = Inline::open(&survivor).unwrap();
        assert!(
            !has(&store, "torn") && !has(&store, "behind"),
            "start {start}"
        );
    }
}

#[tokio::test]
pub(super) async fn a_frame_of_a_lower_epoch_is_none() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let at = unsynced(&mut store, ["one", "two"]);
    drop(store);
    let file = fs.open(FIRST.as_ref()).unwrap();
    let mut page = [0; PAGE_BYTES];
    file.read_at(0, &mut page).unwrap();
    let salt = FileHeader::decode(&page).unwrap().salt;
    // The second of them once more, as a process would have written it that the log has left behind.
    file.read_at(at[1], &mut page).unwrap();
    let mut header = Header::decode(&page).unwrap();
    let len = header.len as usize;
    header.epoch = Epoch(header.epoch.0 - 1);
    let head = header.seal(salt, &page[HEADER_BYTES..len]);
    file.write_at(at[1], &[&head]).unwrap();
    let store = Inline::open(&fs).unwrap();
    assert!(has(&store, "one") && !has(&store, "two"));
}
