//! What every translator is held to, for tests alone: [`ledger::check`] compares its ledger, its marks
//! and its tests, [`fuzz::Fuzz`] gives it damaged input.

pub mod fuzz;
pub mod ledger;
