//! The declarations of libprepack's public headers, field for field and word for word: their comments say
//! what everything means. Written by tests/abi/rust_abi.py; not to be edited.
#![allow(missing_docs, non_camel_case_types)]

use std::marker::{PhantomData, PhantomPinned};
use std::os::raw::{c_char, c_void};

/// Outcome of a call: negative is an error (prepack/common.h).
pub type pp_status = i32;

pub const PP_LAYOUT_RAGGED: i32 = 1;
pub const PP_LAYOUT_PADDED: i32 = 2;
pub const PP_LAYOUT_INT32: i32 = -1;
pub const PP_OK: i32 = 0;
pub const PP_AGAIN: i32 = 1;
pub const PP_GONE: i32 = 2;
pub const PP_SHORTER: i32 = 3;
pub const PP_ERR_ARG: i32 = -1;
pub const PP_ERR_NOMEM: i32 = -2;
pub const PP_ERR_DEVICE_NOMEM: i32 = -3;
pub const PP_ERR_DEVICE: i32 = -4;
pub const PP_ERR_UNSUPPORTED: i32 = -5;
pub const PP_ERR_FORMAT: i32 = -6;
pub const PP_ERR_IO: i32 = -7;
pub const PP_ERR_LIMIT: i32 = -8;
pub const PP_ERR_PATH: i32 = -9;
pub const PP_ERR_TOO_LONG: i32 = -10;
pub const PP_ERR_CANCELLED: i32 = -11;
pub const PP_ERR_NO_BACKEND: i32 = -12;
pub const PP_ERR_STRUCT_SIZE: i32 = -13;
pub const PP_ERR_INTERNAL: i32 = -14;
pub const PP_ERR_NOT_FINITE: i32 = -15;
pub const PP_DTYPE_AUTO: i32 = 0;
pub const PP_DTYPE_F32: i32 = 1;
pub const PP_DTYPE_F16: i32 = 2;
pub const PP_DTYPE_BF16: i32 = 3;
pub const PP_DTYPE_BOOL: i32 = 4;
pub const PP_DTYPE_INT32: i32 = -1;
pub const PP_LOG_WARNING: i32 = 1;
pub const PP_LOG_INFO: i32 = 2;
pub const PP_LOG_INT32: i32 = -1;
pub const PP_KV_K: i32 = 0;
pub const PP_KV_V: i32 = 1;
pub const PP_KV_INT32: i32 = -1;
pub const PP_KV_NHD: i32 = 1;
pub const PP_KV_HND: i32 = 2;
pub const PP_KV_LAYOUT_INT32: i32 = -1;
pub const PP_STATE_RECURRENT: i32 = 0;
pub const PP_STATE_CONV: i32 = 1;
pub const PP_STATE_INT32: i32 = -1;
pub const PP_LLAMACPP_ORDER_AUTO: i32 = 0;
pub const PP_LLAMACPP_ORDER_HALVES: i32 = 1;
pub const PP_LLAMACPP_ORDER_PAIRS: i32 = 2;
pub const PP_LLAMACPP_ORDER_INT32: i32 = -1;
pub const PP_MEASURE_QKV: i32 = 1;
pub const PP_MEASURE_O: i32 = 2;
pub const PP_MEASURE_GATE_UP: i32 = 3;
pub const PP_MEASURE_DOWN: i32 = 4;
pub const PP_MEASURE_LM_HEAD: i32 = 5;
pub const PP_MEASURE_ATTENTION: i32 = 6;
pub const PP_MEASURE_DECODE: i32 = 7;
pub const PP_MEASURE_EMBED: i32 = 8;
pub const PP_MEASURE_RMSNORM: i32 = 9;
pub const PP_MEASURE_ROPE_KV: i32 = 10;
pub const PP_MEASURE_GATHER: i32 = 11;
pub const PP_MEASURE_SAMPLE: i32 = 12;
pub const PP_MEASURE_COPY: i32 = 13;
pub const PP_MEASURE_EXPERTS: i32 = 14;
pub const PP_MEASURE_ROUTE: i32 = 15;
pub const PP_MEASURE_LINEAR: i32 = 16;
pub const PP_MEASURE_LINEAR_IN: i32 = 17;
pub const PP_MEASURE_LINEAR_OUT: i32 = 18;
pub const PP_MEASURE_INT32: i32 = -1;
pub const PP_MEASURE_CACHES_IN_A_PASS: i32 = 0;
pub const PP_MEASURE_CACHES_WARM: i32 = 1;
pub const PP_MEASURE_CACHES_FLUSHED: i32 = 2;
pub const PP_MEASURE_CACHES_INT32: i32 = -1;
pub const PP_ARCH_LLAMA: i32 = 1;
pub const PP_ARCH_MISTRAL: i32 = 2;
pub const PP_ARCH_QWEN2: i32 = 3;
pub const PP_ARCH_QWEN3: i32 = 4;
pub const PP_ARCH_GEMMA2: i32 = 5;
pub const PP_ARCH_GEMMA3: i32 = 6;
pub const PP_ARCH_PHI3: i32 = 7;
pub const PP_ARCH_OLMO2: i32 = 8;
pub const PP_ARCH_OLMO3: i32 = 9;
pub const PP_ARCH_GRANITE: i32 = 10;
pub const PP_ARCH_SMOLLM3: i32 = 11;
pub const PP_ARCH_MINISTRAL: i32 = 12;
pub const PP_ARCH_MINISTRAL3: i32 = 13;
pub const PP_ARCH_COHERE2: i32 = 14;
pub const PP_ARCH_GLM4: i32 = 15;
pub const PP_ARCH_EXAONE4: i32 = 16;
pub const PP_ARCH_MIXTRAL: i32 = 17;
pub const PP_ARCH_QWEN2_MOE: i32 = 18;
pub const PP_ARCH_QWEN3_MOE: i32 = 19;
pub const PP_ARCH_OLMOE: i32 = 20;
pub const PP_ARCH_GRANITEMOE: i32 = 21;
pub const PP_ARCH_GRANITEMOESHARED: i32 = 22;
pub const PP_ARCH_GPT_OSS: i32 = 23;
pub const PP_ARCH_GLM4_MOE: i32 = 24;
pub const PP_ARCH_QWEN3_NEXT: i32 = 25;
pub const PP_ARCH_QWEN3_5: i32 = 26;
pub const PP_ARCH_QWEN3_5_MOE: i32 = 27;
pub const PP_ARCH_GRANITEMOEHYBRID: i32 = 28;
pub const PP_ARCH_GEMMA4: i32 = 29;
pub const PP_ARCH_GEMMA4_UNIFIED: i32 = 30;
pub const PP_ARCH_INT32: i32 = -1;
pub const PP_ROPE_NONE: i32 = 0;
pub const PP_ROPE_DEFAULT: i32 = 1;
pub const PP_ROPE_LINEAR: i32 = 2;
pub const PP_ROPE_LLAMA3: i32 = 3;
pub const PP_ROPE_YARN: i32 = 4;
pub const PP_ROPE_LONGROPE: i32 = 5;
pub const PP_ROPE_DYNAMIC: i32 = 6;
pub const PP_ROPE_PROPORTIONAL: i32 = 7;
pub const PP_ROPE_INT32: i32 = -1;
pub const PP_LAYER_ATTENTION: i32 = 0;
pub const PP_LAYER_LINEAR: i32 = 1;
pub const PP_LAYER_INT32: i32 = -1;
pub const PP_LINEAR_NONE: i32 = 0;
pub const PP_LINEAR_DELTA: i32 = 1;
pub const PP_LINEAR_MAMBA2: i32 = 2;
pub const PP_LINEAR_INT32: i32 = -1;
pub const PP_OUTPUT_NONE: i32 = 0;
pub const PP_OUTPUT_LAST_LOGITS: i32 = 1;
pub const PP_OUTPUT_ALL_LOGITS: i32 = 2;
pub const PP_OUTPUT_TOKEN: i32 = 3;
pub const PP_OUTPUT_HIDDEN: i32 = 4;
pub const PP_OUTPUT_POOLED: i32 = 5;
pub const PP_OUTPUT_LABELS: i32 = 6;
pub const PP_OUTPUT_INT32: i32 = -1;
pub const PP_POOLING_LAST: i32 = 0;
pub const PP_POOLING_MEAN: i32 = 1;
pub const PP_POOLING_FIRST: i32 = 2;
pub const PP_POOLING_INT32: i32 = -1;
pub const PP_NO_TARGET: i32 = -1;
pub const PP_DRAWN_TARGET: i32 = -2;
pub const PP_MAX_TOP: i32 = 256;
pub const PP_OBJECTIVE_FEWEST_BINS: i32 = 1;
pub const PP_OBJECTIVE_BALANCED: i32 = 2;
pub const PP_OBJECTIVE_CHEAPEST: i32 = 3;
pub const PP_OBJECTIVE_INT32: i32 = -1;
pub const PP_POLICY_FFD: i32 = 1;
pub const PP_POLICY_BFD: i32 = 2;
pub const PP_POLICY_ARRIVAL: i32 = 3;
pub const PP_POLICY_FIRST_FIT: i32 = 4;
pub const PP_POLICY_BEST_FIT: i32 = 5;
pub const PP_POLICY_EXACT: i32 = 6;
pub const PP_POLICY_AUTO: i32 = 7;
pub const PP_POLICY_INT32: i32 = -1;
pub const PP_OVERSIZE_ERROR: i32 = 1;
pub const PP_OVERSIZE_OWN_BIN: i32 = 2;
pub const PP_OVERSIZE_SPLIT: i32 = 3;
pub const PP_OVERSIZE_INT32: i32 = -1;
pub const PP_WEIGHTS_AUTO: i32 = 0;
pub const PP_WEIGHTS_F32: i32 = 1;
pub const PP_WEIGHTS_BF16: i32 = 2;
pub const PP_WEIGHTS_INT8: i32 = 3;
pub const PP_WEIGHTS_INT4: i32 = 4;
pub const PP_WEIGHTS_NF4: i32 = 5;
pub const PP_WEIGHTS_INT32: i32 = -1;
pub const PP_TOKENIZER_BPE: i32 = 1;
pub const PP_TOKENIZER_WORDPIECE: i32 = 2;
pub const PP_TOKENIZER_UNIGRAM: i32 = 3;
pub const PP_TOKENIZER_WORDLEVEL: i32 = 4;
pub const PP_TOKENIZER_INT32: i32 = -1;
pub const PP_SPECIAL_PARSE: i32 = 0;
pub const PP_SPECIAL_TEXT: i32 = 1;
pub const PP_SPECIAL_INT32: i32 = -1;

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_attention_plan {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_batch {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_plan {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_kvcache {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_model {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_packer {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_queue {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_cancel {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_session {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_tokenizer {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_encoding {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle: only the library knows what is inside, and which threads may use it.
#[repr(C)]
pub struct pp_text_stream {
    private: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Of prepack/common.h; None is NULL.
pub type pp_log_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, level: i32, message: *const c_char)>;

/// Of prepack/outputs.h; None is NULL.
pub type pp_logits_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, piece: *const pp_logits) -> i32>;

/// Of prepack/run.h; None is NULL.
pub type pp_progress_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, n_tokens: i64, n_all: i64)>;

/// Of prepack/session.h; None is NULL.
pub type pp_parallel_for_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        n_tasks: i32,
        task: Option<unsafe extern "C" fn(arg: *mut c_void, i: i32)>,
        arg: *mut c_void,
    ),
>;

/// Of prepack/attention.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_attention_plan_params {
    pub struct_size: u32,
    pub dtype: i32,
    pub n_heads: i64,
    pub n_kv_heads: i64,
    pub head_dim: i64,
    pub window_left: i64,
    pub window_right: i64,
    pub n_prompts: i64,
    pub cu_seqlens_q: *const i32,
    pub cu_seqlens_k: *const i32,
    pub seqlens_q: *const i32,
    pub seqlens_k: *const i32,
    pub page_size: i64,
    pub block_table_stride: i64,
}

/// Of prepack/attention.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_attention_plan_info {
    pub struct_size: u32,
    pub dtype: i32,
    pub workspace_bytes: usize,
    pub n_tiles: i64,
    pub n_launches: i64,
    pub max_seqlen_q: i64,
    pub max_seqlen_k: i64,
    pub total_q: i64,
    pub total_k: i64,
}

/// Of prepack/attention.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_attention_params {
    pub struct_size: u32,
    pub softmax_scale: f32,
    pub q: *const c_void,
    pub k: *const c_void,
    pub v: *const c_void,
    pub out: *mut c_void,
    pub lse: *mut f32,
    pub block_table: *const i32,
    pub stream: *mut c_void,
    pub q_row_stride: i64,
    pub q_head_stride: i64,
    pub k_page_stride: i64,
    pub k_row_stride: i64,
    pub k_head_stride: i64,
    pub v_page_stride: i64,
    pub v_row_stride: i64,
    pub v_head_stride: i64,
    pub out_row_stride: i64,
    pub out_head_stride: i64,
    pub lse_head_stride: i64,
}

/// Of prepack/batch.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_batch_params {
    pub struct_size: u32,
    pub layout: i32,
    pub pad_token: i32,
    pub first_bin: i64,
    pub n_bins: i64,
    pub row_len: i64,
}

/// Of prepack/batch.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_batch_view {
    pub struct_size: u32,
    pub layout: i32,
    pub n_rows: i64,
    pub row_len: i64,
    pub n_prompts: i64,
    pub n_tokens: i64,
    pub max_seqlen: i64,
    pub tokens: *const i32,
    pub positions: *const i32,
    pub cu_seqlens: *const i32,
    pub starts: *const i64,
    pub last_rows: *const i64,
    pub prompts: *const i32,
}

/// Of prepack/bins.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_plan_info {
    pub struct_size: u32,
    pub policy: i32,
    pub objective: i32,
    pub proven_optimal: i32,
    pub limit_reached: i32,
    pub n_prompts: i64,
    pub n_bins: i64,
    pub capacity: i64,
    pub tokens: i64,
    pub longest_prompt: i64,
    pub lower_bound: i64,
    pub waste: f64,
    pub gap: f64,
    pub seconds: f64,
    pub n_segments: i64,
    pub placed_tokens: i64,
    pub used: i64,
    pub total_capacity: i64,
    pub bound_l1: i64,
    pub bound_l2: i64,
    pub bound_dff: i64,
    pub bound_lp: i64,
    pub max_bin_prompts: i64,
    pub mean_bin_prompts: f64,
    pub max_cost: f64,
    pub mean_cost: f64,
    pub cost_bound: f64,
}

/// Of prepack/bins.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_bin_info {
    pub struct_size: u32,
    pub choice: i32,
    pub first_segment: i64,
    pub n_segments: i64,
    pub tokens: i64,
    pub used: i64,
    pub capacity: i64,
    pub cost: f64,
}

/// Of prepack/bins.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_segment {
    pub prompt: i32,
    pub first_token: i64,
    pub n_tokens: i64,
    pub start: i64,
    pub after: i64,
}

