//! A future that only its owner touches, inside a value that others may look at.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::Mutex;

/// A future behind a lock that is never taken: it is polled through `&mut` alone. The lock makes
/// the caller that holds it `Sync`, so that its other verbs can be awaited by reference.
pub(crate) struct Solo<F>(Mutex<F>);

impl<F: Future + Unpin> Solo<F> {
    pub(crate) fn new(future: F) -> Self {
        Self(Mutex::new(future))
    }

    pub(crate) fn into_inner(self) -> F {
        self.0.into_inner()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(self.0.get_mut()).poll(cx)
    }
}

impl<F> fmt::Debug for Solo<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Solo")
    }
}
