//! Errors: what the library answers, with its details.
use crate::macros::{array_text, static_text};
use crate::sys;
use std::fmt;

/// The outcome of calls.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is out of the range that its declaration gives.
    Argument,
    /// Host memory, or a memory limit that was set, is exhausted.
    OutOfMemory,
    /// Device memory is exhausted.
    OutOfDeviceMemory,
    /// The device or its driver reported an error.
    Device,
    /// Well-formed, but this library cannot do it.
    Unsupported,
    /// A file breaks its format.
    Format,
    /// A file could not be opened, read or written; [`Error::native_code`] holds errno.
    Io,
    /// A count or size in a file is above what the library accepts.
    Limit,
    /// A file name in a checkpoint would leave its directory.
    Path,
    /// A prompt does not fit: a bin's capacity or a model's positions.
    TooLong,
    /// Somebody ended the call, or closed the queue.
    Cancelled,
    /// No such device here, or its backend is not installed.
    NoBackend,
    /// This crate and the library do not fit together.
    StructSize,
    /// An invariant of the library broke; please report.
    Internal,
    /// A result is not a number: logits that a token was to be drawn from.
    NotFinite,
    /// A status that a newer library has.
    Other(i32),
}

impl ErrorKind {
    fn from_status(status: sys::pp_status) -> Self {
        match status {
            sys::PP_ERR_ARG => Self::Argument,
            sys::PP_ERR_NOMEM => Self::OutOfMemory,
            sys::PP_ERR_DEVICE_NOMEM => Self::OutOfDeviceMemory,
            sys::PP_ERR_DEVICE => Self::Device,
            sys::PP_ERR_UNSUPPORTED => Self::Unsupported,
            sys::PP_ERR_FORMAT => Self::Format,
            sys::PP_ERR_IO => Self::Io,
            sys::PP_ERR_LIMIT => Self::Limit,
            sys::PP_ERR_PATH => Self::Path,
            sys::PP_ERR_TOO_LONG => Self::TooLong,
            sys::PP_ERR_CANCELLED => Self::Cancelled,
            sys::PP_ERR_NO_BACKEND => Self::NoBackend,
            sys::PP_ERR_STRUCT_SIZE => Self::StructSize,
            sys::PP_ERR_INTERNAL => Self::Internal,
            sys::PP_ERR_NOT_FINITE => Self::NotFinite,
            other => Self::Other(other),
        }
    }
}

/// The error of every call: its kind, who was at fault, and one sentence.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    index: Option<usize>,
    native_code: i32,
    message: String,
}

impl Error {
    /// An error of this crate.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            index: None,
            native_code: 0,
            message: message.into(),
        }
    }

    /// An error of this crate, of one of several.
    pub(crate) fn at(kind: ErrorKind, index: usize, message: impl Into<String>) -> Self {
        Self {
            index: Some(index),
            ..Self::new(kind, message)
        }
    }

    /// A constant that only a newer library has.
    pub(crate) fn newer(what: &str, value: i32) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("the library is newer than this crate: it has a {what} of {value}"),
        )
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The prompt, item, cache, bin or layer at fault; an id of a queue that is negative is left out.
    pub fn index(&self) -> Option<usize> {
        self.index
    }

    /// errno or the device's code, 0 if none.
    pub fn native_code(&self) -> i32 {
        self.native_code
    }

    /// One sentence: what, where, what was allowed.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What `unwrap` and a `main` that returns a [`Result`] print: the sentence, then all else.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}", self.message, self.kind)?;
        if let Some(index) = self.index {
            write!(f, ", index {index}")?;
        }
        if self.native_code != 0 {
            write!(f, ", native code {}", self.native_code)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {}

/// Makes a call; a status that is an error becomes one, with the details.
pub(crate) fn call(f: impl FnOnce(*mut sys::pp_error) -> sys::pp_status) -> Result<sys::pp_status> {
    let mut details = sized!(sys::pp_error);
    details.index = -1;
    let status = f(&mut details);
    if status >= 0 {
        return Ok(status);
    }
    let said = array_text(&details.message);
    let message = if said.is_empty() {
        unsafe { static_text(sys::pp_strerror(status)) }.to_string()
    } else {
        said
    };
    Err(Error {
        kind: ErrorKind::from_status(status),
        index: usize::try_from(details.index).ok(),
        native_code: details.native_code,
        message,
    })
}
