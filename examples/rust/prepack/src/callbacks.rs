//! Panics of callbacks: they wait until C has returned.
use std::any::Any;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// What a callback left, if it panicked.
#[derive(Default)]
pub(crate) struct Held(Option<Box<dyn Any + Send>>);

impl Held {
    /// Calls f, which shall not unwind into C; None after a panic, and for every call after it.
    pub(crate) fn call<T>(&mut self, f: impl FnOnce() -> T) -> Option<T> {
        if self.0.is_some() {
            return None;
        }
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(value) => Some(value),
            Err(payload) => {
                self.0 = Some(payload);
                None
            }
        }
    }

    /// Goes on with a panic, now that C has returned.
    pub(crate) fn resume(self) {
        if let Some(payload) = self.0 {
            resume_unwind(payload);
        }
    }
}
