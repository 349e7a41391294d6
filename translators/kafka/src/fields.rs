//! Reading and writing the fields of both forms, for the requests that we open ourselves.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::Text;
use fairlead_canon::shape::Misfit;
use fairlead_wire::{Reader, WireError};

use crate::frame::Form;
use crate::guard::ITEMS_MAX;

/// Fields of a request, in order.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    reader: Reader<'a>,
    form: Form,
    /// Items of all lists so far.
    items: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a Bytes, form: Form) -> Self {
        Self {
            reader: Reader::new(bytes),
            form,
            items: 0,
        }
    }

    pub(crate) fn i8(&mut self, field: &'static str) -> Result<i8, WireError> {
        self.reader.array(field).map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self, field: &'static str) -> Result<i16, WireError> {
        self.reader.array(field).map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, WireError> {
        self.reader.array(field).map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, WireError> {
        self.reader.array(field).map(i64::from_be_bytes)
    }

    /// Text; `None` is null.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<Option<Text>, WireError> {
        let len = match self.form {
            Form::Classic => length(i32::from(self.i16(field)?)),
            Form::Compact => self.varint(field)?.checked_sub(1),
        };
        let Some(len) = len else { return Ok(None) };
        let at = self.reader.at();
        let bytes = self.reader.bytes(field, len)?;
        let text = Text::try_from(bytes).map_err(|_not_utf8| WireError::NotUtf8 { field, at })?;
        Ok(Some(text))
    }

    /// A slice of the request; `None` is null.
    pub(crate) fn blob(&mut self, field: &'static str) -> Result<Option<Bytes>, WireError> {
        match self.length(field)? {
            Some(len) => self.reader.bytes(field, len).map(Some),
            None => Ok(None),
        }
    }

    /// The count of a list, each of whose items takes at least one byte; null counts as none. All
    /// lists of a request together have at most [`ITEMS_MAX`] items.
    pub(crate) fn count(&mut self, field: &'static str) -> Result<usize, Misfit> {
        let at = self.reader.at();
        let short = Misfit::Short { field, at };
        let count = self.length(field).map_err(|_short| short)?.unwrap_or(0);
        if count > self.reader.left() {
            return Err(short);
        }
        self.items = self.items.saturating_add(count);
        if self.items > ITEMS_MAX {
            return Err(Misfit::TooMany {
                field,
                at,
                max: ITEMS_MAX,
            });
        }
        Ok(count)
    }

    /// Passes over the tagged fields at the end of a record.
    pub(crate) fn tags(&mut self) -> Result<(), WireError> {
        const TAGS: &str = "tagged fields";
        if self.form == Form::Classic {
            return Ok(());
        }
        for _ in 0..self.varint(TAGS)? {
            self.varint(TAGS)?;
            let len = self.varint(TAGS)?;
            self.reader.bytes(TAGS, len)?;
        }
        Ok(())
    }

    pub(crate) fn rest(mut self) -> Bytes {
        self.reader.rest()
    }

    fn length(&mut self, field: &'static str) -> Result<Option<usize>, WireError> {
        Ok(match self.form {
            Form::Classic => length(self.i32(field)?),
            Form::Compact => self.varint(field)?.checked_sub(1),
        })
    }

    /// An unsigned number in groups of seven bits, lowest first. More than 32 bits are more than any
    /// request has, so they come out as a length that does not fit.
    fn varint(&mut self, field: &'static str) -> Result<usize, WireError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.reader.u8(field)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(usize::try_from(value).unwrap_or(usize::MAX));
            }
        }
        Ok(usize::MAX)
    }
}

/// -1 is null; what is below is as good as a length that does not fit.
fn length(said: i32) -> Option<usize> {
    match said {
        -1 => None,
        said => Some(usize::try_from(said).unwrap_or(usize::MAX)),
    }
}

/// Fields of a response, in order.
#[derive(Debug)]
pub(crate) struct Out {
    bytes: BytesMut,
    form: Form,
}

impl Out {
    pub(crate) fn new(form: Form) -> Self {
        Self {
            bytes: BytesMut::new(),
            form,
        }
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.bytes.put_i16(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.put_i32(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes.put_i64(value);
    }

    pub(crate) fn text(&mut self, text: Option<&str>) {
        let text = text.map(|text| {
            text.get(..text.floor_char_boundary(TEXT_MAX))
                .unwrap_or_default()
        });
        match (self.form, text) {
            (Form::Classic, None) => self.i16(-1),
            (Form::Classic, Some(text)) => self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX)),
            (Form::Compact, None) => self.varint(0),
            (Form::Compact, Some(text)) => self.varint(text.len() + 1),
        }
        self.bytes.put_slice(text.unwrap_or_default().as_bytes());
    }

    /// The count of a list, or the length of bytes that follow.
    pub(crate) fn count(&mut self, count: usize) {
        match self.form {
            Form::Classic => self.i32(i32::try_from(count).unwrap_or(i32::MAX)),
            Form::Compact => self.varint(count.saturating_add(1)),
        }
    }

    /// A list; `None` is null.
    pub(crate) fn list<T>(&mut self, items: Option<&[T]>, mut put: impl FnMut(&mut Self, &T)) {
        match (items, self.form) {
            (Some(items), _) => {
                self.count(items.len());
                items.iter().for_each(|item| put(self, item));
            }
            (None, Form::Classic) => self.i32(-1),
            (None, Form::Compact) => self.varint(0),
        }
    }

    /// No tagged fields.
    pub(crate) fn tags(&mut self) {
        if self.form == Form::Compact {
            self.varint(0);
        }
    }

    /// What has been written, which is no longer in here.
    pub(crate) fn take(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }

    fn varint(&mut self, value: usize) {
        let mut rest = value;
        while rest >= 0x80 {
            self.bytes
                .put_u8(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
            rest >>= 7;
        }
        self.bytes.put_u8(u8::try_from(rest).unwrap_or(0));
    }
}

/// The longest text that a classic length can say; ours are names and error messages.
const TEXT_MAX: usize = 32_767;
