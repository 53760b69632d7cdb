//! The log: a function that the library tells what it passes over.
use crate::sys;
use std::ffi::CStr;
use std::fmt;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogLevel {
    /// What may be a mistake.
    Warning,
    /// What is good to know.
    Info,
}

type LogFn = dyn Fn(LogLevel, &str) + Send + Sync;

struct Receiver {
    receive: Box<LogFn>,
}

/// A log that C holds a pointer to: who holds C's object holds a clone.
#[derive(Clone)]
pub(crate) struct Log(Arc<Receiver>);

impl Log {
    pub(crate) fn new(receive: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Receiver {
            receive: Box::new(receive),
        }))
    }

    /// C's two fields.
    pub(crate) fn fields(log: &Option<Log>) -> (sys::pp_log_fn, *mut c_void) {
        match log {
            Some(log) => (Some(receive), Arc::as_ptr(&log.0) as *mut c_void),
            None => (None, std::ptr::null_mut()),
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

unsafe extern "C" fn receive(user: *mut c_void, level: i32, message: *const c_char) {
    let receiver = &*(user as *const Receiver);
    let line = CStr::from_ptr(message).to_string_lossy();
    let level = if level == sys::PP_LOG_WARNING {
        LogLevel::Warning
    } else {
        LogLevel::Info
    };
    // A panic must not unwind through C, and there is nobody to hand it to.
    let _ = catch_unwind(AssertUnwindSafe(|| (receiver.receive)(level, &line)));
}
