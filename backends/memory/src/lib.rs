//! A store in memory: the class `memory`, and the reference that other stores are compared with.
//!
//! Plain maps behind one lock. A unit is judged as a whole (`judge`) before any of it is applied
//! (`world`), so a refused unit leaves no trace. Begin with [`Memory`].

mod cursor;
mod documents;
mod entities;
mod entity;
mod judge;
mod log;
mod lone;
mod producer;
mod store;
mod txn;
mod world;

pub use store::Memory;
