"""libprepack for Python by ctypes alone: attention on tensors of one's own (prepack/attention.h), the
planner with arrays for another engine (packer.h, batch.h), and running a model (model.h, session.h,
run.h). Field for field the C declarations, whose comments say what everything means.

    session = Session(device="cpu")
    plan = Plan(session, cu_seqlens_q=[0, 5, 12], n_heads=8, n_kv_heads=2, head_dim=64, dtype=F32)
    plan.upload(workspace_address, stream_address)
    plan.run(q=q.data_ptr(), k=k.data_ptr(), v=v.data_ptr(), out=out.data_ptr())

    packing = Packing(lengths, capacity=2048, policy=POLICY_FFD)
    for arrays in packing.bins(token_lists):
        engine(arrays.tokens, arrays.positions, arrays.cu_seqlens)

    session = Session(model=Model("model-dir"))
    session.next_tokens(token_lists, Packing(lengths), temperature=0.7, top_p=0.9, seed=1)
    session.scores(token_lists)                    of each token after the first: (log-probability, rank)
    session.pooled(token_lists, POOLING_MEAN)      a vector each

The library is PREPACK_LIBRARY of the environment, or libprepack.so.0 where the loader finds it.
"""
import ctypes
import os
from ctypes import (POINTER, Structure, c_char, c_char_p, c_double, c_float, c_int32, c_int64,
                    c_size_t, c_uint32, c_uint64, c_void_p)

F32, F16, BF16, BOOL = 1, 2, 3, 4
OUTPUT_NONE, OUTPUT_TOKEN, OUTPUT_HIDDEN, OUTPUT_POOLED, OUTPUT_LABELS = 0, 3, 4, 5, 6
POOLING_LAST, POOLING_MEAN, POOLING_FIRST = 0, 1, 2
NO_TARGET = -1
POLICY_FFD, POLICY_BFD, POLICY_ARRIVAL = 1, 2, 3


class Error(Structure):
    C_NAME = "pp_error"
    _fields_ = [("struct_size", c_uint32), ("code", c_int32), ("native_code", c_int32),
                ("index", c_int64), ("message", c_char * 488)]


class SessionParams(Structure):
    C_NAME = "pp_session_params"
    _fields_ = [("struct_size", c_uint32), ("dtype", c_int32), ("device", c_char_p),
                ("n_threads", c_int32), ("max_pass_tokens", c_int32), ("memory_limit", c_int64),
                ("allocator", c_void_p), ("log", c_void_p), ("log_user", c_void_p),
                ("stream", c_void_p), ("device_allocator", c_void_p),
                ("keep_window_pages", c_int32), ("weights", c_int32),
                ("parallel_for", c_void_p), ("parallel_user", c_void_p),
                ("kv_blocks", c_void_p)]


class PlanParams(Structure):
    C_NAME = "pp_attention_plan_params"
    _fields_ = [("struct_size", c_uint32), ("dtype", c_int32), ("n_heads", c_int64),
                ("n_kv_heads", c_int64), ("head_dim", c_int64), ("window_left", c_int64),
                ("window_right", c_int64), ("n_prompts", c_int64),
                ("cu_seqlens_q", POINTER(c_int32)), ("cu_seqlens_k", POINTER(c_int32)),
                ("seqlens_q", POINTER(c_int32)), ("seqlens_k", POINTER(c_int32)),
                ("page_size", c_int64), ("block_table_stride", c_int64)]


class PlanInfo(Structure):
    C_NAME = "pp_attention_plan_info"
    _fields_ = [("struct_size", c_uint32), ("dtype", c_int32), ("workspace_bytes", c_size_t),
                ("n_tiles", c_int64), ("n_launches", c_int64), ("max_seqlen_q", c_int64),
                ("max_seqlen_k", c_int64), ("total_q", c_int64), ("total_k", c_int64)]


class Params(Structure):
    C_NAME = "pp_attention_params"
    _fields_ = [("struct_size", c_uint32), ("softmax_scale", c_float), ("q", c_void_p),
                ("k", c_void_p), ("v", c_void_p), ("out", c_void_p), ("lse", c_void_p),
                ("block_table", c_void_p), ("stream", c_void_p),
                ("q_row_stride", c_int64), ("q_head_stride", c_int64),
                ("k_page_stride", c_int64), ("k_row_stride", c_int64), ("k_head_stride", c_int64),
                ("v_page_stride", c_int64), ("v_row_stride", c_int64), ("v_head_stride", c_int64),
                ("out_row_stride", c_int64), ("out_head_stride", c_int64),
                ("lse_head_stride", c_int64)]


