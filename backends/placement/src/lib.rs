//! A store made of stores: each entity lives where its class says, and a unit that concerns both
//! places becomes two.
//!
//! Begin with [`ByClass`]; `split` takes units apart and puts their results together again.

mod by_class;
mod split;

pub use by_class::ByClass;
