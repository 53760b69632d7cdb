//! KV caches: one prompt's keys and values, over counted pages of its session.
use crate::dtype::DType;
use crate::error::{call, Error, ErrorKind, Result};
use crate::session::{Session, Shared};
use crate::sys;
use std::marker::PhantomData;
use std::os::raw::c_void;
use std::ptr::{null, null_mut, NonNull};
use std::sync::Arc;

c_enum! {
    /// Which half of a cache.
    Half {
        /// Keys, after the rotary embedding.
        Keys = PP_KV_K,
        /// Values.
        Values = PP_KV_V,
    }
}

c_enum! {
    /// How keys or values lie in a copy.
    KvLayout {
        /// `[tokens, n_kv_heads, head_dim]`
        Nhd = PP_KV_NHD,
        /// `[n_kv_heads, tokens, head_dim]`
        Hnd = PP_KV_HND,
    }
}

c_enum! {
    /// The parts of what a linear layer has in the place of keys and values.
    State {
        /// `[n_value_heads, key_dim, value_dim]`
        Recurrent = PP_STATE_RECURRENT,
        /// The last inputs of the convolution, the latest last: `[kernel - 1, channels]`
        ConvInputs = PP_STATE_CONV,
    }
}

/// One prompt's KV cache. It may be dropped by any thread; whatever looks into it takes its session's `&mut`, and
/// another session's is refused. It outlives its session, whose memory goes with its last cache.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) raw: NonNull<sys::pp_kvcache>,
    pub(crate) shared: Arc<Shared>,
}

// pp_kvcache_destroy is safe from any thread, and what takes &KvCache alone (len, size_in_bytes) reads fields that
// only calls with &mut KvCache change.
unsafe impl Send for KvCache {}
unsafe impl Sync for KvCache {}

impl Drop for KvCache {
    fn drop(&mut self) {
        unsafe { sys::pp_kvcache_destroy(self.raw.as_ptr()) }
    }
}

/// Part of a cache: some tokens' keys or values in one layer.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The layer.
    pub layer: usize,
    /// Keys or values.
    pub half: Half,
    /// How they lie in the copy.
    pub layout: KvLayout,
    /// The first token.
    pub first_token: usize,
    /// And how many.
    pub n_tokens: usize,
}

