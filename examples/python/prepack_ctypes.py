"""libprepack's attention for Python: the structs and calls of prepack/attention.h and what they need
of prepack/session.h, by ctypes alone. Field for field the C declarations, whose comments say what
everything means.

    session = Session(device="cpu")
    plan = Plan(session, cu_seqlens_q=[0, 5, 12], n_heads=8, n_kv_heads=2, head_dim=64, dtype=F32)
    plan.upload(workspace_address, stream_address)
    plan.run(q=q.data_ptr(), k=k.data_ptr(), v=v.data_ptr(), out=out.data_ptr())

The library is PREPACK_LIBRARY of the environment, or libprepack.so.0 where the loader finds it.
"""
import ctypes
import os
from ctypes import (POINTER, Structure, c_char, c_char_p, c_float, c_int32, c_int64, c_size_t,
                    c_uint32, c_void_p)

F32, F16, BF16 = 1, 2, 3


class Error(Structure):
    C_NAME = "pp_error"
    _fields_ = [("struct_size", c_uint32), ("code", c_int32), ("native_code", c_int32),
                ("reserved", c_int32), ("index", c_int64), ("message", c_char * 488)]


class SessionParams(Structure):
    C_NAME = "pp_session_params"
    _fields_ = [("struct_size", c_uint32), ("dtype", c_int32), ("device", c_char_p),
                ("n_threads", c_int32), ("max_pass_tokens", c_int32), ("memory_limit", c_int64),
                ("allocator", c_void_p), ("log", c_void_p), ("log_user", c_void_p),
                ("stream", c_void_p), ("device_allocator", c_void_p), ("reserved", c_int64 * 4)]


class PlanParams(Structure):
    C_NAME = "pp_attention_plan_params"
    _fields_ = [("struct_size", c_uint32), ("dtype", c_int32), ("n_heads", c_int32),
                ("n_kv_heads", c_int32), ("head_dim", c_int32), ("window_left", c_int32),
                ("window_right", c_int32), ("n_prompts", c_int32),
                ("cu_seqlens_q", POINTER(c_int32)), ("cu_seqlens_k", POINTER(c_int32)),
                ("seqlens_q", POINTER(c_int32)), ("seqlens_k", POINTER(c_int32)),
                ("page_size", c_int32), ("block_table_stride", c_int32), ("reserved", c_int64 * 4)]


class PlanInfo(Structure):
    C_NAME = "pp_attention_plan_info"
    _fields_ = [("struct_size", c_uint32), ("dtype", c_int32), ("workspace_bytes", c_int64),
                ("n_tiles", c_int64), ("n_launches", c_int32), ("max_seqlen_q", c_int32),
                ("max_seqlen_k", c_int32), ("reserved0", c_int32), ("total_q", c_int64),
                ("total_k", c_int64), ("reserved", c_int64 * 4)]


class Params(Structure):
    C_NAME = "pp_attention_params"
    _fields_ = [("struct_size", c_uint32), ("softmax_scale", c_float), ("q", c_void_p),
                ("k", c_void_p), ("v", c_void_p), ("out", c_void_p), ("lse", c_void_p),
                ("block_table", c_void_p), ("stream", c_void_p),
                ("q_row_stride", c_int64), ("q_head_stride", c_int64),
                ("k_page_stride", c_int64), ("k_row_stride", c_int64), ("k_head_stride", c_int64),
                ("v_page_stride", c_int64), ("v_row_stride", c_int64), ("v_head_stride", c_int64),
                ("out_row_stride", c_int64), ("out_head_stride", c_int64),
                ("lse_head_stride", c_int64), ("reserved", c_int64 * 4)]


class PrepackError(Exception):
    """A call of the library failed; the text is its sentence."""


_library = None


def library():
    global _library
    if _library is None:
        loaded = ctypes.CDLL(os.environ.get("PREPACK_LIBRARY", "libprepack.so.0"))
        declare(loaded, "pp_session_create", c_void_p, POINTER(SessionParams), POINTER(c_void_p))
        declare(loaded, "pp_attention_plan_create", c_void_p, POINTER(PlanParams), POINTER(c_void_p))
        declare(loaded, "pp_attention_plan_get_info", c_void_p, POINTER(PlanInfo))
        declare(loaded, "pp_attention_plan_upload", c_void_p, c_void_p, c_size_t, c_void_p)
        declare(loaded, "pp_attention_varlen", c_void_p, c_void_p, POINTER(Params))
        for name in ("pp_session_destroy", "pp_attention_plan_destroy"):
            getattr(loaded, name).argtypes = [c_void_p]
            getattr(loaded, name).restype = None
        for name in ("pp_session_params_init", "pp_attention_plan_params_init"):
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


class Session:
    """A device without a model. stream: the address of a CUDA stream, or None."""

    def __init__(self, device="cpu", stream=None):
        params = SessionParams()
        library().pp_session_params_init(ctypes.byref(params), ctypes.sizeof(params))
        params.device = device.encode()
        params.stream = stream
        self.handle = c_void_p()
        call("pp_session_create", None, ctypes.byref(params), ctypes.byref(self.handle))

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