/// Of prepack/common.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_error {
    pub struct_size: u32,
    pub code: pp_status,
    pub native_code: i32,
    pub index: i64,
    pub message: [c_char; 488],
}

/// Of prepack/common.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_allocator {
    pub struct_size: u32,
    pub user: *mut c_void,
    pub allocate: Option<
        unsafe extern "C" fn(user: *mut c_void, bytes: usize, alignment: usize) -> *mut c_void,
    >,
    pub release: Option<unsafe extern "C" fn(user: *mut c_void, memory: *mut c_void, bytes: usize)>,
}

/// Of prepack/common.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_device_allocator {
    pub struct_size: u32,
    pub user: *mut c_void,
    pub allocate: Option<
        unsafe extern "C" fn(user: *mut c_void, bytes: usize, stream: *mut c_void) -> *mut c_void,
    >,
    pub release: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            memory: *mut c_void,
            bytes: usize,
            stream: *mut c_void,
        ),
    >,
}

/// Of prepack/continuations.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_continuation {
    pub tokens: *const i32,
    pub n_tokens: i64,
    pub n_context: i64,
    pub logprob: f64,
    pub is_greedy: i32,
}

/// Of prepack/cost.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_cost_model {
    pub struct_size: u32,
    pub per_pass: f64,
    pub per_token: f64,
    pub per_square: f64,
    pub per_prompt: f64,
    pub tile: i64,
    pub error: f64,
    pub device: [c_char; 64],
    pub model: [c_char; 64],
    pub max_tokens: i64,
}

