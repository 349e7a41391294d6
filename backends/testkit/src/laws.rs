//! What every store must do, one function per law.

pub mod append;
pub mod dead;
pub mod documents;
pub mod entities;
pub mod latest;
pub mod producers;
pub mod reading;
pub mod retention;
pub mod settling;
pub mod transactions;
