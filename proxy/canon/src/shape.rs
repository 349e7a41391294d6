//! Walking a message by a table before anybody decodes it.
//!
//! A decoder that allocates by counts from the wire can be made to ask for any amount of memory.
//! [`Layout::check`] walks the bytes first, allocates nothing, and proves that each length and each
//! count fits in the bytes that are there and that the lists stay within a limit of items.
//!
//! ```text
//! classic   Text  i16 length, -1 null     Blob  i32 length, -1 null     list  i32 count, -1 null
//! compact   all three: varint of (length or count) + 1, 0 null; each record ends in tagged fields:
//!           varint count, then per field varint tag, varint length, bytes
//! ```

use thiserror::Error;

/// A message: its fields, and the first version in which lengths are compact.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// In wire order.
    pub fields: &'static [Field],
    /// Versions from this one on are compact; `i16::MAX` for none.
    pub compact_since: i16,
}

/// One field, and the versions that have it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    name: &'static str,
    shape: Shape,
    since: i16,
    until: i16,
}

/// What a field looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// So many bytes.
    Fixed(usize),
    /// A short string.
    Text,
    /// A long string of bytes.
    Blob,
    /// A list of numbers of so many bytes each.
    Numbers(usize),
    /// A list of short strings.
    Texts,
    /// A list of records.
    Records(&'static [Field]),
    /// A record that may be absent: a signed byte, and unless that is below zero its fields.
    Optional(&'static [Field]),
}

/// Bytes that do not fit their layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// A field, its length or its count reaches beyond the end.
    #[error("{field} at byte {at} reaches beyond the end")]
    Short {
        /// The field.
        field: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A length or count that no version writes.
    #[error("{field} at byte {at} has an impossible length")]
    BadLength {
        /// The field.
        field: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// More items in all lists together than the reader allows.
    #[error("{field} at byte {at}: more items than the limit of {max}")]
    TooMany {
        /// The list that went beyond.
        field: &'static str,
        /// Where it begins.
        at: usize,
        /// The limit.
        max: usize,
    },
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    version: i16,
    is_compact: bool,
    items: usize,
    items_max: usize,
}

impl Layout {
    /// Proves that `bytes` begin with one message of this layout in `version`, with at most
    /// `items_max` items in all its lists together. Gives its length: what follows is not judged.
    pub fn check(&self, version: i16, bytes: &[u8], items_max: usize) -> Result<usize, Misfit> {
        let is_compact = version >= self.compact_since;
        let mut walk = Walk {
            bytes,
            at: 0,
            version,
            is_compact,
            items: 0,
            items_max,
        };
        walk.record(self.fields)?;
        Ok(walk.at)
    }
}

impl Field {
    /// A field of every version.
    pub const fn new(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            since: 0,
            until: i16::MAX,
        }
    }

    /// Only from this version on.
    pub const fn since(self, version: i16) -> Self {
        Self {
            since: version,
            ..self
        }
    }

    /// Only up to and with this version.
    pub const fn until(self, version: i16) -> Self {
        Self {
            until: version,
            ..self
        }
    }
}

impl Walk<'_> {
    // Recursion is bounded by the tables, which are constants; the bytes have no say in it.
    fn record(&mut self, fields: &'static [Field]) -> Result<(), Misfit> {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.field(field)?;
            }
        }
        if self.is_compact { self.tags() } else { Ok(()) }
    }

    fn field(&mut self, field: &Field) -> Result<(), Misfit> {
        let name = field.name;
        match field.shape {
            Shape::Fixed(len) => self.skip(name, len),
            Shape::Text => self.text(name),
            Shape::Blob => {
                let len = self.length(name)?;
                self.skip(name, len)
            }
            Shape::Numbers(width) => {
                let count = self.count(name)?;
                self.skip(name, count.saturating_mul(width))
            }
            Shape::Texts => {
                for _ in 0..self.count(name)? {
                    self.text(name)?;
                }
                Ok(())
            }
            Shape::Records(fields) => {
                for _ in 0..self.count(name)? {
                    self.record(fields)?;
                }
                Ok(())
            }
            Shape::Optional(fields) => match i8::from_be_bytes(self.array(name)?) {
                ..0 => Ok(()),
                0.. => self.record(fields),
            },
        }
    }

    fn text(&mut self, name: &'static str) -> Result<(), Misfit> {
        let at = self.at;
        let len = if self.is_compact {
            self.compact_length(name)?
        } else {
            match i16::from_be_bytes(self.array(name)?) {
                -1 => 0,
                len => usize::try_from(len)
                    .map_err(|_negative| Misfit::BadLength { field: name, at })?,
            }
        };
        self.skip(name, len)
    }

    /// Takes a count and charges its items. An item has at least one byte, so a count above the
    /// bytes that are left is refused before anything is walked.
    fn count(&mut self, name: &'static str) -> Result<usize, Misfit> {
        let at = self.at;
        let count = self.length(name)?;
        if count > self.left() {
            return Err(Misfit::Short { field: name, at });
        }
        self.items = self.items.saturating_add(count);
        if self.items > self.items_max {
            return Err(Misfit::TooMany {
                field: name,
                at,
                max: self.items_max,
            });
        }
        Ok(count)
    }

    fn length(&mut self, name: &'static str) -> Result<usize, Misfit> {
        if self.is_compact {
            return self.compact_length(name);
        }
        let at = self.at;
        match i32::from_be_bytes(self.array(name)?) {
            -1 => Ok(0),
            len => usize::try_from(len).map_err(|_negative| Misfit::BadLength { field: name, at }),
        }
    }

    fn compact_length(&mut self, name: &'static str) -> Result<usize, Misfit> {
        Ok(self.varint(name)?.saturating_sub(1))
    }

    fn tags(&mut self) -> Result<(), Misfit> {
        const TAGS: &str = "tagged fields";
        let at = self.at;
        let count = self.varint(TAGS)?;
        if count > self.left() {
            return Err(Misfit::Short { field: TAGS, at });
        }
        self.items = self.items.saturating_add(count);
        if self.items > self.items_max {
            return Err(Misfit::TooMany {
                field: TAGS,
                at,
                max: self.items_max,
            });
        }
        for _ in 0..count {
            self.varint(TAGS)?;
            let len = self.varint(TAGS)?;
            self.skip(TAGS, len)?;
        }
        Ok(())
    }

    /// An unsigned number of at most 32 bits in groups of seven, lowest first.
    fn varint(&mut self, name: &'static str) -> Result<usize, Misfit> {
        let at = self.at;
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array(name)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let value = u32::try_from(value).ok();
                let value = value.and_then(|value| usize::try_from(value).ok());
                return value.ok_or(Misfit::BadLength { field: name, at });
            }
        }
        Err(Misfit::BadLength { field: name, at })
    }

    fn array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], Misfit> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = rest.first_chunk::<N>().ok_or(Misfit::Short {
            field: name,
            at: self.at,
        })?;
        self.at += N;
        Ok(*array)
    }

    fn skip(&mut self, name: &'static str, len: usize) -> Result<(), Misfit> {
        if len > self.left() {
            return Err(Misfit::Short {
                field: name,
                at: self.at,
            });
        }
        self.at += len;
        Ok(())
    }

    fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new("parts", Shape::Numbers(4)),
                ]),
            ),
            Field::new("old", Shape::Fixed(1)).until(0),
            Field::new("names", Shape::Texts).since(1),
            Field::new("blob", Shape::Blob),
        ],
    };

    #[test]
    fn a_message_that_fits_is_passed_in_both_forms() {
        let classic = b"\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x07\xff\0\0\0\x02hi";
        assert_eq!(LAYOUT.check(0, classic, 2), Ok(classic.len()));
        let compact = b"\x02\x02a\x02\0\0\0\x07\0\x02\x02b\x03hi\x01\x05\x01!";
        assert_eq!(LAYOUT.check(2, compact, 4), Ok(compact.len()));
    }

    #[test]
    fn one_item_above_the_limit_is_refused() {
        let classic = b"\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x07\xff\0\0\0\x02hi";
        let refused = Misfit::TooMany {
            field: "parts",
            at: 7,
            max: 1,
        };
        assert_eq!(LAYOUT.check(0, classic, 1), Err(refused));
    }

    #[test]
    fn a_count_of_two_billion_is_refused_at_once() {
        let announced = b"\x7f\xff\xff\xff\0\x01a";
        let refused = Misfit::Short {
            field: "topics",
            at: 0,
        };
        assert_eq!(LAYOUT.check(0, announced, usize::MAX), Err(refused));
        let compact = b"\xff\xff\xff\xff\x0f\0\x01a";
        assert_eq!(LAYOUT.check(2, compact, usize::MAX), Err(refused));
    }

    #[test]
    fn null_is_minus_one_and_less_is_refused() {
        assert_eq!(
            LAYOUT.check(1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0),
            Ok(12)
        );
        let refused = Misfit::BadLength {
            field: "topics",
            at: 0,
        };
        assert_eq!(LAYOUT.check(1, b"\xff\xff\xff\xfe", 0), Err(refused));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(version in 0i16..4, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(len) = LAYOUT.check(version, &bytes, 100) {
                prop_assert!(len <= bytes.len());
            }
        }
    }
}