impl KvCache {
    /// A new cache of n tokens whose keys and values are zeros, to be written to. tokens: their ids; None where the
    /// model's rotary embedding does not depend on a prompt's length.
    pub fn zeros(session: &mut Session, n: usize, tokens: Option<&[i32]>) -> Result<Self> {
        check_ids(n, tokens)?;
        let ids = tokens.map_or(null(), <[i32]>::as_ptr);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_kvcache_create(session.raw(), n as i64, ids, &mut raw, err) })?;
        Ok(Self::own(session, raw))
    }

    pub(crate) fn own(session: &Session, raw: *mut sys::pp_kvcache) -> Self {
        Self {
            raw: NonNull::new(raw).expect("a cache"),
            shared: Arc::clone(&session.shared),
        }
    }

    /// Tokens in the cache.
    #[allow(clippy::len_without_is_empty)] // an empty one is a prompt like any other
    pub fn len(&self) -> usize {
        unsafe { sys::pp_kvcache_length(self.raw.as_ptr()) as usize }
    }

    /// Bytes of the pages that the cache refers to; shared pages count fully.
    pub fn size_in_bytes(&self) -> i64 {
        unsafe { sys::pp_kvcache_bytes(self.raw.as_ptr()) }
    }

    /// The first token whose keys and values a layer holds; 0 for layers without a window.
    pub fn first_token(&self, layer: usize) -> usize {
        let layer = i32::try_from(layer).unwrap_or(-1);
        unsafe { sys::pp_kvcache_first_token(self.raw.as_ptr(), layer) as usize }
    }

    /// C's handle, for a call that works with the session: fails for another one than the cache's.
    pub(crate) fn of(&self, session: &Session) -> Result<*mut sys::pp_kvcache> {
        if Arc::ptr_eq(&self.shared, &session.shared) {
            Ok(self.raw.as_ptr())
        } else {
            Err(Error::new(
                ErrorKind::Argument,
                "the cache belongs to another session",
            ))
        }
    }

    /// The length that a cut to n tokens would leave, where a model has linear layers; None: it cannot be cut so.
    /// Truncating to it goes back to n, or as little further as it must.
    pub fn kept(&self, n: usize) -> Option<usize> {
        let left = unsafe { sys::pp_kvcache_kept(self.raw.as_ptr(), count(n)) };
        usize::try_from(left).ok()
    }

    /// Refuses a cut that would leave less than n tokens; what cannot be is C's to refuse.
    fn check_kept(&self, n: usize) -> Result<()> {
        match self.kept(n) {
            Some(left) if left < n => Err(Error::new(
                ErrorKind::Argument,
                format!(
                    "the cache has states of linear layers at {left} tokens and not at {n}: kept says where it can \
                     be cut"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// A new cache that holds the first n tokens of this one and shares its pages; an error where it would hold
    /// fewer.
    pub fn fork(&self, session: &mut Session, n: usize) -> Result<Self> {
        let cache = self.of(session)?;
        self.check_kept(n)?;
        let n = count(n);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_kvcache_fork(cache, n, &mut raw, err) })?;
        Ok(Self::own(session, raw))
    }

    /// Drops all tokens from the n-th on; an error, and nothing is dropped, where more would have to go.
    pub fn truncate(&mut self, session: &mut Session, n: usize) -> Result<()> {
        let cache = self.of(session)?;
        self.check_kept(n)?;
        call(|err| unsafe { sys::pp_kvcache_truncate(cache, count(n), err) }).map(drop)
    }

    /// Copies a part of a linear layer's state out. to: exactly as many elements.
    pub fn read_state(
        &self,
        session: &mut Session,
        layer: usize,
        part: State,
        to: &mut [f32],
    ) -> Result<()> {
        let cache = self.of(session)?;
        let layer = i32::try_from(layer).unwrap_or(-1);
        let (numbers, bytes) = (to.as_mut_ptr(), std::mem::size_of_val(to));
        call(|err| unsafe {
            sys::pp_kvcache_read_state(cache, layer, part as i32, numbers, bytes, err)
        })
        .map(drop)
    }

    /// Overwrites a part of a linear layer's state.
    pub fn write_state(
        &mut self,
        session: &mut Session,
        layer: usize,
        part: State,
        from: &[f32],
    ) -> Result<()> {
        let cache = self.of(session)?;
        let layer = i32::try_from(layer).unwrap_or(-1);
        let (numbers, bytes) = (from.as_ptr(), std::mem::size_of_val(from));
        call(|err| unsafe {
            sys::pp_kvcache_write_state(cache, layer, part as i32, numbers, bytes, err)
        })
        .map(drop)
    }

    /// Copies a part out as f32. to: exactly tokens * n_kv_heads * head_dim elements.
    pub fn read(&self, session: &mut Session, part: Part, to: &mut [f32]) -> Result<()> {
        let bytes = std::mem::size_of_val(to);
        unsafe { self.read_to(session, part, DType::F32, to.as_mut_ptr().cast(), bytes) }
    }

    /// Copies a part out in the session's dtype, bit for bit.
    pub fn read_raw(
        &self,
        session: &mut Session,
        part: Part,
        dtype: DType,
        to: &mut [u8],
    ) -> Result<()> {
        unsafe { self.read_to(session, part, dtype, to.as_mut_ptr().cast(), to.len()) }
    }

    /// `to` has `bytes` bytes.
    unsafe fn read_to(
        &self,
        session: &mut Session,
        part: Part,
        dtype: DType,
        to: *mut c_void,
        bytes: usize,
    ) -> Result<()> {
        let cache = self.of(session)?;
        call(|err| {
            sys::pp_kvcache_read(
                cache,
                layer(part.layer),
                part.half.raw(),
                part.layout.raw(),
                dtype.raw(),
                count(part.first_token),
                count(part.n_tokens),
                to,
                bytes,
                err,
            )
        })
        .map(drop)
    }

    /// Overwrites a part that the cache holds with f32 numbers, which round to the session's dtype.
    pub fn write(&mut self, session: &mut Session, part: Part, from: &[f32]) -> Result<()> {
        let bytes = std::mem::size_of_val(from);
        unsafe { self.write_from(session, part, DType::F32, from.as_ptr().cast(), bytes) }
    }

    /// Overwrites a part with elements of the session's dtype.
    pub fn write_raw(
        &mut self,
        session: &mut Session,
        part: Part,
        dtype: DType,
        from: &[u8],
    ) -> Result<()> {
        unsafe { self.write_from(session, part, dtype, from.as_ptr().cast(), from.len()) }
    }

    /// `from` has `bytes` bytes.
    unsafe fn write_from(
        &mut self,
        session: &mut Session,
        part: Part,
        dtype: DType,
        from: *const c_void,
        bytes: usize,
    ) -> Result<()> {
        let cache = self.of(session)?;
        call(|err| {
            sys::pp_kvcache_write(
                cache,
                layer(part.layer),
                part.half.raw(),
                part.layout.raw(),
                dtype.raw(),
                count(part.first_token),
                count(part.n_tokens),
                from,
                bytes,
                err,
            )
        })
        .map(drop)
    }

    /// The page of a layer that holds a token, as it lies in memory: without a copy, for as long as the cache is
    /// neither run, written to, truncated nor dropped, which the borrow sees to.
    pub fn page<'a>(
        &'a self,
        session: &mut Session,
        layer_index: usize,
        half: Half,
        token: usize,
    ) -> Result<Page<'a>> {
        let cache = self.of(session)?;
        let mut raw = sized!(sys::pp_kvcache_page);
        call(|err| unsafe {
            let layer = layer(layer_index);
            sys::pp_kvcache_get_page(cache, layer, half.raw(), count(token), &mut raw, err)
        })?;
        Ok(Page {
            raw,
            dtype: DType::from_raw(raw.dtype)?,
            of_cache: PhantomData,
        })
    }
}