class FewestParams(Structure):
    C_NAME = "pp_fewest_params"
    _fields_ = [("struct_size", c_uint32), ("policy", c_int32), ("capacities", POINTER(c_int64)),
                ("n_capacities", c_int64), ("min_shared_prefix", c_int64)]


class PackerParams(Structure):
    C_NAME = "pp_packer_params"
    _fields_ = [("struct_size", c_uint32), ("objective", c_int32), ("capacity", c_int64),
                ("oversize", c_int32), ("keep_order", c_int32), ("max_prompts", c_int64),
                ("bin_alignment", c_int64), ("prompt_alignment", c_int64), ("max_steps", c_int64),
                ("max_seconds", c_double), ("cost", c_void_p), ("allocator", c_void_p),
                ("fewest", POINTER(FewestParams)), ("balanced", c_void_p), ("cheapest", c_void_p)]


class PackingInfo(Structure):
    C_NAME = "pp_plan_info"
    _fields_ = [("struct_size", c_uint32), ("policy", c_int32), ("objective", c_int32),
                ("proven_optimal", c_int32), ("limit_reached", c_int32), ("n_prompts", c_int64),
                ("n_bins", c_int64), ("capacity", c_int64), ("tokens", c_int64),
                ("longest_prompt", c_int64), ("lower_bound", c_int64), ("waste", c_double),
                ("gap", c_double), ("seconds", c_double), ("n_segments", c_int64),
                ("placed_tokens", c_int64), ("used", c_int64), ("total_capacity", c_int64),
                ("bound_l1", c_int64), ("bound_l2", c_int64), ("bound_dff", c_int64),
                ("bound_lp", c_int64), ("max_bin_prompts", c_int64), ("mean_bin_prompts", c_double),
                ("max_cost", c_double), ("mean_cost", c_double), ("cost_bound", c_double)]


class Prompt(Structure):
    C_NAME = "pp_prompt"
    _fields_ = [("tokens", POINTER(c_int32)), ("n_tokens", c_int64)]


class ModelConfig(Structure):
    C_NAME = "pp_model_config"
    _fields_ = [("struct_size", c_uint32), ("arch", c_int32), ("vocab_size", c_int32),
                ("hidden_size", c_int32), ("intermediate_size", c_int32), ("n_layers", c_int32),
                ("n_heads", c_int32), ("n_kv_heads", c_int32), ("head_dim", c_int32),
                ("max_position", c_int32), ("tie_embeddings", c_int32), ("dtype", c_int32),
                ("bos_token", c_int32), ("n_eos_tokens", c_int32), ("eos_tokens", c_int32 * 16),
                ("norm_eps", c_double), ("has_lm_head", c_int32), ("n_labels", c_int32),
                ("pooling", c_int32), ("normalize", c_int32)]


class Score(Structure):
    C_NAME = "pp_score"
    _fields_ = [("token", c_int64), ("target", c_int32), ("rank", c_int32), ("logprob", c_double)]


class Item(Structure):
    C_NAME = "pp_item"
    _fields_ = [("struct_size", c_uint32), ("output", c_int32), ("cache", c_void_p),
                ("tokens", POINTER(c_int32)), ("n_tokens", c_int64), ("logits", POINTER(c_float)),
                ("temperature", c_float), ("top_k", c_int32), ("top_p", c_float),
                ("min_p", c_float), ("seed", c_uint64), ("next", c_int32),
                ("scores", POINTER(Score)), ("n_scores", c_int64),
                ("top_tokens", POINTER(c_int32)), ("top_logprobs", POINTER(c_double)),
                ("n_top", c_int32), ("pooling", c_int32), ("discard_cache", c_int32),
                ("normalize", c_int32), ("hidden", POINTER(c_float)), ("hidden_tokens", POINTER(c_int64)),
                ("n_hidden", c_int64)]


class RunParams(Structure):
    C_NAME = "pp_run_params"
    _fields_ = [("struct_size", c_uint32), ("sink", c_void_p), ("sink_user", c_void_p),
                ("progress", c_void_p), ("progress_user", c_void_p), ("cancel", c_void_p),
                ("min_shared_prefix", c_int64)]


