//! A file system in memory that loses, tears and refuses what a real one may.
//!
//! Every change is one numbered operation. At the chosen one the power fails: it and all later ones
//! are refused, and [`SimFs::after_crash`] says what a disk could hold then.

mod luck;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::luck::Loss;
use self::luck::Luck;
use super::{File, Flush, Lock, Room, Vfs};

/// The file system; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimFs(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    files: Vec<SimFile>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    renamed: Vec<Naming>,
    locks: BTreeSet<PathBuf>,
    done: u64,
    fails_at: Option<u64>,
    loses_at: Option<u64>,
    is_full: bool,
    room: Option<Room>,
    observer: Option<Observer>,
}

/// Looks at the disk after each operation, before the next one.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&SimFs) + Send + Sync>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    /// A failed sync of a disk that goes on.
    Lost,
    /// The power fails meanwhile.
    Halved,
    Refused,
}

/// Copies of a disk share the bytes that neither of them changes.
#[derive(Debug, Default)]
struct SimFile {
    content: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    unsynced: Vec<Change>,
}

/// A change of a file that is not durable.
#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

/// A change of names that is not durable: what goes, and what comes.
#[derive(Clone, Debug)]
struct Naming {
    gone: Option<PathBuf>,
    come: Option<(PathBuf, usize)>,
}

#[derive(Debug)]
struct Handle {
    fs: SimFs,
    id: usize,
}

#[derive(Debug)]
struct Held {
    fs: SimFs,
    path: PathBuf,
}

impl SimFs {
    /// Lets the operation with this number, and all later ones, fail.
    pub fn fail_at(&self, operation: u64) {
        self.0.lock().fails_at = Some(operation);
    }

    /// Lets the operation with this number fail if it is a sync, and what it should have made
    /// durable be forgotten: it can still be read, and no later sync writes it.
    pub fn lose_sync_at(&self, operation: u64) {
        self.0.lock().loses_at = Some(operation);
    }

    /// Whether the disk has no room for files to grow.
    pub fn set_full(&self, is_full: bool) {
        self.0.lock().is_full = is_full;
    }

    /// Says so many bytes are free, of 100 GiB; without this, half of them.
    pub fn set_free(&self, bytes: u64) {
        self.set_room(Room {
            free: bytes,
            total: 100 << 30,
        });
    }

    /// Says that it has so much room.
    pub fn set_room(&self, room: Room) {
        self.0.lock().room = Some(room);
    }

    /// Operations done so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().done
    }

    /// What the disk holds after the power failed now.
    pub fn after_crash(&self, loss: Loss) -> Self {
        let content = self.0.lock();
        let mut luck = Luck::new(loss);
        let survivor = |file: &SimFile| {
            let mut durable = Arc::clone(&file.durable);
            for change in &file.unsynced {
                luck.keep(&mut durable, change);
            }
            SimFile {
                content: Arc::clone(&durable),
                durable,
                unsynced: Vec::new(),
            }
        };
        let files = content.files.iter().map(survivor).collect();
        let mut names = content.durable_names.clone();
        for naming in &content.renamed {
            if luck.has_kept() {
                naming.apply(&mut names);
            }
        }
        let durable_names = names.clone();
        Self(Arc::new(Mutex::new(Content {
            files,
            names,
            durable_names,
            ..Content::default()
        })))
    }

    /// A copy that shares nothing, with everything as it is now.
    pub fn copy(&self) -> Self {
        self.after_crash(Loss::Nothing)
    }

    /// Whether both have the same files with the same bytes in them.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        self.files() == other.files()
    }

    fn files(&self) -> Vec<(PathBuf, Arc<Vec<u8>>)> {
        let content = self.0.lock();
        let bytes = |id: &usize| content.files.get(*id).map(|file| Arc::clone(&file.content));
        let named = |(path, id): (&PathBuf, &usize)| Some((path.clone(), bytes(id)?));
        content.names.iter().filter_map(named).collect()
    }

    /// Names of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// Changes the bytes of a file behind everybody's back, durably.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.0.lock();
        let Some(&id) = content.names.get(path) else {
            return;
        };
        if let Some(file) = content.files.get_mut(id) {
            change(Arc::make_mut(&mut file.content));
            file.durable = Arc::clone(&file.content);
            file.unsynced.clear();
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        self.operate(|content, fate| match fate {
            Fate::Done | Fate::Lost => change(content),
            // What was under way when the power failed may or may not have reached the disk.
            Fate::Halved => change(content).and(Err(io::Error::other("the power fails"))),
            Fate::Refused => Err(io::Error::other("the power has failed")),
        })
    }

    fn operate<T>(
        &self,
        operate: impl FnOnce(&mut Content, Fate) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut content = self.0.lock();
        let fate = content.next();
        let result = operate(&mut content, fate);
        let observer = content.observer.clone();
        drop(content);
        if let Some(observer) = observer {
            (observer.0)(self);
        }
        result
    }

    /// Lets somebody look at the disk after each operation from now on, or nobody any more.
    pub fn observe(&self, observer: Option<Observer>) {
        self.0.lock().observer = observer;
    }
}

impl Observer {
    /// Calls this after each operation.
    pub fn new(look: impl Fn(&SimFs) + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Observer")
    }
}

