//! A store made of stores: each entity lives where its class says, and a unit that concerns both
//! places becomes two.
//!
//! Begin with [`ByClass`]; `split` takes units apart and puts their results together again, `switch` moves
//! an entity whose class changes while everything goes on, `copy` is what it does in each round.

mod by_class;
mod copy;
mod gate;
mod handle;
mod keys;
mod marker;
mod meter;
mod muffle;
mod slice;
mod split;
mod switch;
mod touched;
mod views;

pub use by_class::ByClass;
pub use meter::Moves;