class BatchParams(Structure):
    C_NAME = "pp_batch_params"
    _fields_ = [("struct_size", c_uint32), ("layout", c_int32), ("pad_token", c_int32),
                ("first_bin", c_int64), ("n_bins", c_int64), ("row_len", c_int64)]


class BatchView(Structure):
    C_NAME = "pp_batch_view"
    _fields_ = [("struct_size", c_uint32), ("layout", c_int32), ("n_rows", c_int64),
                ("row_len", c_int64), ("n_prompts", c_int64), ("n_tokens", c_int64),
                ("max_seqlen", c_int64), ("tokens", POINTER(c_int32)),
                ("positions", POINTER(c_int32)), ("cu_seqlens", POINTER(c_int32)),
                ("starts", POINTER(c_int64)), ("last_rows", POINTER(c_int64)),
                ("prompts", POINTER(c_int32))]


class PrepackError(Exception):
    """A call of the library failed; the text is its sentence."""


_library = None


def library():
    global _library
    if _library is None:
        loaded = ctypes.CDLL(os.environ.get("PREPACK_LIBRARY", "libprepack.so.0"))
        declare(loaded, "pp_model_open", c_char_p, c_void_p, POINTER(c_void_p))
        declare(loaded, "pp_model_get_config", c_void_p, POINTER(ModelConfig))
        declare(loaded, "pp_run", c_void_p, c_void_p, POINTER(Item), c_int64, POINTER(RunParams))
        declare(loaded, "pp_session_create", c_void_p, POINTER(SessionParams), POINTER(c_void_p))
        declare(loaded, "pp_attention_plan_create", c_void_p, POINTER(PlanParams), POINTER(c_void_p))
        declare(loaded, "pp_attention_plan_get_info", c_void_p, POINTER(PlanInfo))
        declare(loaded, "pp_attention_plan_upload", c_void_p, c_void_p, c_size_t, c_void_p)
        declare(loaded, "pp_attention_varlen", c_void_p, c_void_p, POINTER(Params))
        declare(loaded, "pp_packer_create", POINTER(PackerParams), POINTER(c_void_p))
        declare(loaded, "pp_packer_plan", c_void_p, POINTER(c_int64), c_int64, POINTER(c_void_p))
        declare(loaded, "pp_plan_get_info", c_void_p, POINTER(PackingInfo))
        declare(loaded, "pp_batch_build", c_void_p, POINTER(Prompt), c_int64, POINTER(BatchParams),
                POINTER(c_void_p))
        declare(loaded, "pp_batch_get_view", c_void_p, POINTER(BatchView))
        declare(loaded, "pp_batch_mask_bytes", c_void_p, c_int32, POINTER(c_size_t))
        declare(loaded, "pp_batch_mask", c_void_p, c_int32, c_int64, c_void_p, c_size_t)
        for name in ("pp_model_unref", "pp_session_destroy", "pp_kvcache_destroy",
                     "pp_attention_plan_destroy", "pp_packer_destroy", "pp_plan_destroy",
                     "pp_batch_destroy"):
            getattr(loaded, name).argtypes = [c_void_p]
            getattr(loaded, name).restype = None
        for name in ("pp_session_params_init", "pp_attention_plan_params_init",
                     "pp_packer_params_init", "pp_batch_params_init"):
            getattr(loaded, name).argtypes = [c_void_p, c_size_t]
            getattr(loaded, name).restype = None
        _library = loaded
    return _library


def declare(loaded, name, *types):
    """A call that returns pp_status and whose last parameter is pp_error *."""
    function = getattr(loaded, name)
    function.argtypes = [*types, POINTER(Error)]
    function.restype = c_int32


def call(name, *arguments):
    error = Error(struct_size=ctypes.sizeof(Error))
    if getattr(library(), name)(*arguments, ctypes.byref(error)) < 0:
        raise PrepackError(error.message.decode())


class Model:
    """A Hugging Face model directory, or a GGUF file; config has the fields of pp_model_config."""

    def __init__(self, folder):
        self.handle = c_void_p()
        call("pp_model_open", os.fsencode(folder), None, ctypes.byref(self.handle))
        self.config = ModelConfig(struct_size=ctypes.sizeof(ModelConfig))
        call("pp_model_get_config", self.handle, ctypes.byref(self.config))

    def __del__(self):
        if getattr(self, "handle", None):
            library().pp_model_unref(self.handle)


