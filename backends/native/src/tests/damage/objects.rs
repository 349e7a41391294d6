//! The same for what is kept in an object store: a directory as the class `object` takes one.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use fairlead_canon::{Class, Spec};
use fairlead_objects::{Objects, Patience, Place};
use fairlead_ports::Op;
use fairlead_segment::Segments;
use fairlead_testkit::Subject;
use fairlead_testkit::trace::digest;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::super::{Inline, Script, settings, world};
use crate::vfs::sim::SimFs;
use crate::{Inspection, Native, Settings};

/// Cases of each kind for each object.
const ROUNDS: usize = 24;
/// Tries that a busy store is worth, without the time between them.
const PATIENCE: Patience = Patience {
    tries: 5,
    pause: Duration::from_millis(1),
    pause_max: Duration::from_millis(1),
    request: Duration::from_secs(60),
};

/// A data directory and the directory of its objects.
struct Far {
    fs: SimFs,
    dir: TempDir,
}

impl Far {
    fn empty() -> Self {
        Self {
            fs: SimFs::default(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A log that was closed in order, half of whose entities have what was sealed of them in objects.
    async fn sealed(seed: u64) -> (Script, Self) {
        let mut script = Script::new(seed, 250).await.sealing(2);
        let ops = script.units.iter_mut().flat_map(|unit| &mut unit.ops);
        ops.for_each(send_away);
        let far = Self::empty();
        let store = Inline::open_with(&far.fs, Some(far.objects())).unwrap();
        assert_eq!(script.play_in(store, &AtomicUsize::new(0)), 250);
        assert!(far.paths().len() > 1, "{:?}", far.paths());
        (script, far)
    }

    fn objects(&self) -> Arc<dyn Segments> {
        let place = Place {
            url: format!("file://{}", self.dir.path().display()),
            patience: PATIENCE,
            ..Place::default()
        };
        Arc::new(Objects::open(&place).unwrap())
    }

    /// Every object, by its path in the store.
    fn paths(&self) -> Vec<PathBuf> {
        let entries = |dir: &Path| {
            let entries = fs::read_dir(dir).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            paths.collect::<Vec<_>>()
        };
        let logs = entries(self.dir.path());
        let mut paths: Vec<_> = logs.iter().flat_map(|log| entries(log)).collect();
        paths.sort_unstable();
        let relative = |path: PathBuf| path.strip_prefix(self.dir.path()).unwrap().to_path_buf();
        paths.into_iter().map(relative).collect()
    }

    fn copy(&self) -> Self {
        let copy = Self {
            fs: self.fs.copy(),
            ..Self::empty()
        };
        for path in self.paths() {
            let to = copy.path_of(&path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(self.path_of(&path), to).unwrap();
        }
        copy
    }

    fn path_of(&self, object: &Path) -> PathBuf {
        self.dir.path().join(object)
    }

    fn damage(&self, object: &Path, damage: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path_of(object);
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    fn open(&self) -> Subject {
        let settings = Settings {
            objects: Some(self.objects()),
            ..settings()
        };
        let world = world(&self.fs, self.fs.operations() + 1_000);
        Subject::new(Arc::new(Native::open(&settings, &world).unwrap()), ())
    }

    /// What a check finds wrong, by name.
    fn named(&self) -> Vec<PathBuf> {
        let inspection = Inspection::open(Path::new("data"), &self.fs).unwrap();
        let report = inspection.reaching(self.objects()).check(&mut |_| {});
        let report = report.unwrap();
        assert_eq!(report.unread_why, None, "it was all there to be read");
        let files = report.damages.into_iter().map(|damage| damage.file);
        files.collect()
    }

    /// A check names these objects and nothing else; readers get what there was, or a refusal that
    /// names one of them. How many entities lost something.
    async fn assert_honest(&self, objects: &[PathBuf], all: &[String], case: &str) -> usize {
        let name_of = |object: &PathBuf| PathBuf::from(object.file_name().unwrap());
        let names: Vec<_> = objects.iter().map(name_of).collect();
        let full: Vec<_> = names
            .iter()
            .map(|name| Path::new("objects:").join(name))
            .collect();
        assert_eq!(self.named(), full, "{case}");
        let seen = digest(&self.open()).await;
        assert_eq!(seen.len(), all.len());
        let both = seen.iter().zip(all).filter(|(seen, all)| seen != all);
        let refused: Vec<_> = both.map(|(seen, _)| seen).collect();
        for seen in &refused {
            let is_named =
                |name: &PathBuf| seen.starts_with(&format!("damage in {} ", name.display()));
            assert!(names.iter().any(is_named), "{case}: {seen}");
        }
        refused.len()
    }
}

/// Every other entity keeps in the object store what is sealed of it.
fn send_away(op: &mut Op) {
    if let Op::Create { entity, spec } | Op::Alter { entity, spec } = op
        && entity.0.is_multiple_of(2)
    {
        *spec = Spec {
            class: Class::Object,
            ..*spec
        };
    }
}

#[tokio::test]
async fn a_flipped_bit_in_an_object_is_named_and_changes_nothing_that_is_seen() {
    let (script, far) = Far::sealed(31).await;
    let all = script.digests.last().unwrap();
    let mut random = StdRng::seed_from_u64(31);
    let mut lost = 0;
    for path in far.paths() {
        for _ in 0..ROUNDS {
            let (copy, mut place) = (far.copy(), (0, 0));
            copy.damage(&path, |bytes| {
                let at = random.random_range(0..bytes.len());
                place = (at, 1 << random.random_range(0..8));
                bytes[place.0] ^= place.1;
            });
            let case = format!("{path:?} {place:?}");
            lost += copy.assert_honest(slice::from_ref(&path), all, &case).await;
        }
    }
    assert!(lost > 10, "only {lost} entities lost something");
}

#[tokio::test]
async fn a_cut_object_is_named_and_nobody_takes_it_for_one_that_cannot_be_reached() {
    let (script, far) = Far::sealed(32).await;
    let all = script.digests.last().unwrap();
    let mut random = StdRng::seed_from_u64(32);
    for path in far.paths() {
        for round in 0..ROUNDS {
            let (copy, mut end) = (far.copy(), 0);
            copy.damage(&path, |bytes| {
                end = match round {
                    0 => 0,
                    1 => bytes.len() - 1,
                    _ => random.random_range(0..bytes.len()),
                };
                bytes.truncate(end);
            });
            let case = format!("{path:?} cut at byte {end}");
            copy.assert_honest(slice::from_ref(&path), all, &case).await;
        }
    }
}

#[tokio::test]
async fn an_object_that_is_gone_or_another_one_is_named() {
    let (script, far) = Far::sealed(33).await;
    let all = script.digests.last().unwrap();
    let paths = far.paths();
    let mut lost = 0;
    for path in &paths {
        let copy = far.copy();
        fs::remove_file(copy.path_of(path)).unwrap();
        let case = format!("{path:?} is gone");
        lost += copy.assert_honest(slice::from_ref(path), all, &case).await;
    }
    for pair in paths.windows(2) {
        let copy = far.copy();
        fs::copy(far.path_of(&pair[0]), copy.path_of(&pair[1])).unwrap();
        fs::copy(far.path_of(&pair[1]), copy.path_of(&pair[0])).unwrap();
        let case = format!("{pair:?} are swapped");
        lost += copy.assert_honest(pair, all, &case).await;
    }
    assert!(lost > 2, "only {lost} entities lost something");
}
