//! The arrays of some bins, for engines other than the library.
use crate::dtype::DType;
use crate::error::{call, Result};
use crate::macros::{room, slice};
use crate::packer::raw_prompts;
use crate::plan::Plan;
use crate::sys;
use std::ptr::{null_mut, NonNull};

c_enum! {
    /// How prompts lie in a batch.
    #[derive(Default)]
    Layout {
        /// All tokens one after another, without pads.
        #[default]
        Ragged = PP_LAYOUT_RAGGED,
        /// One row a bin.
        Padded = PP_LAYOUT_PADDED,
    }
}

params! {
    /// Settings of a batch; the default: every bin, ragged.
    BatchParams {
        /// How prompts lie.
        layout: Layout,
        /// Of [`Layout::Padded`].
        pad_token: i32,
        /// The first bin.
        first_bin: i64,
        /// And how many; None: all from there on.
        n_bins: Option<i64>,
        /// Of [`Layout::Padded`]; 0: the fullest of these bins.
        row_len: i64,
    }
}

/// The arrays of some bins. Immutable, may be shared by threads.
#[derive(Debug)]
pub struct Batch {
    raw: NonNull<sys::pp_batch>,
}

// "immutable, may be shared by threads" (batch.h)
unsafe impl Send for Batch {}
unsafe impl Sync for Batch {}

impl Drop for Batch {
    fn drop(&mut self) {
        unsafe { sys::pp_batch_destroy(self.raw.as_ptr()) }
    }
}

/// The arrays of a batch, which are the library's.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BatchView<'a> {
    /// Padded: rows; ragged: 1.
    pub n_rows: usize,
    /// Tokens and pads of a row; ragged: all tokens.
    pub row_len: usize,
    /// Real tokens.
    pub n_tokens: i64,
    /// Longest prompt.
    pub max_seqlen: i64,
    /// `[n_rows, row_len]`
    pub tokens: &'a [i32],
    /// `[n_rows, row_len]`, restart at 0 at each prompt.
    pub positions: &'a [i32],
    /// `[prompts + 1]` prefix sums of the lengths, in batch order.
    pub cu_seqlens: &'a [i32],
    /// `[prompts]` index of each prompt's first token in `tokens`.
    pub starts: &'a [i64],
    /// `[prompts]` index of each prompt's last token in `tokens`.
    pub last_rows: &'a [i64],
    /// `[prompts]` which prompt this is, an index into the plan's.
    pub prompts: &'a [i32],
}

impl Batch {
    /// Lays the prompts of some bins out. prompts: those whose lengths the plan was made from, in the same order.
    pub fn new(plan: &Plan, prompts: &[impl AsRef<[i32]>], params: &BatchParams) -> Result<Self> {
        let mut c = sized!(sys::pp_batch_params);
        c.layout = params.layout.raw();
        c.pad_token = params.pad_token;
        c.first_bin = params.first_bin;
        c.n_bins = params.n_bins.unwrap_or(-1);
        c.row_len = params.row_len;
        let prompts = raw_prompts(prompts);
        let (all, n) = (prompts.as_ptr(), prompts.len() as i64);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_batch_build(plan.as_ptr(), all, n, &c, &mut raw, err) })?;
        Ok(Self {
            raw: NonNull::new(raw).expect("a batch"),
        })
    }

    /// The arrays, without a copy.
    pub fn view(&self) -> Result<BatchView<'_>> {
        let mut c = sized!(sys::pp_batch_view);
        call(|err| unsafe { sys::pp_batch_get_view(self.raw.as_ptr(), &mut c, err) })?;
        let (places, n) = (c.n_rows * c.row_len, c.n_prompts);
        unsafe {
            Ok(BatchView {
                n_rows: c.n_rows as usize,
                row_len: c.row_len as usize,
                n_tokens: c.n_tokens,
                max_seqlen: c.max_seqlen,
                tokens: slice(c.tokens, places),
                positions: slice(c.positions, places),
                cu_seqlens: slice(c.cu_seqlens, n + 1),
                starts: slice(c.starts, n),
                last_rows: slice(c.last_rows, n),
                prompts: slice(c.prompts, n),
            })
        }
    }

    /// The dense independent mask, `[n_rows, row_len, row_len]`. [`DType::Bool`]: 1 may see, 0 may not; F32, F16,
    /// BF16: 0 and -infinity. window_left as in FlashAttention; None: no limit.
    pub fn mask(&self, dtype: DType, window_left: Option<i64>) -> Result<Vec<u8>> {
        let batch = self.raw.as_ptr();
        let window = window_left.unwrap_or(-1);
        let mut size = 0;
        call(|err| unsafe { sys::pp_batch_mask_bytes(batch, dtype.raw(), &mut size, err) })?;
        let mut mask = room(size, 0u8)?;
        let memory = mask.as_mut_ptr().cast();
        call(|err| unsafe { sys::pp_batch_mask(batch, dtype.raw(), window, memory, size, err) })?;
        Ok(mask)
    }
}