/// Of prepack/cost_measure.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_cost_params {
    pub struct_size: u32,
    pub cache_only: i32,
    pub max_tokens: i64,
    pub max_length: i64,
    pub seconds: f64,
    pub seed: u64,
}

/// Of prepack/device.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_device_info {
    pub struct_size: u32,
    pub n_units: i32,
    pub device: [c_char; 32],
    pub device_name: [c_char; 64],
    pub kernels: [c_char; 32],
    pub pci_address: [c_char; 16],
    pub memory_bytes: i64,
    pub available_bytes: i64,
}

/// Of prepack/kvcache.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_kvcache_page {
    pub struct_size: u32,
    pub dtype: i32,
    pub data: *const c_void,
    pub first_token: i64,
    pub n_tokens: i64,
    pub head_stride: i64,
    pub slot_stride: i64,
    pub dim_stride: i64,
    pub slot_group: i32,
    pub dim_group: i32,
    pub on_device: i32,
}

/// Of prepack/kvcache_blocks.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_kv_blocks {
    pub struct_size: u32,
    pub n_classes: i32,
    pub memory: [*mut c_void; 4],
    pub n_blocks: [i64; 4],
}

/// Of prepack/kvcache_llamacpp.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_llamacpp_params {
    pub struct_size: u32,
    pub key_dtype: i32,
    pub value_dtype: i32,
    pub v_trans: i32,
    pub n_streams: i32,
    pub order: i32,
}

