//! A store made of stores: each entity lives where its class says, and a unit that concerns both
//! places becomes two.
//!
//! Begin with [`ByClass`]; `split` takes units apart and puts their results together again, `switch` moves
//! an entity whose class changes while everything goes on.

mod by_class;
mod copy;
mod gate;
mod handle;
mod muffle;
mod split;
mod switch;

pub use by_class::ByClass;
