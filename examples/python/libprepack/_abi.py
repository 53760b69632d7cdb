"""The declarations of libprepack's public headers for ctypes, field for field and word for word: their
comments say what everything means. Written by tests/abi/python_abi.py; not to be edited."""
from __future__ import annotations

from ctypes import (CFUNCTYPE, Structure, c_char, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t,
                    c_uint32, c_uint64, c_void_p)
from typing import Any

Bytes = bytes  # in classes that have a field of that name

PP_LAYOUT_RAGGED = 1
PP_LAYOUT_PADDED = 2
PP_LAYOUT_INT32 = -1
PP_OK = 0
PP_AGAIN = 1
PP_GONE = 2
PP_SHORTER = 3
PP_ERR_ARG = -1
PP_ERR_NOMEM = -2
PP_ERR_DEVICE_NOMEM = -3
PP_ERR_DEVICE = -4
PP_ERR_UNSUPPORTED = -5
PP_ERR_FORMAT = -6
PP_ERR_IO = -7
PP_ERR_LIMIT = -8
PP_ERR_PATH = -9
PP_ERR_TOO_LONG = -10
PP_ERR_CANCELLED = -11
PP_ERR_NO_BACKEND = -12
PP_ERR_STRUCT_SIZE = -13
PP_ERR_INTERNAL = -14
PP_ERR_NOT_FINITE = -15
PP_DTYPE_AUTO = 0
PP_DTYPE_F32 = 1
PP_DTYPE_F16 = 2
PP_DTYPE_BF16 = 3
PP_DTYPE_BOOL = 4
PP_DTYPE_INT32 = -1
PP_LOG_WARNING = 1
PP_LOG_INFO = 2
PP_LOG_INT32 = -1
PP_KV_K = 0
PP_KV_V = 1
PP_KV_INT32 = -1
PP_KV_NHD = 1
PP_KV_HND = 2
PP_KV_LAYOUT_INT32 = -1
PP_STATE_RECURRENT = 0
PP_STATE_CONV = 1
PP_STATE_INT32 = -1
PP_LLAMACPP_ORDER_AUTO = 0
PP_LLAMACPP_ORDER_HALVES = 1
PP_LLAMACPP_ORDER_PAIRS = 2
PP_LLAMACPP_ORDER_INT32 = -1
PP_MEASURE_QKV = 1
PP_MEASURE_O = 2
PP_MEASURE_GATE_UP = 3
PP_MEASURE_DOWN = 4
PP_MEASURE_LM_HEAD = 5
PP_MEASURE_ATTENTION = 6
PP_MEASURE_DECODE = 7
PP_MEASURE_EMBED = 8
PP_MEASURE_RMSNORM = 9
PP_MEASURE_ROPE_KV = 10
PP_MEASURE_GATHER = 11
PP_MEASURE_SAMPLE = 12
PP_MEASURE_COPY = 13
PP_MEASURE_EXPERTS = 14
PP_MEASURE_ROUTE = 15
PP_MEASURE_LINEAR = 16
PP_MEASURE_LINEAR_IN = 17
PP_MEASURE_LINEAR_OUT = 18
PP_MEASURE_INT32 = -1
PP_MEASURE_CACHES_IN_A_PASS = 0
PP_MEASURE_CACHES_WARM = 1
PP_MEASURE_CACHES_FLUSHED = 2
PP_MEASURE_CACHES_INT32 = -1
PP_ARCH_LLAMA = 1
PP_ARCH_MISTRAL = 2
PP_ARCH_QWEN2 = 3
PP_ARCH_QWEN3 = 4
PP_ARCH_GEMMA2 = 5
PP_ARCH_GEMMA3 = 6
PP_ARCH_PHI3 = 7
PP_ARCH_OLMO2 = 8
PP_ARCH_OLMO3 = 9
PP_ARCH_GRANITE = 10
PP_ARCH_SMOLLM3 = 11
PP_ARCH_MINISTRAL = 12
PP_ARCH_MINISTRAL3 = 13
PP_ARCH_COHERE2 = 14
PP_ARCH_GLM4 = 15
PP_ARCH_EXAONE4 = 16
PP_ARCH_MIXTRAL = 17
PP_ARCH_QWEN2_MOE = 18
PP_ARCH_QWEN3_MOE = 19
PP_ARCH_OLMOE = 20
PP_ARCH_GRANITEMOE = 21
PP_ARCH_GRANITEMOESHARED = 22
PP_ARCH_GPT_OSS = 23
PP_ARCH_GLM4_MOE = 24
PP_ARCH_QWEN3_NEXT = 25
PP_ARCH_QWEN3_5 = 26
PP_ARCH_QWEN3_5_MOE = 27
PP_ARCH_GRANITEMOEHYBRID = 28
PP_ARCH_GEMMA4 = 29
PP_ARCH_GEMMA4_UNIFIED = 30
PP_ARCH_INT32 = -1
PP_ROPE_NONE = 0
PP_ROPE_DEFAULT = 1
PP_ROPE_LINEAR = 2
PP_ROPE_LLAMA3 = 3
PP_ROPE_YARN = 4
PP_ROPE_LONGROPE = 5
PP_ROPE_DYNAMIC = 6
PP_ROPE_PROPORTIONAL = 7
PP_ROPE_INT32 = -1
PP_LAYER_ATTENTION = 0
PP_LAYER_LINEAR = 1
PP_LAYER_INT32 = -1
PP_LINEAR_NONE = 0
PP_LINEAR_DELTA = 1
PP_LINEAR_MAMBA2 = 2
PP_LINEAR_INT32 = -1
PP_OUTPUT_NONE = 0
PP_OUTPUT_LAST_LOGITS = 1
PP_OUTPUT_ALL_LOGITS = 2
PP_OUTPUT_TOKEN = 3
PP_OUTPUT_HIDDEN = 4
PP_OUTPUT_POOLED = 5
PP_OUTPUT_LABELS = 6
PP_OUTPUT_INT32 = -1
PP_POOLING_LAST = 0
PP_POOLING_MEAN = 1
PP_POOLING_FIRST = 2
PP_POOLING_INT32 = -1
PP_NO_TARGET = -1
PP_DRAWN_TARGET = -2
PP_MAX_TOP = 256
PP_OBJECTIVE_FEWEST_BINS = 1
PP_OBJECTIVE_BALANCED = 2
PP_OBJECTIVE_CHEAPEST = 3
PP_OBJECTIVE_INT32 = -1
PP_POLICY_FFD = 1
PP_POLICY_BFD = 2
PP_POLICY_ARRIVAL = 3
PP_POLICY_FIRST_FIT = 4
PP_POLICY_BEST_FIT = 5
PP_POLICY_EXACT = 6
PP_POLICY_AUTO = 7
PP_POLICY_INT32 = -1
PP_OVERSIZE_ERROR = 1
PP_OVERSIZE_OWN_BIN = 2
PP_OVERSIZE_SPLIT = 3
PP_OVERSIZE_INT32 = -1
PP_WEIGHTS_AUTO = 0
PP_WEIGHTS_F32 = 1
PP_WEIGHTS_BF16 = 2
PP_WEIGHTS_INT8 = 3
PP_WEIGHTS_INT4 = 4
PP_WEIGHTS_NF4 = 5
PP_WEIGHTS_INT32 = -1
PP_TOKENIZER_BPE = 1
PP_TOKENIZER_WORDPIECE = 2
PP_TOKENIZER_UNIGRAM = 3
PP_TOKENIZER_WORDLEVEL = 4
PP_TOKENIZER_INT32 = -1
PP_SPECIAL_PARSE = 0
PP_SPECIAL_TEXT = 1
PP_SPECIAL_INT32 = -1

