//! The index's file as its engine sees it, over the store's own file system: the simulated one loses
//! and tears it like any other file.
//!
//! When the disk is full, what is written stays in memory until it has to be durable, and then waits for
//! room: readers go on meanwhile. A sync that fails is never tried again.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use redb::StorageBackend;

use super::shortage::Shortage;
use crate::lsn::{PAGE, PAGE_BYTES};
use crate::vfs::File;

/// A file that is written, or one that is only looked at.
#[derive(Debug)]
pub(crate) enum Backend {
    Written(Patient),
    Looked(Overlay),
}

/// A file, and what it has no room for.
#[derive(Debug)]
pub(crate) struct Patient {
    file: Arc<dyn File>,
    parked: RwLock<Option<Overlay>>,
    /// Nothing was written since its length was changed last.
    is_only_longer: AtomicBool,
    shortage: Arc<Shortage>,
}

/// A file that stays as it is: what is written to it is kept in memory. Opening an index that was
/// not closed writes a little.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: Arc<dyn File>,
    content: Mutex<Content>,
}

#[derive(Debug)]
struct Content {
    length: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Backend {
    /// Writes the file, and waits for room as `shortage` says.
    pub(crate) fn write(file: Arc<dyn File>, shortage: &Arc<Shortage>) -> Self {
        Self::Written(Patient {
            file,
            parked: RwLock::new(None),
            is_only_longer: AtomicBool::new(false),
            shortage: Arc::clone(shortage),
        })
    }

    /// Leaves the file as it is.
    pub(crate) fn look(file: Arc<dyn File>) -> io::Result<Self> {
        Overlay::over(file).map(Self::Looked)
    }
}

impl Patient {
    fn length(&self) -> io::Result<u64> {
        match &*self.parked.read() {
            Some(overlay) => Ok(overlay.length()),
            None => self.file.length(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if let Some(overlay) = &*self.parked.read() {
            return overlay.read(offset, out);
        }
        if self.file.read_at(offset, out)? == out.len() {
            return Ok(());
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Changes the file, or what is parked over it from the moment on when there was no room.
    fn change(
        &self,
        in_file: impl FnOnce(&dyn File) -> io::Result<()>,
        in_memory: impl FnOnce(&Overlay) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut parked = self.parked.write();
        if let Some(overlay) = &*parked {
            return in_memory(overlay);
        }
        match in_file(self.file.as_ref()) {
            Err(error) if is_full(&error) => {
                in_memory(parked.insert(Overlay::over(Arc::clone(&self.file))?))
            }
            done => done,
        }
    }

    fn resize(&self, length: u64) -> io::Result<()> {
        self.is_only_longer.store(true, Ordering::Relaxed);
        let in_memory = |overlay: &Overlay| {
            overlay.resize(length);
            Ok(())
        };
        self.change(|file| file.resize(length), in_memory)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.is_only_longer.store(false, Ordering::Relaxed);
        let in_memory = |overlay: &Overlay| overlay.write(offset, data);
        self.change(|file| file.write_at(offset, &[data]), in_memory)
    }

    fn sync(&self) -> io::Result<()> {
        // Its length is made durable before anything refers to that, and readers wait meanwhile.
        // While it is parked so is what refers to it, and keeps that order when it lands.
        if self.is_only_longer.load(Ordering::Relaxed) && self.parked.read().is_some() {
            return Ok(());
        }
        while let Err(error) = self.land() {
            if !is_full(&error) || !self.shortage.wait() {
                return Err(error);
            }
        }
        self.shortage.end();
        self.file.sync()
    }

    /// Writes what is parked.
    fn land(&self) -> io::Result<()> {
        let mut parked = self.parked.write();
        if let Some(overlay) = &*parked {
            overlay.write_out()?;
        }
        *parked = None;
        Ok(())
    }
}

/// Nothing of it needs to be feared for: the file took it or did not.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        match self {
            Self::Written(file) => file.length(),
            Self::Looked(overlay) => Ok(overlay.length()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Written(file) => file.read(offset, out),
            Self::Looked(overlay) => overlay.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self {
            Self::Written(file) => file.resize(len),
            Self::Looked(overlay) => {
                overlay.resize(len);
                Ok(())
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self {
            Self::Written(file) => file.sync(),
            Self::Looked(_) => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Written(file) => file.write(offset, data),
            Self::Looked(overlay) => overlay.write(offset, data),
        }
    }
}

impl Overlay {
    fn over(file: Arc<dyn File>) -> io::Result<Self> {
        let content = Content {
            length: file.length()?,
            pages: BTreeMap::new(),
        };
        let content = Mutex::new(content);
        Ok(Self { file, content })
    }

    fn length(&self) -> u64 {
        self.content.lock().length
    }

    /// Writes all of it to the file, whose length is durable before.
    fn write_out(&self) -> io::Result<()> {
        let content = self.content.lock();
        self.file.resize(content.length)?;
        // Whatever kind this error has, no other try follows.
        self.file.sync().map_err(io::Error::other)?;
        for (number, page) in &content.pages {
            let at = number.saturating_mul(PAGE);
            let left = content.length.saturating_sub(at).min(PAGE);
            let page = page.get(..usize::try_from(left).unwrap_or(PAGE_BYTES));
            self.file.write_at(at, &[page.unwrap_or_default()])?;
        }
        Ok(())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content.lock();
        if offset.saturating_add(out.len() as u64) > content.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let skip = usize::try_from(at % PAGE).unwrap_or(0);
            let len = rest.len().min(PAGE_BYTES - skip);
            let (part, next) = rest.split_at_mut(len);
            let page = match content.pages.get(&(at / PAGE)) {
                Some(page) => **page,
                None => self.page(at / PAGE)?,
            };
            part.copy_from_slice(page.get(skip..skip + len).unwrap_or_default());
            at += len as u64;
            rest = next;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.content.lock();
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let skip = usize::try_from(at % PAGE).unwrap_or(0);
            let (part, next) = rest.split_at(rest.len().min(PAGE_BYTES - skip));
            let mut page = match content.pages.remove(&(at / PAGE)) {
                Some(page) => page,
                None => Box::new(self.page(at / PAGE)?),
            };
            if let Some(place) = page.get_mut(skip..skip + part.len()) {
                place.copy_from_slice(part);
            }
            content.pages.insert(at / PAGE, page);
            at += part.len() as u64;
            rest = next;
        }
        content.length = content.length.max(at);
        Ok(())
    }

    /// A page of the file; zeros behind its end.
    fn page(&self, number: u64) -> io::Result<[u8; PAGE_BYTES]> {
        let mut page = [0; PAGE_BYTES];
        self.file.read_at(number.saturating_mul(PAGE), &mut page)?;
        Ok(page)
    }

    fn resize(&self, length: u64) {
        let mut content = self.content.lock();
        if length < content.length {
            // What lies behind the end must not come back when it grows again.
            let zeros = length.div_ceil(PAGE)..content.length.div_ceil(PAGE);
            content
                .pages
                .extend(zeros.map(|number| (number, Box::new([0; PAGE_BYTES]))));
        }
        content.length = length;
    }
}