/// Of prepack/kvcache_save.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_kvcache_save_params {
    pub struct_size: u32,
    pub tokens: *const i32,
}

/// Of prepack/kvcache_save.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_kvcache_file_info {
    pub struct_size: u32,
    pub dtype: i32,
    pub n_tokens: i64,
    pub bytes: i64,
    pub model: u64,
    pub n_layers: i32,
    pub n_kv_heads: i32,
    pub head_dim: i32,
    pub has_tokens: i32,
    pub architecture: [c_char; 32],
    pub weights: [c_char; 16],
    pub device: [c_char; 32],
    pub producer: [c_char; 32],
    pub n_linear: i32,
    pub state_bytes: i64,
}

/// Of prepack/measure.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_measure_params {
    pub struct_size: u32,
    pub operation: i32,
    pub n_rows: i64,
    pub lengths: *const i64,
    pub n_prompts: i64,
    pub n_runs: i32,
    pub unguarded: i32,
    pub caches: i32,
}

/// Of prepack/measure.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_measurement {
    pub struct_size: u32,
    pub n_runs: i32,
    pub n_repeats: i64,
    pub seconds: f64,
    pub flop: f64,
    pub bytes: f64,
    pub guarded_seconds: f64,
    pub unguarded_seconds: f64,
    pub own_seconds: f64,
}

/// Of prepack/model.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_model_config {
    pub struct_size: u32,
    pub arch: i32,
    pub vocab_size: i32,
    pub hidden_size: i32,
    pub intermediate_size: i32,
    pub n_layers: i32,
    pub n_heads: i32,
    pub n_kv_heads: i32,
    pub head_dim: i32,
    pub max_position: i32,
    pub tie_embeddings: i32,
    pub dtype: i32,
    pub bos_token: i32,
    pub n_eos_tokens: i32,
    pub eos_tokens: [i32; 16],
    pub norm_eps: f64,
    pub has_lm_head: i32,
    pub n_labels: i32,
    pub pooling: i32,
    pub normalize: i32,
    pub n_experts: i32,
    pub n_experts_per_token: i32,
    pub expert_size: i32,
    pub shared_expert_size: i32,
    pub n_linear_layers: i32,
    pub linear_rule: i32,
    pub linear_key_heads: i32,
    pub linear_value_heads: i32,
    pub linear_key_dim: i32,
    pub linear_value_dim: i32,
    pub linear_kernel: i32,
}

/// Of prepack/model.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_layer_config {
    pub struct_size: u32,
    pub sliding_window: i32,
    pub rope_type: i32,
    pub rotary_dim: i32,
    pub rope_theta: f64,
    pub rope_factor: f64,
    pub n_kv_heads: i32,
    pub head_dim: i32,
    pub kind: i32,
    pub kv_layer: i32,
    pub intermediate_size: i32,
    pub has_experts: i32,
}

/// Of prepack/model.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_model_params {
    pub struct_size: u32,
    pub allocator: *const pp_allocator,
    pub log: pp_log_fn,
    pub log_user: *mut c_void,
    pub sliding_window: i32,
}

/// Of prepack/model.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_convert_params {
    pub struct_size: u32,
    pub weights: i32,
    pub n_threads: i32,
    pub progress: Option<unsafe extern "C" fn(user: *mut c_void, done: i64, total: i64) -> i32>,
    pub user: *mut c_void,
}

/// Of prepack/outputs.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_score {
    pub token: i64,
    pub target: i32,
    pub rank: i32,
    pub logprob: f64,
}

/// Of prepack/outputs.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_logits {
    pub struct_size: u32,
    pub vocab_size: i32,
    pub i_item: i64,
    pub first_token: i64,
    pub n_rows: i64,
    pub logits: *const f32,
}

/// Of prepack/packer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_prompt {
    pub tokens: *const i32,
    pub n_tokens: i64,
}

/// Of prepack/packer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_fewest_params {
    pub struct_size: u32,
    pub policy: i32,
    pub capacities: *const i64,
    pub n_capacities: i64,
    pub min_shared_prefix: i64,
}

/// Of prepack/packer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_balanced_params {
    pub struct_size: u32,
    pub n_bins: i64,
}

/// Of prepack/packer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_cheapest_params {
    pub struct_size: u32,
    pub row_lens: *const i64,
    pub n_row_lens: i64,
}

/// Of prepack/packer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_packer_params {
    pub struct_size: u32,
    pub objective: i32,
    pub capacity: i64,
    pub oversize: i32,
    pub keep_order: i32,
    pub max_prompts: i64,
    pub bin_alignment: i64,
    pub prompt_alignment: i64,
    pub max_steps: i64,
    pub max_seconds: f64,
    pub cost: *const pp_cost_model,
    pub allocator: *const pp_allocator,
    pub fewest: *const pp_fewest_params,
    pub balanced: *const pp_balanced_params,
    pub cheapest: *const pp_cheapest_params,
}