pp_log_fn = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
pp_logits_fn = CFUNCTYPE(c_int32, c_void_p, c_void_p)
pp_progress_fn = CFUNCTYPE(None, c_void_p, c_int64, c_int64)
pp_parallel_for_fn = CFUNCTYPE(None, c_void_p, c_int32, c_void_p, c_void_p)


class pp_attention_plan_params(Structure):
    struct_size: int
    dtype: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    window_left: int
    window_right: int
    n_prompts: int
    cu_seqlens_q: int | None
    cu_seqlens_k: int | None
    seqlens_q: int | None
    seqlens_k: int | None
    page_size: int
    block_table_stride: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("dtype", c_int32),
        ("n_heads", c_int64),
        ("n_kv_heads", c_int64),
        ("head_dim", c_int64),
        ("window_left", c_int64),
        ("window_right", c_int64),
        ("n_prompts", c_int64),
        ("cu_seqlens_q", c_void_p),
        ("cu_seqlens_k", c_void_p),
        ("seqlens_q", c_void_p),
        ("seqlens_k", c_void_p),
        ("page_size", c_int64),
        ("block_table_stride", c_int64),
    ]


class pp_attention_plan_info(Structure):
    struct_size: int
    dtype: int
    workspace_bytes: int
    n_tiles: int
    n_launches: int
    max_seqlen_q: int
    max_seqlen_k: int
    total_q: int
    total_k: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("dtype", c_int32),
        ("workspace_bytes", c_size_t),
        ("n_tiles", c_int64),
        ("n_launches", c_int64),
        ("max_seqlen_q", c_int64),
        ("max_seqlen_k", c_int64),
        ("total_q", c_int64),
        ("total_k", c_int64),
    ]


class pp_attention_params(Structure):
    struct_size: int
    softmax_scale: float
    q: int | None
    k: int | None
    v: int | None
    out: int | None
    lse: int | None
    block_table: int | None
    stream: int | None
    q_row_stride: int
    q_head_stride: int
    k_page_stride: int
    k_row_stride: int
    k_head_stride: int
    v_page_stride: int
    v_row_stride: int
    v_head_stride: int
    out_row_stride: int
    out_head_stride: int
    lse_head_stride: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("softmax_scale", c_float),
        ("q", c_void_p),
        ("k", c_void_p),
        ("v", c_void_p),
        ("out", c_void_p),
        ("lse", c_void_p),
        ("block_table", c_void_p),
        ("stream", c_void_p),
        ("q_row_stride", c_int64),
        ("q_head_stride", c_int64),
        ("k_page_stride", c_int64),
        ("k_row_stride", c_int64),
        ("k_head_stride", c_int64),
        ("v_page_stride", c_int64),
        ("v_row_stride", c_int64),
        ("v_head_stride", c_int64),
        ("out_row_stride", c_int64),
        ("out_head_stride", c_int64),
        ("lse_head_stride", c_int64),
    ]


class pp_batch_params(Structure):
    struct_size: int
    layout: int
    pad_token: int
    first_bin: int
    n_bins: int
    row_len: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("layout", c_int32),
        ("pad_token", c_int32),
        ("first_bin", c_int64),
        ("n_bins", c_int64),
        ("row_len", c_int64),
    ]


