//! The locks and flags of this module: parking_lot's and the standard's, or loom's where `--cfg loom` checks every interleaving (`models.rs`).

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
pub(super) use parking_lot::Mutex;
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(loom)]
pub(super) use checked::Mutex;

#[cfg(loom)]
mod checked {
    //! loom's mutex with parking_lot's surface.

    /// See the module.
    #[derive(Debug, Default)]
    pub(in super::super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// Wraps a value.
        pub(in super::super) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        /// Locks; a model that panics while it holds a lock has failed anyway.
        pub(in super::super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("a model that holds a lock does not panic")
        }
    }
}
