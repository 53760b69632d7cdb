//! Text from tokens that come one by one.
use crate::error::{call, Error, ErrorKind, Result};
use crate::sys;
use crate::tokenizer::{decode_params, Tokenizer};
use std::marker::PhantomData;
use std::ptr::{null, null_mut, NonNull};

/// Text from tokens that come one by one: the pieces, one behind the other, are what [`Tokenizer::decode`] gives for
/// all the ids at once. For one thread at a time, any.
#[derive(Debug)]
pub struct TextStream<'a> {
    raw: NonNull<sys::pp_text_stream>,
    of_tokenizer: PhantomData<&'a Tokenizer>,
}

// "one thread at a time" (tokenizer.h): every call takes &mut.
unsafe impl Send for TextStream<'_> {}
unsafe impl Sync for TextStream<'_> {}

impl Drop for TextStream<'_> {
    fn drop(&mut self) {
        unsafe { sys::pp_text_stream_destroy(self.raw.as_ptr()) }
    }
}

impl Tokenizer {
    /// Begins a text. keep_special: special tokens are spelled out, else they have no text.
    pub fn text_stream(&self, keep_special: bool) -> Result<TextStream<'_>> {
        let c = decode_params(keep_special);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_text_stream_create(self.as_ptr(), &c, &mut raw, err) })?;
        Ok(TextStream {
            raw: NonNull::new(raw).expect("a stream"),
            of_tokenizer: PhantomData,
        })
    }
}

impl TextStream<'_> {
    /// What the id completes: whole characters, often none.
    pub fn push(&mut self, id: i32) -> Result<&str> {
        let stream = self.raw.as_ptr();
        self.piece(|piece, err| unsafe { sys::pp_text_stream_push(stream, id, piece, err) })
    }

    /// What was held back; the stream begins anew.
    pub fn finish(&mut self) -> Result<&str> {
        let stream = self.raw.as_ptr();
        self.piece(|piece, err| unsafe { sys::pp_text_stream_finish(stream, piece, err) })
    }

    /// Lent until the next call.
    fn piece(
        &mut self,
        take: impl FnOnce(*mut sys::pp_text, *mut sys::pp_error) -> sys::pp_status,
    ) -> Result<&str> {
        let mut piece = sys::pp_text {
            bytes: null(),
            n_bytes: 0,
        };
        call(|err| take(&mut piece, err))?;
        if piece.n_bytes == 0 {
            return Ok("");
        }
        let bytes = unsafe { std::slice::from_raw_parts(piece.bytes.cast(), piece.n_bytes) };
        std::str::from_utf8(bytes)
            .map_err(|_| Error::new(ErrorKind::Internal, "a piece of text is not UTF-8"))
    }
}