class pp_batch_view(Structure):
    struct_size: int
    layout: int
    n_rows: int
    row_len: int
    n_prompts: int
    n_tokens: int
    max_seqlen: int
    tokens: int | None
    positions: int | None
    cu_seqlens: int | None
    starts: int | None
    last_rows: int | None
    prompts: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("layout", c_int32),
        ("n_rows", c_int64),
        ("row_len", c_int64),
        ("n_prompts", c_int64),
        ("n_tokens", c_int64),
        ("max_seqlen", c_int64),
        ("tokens", c_void_p),
        ("positions", c_void_p),
        ("cu_seqlens", c_void_p),
        ("starts", c_void_p),
        ("last_rows", c_void_p),
        ("prompts", c_void_p),
    ]


class pp_plan_info(Structure):
    struct_size: int
    policy: int
    objective: int
    proven_optimal: int
    limit_reached: int
    n_prompts: int
    n_bins: int
    capacity: int
    tokens: int
    longest_prompt: int
    lower_bound: int
    waste: float
    gap: float
    seconds: float
    n_segments: int
    placed_tokens: int
    used: int
    total_capacity: int
    bound_l1: int
    bound_l2: int
    bound_dff: int
    bound_lp: int
    max_bin_prompts: int
    mean_bin_prompts: float
    max_cost: float
    mean_cost: float
    cost_bound: float
    _fields_ = [
        ("struct_size", c_uint32),
        ("policy", c_int32),
        ("objective", c_int32),
        ("proven_optimal", c_int32),
        ("limit_reached", c_int32),
        ("n_prompts", c_int64),
        ("n_bins", c_int64),
        ("capacity", c_int64),
        ("tokens", c_int64),
        ("longest_prompt", c_int64),
        ("lower_bound", c_int64),
        ("waste", c_double),
        ("gap", c_double),
        ("seconds", c_double),
        ("n_segments", c_int64),
        ("placed_tokens", c_int64),
        ("used", c_int64),
        ("total_capacity", c_int64),
        ("bound_l1", c_int64),
        ("bound_l2", c_int64),
        ("bound_dff", c_int64),
        ("bound_lp", c_int64),
        ("max_bin_prompts", c_int64),
        ("mean_bin_prompts", c_double),
        ("max_cost", c_double),
        ("mean_cost", c_double),
        ("cost_bound", c_double),
    ]


class pp_bin_info(Structure):
    struct_size: int
    choice: int
    first_segment: int
    n_segments: int
    tokens: int
    used: int
    capacity: int
    cost: float
    _fields_ = [
        ("struct_size", c_uint32),
        ("choice", c_int32),
        ("first_segment", c_int64),
        ("n_segments", c_int64),
        ("tokens", c_int64),
        ("used", c_int64),
        ("capacity", c_int64),
        ("cost", c_double),
    ]


class pp_segment(Structure):
    prompt: int
    first_token: int
    n_tokens: int
    start: int
    after: int
    _fields_ = [
        ("prompt", c_int32),
        ("first_token", c_int64),
        ("n_tokens", c_int64),
        ("start", c_int64),
        ("after", c_int64),
    ]


class pp_error(Structure):
    struct_size: int
    code: int
    native_code: int
    index: int
    message: Bytes
    _fields_ = [
        ("struct_size", c_uint32),
        ("code", c_int32),
        ("native_code", c_int32),
        ("index", c_int64),
        ("message", c_char * 488),
    ]


class pp_allocator(Structure):
    struct_size: int
    user: int | None
    allocate: int | None
    release: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("user", c_void_p),
        ("allocate", c_void_p),
        ("release", c_void_p),
    ]


class pp_device_allocator(Structure):
    struct_size: int
    user: int | None
    allocate: int | None
    release: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("user", c_void_p),
        ("allocate", c_void_p),
        ("release", c_void_p),
    ]


class pp_continuation(Structure):
    tokens: int | None
    n_tokens: int
    n_context: int
    logprob: float
    is_greedy: int
    _fields_ = [
        ("tokens", c_void_p),
        ("n_tokens", c_int64),
        ("n_context", c_int64),
        ("logprob", c_double),
        ("is_greedy", c_int32),
    ]


class pp_cost_model(Structure):
    struct_size: int
    per_pass: float
    per_token: float
    per_square: float
    per_prompt: float
    tile: int
    error: float
    device: Bytes
    model: Bytes
    max_tokens: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("per_pass", c_double),
        ("per_token", c_double),
        ("per_square", c_double),
        ("per_prompt", c_double),
        ("tile", c_int64),
        ("error", c_double),
        ("device", c_char * 64),
        ("model", c_char * 64),
        ("max_tokens", c_int64),
    ]


class pp_cost_params(Structure):
    struct_size: int
    cache_only: int
    max_tokens: int
    max_length: int
    seconds: float
    seed: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("cache_only", c_int32),
        ("max_tokens", c_int64),
        ("max_length", c_int64),
        ("seconds", c_double),
        ("seed", c_uint64),
    ]


class pp_device_info(Structure):
    struct_size: int
    n_units: int
    device: Bytes
    device_name: Bytes
    kernels: Bytes
    pci_address: Bytes
    memory_bytes: int
    available_bytes: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("n_units", c_int32),
        ("device", c_char * 32),
        ("device_name", c_char * 64),
        ("kernels", c_char * 32),
        ("pci_address", c_char * 16),
        ("memory_bytes", c_int64),
        ("available_bytes", c_int64),
    ]


class pp_kvcache_page(Structure):
    struct_size: int
    dtype: int
    data: int | None
    first_token: int
    n_tokens: int
    head_stride: int
    slot_stride: int
    dim_stride: int
    slot_group: int
    dim_group: int
    on_device: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("dtype", c_int32),
        ("data", c_void_p),
        ("first_token", c_int64),
        ("n_tokens", c_int64),
        ("head_stride", c_int64),
        ("slot_stride", c_int64),
        ("dim_stride", c_int64),
        ("slot_group", c_int32),
        ("dim_group", c_int32),
        ("on_device", c_int32),
    ]


