"""libprepack for rivals.py: one session for each format of weights, packed prefill through the C interface."""
import ctypes as C
import time
from functools import partial

import torch

from rival_world import Way

FORMATS = {"bf16": 2, "int8": 3, "int4": 4, "nf4": 5}  # PP_WEIGHTS_*


class Error(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("code", C.c_int32), ("native_code", C.c_int32),
                ("reserved", C.c_int32), ("index", C.c_int64), ("message", C.c_char * 488)]


class Prompt(C.Structure):
    _fields_ = [("tokens", C.POINTER(C.c_int32)), ("n_tokens", C.c_int64)]


class SessionParams(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("dtype", C.c_int32), ("device", C.c_char_p),
                ("n_threads", C.c_int32), ("max_pass_tokens", C.c_int32), ("memory_limit", C.c_int64),
                ("allocator", C.c_void_p), ("log", C.c_void_p), ("log_user", C.c_void_p),
                ("stream", C.c_void_p), ("device_allocator", C.c_void_p), ("keep_window_pages", C.c_int32),
                ("weights", C.c_int32), ("parallel_for", C.c_void_p), ("parallel_user", C.c_void_p),
                ("kv_blocks", C.c_void_p)]


class Library:
    """The calls, with errors as exceptions."""

    def __init__(self, path):
        self.lib = C.CDLL(path)
        self.err = Error(C.sizeof(Error))

    def call(self, name, *args):
        if getattr(self.lib, name)(*args, C.byref(self.err)) < 0:
            raise RuntimeError(f"{name}: {self.err.message.decode()}")


class Prepack:
    def __init__(self, library, world, weights):
        self.library, self.vocab = library, world.vocab
        self.model, self.session, self.packer = C.c_void_p(), C.c_void_p(), C.c_void_p()
        params = SessionParams()
        library.lib.pp_session_params_init(C.byref(params), C.c_size_t(C.sizeof(params)))
        params.n_threads, params.weights = world.threads, weights
        library.call("pp_model_open", world.checkpoint.encode(), None, C.byref(self.model))
        try:
            library.call("pp_session_create", self.model, C.byref(params), C.byref(self.session))
            library.call("pp_packer_create", None, C.byref(self.packer))
        except RuntimeError:
            self.close()
            raise

    def prefill(self, prompts):
        library, n = self.library, len(prompts)
        arrays = [(C.c_int32 * len(p))(*p) for p in prompts]
        views = (Prompt * n)(*[Prompt(C.cast(a, C.POINTER(C.c_int32)), len(a)) for a in arrays])
        lengths = (C.c_int64 * n)(*[len(p) for p in prompts])
        plan, caches, logits = C.c_void_p(), (C.c_void_p * n)(), C.POINTER(C.c_float)()
        began = time.perf_counter()
        library.call("pp_packer_plan", self.packer, lengths, C.c_int64(n), C.byref(plan))
        library.call("pp_prefill", self.session, plan, views, C.c_int64(n), caches, C.byref(logits))
        seconds = time.perf_counter() - began
        out = torch.frombuffer(C.cast(logits, C.POINTER(C.c_float * (n * self.vocab))).contents,
                               dtype=torch.float32).view(n, self.vocab).clone()
        for cache in caches:
            library.lib.pp_kvcache_destroy(C.c_void_p(cache))
        library.lib.pp_plan_destroy(plan)
        return seconds, out

    def close(self):
        self.library.lib.pp_packer_destroy(self.packer)
        self.library.lib.pp_session_destroy(self.session)
        self.library.lib.pp_model_unref(self.model)


def ways(world, path, formats):
    library = Library(path)
    for name in formats:
        yield Way(f"libprepack {name}", "packed", partial(Prepack, library, world, FORMATS[name]))
