//! What only some callers need, and those only at times.

use std::ops::{Deref, DerefMut};

/// Something that looks the same for all who have not changed theirs.
pub(crate) trait Fresh: Default + 'static {
    /// What it looks like then.
    fn fresh() -> &'static Self;
}

/// A value that has room of its own once it is borrowed for a change. Until then it takes a word, and reads like
/// one that was just made.
#[derive(Debug)]
pub(crate) struct Seldom<T>(Option<Box<T>>);

impl<T> Seldom<T> {
    /// Gives its room back if what is in it is as good as fresh.
    pub(crate) fn give_back_if(&mut self, is_blank: impl FnOnce(&T) -> bool) {
        drop(self.0.take_if(|own| is_blank(own)));
    }
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Fresh> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(own) => own,
            None => T::fresh(),
        }
    }
}

impl<T: Fresh> DerefMut for Seldom<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