class pp_kv_blocks(Structure):
    struct_size: int
    n_classes: int
    memory: Any
    n_blocks: Any
    _fields_ = [
        ("struct_size", c_uint32),
        ("n_classes", c_int32),
        ("memory", c_void_p * 4),
        ("n_blocks", c_int64 * 4),
    ]


class pp_llamacpp_params(Structure):
    struct_size: int
    key_dtype: int
    value_dtype: int
    v_trans: int
    n_streams: int
    order: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("key_dtype", c_int32),
        ("value_dtype", c_int32),
        ("v_trans", c_int32),
        ("n_streams", c_int32),
        ("order", c_int32),
    ]


class pp_kvcache_save_params(Structure):
    struct_size: int
    tokens: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("tokens", c_void_p),
    ]


class pp_kvcache_file_info(Structure):
    struct_size: int
    dtype: int
    n_tokens: int
    bytes: int
    model: int
    n_layers: int
    n_kv_heads: int
    head_dim: int
    has_tokens: int
    architecture: Bytes
    weights: Bytes
    device: Bytes
    producer: Bytes
    n_linear: int
    state_bytes: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("dtype", c_int32),
        ("n_tokens", c_int64),
        ("bytes", c_int64),
        ("model", c_uint64),
        ("n_layers", c_int32),
        ("n_kv_heads", c_int32),
        ("head_dim", c_int32),
        ("has_tokens", c_int32),
        ("architecture", c_char * 32),
        ("weights", c_char * 16),
        ("device", c_char * 32),
        ("producer", c_char * 32),
        ("n_linear", c_int32),
        ("state_bytes", c_int64),
    ]


class pp_measure_params(Structure):
    struct_size: int
    operation: int
    n_rows: int
    lengths: int | None
    n_prompts: int
    n_runs: int
    unguarded: int
    caches: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("operation", c_int32),
        ("n_rows", c_int64),
        ("lengths", c_void_p),
        ("n_prompts", c_int64),
        ("n_runs", c_int32),
        ("unguarded", c_int32),
        ("caches", c_int32),
    ]


class pp_measurement(Structure):
    struct_size: int
    n_runs: int
    n_repeats: int
    seconds: float
    flop: float
    bytes: float
    guarded_seconds: float
    unguarded_seconds: float
    own_seconds: float
    _fields_ = [
        ("struct_size", c_uint32),
        ("n_runs", c_int32),
        ("n_repeats", c_int64),
        ("seconds", c_double),
        ("flop", c_double),
        ("bytes", c_double),
        ("guarded_seconds", c_double),
        ("unguarded_seconds", c_double),
        ("own_seconds", c_double),
    ]


class pp_model_config(Structure):
    struct_size: int
    arch: int
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    max_position: int
    tie_embeddings: int
    dtype: int
    bos_token: int
    n_eos_tokens: int
    eos_tokens: Any
    norm_eps: float
    has_lm_head: int
    n_labels: int
    pooling: int
    normalize: int
    n_experts: int
    n_experts_per_token: int
    expert_size: int
    shared_expert_size: int
    n_linear_layers: int
    linear_rule: int
    linear_key_heads: int
    linear_value_heads: int
    linear_key_dim: int
    linear_value_dim: int
    linear_kernel: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("arch", c_int32),
        ("vocab_size", c_int32),
        ("hidden_size", c_int32),
        ("intermediate_size", c_int32),
        ("n_layers", c_int32),
        ("n_heads", c_int32),
        ("n_kv_heads", c_int32),
        ("head_dim", c_int32),
        ("max_position", c_int32),
        ("tie_embeddings", c_int32),
        ("dtype", c_int32),
        ("bos_token", c_int32),
        ("n_eos_tokens", c_int32),
        ("eos_tokens", c_int32 * 16),
        ("norm_eps", c_double),
        ("has_lm_head", c_int32),
        ("n_labels", c_int32),
        ("pooling", c_int32),
        ("normalize", c_int32),
        ("n_experts", c_int32),
        ("n_experts_per_token", c_int32),
        ("expert_size", c_int32),
        ("shared_expert_size", c_int32),
        ("n_linear_layers", c_int32),
        ("linear_rule", c_int32),
        ("linear_key_heads", c_int32),
        ("linear_value_heads", c_int32),
        ("linear_key_dim", c_int32),
        ("linear_value_dim", c_int32),
        ("linear_kernel", c_int32),
    ]


class pp_layer_config(Structure):
    struct_size: int
    sliding_window: int
    rope_type: int
    rotary_dim: int
    rope_theta: float
    rope_factor: float
    n_kv_heads: int
    head_dim: int
    kind: int
    kv_layer: int
    intermediate_size: int
    has_experts: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("sliding_window", c_int32),
        ("rope_type", c_int32),
        ("rotary_dim", c_int32),
        ("rope_theta", c_double),
        ("rope_factor", c_double),
        ("n_kv_heads", c_int32),
        ("head_dim", c_int32),
        ("kind", c_int32),
        ("kv_layer", c_int32),
        ("intermediate_size", c_int32),
        ("has_experts", c_int32),
    ]


class pp_model_params(Structure):
    struct_size: int
    allocator: int | None
    log: Any
    log_user: int | None
    sliding_window: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("allocator", c_void_p),
        ("log", pp_log_fn),
        ("log_user", c_void_p),
        ("sliding_window", c_int32),
    ]