/// Of prepack/packer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_plan_input {
    pub struct_size: u32,
    pub n: i64,
    pub lengths: *const i64,
    pub prompts: *const pp_prompt,
    pub together: *const i32,
    pub apart: *const i32,
}

/// Of prepack/partition.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_partition_info {
    pub struct_size: u32,
    pub proven_optimal: i32,
    pub limit_reached: i32,
    pub n_workers: i64,
    pub max_bins: i64,
    pub max_cost: f64,
    pub mean_cost: f64,
    pub cost_bound: f64,
    pub gap: f64,
}

/// Of prepack/queue.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_queue_params {
    pub struct_size: u32,
    pub oversize: i32,
    pub keep_order: i32,
    pub capacity: i64,
    pub max_waiting: i64,
    pub max_prompts: i64,
    pub bin_alignment: i64,
    pub prompt_alignment: i64,
    pub cost: *const pp_cost_model,
    pub max_age: f64,
    pub priority_age: f64,
    pub allocator: *const pp_allocator,
}

/// Of prepack/queue.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_waiting_prompt {
    pub struct_size: u32,
    pub priority: i32,
    pub id: i64,
    pub n_tokens: i64,
    pub deadline: f64,
}

/// Of prepack/queue.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_step_prompt {
    pub id: i64,
    pub first_token: i64,
    pub n_tokens: i64,
    pub start: i64,
    pub age: f64,
    pub continues: i32,
}

/// Of prepack/queue.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_step {
    pub struct_size: u32,
    pub prompts: *mut pp_step_prompt,
    pub room: i64,
    pub n_prompts: i64,
    pub tokens: i64,
    pub used: i64,
    pub capacity: i64,
    pub n_waiting: i64,
    pub cost: f64,
}

/// Of prepack/queue.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_queue_stats {
    pub struct_size: u32,
    pub closed: i32,
    pub waiting: i64,
    pub waiting_tokens: i64,
    pub added: i64,
    pub handed_out: i64,
    pub cancelled: i64,
    pub refused: i64,
    pub steps: i64,
    pub tokens: i64,
    pub used: i64,
    pub waste: f64,
    pub oldest_age: f64,
    pub mean_age: f64,
    pub p50_age: f64,
    pub p99_age: f64,
    pub longest_age: f64,
}

/// Of prepack/run.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_item {
    pub struct_size: u32,
    pub output: i32,
    pub cache: *mut pp_kvcache,
    pub tokens: *const i32,
    pub n_tokens: i64,
    pub logits: *mut f32,
    pub temperature: f32,
    pub top_k: i32,
    pub top_p: f32,
    pub min_p: f32,
    pub seed: u64,
    pub next: i32,
    pub scores: *mut pp_score,
    pub n_scores: i64,
    pub top_tokens: *mut i32,
    pub top_logprobs: *mut f64,
    pub n_top: i32,
    pub pooling: i32,
    pub discard_cache: i32,
    pub normalize: i32,
    pub hidden: *mut f32,
    pub hidden_tokens: *const i64,
    pub n_hidden: i64,
}

/// Of prepack/run.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_run_params {
    pub struct_size: u32,
    pub sink: pp_logits_fn,
    pub sink_user: *mut c_void,
    pub progress: pp_progress_fn,
    pub progress_user: *mut c_void,
    pub cancel: *const pp_cancel,
    pub min_shared_prefix: i64,
}

/// Of prepack/run.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_sample_params {
    pub struct_size: u32,
    pub temperature: f32,
    pub top_k: i32,
    pub top_p: f32,
    pub min_p: f32,
    pub seeds: *const u64,
}

/// Of prepack/run.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_prediction {
    pub struct_size: u32,
    pub seconds: f64,
    pub passes: i64,
    pub kv_bytes: i64,
    pub state_bytes: i64,
}

/// Of prepack/session.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_session_params {
    pub struct_size: u32,
    pub dtype: i32,
    pub device: *const c_char,
    pub n_threads: i32,
    pub max_pass_tokens: i32,
    pub memory_limit: i64,
    pub allocator: *const pp_allocator,
    pub log: pp_log_fn,
    pub log_user: *mut c_void,
    pub stream: *mut c_void,
    pub device_allocator: *const pp_device_allocator,
    pub keep_window_pages: i32,
    pub weights: i32,
    pub parallel_for: pp_parallel_for_fn,
    pub parallel_user: *mut c_void,
    pub kv_blocks: *const pp_kv_blocks,
}

/// Of prepack/session.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_session_info {
    pub struct_size: u32,
    pub dtype: i32,
    pub n_threads: i32,
    pub max_pass_tokens: i32,
    pub page_tokens: i32,
    pub chunk_tokens: i32,
    pub n_page_classes: i32,
    pub keep_window_pages: i32,
    pub page_bytes: i64,
    pub class_page_bytes: [i64; 4],
    pub class_windows: [i32; 4],
    pub device: [c_char; 32],
    pub weight_bytes: i64,
    pub workspace_bytes: i64,
    pub kv_bytes: i64,
    pub kv_pool_bytes: i64,
    pub memory_bytes: i64,
    pub peak_memory_bytes: i64,
    pub tokens_computed: i64,
    pub passes: i64,
    pub host_bytes: i64,
    pub device_name: [c_char; 64],
    pub attention: [c_char; 32],
    pub pci_address: [c_char; 16],
    pub weights: i32,
    pub state_bytes: i64,
}

/// Of prepack/tokenizer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_text {
    pub bytes: *const c_char,
    pub n_bytes: usize,
}

/// Of prepack/tokenizer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_tokenizer_params {
    pub struct_size: u32,
    pub allocator: *const pp_allocator,
    pub log: pp_log_fn,
    pub log_user: *mut c_void,
}

