//! A future that only its owner touches, inside a value that others may look at.

use std::fmt;
use std::task::{Context, Poll};

use fairlead_ports::BoxFuture;
use parking_lot::Mutex;

/// A future behind a lock that is never taken: it is polled through `&mut` alone. The lock makes
/// the caller that holds it `Sync`, so that its other verbs can be awaited by reference.
pub(crate) struct Solo<T>(Mutex<BoxFuture<'static, T>>);

impl<T> Solo<T> {
    pub(crate) fn new(future: BoxFuture<'static, T>) -> Self {
        Self(Mutex::new(future))
    }

    pub(crate) fn into_inner(self) -> BoxFuture<'static, T> {
        self.0.into_inner()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.0.get_mut().as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Solo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Solo")
    }
}