class pp_convert_params(Structure):
    struct_size: int
    weights: int
    n_threads: int
    progress: int | None
    user: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("weights", c_int32),
        ("n_threads", c_int32),
        ("progress", c_void_p),
        ("user", c_void_p),
    ]


class pp_score(Structure):
    token: int
    target: int
    rank: int
    logprob: float
    _fields_ = [
        ("token", c_int64),
        ("target", c_int32),
        ("rank", c_int32),
        ("logprob", c_double),
    ]


class pp_logits(Structure):
    struct_size: int
    vocab_size: int
    i_item: int
    first_token: int
    n_rows: int
    logits: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("vocab_size", c_int32),
        ("i_item", c_int64),
        ("first_token", c_int64),
        ("n_rows", c_int64),
        ("logits", c_void_p),
    ]


class pp_prompt(Structure):
    tokens: int | None
    n_tokens: int
    _fields_ = [
        ("tokens", c_void_p),
        ("n_tokens", c_int64),
    ]


class pp_fewest_params(Structure):
    struct_size: int
    policy: int
    capacities: int | None
    n_capacities: int
    min_shared_prefix: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("policy", c_int32),
        ("capacities", c_void_p),
        ("n_capacities", c_int64),
        ("min_shared_prefix", c_int64),
    ]


class pp_balanced_params(Structure):
    struct_size: int
    n_bins: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("n_bins", c_int64),
    ]


class pp_cheapest_params(Structure):
    struct_size: int
    row_lens: int | None
    n_row_lens: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("row_lens", c_void_p),
        ("n_row_lens", c_int64),
    ]


class pp_packer_params(Structure):
    struct_size: int
    objective: int
    capacity: int
    oversize: int
    keep_order: int
    max_prompts: int
    bin_alignment: int
    prompt_alignment: int
    max_steps: int
    max_seconds: float
    cost: int | None
    allocator: int | None
    fewest: int | None
    balanced: int | None
    cheapest: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("objective", c_int32),
        ("capacity", c_int64),
        ("oversize", c_int32),
        ("keep_order", c_int32),
        ("max_prompts", c_int64),
        ("bin_alignment", c_int64),
        ("prompt_alignment", c_int64),
        ("max_steps", c_int64),
        ("max_seconds", c_double),
        ("cost", c_void_p),
        ("allocator", c_void_p),
        ("fewest", c_void_p),
        ("balanced", c_void_p),
        ("cheapest", c_void_p),
    ]


class pp_plan_input(Structure):
    struct_size: int
    n: int
    lengths: int | None
    prompts: int | None
    together: int | None
    apart: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("n", c_int64),
        ("lengths", c_void_p),
        ("prompts", c_void_p),
        ("together", c_void_p),
        ("apart", c_void_p),
    ]


class pp_partition_info(Structure):
    struct_size: int
    proven_optimal: int
    limit_reached: int
    n_workers: int
    max_bins: int
    max_cost: float
    mean_cost: float
    cost_bound: float
    gap: float
    _fields_ = [
        ("struct_size", c_uint32),
        ("proven_optimal", c_int32),
        ("limit_reached", c_int32),
        ("n_workers", c_int64),
        ("max_bins", c_int64),
        ("max_cost", c_double),
        ("mean_cost", c_double),
        ("cost_bound", c_double),
        ("gap", c_double),
    ]


class pp_queue_params(Structure):
    struct_size: int
    oversize: int
    keep_order: int
    capacity: int
    max_waiting: int
    max_prompts: int
    bin_alignment: int
    prompt_alignment: int
    cost: int | None
    max_age: float
    priority_age: float
    allocator: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("oversize", c_int32),
        ("keep_order", c_int32),
        ("capacity", c_int64),
        ("max_waiting", c_int64),
        ("max_prompts", c_int64),
        ("bin_alignment", c_int64),
        ("prompt_alignment", c_int64),
        ("cost", c_void_p),
        ("max_age", c_double),
        ("priority_age", c_double),
        ("allocator", c_void_p),
    ]


class pp_waiting_prompt(Structure):
    struct_size: int
    priority: int
    id: int
    n_tokens: int
    deadline: float
    _fields_ = [
        ("struct_size", c_uint32),
        ("priority", c_int32),
        ("id", c_int64),
        ("n_tokens", c_int64),
        ("deadline", c_double),
    ]


class pp_step_prompt(Structure):
    id: int
    first_token: int
    n_tokens: int
    start: int
    age: float
    continues: int
    _fields_ = [
        ("id", c_int64),
        ("first_token", c_int64),
        ("n_tokens", c_int64),
        ("start", c_int64),
        ("age", c_double),
        ("continues", c_int32),
    ]


class pp_step(Structure):
    struct_size: int
    prompts: int | None
    room: int
    n_prompts: int
    tokens: int
    used: int
    capacity: int
    n_waiting: int
    cost: float
    _fields_ = [
        ("struct_size", c_uint32),
        ("prompts", c_void_p),
        ("room", c_int64),
        ("n_prompts", c_int64),
        ("tokens", c_int64),
        ("used", c_int64),
        ("capacity", c_int64),
        ("n_waiting", c_int64),
        ("cost", c_double),
    ]


class pp_queue_stats(Structure):
    struct_size: int
    closed: int
    waiting: int
    waiting_tokens: int
    added: int
    handed_out: int
    cancelled: int
    refused: int
    steps: int
    tokens: int
    used: int
    waste: float
    oldest_age: float
    mean_age: float
    p50_age: float
    p99_age: float
    longest_age: float
    _fields_ = [
        ("struct_size", c_uint32),
        ("closed", c_int32),
        ("waiting", c_int64),
        ("waiting_tokens", c_int64),
        ("added", c_int64),
        ("handed_out", c_int64),
        ("cancelled", c_int64),
        ("refused", c_int64),
        ("steps", c_int64),
        ("tokens", c_int64),
        ("used", c_int64),
        ("waste", c_double),
        ("oldest_age", c_double),
        ("mean_age", c_double),
        ("p50_age", c_double),
        ("p99_age", c_double),
        ("longest_age", c_double),
    ]


