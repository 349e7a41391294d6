//! Reading for the kernel's own tasks: what is damaged holds up nothing else.

use fairlead_canon::Offset;
use fairlead_ports::{Log, StoreError, Stored};

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    /// In the order in which it was asked for; what is gone is left out.
    pub(crate) whole: Vec<Stored>,
    /// What cannot be read, and why.
    pub(crate) damaged: Vec<(Offset, StoreError)>,
}

/// Reads these together, or one by one when some of them are damaged. Any other error ends it.
pub(crate) async fn salvage(log: &dyn Log, at: Vec<Offset>) -> Result<Salvage, StoreError> {
    match log.fetch(at.clone()).await {
        Err(StoreError::Corrupt { .. }) => {}
        read => {
            return read.map(|whole| Salvage {
                whole,
                damaged: Vec::new(),
            });
        }
    }
    let mut found = Salvage::default();
    for offset in at {
        match log.fetch(vec![offset]).await {
            Ok(stored) => found.whole.extend(stored),
            Err(error @ StoreError::Corrupt { .. }) => found.damaged.push((offset, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