class Session:
    """A device. stream: the address of a CUDA stream, or None; model: None for attention alone; fields
    of pp_session_params."""

    def __init__(self, device="cpu", stream=None, model=None, **fields):
        params = SessionParams()
        library().pp_session_params_init(ctypes.byref(params), ctypes.sizeof(params))
        params.device = device.encode()
        params.stream = stream
        for name, value in fields.items():
            setattr(params, name, value)
        self.model, self.handle = model, c_void_p()
        call("pp_session_create", model.handle if model else None, ctypes.byref(params),
             ctypes.byref(self.handle))

    def run(self, token_lists, packing=None, ask=lambda i: {}):
        """One pp_run of new prompts, which leaves no caches: the items. packing: a Packing of their lengths,
        whose bins share passes, or a number: what prompts have in common is computed once where it is at
        least so many tokens; ask(i): fields of item i."""
        shared = packing if isinstance(packing, int) else 0
        params = RunParams(struct_size=ctypes.sizeof(RunParams), min_shared_prefix=shared)
        items = (Item * len(token_lists))(*[
            Item(struct_size=ctypes.sizeof(Item), tokens=(c_int32 * len(tokens))(*tokens), n_tokens=len(tokens),
                 discard_cache=1, **ask(i)) for i, tokens in enumerate(token_lists)])
        plan = packing.handle if packing and not shared else None
        call("pp_run", self.handle, plan, items, len(items), ctypes.byref(params))
        return items

    def next_tokens(self, token_lists, packing=None, **drawing):
        """The token that follows each prompt. drawing: fields of pp_item."""
        items = self.run(token_lists, packing, lambda i: {"output": OUTPUT_TOKEN, **drawing})
        return [item.next for item in items]

    def scores(self, token_lists, packing=None, n_top=0):
        """Of each token but the first: its log-probability, its rank (0: the most likely token), and the n_top
        most likely ids in its place with theirs."""
        def ask(i):
            targets = token_lists[i][1:]
            n = len(targets)
            return {"scores": (Score * n)(*[Score(t, target) for t, target in enumerate(targets)]), "n_scores": n,
                    "n_top": n_top, "top_tokens": (c_int32 * (n * n_top))(),
                    "top_logprobs": (c_double * (n * n_top))()}
        items = self.run(token_lists, packing, ask)
        return [[(score.logprob, score.rank, [(item.top_tokens[t * n_top + j], item.top_logprobs[t * n_top + j])
                                              for j in range(n_top)])
                 for t, score in enumerate(item.scores[:item.n_scores])] for item in items]

    def hidden(self, token_lists, packing=None, **fields):
        """The hidden state of every token, behind the last norm: lists [n_tokens][hidden_size]."""
        size = self.model.config.hidden_size
        items = self.run(token_lists, packing, lambda i: {
            "output": OUTPUT_HIDDEN, "hidden": (c_float * (len(token_lists[i]) * size))(), **fields})
        return [[item.hidden[t * size:(t + 1) * size] for t in range(item.n_tokens)] for item in items]

    def pooled(self, token_lists, pooling=POOLING_LAST, normalize=0, packing=None):
        """One vector a prompt: lists [hidden_size]."""
        size = self.model.config.hidden_size
        items = self.run(token_lists, packing, lambda i: {
            "output": OUTPUT_POOLED, "pooling": pooling, "normalize": normalize, "hidden": (c_float * size)()})
        return [item.hidden[:size] for item in items]

    def labels(self, token_lists, packing=None):
        """The scores of labels, of a model that has them: lists [n_labels]."""
        n = self.model.config.n_labels
        items = self.run(token_lists, packing, lambda i: {"output": OUTPUT_LABELS, "logits": (c_float * n)()})
        return [item.logits[:n] for item in items]

    def __del__(self):
        if getattr(self, "handle", None):
            library().pp_session_destroy(self.handle)