class pp_item(Structure):
    struct_size: int
    output: int
    cache: int | None
    tokens: int | None
    n_tokens: int
    logits: int | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seed: int
    next: int
    scores: int | None
    n_scores: int
    top_tokens: int | None
    top_logprobs: int | None
    n_top: int
    pooling: int
    discard_cache: int
    normalize: int
    hidden: int | None
    hidden_tokens: int | None
    n_hidden: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("output", c_int32),
        ("cache", c_void_p),
        ("tokens", c_void_p),
        ("n_tokens", c_int64),
        ("logits", c_void_p),
        ("temperature", c_float),
        ("top_k", c_int32),
        ("top_p", c_float),
        ("min_p", c_float),
        ("seed", c_uint64),
        ("next", c_int32),
        ("scores", c_void_p),
        ("n_scores", c_int64),
        ("top_tokens", c_void_p),
        ("top_logprobs", c_void_p),
        ("n_top", c_int32),
        ("pooling", c_int32),
        ("discard_cache", c_int32),
        ("normalize", c_int32),
        ("hidden", c_void_p),
        ("hidden_tokens", c_void_p),
        ("n_hidden", c_int64),
    ]


class pp_run_params(Structure):
    struct_size: int
    sink: Any
    sink_user: int | None
    progress: Any
    progress_user: int | None
    cancel: int | None
    min_shared_prefix: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("sink", pp_logits_fn),
        ("sink_user", c_void_p),
        ("progress", pp_progress_fn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
        ("min_shared_prefix", c_int64),
    ]


class pp_sample_params(Structure):
    struct_size: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seeds: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("temperature", c_float),
        ("top_k", c_int32),
        ("top_p", c_float),
        ("min_p", c_float),
        ("seeds", c_void_p),
    ]


class pp_prediction(Structure):
    struct_size: int
    seconds: float
    passes: int
    kv_bytes: int
    state_bytes: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("seconds", c_double),
        ("passes", c_int64),
        ("kv_bytes", c_int64),
        ("state_bytes", c_int64),
    ]


class pp_session_params(Structure):
    struct_size: int
    dtype: int
    device: Bytes | None
    n_threads: int
    max_pass_tokens: int
    memory_limit: int
    allocator: int | None
    log: Any
    log_user: int | None
    stream: int | None
    device_allocator: int | None
    keep_window_pages: int
    weights: int
    parallel_for: Any
    parallel_user: int | None
    kv_blocks: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("dtype", c_int32),
        ("device", c_char_p),
        ("n_threads", c_int32),
        ("max_pass_tokens", c_int32),
        ("memory_limit", c_int64),
        ("allocator", c_void_p),
        ("log", pp_log_fn),
        ("log_user", c_void_p),
        ("stream", c_void_p),
        ("device_allocator", c_void_p),
        ("keep_window_pages", c_int32),
        ("weights", c_int32),
        ("parallel_for", pp_parallel_for_fn),
        ("parallel_user", c_void_p),
        ("kv_blocks", c_void_p),
    ]


class pp_session_info(Structure):
    struct_size: int
    dtype: int
    n_threads: int
    max_pass_tokens: int
    page_tokens: int
    chunk_tokens: int
    n_page_classes: int
    keep_window_pages: int
    page_bytes: int
    class_page_bytes: Any
    class_windows: Any
    device: Bytes
    weight_bytes: int
    workspace_bytes: int
    kv_bytes: int
    kv_pool_bytes: int
    memory_bytes: int
    peak_memory_bytes: int
    tokens_computed: int
    passes: int
    host_bytes: int
    device_name: Bytes
    attention: Bytes
    pci_address: Bytes
    weights: int
    state_bytes: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("dtype", c_int32),
        ("n_threads", c_int32),
        ("max_pass_tokens", c_int32),
        ("page_tokens", c_int32),
        ("chunk_tokens", c_int32),
        ("n_page_classes", c_int32),
        ("keep_window_pages", c_int32),
        ("page_bytes", c_int64),
        ("class_page_bytes", c_int64 * 4),
        ("class_windows", c_int32 * 4),
        ("device", c_char * 32),
        ("weight_bytes", c_int64),
        ("workspace_bytes", c_int64),
        ("kv_bytes", c_int64),
        ("kv_pool_bytes", c_int64),
        ("memory_bytes", c_int64),
        ("peak_memory_bytes", c_int64),
        ("tokens_computed", c_int64),
        ("passes", c_int64),
        ("host_bytes", c_int64),
        ("device_name", c_char * 64),
        ("attention", c_char * 32),
        ("pci_address", c_char * 16),
        ("weights", c_int32),
        ("state_bytes", c_int64),
    ]


class pp_text(Structure):
    bytes: Bytes | None
    n_bytes: int
    _fields_ = [
        ("bytes", c_char_p),
        ("n_bytes", c_size_t),
    ]


class pp_tokenizer_params(Structure):
    struct_size: int
    allocator: int | None
    log: Any
    log_user: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("allocator", c_void_p),
        ("log", pp_log_fn),
        ("log_user", c_void_p),
    ]


