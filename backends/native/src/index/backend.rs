//! The index's file as its engine sees it, over the store's own file system: the simulated one loses
//! and tears it like any other file.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use crate::lsn::{PAGE, PAGE_BYTES};
use crate::vfs::File;

/// A file that is written, or one that is only looked at.
#[derive(Debug)]
pub(crate) enum Backend {
    Written(Arc<dyn File>),
    Looked(Overlay),
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
    /// Leaves the file as it is.
    pub(crate) fn look(file: Arc<dyn File>) -> io::Result<Self> {
        let content = Content {
            length: file.length()?,
            pages: BTreeMap::new(),
        };
        let content = Mutex::new(content);
        Ok(Self::Looked(Overlay { file, content }))
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        match self {
            Self::Written(file) => file.length(),
            Self::Looked(overlay) => Ok(overlay.content.lock().length),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Written(file) if file.read_at(offset, out)? == out.len() => Ok(()),
            Self::Written(_) => Err(io::ErrorKind::UnexpectedEof.into()),
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
            Self::Written(file) => file.write_at(offset, &[data]),
            Self::Looked(overlay) => overlay.write(offset, data),
        }
    }
}

impl Overlay {
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
