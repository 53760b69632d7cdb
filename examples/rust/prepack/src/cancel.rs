//! Tokens that end calls.
use crate::error::{call, Result};
use crate::sys;
use std::ptr::{null_mut, NonNull};

/// Ends the calls that it is given to ([`crate::RunParams::cancel`]), now or later, from any thread: share it by
/// reference or Arc.
#[derive(Debug)]
pub struct Cancel {
    raw: NonNull<sys::pp_cancel>,
}

// "any thread may request at any time but while it is destroyed" (run.h)
unsafe impl Send for Cancel {}
unsafe impl Sync for Cancel {}

impl Cancel {
    /// A token that nobody has requested.
    pub fn new() -> Result<Self> {
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_cancel_create(&mut raw, err) })?;
        Ok(Self {
            raw: NonNull::new(raw).expect("a token"),
        })
    }

    /// Every call that has the token ends with [`crate::ErrorKind::Cancelled`] before its next layer.
    pub fn request(&self) {
        unsafe { sys::pp_cancel_request(self.raw.as_ptr()) }
    }

    /// Whether somebody requested.
    pub fn is_requested(&self) -> bool {
        unsafe { sys::pp_cancel_is_requested(self.raw.as_ptr()) == 1 }
    }

    pub(crate) fn as_ptr(&self) -> *const sys::pp_cancel {
        self.raw.as_ptr()
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        unsafe { sys::pp_cancel_destroy(self.raw.as_ptr()) }
    }
}