class pp_tokenizer_info(Structure):
    struct_size: int
    kind: int
    vocab_size: int
    n_special_tokens: int
    bos_token: int
    eos_token: int
    unk_token: int
    pad_token: int
    adds_bos: int
    adds_eos: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("vocab_size", c_int32),
        ("n_special_tokens", c_int32),
        ("bos_token", c_int32),
        ("eos_token", c_int32),
        ("unk_token", c_int32),
        ("pad_token", c_int32),
        ("adds_bos", c_int32),
        ("adds_eos", c_int32),
    ]


class pp_special_token(Structure):
    struct_size: int
    id: int
    is_special: int
    text: Bytes | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("id", c_int32),
        ("is_special", c_int32),
        ("text", c_char_p),
    ]


class pp_encode_params(Structure):
    struct_size: int
    special: int
    no_edges: int
    offsets: int
    n_threads: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("special", c_int32),
        ("no_edges", c_int32),
        ("offsets", c_int32),
        ("n_threads", c_int32),
    ]


class pp_text_range(Structure):
    begin: int
    end: int
    _fields_ = [
        ("begin", c_int64),
        ("end", c_int64),
    ]


class pp_encoded(Structure):
    struct_size: int
    n: int
    ids: int | None
    offsets: int | None
    _fields_ = [
        ("struct_size", c_uint32),
        ("n", c_int64),
        ("ids", c_void_p),
        ("offsets", c_void_p),
    ]


class pp_decode_params(Structure):
    struct_size: int
    keep_special: int
    _fields_ = [
        ("struct_size", c_uint32),
        ("keep_special", c_int32),
    ]