impl Content {
    /// What becomes of the operation that is about to be done.
    fn next(&mut self) -> Fate {
        self.done += 1;
        match self.fails_at {
            Some(at) if self.done == at => Fate::Halved,
            Some(at) if self.done > at => Fate::Refused,
            _ if self.loses_at == Some(self.done) => Fate::Lost,
            _ => Fate::Done,
        }
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.renamed.push(naming);
    }

    fn file(&mut self, id: usize) -> io::Result<&mut SimFile> {
        self.files
            .get_mut(id)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Naming {
    /// Renames stay within a directory.
    fn is_in(&self, dir: &Path) -> bool {
        let come = self.come.as_ref().map(|(path, _)| path);
        let name = self.gone.as_ref().or(come);
        name.is_some_and(|name| name.parent() == Some(dir))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((path, id)) = &self.come {
            names.insert(path.clone(), *id);
        }
    }
}

impl Vfs for SimFs {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let content = self.0.lock();
        let inside = content
            .names
            .keys()
            .filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let id = self.0.lock().names.get(path).copied();
        let id = id.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Handle {
            fs: self.clone(),
            id,
        }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let id = self.change(|content| {
            let id = content.files.len();
            content.files.push(SimFile::default());
            content.name(Naming {
                gone: None,
                come: Some((path.to_path_buf(), id)),
            });
            Ok(id)
        })?;
        Ok(Arc::new(Handle {
            fs: self.clone(),
            id,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|content| {
            let id = content
                .names
                .get(from)
                .copied()
                .ok_or(io::ErrorKind::NotFound)?;
            content.name(Naming {
                gone: Some(from.to_path_buf()),
                come: Some((to.to_path_buf(), id)),
            });
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|content| {
            content.name(Naming {
                gone: Some(path.to_path_buf()),
                come: None,
            });
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|content| {
            let (synced, rest) = content
                .renamed
                .drain(..)
                .partition(|naming| naming.is_in(dir));
            content.renamed = rest;
            let synced: Vec<Naming> = synced;
            synced
                .iter()
                .for_each(|naming| naming.apply(&mut content.durable_names));
            Ok(())
        })
    }

    fn room(&self, _: &Path) -> io::Result<Room> {
        let half = Room {
            free: 50 << 30,
            total: 100 << 30,
        };
        Ok(self.0.lock().room.unwrap_or(half))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        if !self.0.lock().locks.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held {
            fs: self.clone(),
            path: path.to_path_buf(),
        }))
    }
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.fs.0.lock().locks.remove(&self.path);
    }
}

impl File for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(self.fs.0.lock().file(self.id)?.content.len() as u64)
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut content = self.fs.0.lock();
        let bytes = &content.file(self.id)?.content;
        let start = usize::try_from(position)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let (_, rest) = bytes.split_at(start);
        let read = rest.len().min(out.len());
        if let (Some(place), Some(bytes)) = (out.get_mut(..read), rest.get(..read)) {
            place.copy_from_slice(bytes);
        }
        Ok(read)
    }

    fn write_at(&self, position: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.fs.change(|content| {
            let at = usize::try_from(position).map_err(|_too_far| io::ErrorKind::InvalidInput)?;
            let bytes = parts.concat();
            let is_full = content.is_full;
            let file = content.file(self.id)?;
            if is_full && at + bytes.len() > file.content.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.change(Change::Write(at, bytes));
            Ok(())
        })
    }

    // Two operations, so that the power can fail in the middle of it.
    fn write_pages(&self, position: u64, parts: &[&[u8]], flush: Flush) -> io::Result<()> {
        self.write_at(position, parts)?;
        let is_it =
            |change: &Change| matches!(change, Change::Write(at, _) if *at as u64 == position);
        match flush {
            Flush::Now => self.keep(is_it),
            Flush::Later => Ok(()),
        }
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.resize(length)
    }

    fn resize(&self, length: u64) -> io::Result<()> {
        self.fs.change(|content| {
            let length = usize::try_from(length).map_err(|_too_far| io::ErrorKind::InvalidInput)?;
            let is_full = content.is_full;
            let file = content.file(self.id)?;
            if is_full && length > file.content.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.change(Change::Resize(length));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.keep(|_| true)
    }
}

impl Handle {
    /// Makes some changes durable, and no others.
    fn keep(&self, is_kept: impl Fn(&Change) -> bool) -> io::Result<()> {
        self.fs.operate(|content, fate| {
            let file = content.file(self.id)?;
            match fate {
                Fate::Done => {
                    for change in file.unsynced.extract_if(.., |change| is_kept(change)) {
                        change.apply(Arc::make_mut(&mut file.durable));
                    }
                    Ok(())
                }
                // The page cache keeps showing what it has, and takes it for written.
                Fate::Lost => {
                    file.unsynced.retain(|change| !is_kept(change));
                    Err(io::Error::other("the disk did not take it"))
                }
                Fate::Halved | Fate::Refused => Err(io::Error::other("the power has failed")),
            }
        })
    }
}

impl SimFile {
    fn change(&mut self, change: Change) {
        change.apply(Arc::make_mut(&mut self.content));
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => write(content, *at, bytes),
            Self::Resize(length) => resize(content, *length),
        }
    }
}

fn resize(content: &mut Vec<u8>, length: usize) {
    content.truncate(length);
    // All at once: without optimisation, one by one takes most of the time of a test.
    let zeros = vec![0; length - content.len()];
    content.extend_from_slice(&zeros);
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        resize(content, end);
    }
    if let Some(place) = content.get_mut(at..end) {
        place.copy_from_slice(bytes);
    }
}