class Plan:
    """Who sees whom; keywords are fields of pp_attention_plan_params, arrays are lists of int.
    cu_seqlens_k is cu_seqlens_q unless it is given."""

    ARRAYS = ("cu_seqlens_q", "cu_seqlens_k", "seqlens_q", "seqlens_k")

    def __init__(self, session, **fields):
        params = PlanParams()
        library().pp_attention_plan_params_init(ctypes.byref(params), ctypes.sizeof(params))
        fields.setdefault("cu_seqlens_k", fields["cu_seqlens_q"])
        params.n_prompts = len(fields["cu_seqlens_q"]) - 1
        for name, value in fields.items():
            if name in self.ARRAYS and value is not None:
                value = (c_int32 * len(value))(*value)
            setattr(params, name, value)
        self.session, self.handle = session, c_void_p()
        call("pp_attention_plan_create", session.handle, ctypes.byref(params),
             ctypes.byref(self.handle))
        self.info = PlanInfo(struct_size=ctypes.sizeof(PlanInfo))
        call("pp_attention_plan_get_info", self.handle, ctypes.byref(self.info))

    def upload(self, workspace=None, stream=None):
        """workspace: the address of info.workspace_bytes of device memory, which the caller keeps."""
        call("pp_attention_plan_upload", self.handle, workspace, self.info.workspace_bytes, stream)

    def run(self, **fields):
        """Keywords are fields of pp_attention_params, tensors their addresses."""
        params = Params(struct_size=ctypes.sizeof(Params), **fields)
        call("pp_attention_varlen", self.session.handle, self.handle, ctypes.byref(params))

    def __del__(self):
        if getattr(self, "handle", None):
            library().pp_attention_plan_destroy(self.handle)


class Packing:
    """As few bins of prompts as the policy finds; keywords are fields of pp_packer_params."""

    def __init__(self, lengths, policy=POLICY_FFD, **fields):
        params, packer = PackerParams(), c_void_p()
        fewest = FewestParams(struct_size=ctypes.sizeof(FewestParams), policy=policy)
        library().pp_packer_params_init(ctypes.byref(params), ctypes.sizeof(params))
        for name, value in fields.items():
            setattr(params, name, value)
        params.fewest = ctypes.pointer(fewest)
        self.handle, self.info = c_void_p(), PackingInfo(struct_size=ctypes.sizeof(PackingInfo))
        call("pp_packer_create", ctypes.byref(params), ctypes.byref(packer))
        try:
            call("pp_packer_plan", packer, (c_int64 * len(lengths))(*lengths), len(lengths),
                 ctypes.byref(self.handle))
        finally:
            library().pp_packer_destroy(packer)
        call("pp_plan_get_info", self.handle, ctypes.byref(self.info))

    def bins(self, token_lists):
        """The arrays of each bin, one after the other. token_lists: the prompts' token ids."""
        arrays = [(c_int32 * len(tokens))(*tokens) for tokens in token_lists]
        prompts = (Prompt * len(arrays))(*[Prompt(a, len(a)) for a in arrays])
        for number in range(self.info.n_bins):
            yield Bin(self, number, prompts)

    def __del__(self):
        if getattr(self, "handle", None):
            library().pp_plan_destroy(self.handle)


class Bin:
    """Lists: tokens, positions (restart at 0), cu_seqlens, last_rows, prompts (their numbers)."""

    def __init__(self, packing, number, prompts):
        params, view = BatchParams(), BatchView(struct_size=ctypes.sizeof(BatchView))
        library().pp_batch_params_init(ctypes.byref(params), ctypes.sizeof(params))
        params.first_bin, params.n_bins = number, 1
        self.handle = c_void_p()
        call("pp_batch_build", packing.handle, prompts, len(prompts), ctypes.byref(params),
             ctypes.byref(self.handle))
        call("pp_batch_get_view", self.handle, ctypes.byref(view))
        self.max_seqlen = view.max_seqlen
        self.tokens, self.positions = view.tokens[:view.n_tokens], view.positions[:view.n_tokens]
        self.cu_seqlens = view.cu_seqlens[:view.n_prompts + 1]
        self.last_rows = view.last_rows[:view.n_prompts]
        self.prompts = view.prompts[:view.n_prompts]

    def mask(self):
        """Bytes [tokens, tokens], 1: row may see column."""
        n_bytes = c_size_t()
        call("pp_batch_mask_bytes", self.handle, BOOL, ctypes.byref(n_bytes))
        mask = (ctypes.c_uint8 * n_bytes.value)()
        call("pp_batch_mask", self.handle, BOOL, -1, mask, n_bytes)
        return mask

    def __del__(self):
        if getattr(self, "handle", None):
            library().pp_batch_destroy(self.handle)
