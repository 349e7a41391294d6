//! Class 90: transactions.

use super::method::fields;

fields! {
    /// Makes the channel transactional.
    Select {}
    /// The channel is transactional.
    SelectOk {}
    /// Lets the transaction take effect.
    Commit {}
    /// It took effect.
    CommitOk {}
    /// Drops the transaction.
    Rollback {}
    /// It was dropped.
    RollbackOk {}
}