/// Of prepack/tokenizer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_tokenizer_info {
    pub struct_size: u32,
    pub kind: i32,
    pub vocab_size: i32,
    pub n_special_tokens: i32,
    pub bos_token: i32,
    pub eos_token: i32,
    pub unk_token: i32,
    pub pad_token: i32,
    pub adds_bos: i32,
    pub adds_eos: i32,
}

/// Of prepack/tokenizer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_special_token {
    pub struct_size: u32,
    pub id: i32,
    pub is_special: i32,
    pub text: *const c_char,
}

/// Of prepack/tokenizer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_encode_params {
    pub struct_size: u32,
    pub special: i32,
    pub no_edges: i32,
    pub offsets: i32,
    pub n_threads: i32,
}

/// Of prepack/tokenizer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_text_range {
    pub begin: i64,
    pub end: i64,
}

/// Of prepack/tokenizer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_encoded {
    pub struct_size: u32,
    pub n: i64,
    pub ids: *const i32,
    pub offsets: *const pp_text_range,
}

/// Of prepack/tokenizer.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pp_decode_params {
    pub struct_size: u32,
    pub keep_special: i32,
}

// Of libprepack.
extern "C" {
    pub fn pp_attention_plan_params_init(params: *mut pp_attention_plan_params, struct_size: usize);
    pub fn pp_attention_plan_create(
        session: *mut pp_session,
        params: *const pp_attention_plan_params,
        plan: *mut *mut pp_attention_plan,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_attention_plan_destroy(plan: *mut pp_attention_plan);
    pub fn pp_attention_plan_get_info(
        plan: *const pp_attention_plan,
        info: *mut pp_attention_plan_info,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_attention_plan_upload(
        plan: *mut pp_attention_plan,
        workspace: *mut c_void,
        workspace_bytes: usize,
        stream: *mut c_void,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_attention_params_init(params: *mut pp_attention_params, struct_size: usize);
    pub fn pp_attention_varlen(
        session: *mut pp_session,
        plan: *const pp_attention_plan,
        params: *const pp_attention_params,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_batch_params_init(params: *mut pp_batch_params, struct_size: usize);
    pub fn pp_batch_build(
        plan: *const pp_plan,
        prompts: *const pp_prompt,
        n: i64,
        params: *const pp_batch_params,
        batch: *mut *mut pp_batch,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_batch_destroy(batch: *mut pp_batch);
    pub fn pp_batch_get_view(
        batch: *const pp_batch,
        view: *mut pp_batch_view,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_batch_mask(
        batch: *const pp_batch,
        dtype: i32,
        window_left: i64,
        mask: *mut c_void,
        mask_bytes: usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_batch_mask_bytes(
        batch: *const pp_batch,
        dtype: i32,
        bytes: *mut usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_plan_destroy(plan: *mut pp_plan);
    pub fn pp_plan_get_info(
        plan: *const pp_plan,
        info: *mut pp_plan_info,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_plan_get_bin(
        plan: *const pp_plan,
        bin: i64,
        prompts: *mut *const i32,
        n_prompts: *mut i64,
        tokens: *mut i64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_plan_get_bin_info(
        plan: *const pp_plan,
        bin: i64,
        info: *mut pp_bin_info,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_plan_get_segment(
        plan: *const pp_plan,
        segment: i64,
        out: *mut pp_segment,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_plan_get_ends(
        plan: *const pp_plan,
        segments: *mut i64,
        n: i64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_strerror(status: pp_status) -> *const c_char;
    pub fn pp_dtype_size(dtype: i32) -> usize;
    pub fn pp_dtype_name(dtype: i32) -> *const c_char;
    pub fn pp_score_continuations(
        session: *mut pp_session,
        all: *mut pp_continuation,
        n: i64,
        params: *const pp_run_params,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_cost_init(cost: *mut pp_cost_model, struct_size: usize);
    pub fn pp_cost_predict(
        cost: *const pp_cost_model,
        lengths: *const i64,
        n: i64,
        result: *mut f64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_cost_to_json(
        cost: *const pp_cost_model,
        text: *mut c_char,
        room: usize,
        bytes: *mut usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_cost_from_json(
        text: *const c_char,
        n_bytes: usize,
        cost: *mut pp_cost_model,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_cost_params_init(params: *mut pp_cost_params, struct_size: usize);
    pub fn pp_cost_measure(
        session: *mut pp_session,
        params: *const pp_cost_params,
        cost: *mut pp_cost_model,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_device_count() -> i64;
    pub fn pp_device_get(i: i64, info: *mut pp_device_info, err: *mut pp_error) -> pp_status;
    pub fn pp_plan_to_json(
        plan: *const pp_plan,
        text: *mut c_char,
        room: usize,
        bytes: *mut usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_plan_from_json(
        text: *const c_char,
        n_bytes: usize,
        allocator: *const pp_allocator,
        plan: *mut *mut pp_plan,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_length(cache: *const pp_kvcache) -> i64;
    pub fn pp_kvcache_first_token(cache: *const pp_kvcache, layer: i32) -> i64;
    pub fn pp_kvcache_kept(cache: *const pp_kvcache, n_tokens: i64) -> i64;
    pub fn pp_kvcache_fork(
        cache: *const pp_kvcache,
        n_tokens: i64,
        fork: *mut *mut pp_kvcache,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_truncate(
        cache: *mut pp_kvcache,
        n_tokens: i64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_read(
        cache: *const pp_kvcache,
        layer: i32,
        which: i32,
        layout: i32,
        dtype: i32,
        first_token: i64,
        n_tokens: i64,
        dst: *mut c_void,
        bytes: usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_write(
        cache: *mut pp_kvcache,
        layer: i32,
        which: i32,
        layout: i32,
        dtype: i32,
        first_token: i64,
        n_tokens: i64,
        src: *const c_void,
        bytes: usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_create(
        session: *mut pp_session,
        n_tokens: i64,
        tokens: *const i32,
        cache: *mut *mut pp_kvcache,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_get_page(
        cache: *const pp_kvcache,
        layer: i32,
        which: i32,
        token: i64,
        page: *mut pp_kvcache_page,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_read_state(
        cache: *const pp_kvcache,
        layer: i32,
        which: i32,
        dst: *mut f32,
        bytes: usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_write_state(
        cache: *mut pp_kvcache,
        layer: i32,
        which: i32,
        src: *const f32,
        bytes: usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_bytes(cache: *const pp_kvcache) -> i64;
    pub fn pp_kvcache_session(cache: *const pp_kvcache) -> *mut pp_session;
    pub fn pp_kvcache_destroy(cache: *mut pp_kvcache);
    pub fn pp_kvcache_create_on_blocks(
        session: *mut pp_session,
        cache: *mut *mut pp_kvcache,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_add_blocks(
        cache: *mut pp_kvcache,
        page_class: i32,
        blocks: *const i32,
        n: i64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_session_add_blocks(
        session: *mut pp_session,
        page_class: i32,
        blocks: *const i32,
        n: i64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_session_remove_blocks(
        session: *mut pp_session,
        page_class: i32,
        blocks: *mut i32,
        n: i64,
    ) -> i64;
    pub fn pp_kvcache_remove_blocks(
        cache: *mut pp_kvcache,
        page_class: i32,
        blocks: *mut i32,
        n: i64,
    ) -> i64;
    pub fn pp_kvcache_n_spare_blocks(cache: *const pp_kvcache, page_class: i32) -> i64;
    pub fn pp_kvcache_block_table(
        cache: *const pp_kvcache,
        page_class: i32,
        table: *mut i32,
        n: i64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_slot_mapping(
        cache: *const pp_kvcache,
        page_class: i32,
        first_token: i64,
        n: i64,
        slots: *mut i64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_llamacpp_params_init(params: *mut pp_llamacpp_params, struct_size: usize);
    pub fn pp_kvcache_llamacpp_size(
        cache: *const pp_kvcache,
        params: *const pp_llamacpp_params,
        bytes: *mut usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_to_llamacpp(
        cache: *const pp_kvcache,
        params: *const pp_llamacpp_params,
        memory: *mut c_void,
        bytes: usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_from_llamacpp(
        session: *mut pp_session,
        memory: *const c_void,
        bytes: usize,
        params: *const pp_llamacpp_params,
        cache: *mut *mut pp_kvcache,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_save_params_init(params: *mut pp_kvcache_save_params, struct_size: usize);
    pub fn pp_kvcache_save(
        cache: *const pp_kvcache,
        path: *const c_char,
        params: *const pp_kvcache_save_params,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_load(
        session: *mut pp_session,
        path: *const c_char,
        cache: *mut *mut pp_kvcache,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_inspect(
        path: *const c_char,
        info: *mut pp_kvcache_file_info,
        tokens: *mut i32,
        n: i64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_model_identity(
        model: *const pp_model,
        identity: *mut u64,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_export_size(
        cache: *const pp_kvcache,
        params: *const pp_kvcache_save_params,
        bytes: *mut usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_export(
        cache: *const pp_kvcache,
        params: *const pp_kvcache_save_params,
        memory: *mut c_void,
        bytes: usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_kvcache_import(
        session: *mut pp_session,
        memory: *const c_void,
        bytes: usize,
        cache: *mut *mut pp_kvcache,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_measure_params_init(params: *mut pp_measure_params, struct_size: usize);
    pub fn pp_session_measure(
        session: *mut pp_session,
        params: *const pp_measure_params,
        measurement: *mut pp_measurement,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_arch_name(arch: i32) -> *const c_char;
    pub fn pp_model_params_init(params: *mut pp_model_params, struct_size: usize);
    pub fn pp_model_open(
        dir: *const c_char,
        params: *const pp_model_params,
        model: *mut *mut pp_model,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_model_create_random(
        config_json: *const c_char,
        seed: u64,
        params: *const pp_model_params,
        model: *mut *mut pp_model,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_model_preset(name: *const c_char) -> *const c_char;
    pub fn pp_model_preset_name(i: i64) -> *const c_char;
    pub fn pp_model_get_config(
        model: *const pp_model,
        config: *mut pp_model_config,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_model_get_layer(
        model: *const pp_model,
        i_layer: i32,
        layer: *mut pp_layer_config,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_model_n_parameters(model: *const pp_model) -> i64;
    pub fn pp_model_is_random(model: *const pp_model) -> i32;
    pub fn pp_convert_params_init(params: *mut pp_convert_params, struct_size: usize);
    pub fn pp_model_convert(
        model: *mut pp_model,
        directory: *const c_char,
        params: *const pp_convert_params,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_model_ref(model: *mut pp_model) -> *mut pp_model;
    pub fn pp_model_unref(model: *mut pp_model);
    pub fn pp_packer_params_init(params: *mut pp_packer_params, struct_size: usize);
    pub fn pp_packer_create(
        params: *const pp_packer_params,
        packer: *mut *mut pp_packer,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_packer_destroy(packer: *mut pp_packer);
    pub fn pp_packer_plan(
        packer: *const pp_packer,
        lengths: *const i64,
        n: i64,
        plan: *mut *mut pp_plan,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_packer_plan_input(
        packer: *const pp_packer,
        input: *const pp_plan_input,
        plan: *mut *mut pp_plan,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_plan_partition(
        plan: *const pp_plan,
        n_workers: i64,
        worker_of_bin: *mut i32,
        n: i64,
        info: *mut pp_partition_info,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_queue_params_init(params: *mut pp_queue_params, struct_size: usize);
    pub fn pp_queue_create(
        params: *const pp_queue_params,
        queue: *mut *mut pp_queue,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_queue_destroy(queue: *mut pp_queue);
    pub fn pp_queue_add(
        queue: *mut pp_queue,
        prompt: *const pp_waiting_prompt,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_queue_next(
        queue: *mut pp_queue,
        max_wait: f64,
        step: *mut pp_step,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_queue_cancel(queue: *mut pp_queue, id: i64, err: *mut pp_error) -> pp_status;
    pub fn pp_queue_close(queue: *mut pp_queue, err: *mut pp_error) -> pp_status;
    pub fn pp_queue_get_stats(
        queue: *const pp_queue,
        stats: *mut pp_queue_stats,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_cancel_create(cancel: *mut *mut pp_cancel, err: *mut pp_error) -> pp_status;
    pub fn pp_cancel_request(cancel: *mut pp_cancel);
    pub fn pp_cancel_is_requested(cancel: *const pp_cancel) -> i32;
    pub fn pp_cancel_destroy(cancel: *mut pp_cancel);
    pub fn pp_run_params_init(params: *mut pp_run_params, struct_size: usize);
    pub fn pp_run(
        session: *mut pp_session,
        plan: *const pp_plan,
        items: *mut pp_item,
        n: i64,
        params: *const pp_run_params,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_prefill(
        session: *mut pp_session,
        plan: *const pp_plan,
        prompts: *const pp_prompt,
        n: i64,
        caches: *mut *mut pp_kvcache,
        logits: *mut *const f32,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_decode(
        session: *mut pp_session,
        caches: *const *mut pp_kvcache,
        tokens: *const i32,
        n: i64,
        logits: *mut *const f32,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_sample_params_init(params: *mut pp_sample_params, struct_size: usize);
    pub fn pp_prefill_sample(
        session: *mut pp_session,
        plan: *const pp_plan,
        prompts: *const pp_prompt,
        n: i64,
        params: *const pp_sample_params,
        caches: *mut *mut pp_kvcache,
        next: *mut i32,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_decode_sample(
        session: *mut pp_session,
        caches: *const *mut pp_kvcache,
        tokens: *const i32,
        n: i64,
        params: *const pp_sample_params,
        next: *mut i32,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_run_predict(
        info: *const pp_session_info,
        cost: *const pp_cost_model,
        plan: *const pp_plan,
        lengths: *const i64,
        n: i64,
        prediction: *mut pp_prediction,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_weights_name(weights: i32) -> *const c_char;
    pub fn pp_session_params_init(params: *mut pp_session_params, struct_size: usize);
    pub fn pp_session_create(
        model: *mut pp_model,
        params: *const pp_session_params,
        session: *mut *mut pp_session,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_session_destroy(session: *mut pp_session);
    pub fn pp_session_synchronize(session: *mut pp_session, err: *mut pp_error) -> pp_status;
    pub fn pp_session_trim(session: *mut pp_session) -> i64;
    pub fn pp_session_cancel(session: *mut pp_session);
    pub fn pp_session_model(session: *const pp_session) -> *mut pp_model;
    pub fn pp_session_get_info(
        session: *const pp_session,
        info: *mut pp_session_info,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_session_estimate(
        model: *mut pp_model,
        params: *const pp_session_params,
        info: *mut pp_session_info,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_version() -> *const c_char;
}

// Of libprepack-tokenizer.
#[cfg(feature = "tokenizer")]
extern "C" {
    pub fn pp_tokenizer_params_init(params: *mut pp_tokenizer_params, struct_size: usize);
    pub fn pp_tokenizer_open(
        path: *const c_char,
        params: *const pp_tokenizer_params,
        tokenizer: *mut *mut pp_tokenizer,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_tokenizer_destroy(tokenizer: *mut pp_tokenizer);
    pub fn pp_tokenizer_get_info(
        tokenizer: *const pp_tokenizer,
        info: *mut pp_tokenizer_info,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_tokenizer_get_special(
        tokenizer: *const pp_tokenizer,
        i: i32,
        special: *mut pp_special_token,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_tokenizer_token(
        tokenizer: *const pp_tokenizer,
        id: i32,
        n_bytes: *mut usize,
    ) -> *const c_char;
    pub fn pp_tokenizer_id(
        tokenizer: *const pp_tokenizer,
        text: *const c_char,
        n_bytes: usize,
    ) -> i32;
    pub fn pp_encode_params_init(params: *mut pp_encode_params, struct_size: usize);
    pub fn pp_tokenizer_encode(
        tokenizer: *mut pp_tokenizer,
        texts: *const pp_text,
        n: i64,
        params: *const pp_encode_params,
        encoding: *mut *mut pp_encoding,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_encoding_destroy(encoding: *mut pp_encoding);
    pub fn pp_encoding_count(encoding: *const pp_encoding) -> i64;
    pub fn pp_encoding_get(
        encoding: *const pp_encoding,
        i: i64,
        encoded: *mut pp_encoded,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_decode_params_init(params: *mut pp_decode_params, struct_size: usize);
    pub fn pp_tokenizer_decode(
        tokenizer: *const pp_tokenizer,
        ids: *const i32,
        n: i64,
        params: *const pp_decode_params,
        text: *mut c_char,
        room: usize,
        n_bytes: *mut usize,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_text_stream_create(
        tokenizer: *const pp_tokenizer,
        params: *const pp_decode_params,
        stream: *mut *mut pp_text_stream,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_text_stream_destroy(stream: *mut pp_text_stream);
    pub fn pp_text_stream_push(
        stream: *mut pp_text_stream,
        id: i32,
        piece: *mut pp_text,
        err: *mut pp_error,
    ) -> pp_status;
    pub fn pp_text_stream_finish(
        stream: *mut pp_text_stream,
        piece: *mut pp_text,
        err: *mut pp_error,
    ) -> pp_status;
}