FUNCTIONS: dict[str, tuple[Any, ...]] = {  # result, then parameters
    "pp_attention_plan_params_init": (None, c_void_p, c_size_t,),
    "pp_attention_plan_create": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_attention_plan_destroy": (None, c_void_p,),
    "pp_attention_plan_get_info": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_attention_plan_upload": (c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p,),
    "pp_attention_params_init": (None, c_void_p, c_size_t,),
    "pp_attention_varlen": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_batch_params_init": (None, c_void_p, c_size_t,),
    "pp_batch_build": (c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_void_p,),
    "pp_batch_destroy": (None, c_void_p,),
    "pp_batch_get_view": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_batch_mask": (c_int32, c_void_p, c_int32, c_int64, c_void_p, c_size_t, c_void_p,),
    "pp_batch_mask_bytes": (c_int32, c_void_p, c_int32, c_void_p, c_void_p,),
    "pp_plan_destroy": (None, c_void_p,),
    "pp_plan_get_info": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_plan_get_bin": (c_int32, c_void_p, c_int64, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_plan_get_bin_info": (c_int32, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_plan_get_segment": (c_int32, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_plan_get_ends": (c_int32, c_void_p, c_void_p, c_int64, c_void_p,),
    "pp_strerror": (c_char_p, c_int32,),
    "pp_dtype_size": (c_size_t, c_int32,),
    "pp_dtype_name": (c_char_p, c_int32,),
    "pp_score_continuations": (c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_cost_init": (None, c_void_p, c_size_t,),
    "pp_cost_predict": (c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_cost_to_json": (c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p,),
    "pp_cost_from_json": (c_int32, c_char_p, c_size_t, c_void_p, c_void_p,),
    "pp_cost_params_init": (None, c_void_p, c_size_t,),
    "pp_cost_measure": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_device_count": (c_int64,),
    "pp_device_get": (c_int32, c_int64, c_void_p, c_void_p,),
    "pp_plan_to_json": (c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p,),
    "pp_plan_from_json": (c_int32, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p,),
    "pp_kvcache_length": (c_int64, c_void_p,),
    "pp_kvcache_first_token": (c_int64, c_void_p, c_int32,),
    "pp_kvcache_kept": (c_int64, c_void_p, c_int64,),
    "pp_kvcache_fork": (c_int32, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_kvcache_truncate": (c_int32, c_void_p, c_int64, c_void_p,),
    "pp_kvcache_read": (c_int32, c_void_p, c_int32, c_int32, c_int32, c_int32, c_int64, c_int64, c_void_p, c_size_t, c_void_p,),
    "pp_kvcache_write": (c_int32, c_void_p, c_int32, c_int32, c_int32, c_int32, c_int64, c_int64, c_void_p, c_size_t, c_void_p,),
    "pp_kvcache_create": (c_int32, c_void_p, c_int64, c_void_p, c_void_p, c_void_p,),
    "pp_kvcache_get_page": (c_int32, c_void_p, c_int32, c_int32, c_int64, c_void_p, c_void_p,),
    "pp_kvcache_read_state": (c_int32, c_void_p, c_int32, c_int32, c_void_p, c_size_t, c_void_p,),
    "pp_kvcache_write_state": (c_int32, c_void_p, c_int32, c_int32, c_void_p, c_size_t, c_void_p,),
    "pp_kvcache_bytes": (c_int64, c_void_p,),
    "pp_kvcache_session": (c_void_p, c_void_p,),
    "pp_kvcache_destroy": (None, c_void_p,),
    "pp_kvcache_create_on_blocks": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_kvcache_add_blocks": (c_int32, c_void_p, c_int32, c_void_p, c_int64, c_void_p,),
    "pp_session_add_blocks": (c_int32, c_void_p, c_int32, c_void_p, c_int64, c_void_p,),
    "pp_session_remove_blocks": (c_int64, c_void_p, c_int32, c_void_p, c_int64,),
    "pp_kvcache_remove_blocks": (c_int64, c_void_p, c_int32, c_void_p, c_int64,),
    "pp_kvcache_n_spare_blocks": (c_int64, c_void_p, c_int32,),
    "pp_kvcache_block_table": (c_int32, c_void_p, c_int32, c_void_p, c_int64, c_void_p,),
    "pp_kvcache_slot_mapping": (c_int32, c_void_p, c_int32, c_int64, c_int64, c_void_p, c_void_p,),
    "pp_llamacpp_params_init": (None, c_void_p, c_size_t,),
    "pp_kvcache_llamacpp_size": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_kvcache_to_llamacpp": (c_int32, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p,),
    "pp_kvcache_from_llamacpp": (c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p, c_void_p,),
    "pp_kvcache_save_params_init": (None, c_void_p, c_size_t,),
    "pp_kvcache_save": (c_int32, c_void_p, c_char_p, c_void_p, c_void_p,),
    "pp_kvcache_load": (c_int32, c_void_p, c_char_p, c_void_p, c_void_p,),
    "pp_kvcache_inspect": (c_int32, c_char_p, c_void_p, c_void_p, c_int64, c_void_p,),
    "pp_model_identity": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_kvcache_export_size": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_kvcache_export": (c_int32, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p,),
    "pp_kvcache_import": (c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p,),
    "pp_measure_params_init": (None, c_void_p, c_size_t,),
    "pp_session_measure": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_arch_name": (c_char_p, c_int32,),
    "pp_model_params_init": (None, c_void_p, c_size_t,),
    "pp_model_open": (c_int32, c_char_p, c_void_p, c_void_p, c_void_p,),
    "pp_model_create_random": (c_int32, c_char_p, c_uint64, c_void_p, c_void_p, c_void_p,),
    "pp_model_preset": (c_char_p, c_char_p,),
    "pp_model_preset_name": (c_char_p, c_int64,),
    "pp_model_get_config": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_model_get_layer": (c_int32, c_void_p, c_int32, c_void_p, c_void_p,),
    "pp_model_n_parameters": (c_int64, c_void_p,),
    "pp_model_is_random": (c_int32, c_void_p,),
    "pp_convert_params_init": (None, c_void_p, c_size_t,),
    "pp_model_convert": (c_int32, c_void_p, c_char_p, c_void_p, c_void_p,),
    "pp_model_ref": (c_void_p, c_void_p,),
    "pp_model_unref": (None, c_void_p,),
    "pp_packer_params_init": (None, c_void_p, c_size_t,),
    "pp_packer_create": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_packer_destroy": (None, c_void_p,),
    "pp_packer_plan": (c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_packer_plan_input": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_plan_partition": (c_int32, c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_queue_params_init": (None, c_void_p, c_size_t,),
    "pp_queue_create": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_queue_destroy": (None, c_void_p,),
    "pp_queue_add": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_queue_next": (c_int32, c_void_p, c_double, c_void_p, c_void_p,),
    "pp_queue_cancel": (c_int32, c_void_p, c_int64, c_void_p,),
    "pp_queue_close": (c_int32, c_void_p, c_void_p,),
    "pp_queue_get_stats": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_cancel_create": (c_int32, c_void_p, c_void_p,),
    "pp_cancel_request": (None, c_void_p,),
    "pp_cancel_is_requested": (c_int32, c_void_p,),
    "pp_cancel_destroy": (None, c_void_p,),
    "pp_run_params_init": (None, c_void_p, c_size_t,),
    "pp_run": (c_int32, c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_prefill": (c_int32, c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_void_p,),
    "pp_decode": (c_int32, c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_sample_params_init": (None, c_void_p, c_size_t,),
    "pp_prefill_sample": (c_int32, c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_decode_sample": (c_int32, c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_void_p,),
    "pp_run_predict": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_weights_name": (c_char_p, c_int32,),
    "pp_session_params_init": (None, c_void_p, c_size_t,),
    "pp_session_create": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_session_destroy": (None, c_void_p,),
    "pp_session_synchronize": (c_int32, c_void_p, c_void_p,),
    "pp_session_trim": (c_int64, c_void_p,),
    "pp_session_cancel": (None, c_void_p,),
    "pp_session_model": (c_void_p, c_void_p,),
    "pp_session_get_info": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_session_estimate": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_version": (c_char_p,),
}


TOKENIZER_FUNCTIONS: dict[str, tuple[Any, ...]] = {  # result, then parameters
    "pp_tokenizer_params_init": (None, c_void_p, c_size_t,),
    "pp_tokenizer_open": (c_int32, c_char_p, c_void_p, c_void_p, c_void_p,),
    "pp_tokenizer_destroy": (None, c_void_p,),
    "pp_tokenizer_get_info": (c_int32, c_void_p, c_void_p, c_void_p,),
    "pp_tokenizer_get_special": (c_int32, c_void_p, c_int32, c_void_p, c_void_p,),
    "pp_tokenizer_token": (c_char_p, c_void_p, c_int32, c_void_p,),
    "pp_tokenizer_id": (c_int32, c_void_p, c_char_p, c_size_t,),
    "pp_encode_params_init": (None, c_void_p, c_size_t,),
    "pp_tokenizer_encode": (c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_void_p,),
    "pp_encoding_destroy": (None, c_void_p,),
    "pp_encoding_count": (c_int64, c_void_p,),
    "pp_encoding_get": (c_int32, c_void_p, c_int64, c_void_p, c_void_p,),
    "pp_decode_params_init": (None, c_void_p, c_size_t,),
    "pp_tokenizer_decode": (c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p,),
    "pp_text_stream_create": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p,),
    "pp_text_stream_destroy": (None, c_void_p,),
    "pp_text_stream_push": (c_int32, c_void_p, c_int32, c_void_p, c_void_p,),
    "pp_text_stream_finish": (c_int32, c_void_p, c_void_p, c_void_p,),
}