/// A page of a layer's keys or values as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    raw: sys::pp_kvcache_page,
    dtype: DType,
    of_cache: PhantomData<&'a KvCache>,
}

impl Page<'_> {
    /// Of the elements: the session's.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The token in slot 0.
    pub fn first_token(&self) -> usize {
        self.raw.first_token as usize
    }

    /// Slots that hold tokens; what is behind them is undefined.
    pub fn n_tokens(&self) -> usize {
        self.raw.n_tokens as usize
    }

    /// Where the page begins; an address of the GPU where [`Page::on_device`].
    pub fn as_ptr(&self) -> *const c_void {
        self.raw.data
    }

    /// Whether the page is in a GPU's memory.
    pub fn on_device(&self) -> bool {
        self.raw.on_device == 1
    }

    /// Where element `dim` of the token in `slot` is in kv head `head`, in elements from the page's beginning.
    pub fn offset(&self, head: usize, slot: usize, dim: usize) -> usize {
        let (p, head, slot, dim) = (&self.raw, head as i64, slot as i64, dim as i64);
        let (slots, dims) = (i64::from(p.slot_group), i64::from(p.dim_group));
        let place = head * p.head_stride
            + slot / slots * p.slot_stride
            + slot % slots
            + dim / dims * p.dim_stride
            + dim % dims;
        place as usize
    }
}

pub(crate) fn check_ids(n: usize, tokens: Option<&[i32]>) -> Result<()> {
    match tokens {
        Some(tokens) if tokens.len() != n => Err(Error::new(
            ErrorKind::Argument,
            format!(
                "a cache of {n} tokens was given the ids of {}",
                tokens.len()
            ),
        )),
        _ => Ok(()),
    }
}

/// What is no number of C's is one that it refuses.
fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn layer(i: usize) -> i32 {
    i32::try_from(i).unwrap_or(i32::MAX)
}
