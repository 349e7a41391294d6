//! Carrying a message in headers: the properties that a protocol has no place for, and the
//! types that its headers cannot say (`mapping.md` section 6).
//!
//! Properties without a place stand in front of the publisher's headers under names of our own. Values
//! are written as plain text, and one last header, `fl-t`, says what plain text does not:
//!
//! ```text
//! fl-t     = count ";" [ item { "," item } ]        count: entries before it
//! item     = position [ "p" | "h" ] [ letter ] [ "*" ]
//! p: a property of ours    h: a header that is not to be lifted    *: base64
//! ```
//!
//! It is absent when it would say nothing. A reader believes it only if writing what it says gives the
//! same list again, byte for byte, so that a list that a stranger made or changed is read as it stands.
//!
//! Where headers are a table of typed values instead, the same is said more briefly: [`write_table()`].
//! Begin with [`Target`], then [`write()`] and [`read()`].

mod cells;
mod field;
mod history;
mod list;
mod name;
mod parts;
mod sidecar;
mod table;
mod target;

pub use cells::Cells;
pub use field::Field;
pub use list::{Carried, Entry, read, write};
pub use table::{Table, read_table, write_table};
pub use target::{ListTarget, Restored, Target};

#[cfg(test)]
mod tests;
