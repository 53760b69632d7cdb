#!/usr/bin/env python3
"""Prefill of ragged prompts: libprepack against transformers on the same random checkpoint, the same
prompts, the same threads, in one process. Transformers runs as its users run it: padded batches with an
attention mask, batches sorted by length, and one prompt after another; the best counts as the rival. Where
llama-cpp-python and gguf are installed, llama.cpp is another, with its best setting.

usage: rivals.py LIBPREPACK.SO LENGTHS_FILE [--threads N] [--shape 110m|15m] [--runs N]
Needs torch and transformers; without them it says so and ends with status 0."""
import argparse
import ctypes as C
import os
import random
import sys
import tempfile
import time

try:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

try:
    import rival_llamacpp
except ImportError as missing:
    rival_llamacpp = None
    print(f"without llama.cpp: {missing}")

SHAPES = {"15m": dict(hidden_size=288, intermediate_size=768, num_hidden_layers=6,
                      num_attention_heads=6, num_key_value_heads=6),
          "110m": dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12,
                       num_attention_heads=12, num_key_value_heads=12)}


class Error(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("code", C.c_int32), ("native_code", C.c_int32),
                ("reserved", C.c_int32), ("index", C.c_int64), ("message", C.c_char * 488)]


class Prompt(C.Structure):
    _fields_ = [("tokens", C.POINTER(C.c_int32)), ("n_tokens", C.c_int64)]


class SessionParams(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("dtype", C.c_int32), ("device", C.c_char_p),
                ("n_threads", C.c_int32), ("max_pass_tokens", C.c_int32),
                ("memory_limit", C.c_int64), ("allocator", C.c_void_p), ("log", C.c_void_p),
                ("log_user", C.c_void_p), ("reserved", C.c_int64 * 6)]


class Prepack:
    """A model and a session through the C interface."""

    def __init__(self, library, directory, threads, vocab):
        self.lib = C.CDLL(library)
        self.err = Error(C.sizeof(Error))
        self.vocab = vocab
        self.model, self.session, self.packer = C.c_void_p(), C.c_void_p(), C.c_void_p()
        params = SessionParams()
        self.lib.pp_session_params_init(C.byref(params), C.c_size_t(C.sizeof(params)))
        params.n_threads = threads
        self.call("pp_model_open", directory.encode(), None, C.byref(self.model))
        self.call("pp_session_create", self.model, C.byref(params), C.byref(self.session))
        self.call("pp_packer_create", None, C.byref(self.packer))

    def call(self, name, *args):
        if getattr(self.lib, name)(*args, C.byref(self.err)) < 0:
            sys.exit(f"{name}: {self.err.message.decode()}")

    def prefill(self, prompts):
        """Packs and prefills; returns the logits of the last tokens."""
        n = len(prompts)
        arrays = [(C.c_int32 * len(p))(*p) for p in prompts]
        views = (Prompt * n)(*[Prompt(C.cast(a, C.POINTER(C.c_int32)), len(a)) for a in arrays])
        lengths = (C.c_int64 * n)(*[len(p) for p in prompts])
        plan, caches, logits = C.c_void_p(), (C.c_void_p * n)(), C.POINTER(C.c_float)()
        began = time.perf_counter()
        self.call("pp_packer_plan", self.packer, lengths, C.c_size_t(n), C.byref(plan))
        self.call("pp_prefill", self.session, plan, views, C.c_size_t(n), caches, C.byref(logits))
        seconds = time.perf_counter() - began
        out = torch.frombuffer(C.cast(logits, C.POINTER(C.c_float * (n * self.vocab))).contents,
                               dtype=torch.float32).view(n, self.vocab).clone()
        for cache in caches:
            self.lib.pp_kvcache_destroy(C.c_void_p(cache))
        self.lib.pp_plan_destroy(plan)
        return seconds, out


def padded(model, prompts):
    """One padded batch as transformers' users run it; logits of the last real tokens."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    began = time.perf_counter()
    with torch.inference_mode():
        out = model(ids, attention_mask=mask, position_ids=positions, use_cache=True,
                    logits_to_keep=1)
    return time.perf_counter() - began, out.logits[:, -1].float()


def one_by_one(model, prompts):
    results = [padded(model, [p]) for p in prompts]
    return sum(s for s, _ in results), torch.cat([l for _, l in results])


def sorted_batches(model, prompts, size=16):
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    seconds, logits = 0.0, [None] * len(prompts)
    for first in range(0, len(order), size):
        batch = order[first:first + size]
        spent, out = padded(model, [prompts[i] for i in batch])
        seconds += spent
        for row, i in enumerate(batch):
            logits[i] = out[row]
    return seconds, torch.stack(logits)


def llama_methods(model, directory, threads, prompts):
    """llama.cpp with the settings that are best for one kind of batch or another."""
    path = os.path.join(directory, "model.gguf")
    rival_llamacpp.write_gguf(model, path)
    methods = {}
    for unified in (True, False):
        for n_ubatch in (256, 512, 4096):
            context = rival_llamacpp.LlamaCpp(path, threads, 32000, prompts, unified, n_ubatch)
            name = f"llama.cpp, {'unified' if unified else 'split'} cache, ubatch {n_ubatch}"
            methods[name] = lambda c=context: c.prefill(prompts, True)
            if unified and n_ubatch == 512:
                methods["llama.cpp, one by one"] = lambda c=context: c.prefill(prompts, False)
    return methods


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("lengths")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", choices=SHAPES, default="110m")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(41)
    rng = random.Random(41)
    lengths = rng.sample([int(line) for line in open(args.lengths)], 64)
    config = LlamaConfig(vocab_size=32000, max_position_embeddings=4096, **SHAPES[args.shape])
    prompts = [[rng.randrange(32000) for _ in range(n)] for n in lengths]
    tokens = sum(lengths)
    with tempfile.TemporaryDirectory() as directory:
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)
        model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.bfloat16).eval()
        ours = Prepack(args.library, directory, args.threads, 32000)
        llama = llama_methods(model, directory, args.threads, prompts) if rival_llamacpp else {}
    methods = {"libprepack, packed": lambda: ours.prefill(prompts),
               "transformers, padded batch of 64": lambda: padded(model, prompts),
               "transformers, batches of 16 by length": lambda: sorted_batches(model, prompts),
               "transformers, one by one": lambda: one_by_one(model, prompts), **llama}
    best, logits = {}, {}
    for run in range(args.runs + 1):  # the first run warms up
        for name, method in methods.items():
            seconds, logits[name] = method()
            if run:
                best[name] = min(best.get(name, seconds), seconds)
    print(f"{args.shape} shape, bf16, {args.threads} threads, 64 prompts of {tokens} tokens "
          f"(longest {max(lengths)})")
    reference = logits["transformers, one by one"]
    for name, seconds in best.items():
        error = ((logits[name] - reference).abs().max() / reference.abs().max()).item()
        print(f"{name:40s} {tokens / seconds:8.0f} tokens/s   logits differ by {error:.1e}")
    for rival in ("transformers", "llama.cpp"):
        seconds = [s for name, s in best.items() if name.startswith(rival)]
        if seconds:
            print(f"libprepack is {min(seconds) / best['libprepack, packed']:.2f} times as fast as "
                  f"the best of {rival}")


main()
