"""Attention over prompts of different lengths in tensors of one's own, with FlashAttention's names: tensors of
PyTorch and other libraries that know DLPack, arrays of NumPy, or bare addresses. No model is needed.

    stream = libprepack.stream_address(torch.cuda.current_stream())
    session = libprepack.Session(None, device="cuda", stream=stream)             # None: for attention alone
    plan = libprepack.AttentionPlan(session, [0, 5, 12, 20], n_heads=32, n_kv_heads=8, head_dim=128, dtype="bf16")
    workspace = torch.empty(plan.info.workspace_bytes, dtype=torch.uint8, device="cuda")
    plan.upload(workspace, stream)
    for q, k, v, out in layers:
        plan.run(q, k, v, out, stream=stream)
"""
from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._arrays import Integers, choice, integer, integers, name_of
from ._library import Handle, call, core, sized
from .dlpack import CPU, CUDA, CUDA_HOST, CUDA_MANAGED, Tensor, borrow, packed
from .errors import ArgumentError
from .plan import values_of

if TYPE_CHECKING:
    from .session import Session

DTYPES = {"auto": _abi.PP_DTYPE_AUTO, "f32": _abi.PP_DTYPE_F32, "f16": _abi.PP_DTYPE_F16, "bf16": _abi.PP_DTYPE_BF16}


@dataclasses.dataclass(frozen=True)
class AttentionInfo:
    """What a plan needs and does.

    dtype: of q, k, v and out
    workspace_bytes: that the upload needs; 0 on the CPU
    n_tiles: blocks of the launches; CPU: prompts times heads
    n_launches: kernel launches of a run; CPU: 0
    max_seqlen_q, max_seqlen_k: the most query rows and keys of a prompt
    total_q: rows of q and out, gaps included
    total_k: of k and v; with pages: keys of all prompts
    """

    dtype: str
    workspace_bytes: int
    n_tiles: int
    n_launches: int
    max_seqlen_q: int
    max_seqlen_k: int
    total_q: int
    total_k: int


def stream_address(stream: Any) -> int | None:
    """The address of a stream: of a torch.cuda.Stream, or the address itself. torch's default stream is 0, which
    to the library is the session's own; 1 is the default one."""
    if stream is None:
        return None
    address = getattr(stream, "cuda_stream", None)
    return int(stream) if address is None else int(address) or 1


class AttentionPlan(Handle):
    """Which rows see which keys, for a set of lengths; used by every layer. Part of its session: one thread at a time.

    Query row i of a prompt with n_q rows and n_k keys stands at position p = i + n_k - n_q and sees the keys j of its
    own prompt with p - window_left <= j <= p + window_right (-1: all). The bits of a row depend on its query, its
    position and the keys and values that it sees, and on nothing else.

    cu_seqlens_q, cu_seqlens_k: integers [n_prompts + 1]: prompt i has rows cu_seqlens[i] .. cu_seqlens[i + 1] - 1;
        from 0, never falling. cu_seqlens_k None: as q's.
    seqlens_q, seqlens_k: [n_prompts]: only the first so many rows of each prompt exist; None: all.
    n_heads: of queries, a multiple of n_kv_heads. head_dim: a multiple of 8, at most 256.
    dtype: of q, k, v and out; "auto": the session's. CPU: "f32", "bf16", "f16"; CUDA: "bf16", "f16".
    page_size: k and v are pages of so many tokens; 0: rows. block_table_stride: entries of a row of block_table.

    Raises ArgumentError (`index`: the prompt), UnsupportedError, OutOfMemoryError."""

    def __init__(self, session: Session, cu_seqlens_q: Integers, *, n_heads: int, n_kv_heads: int,
                 head_dim: int, cu_seqlens_k: Integers | None = None, seqlens_q: Integers | None = None,
                 seqlens_k: Integers | None = None, dtype: str = "auto", window_left: int = -1, window_right: int = 0,
                 page_size: int = 0, block_table_stride: int = 0) -> None:
        params, plan = _abi.pp_attention_plan_params(), ctypes.c_void_p()
        core().pp_attention_plan_params_init(ctypes.byref(params), ctypes.sizeof(params))
        rows = integers("cu_seqlens_q", cu_seqlens_q, np.int32)
        if rows.size == 0:
            raise ArgumentError("cu_seqlens_q has no numbers; n_prompts + 1 are needed, from 0 on")
        params.n_prompts = rows.size - 1
        arrays = [rows]
        for name, given, n in (("cu_seqlens_k", cu_seqlens_k, rows.size), ("seqlens_q", seqlens_q, rows.size - 1),
                               ("seqlens_k", seqlens_k, rows.size - 1)):
            if given is not None:
                arrays.append(integers(name, given, np.int32))
                if arrays[-1].size != n:
                    raise ArgumentError(f"{name} has {arrays[-1].size} numbers; {n} are needed with "
                                        f"{rows.size - 1} prompts")
                setattr(params, name, arrays[-1].ctypes.data)
        params.cu_seqlens_q = rows.ctypes.data
        if cu_seqlens_k is None:
            params.cu_seqlens_k = rows.ctypes.data
        params.dtype = choice("dtype", dtype, DTYPES)
        for name, value in (("n_heads", n_heads), ("n_kv_heads", n_kv_heads), ("head_dim", head_dim),
                            ("window_left", window_left), ("window_right", window_right), ("page_size", page_size),
                            ("block_table_stride", block_table_stride)):
            setattr(params, name, integer(name, value))
        self._session = session
        self._workspace: object = None
        with self._exclusive():
            call(core().pp_attention_plan_create, session.handle, ctypes.byref(params), ctypes.byref(plan))
            super().__init__(plan.value, core().pp_attention_plan_destroy)
            device = session.read_info().device
        kind, _, rest = device.partition(":")
        self._device = (CUDA, int(rest.partition(":")[0] or 0)) if kind == "cuda" else (CPU, 0)
        struct = sized(_abi.pp_attention_plan_info)
        call(core().pp_attention_plan_get_info, self.handle, ctypes.byref(struct))
        values = values_of(struct, AttentionInfo)
        values.update(dtype=name_of(struct.dtype, DTYPES))
        self.info = info = AttentionInfo(**values)
        rows_q = (info.total_q, n_heads, head_dim)
        keys = (None, page_size, n_kv_heads, head_dim) if page_size else (info.total_k, n_kv_heads, head_dim)
        self._shapes: dict[str, tuple[int | None, ...]] = {
            "q": rows_q, "k": keys, "v": keys, "out": rows_q, "lse": (n_heads, info.total_q),
            "block_table": (params.n_prompts, block_table_stride)}
        self._strides: dict[str, tuple[str, ...]] = {
            name: ("page", "row", "head") if page_size and name in ("k", "v") else ("row", "head")
            for name in ("q", "k", "v", "out")}
        self._strides["lse"] = ("head",)

    def __repr__(self) -> str:
        return self._unusable or (f"<libprepack.AttentionPlan: {self.info.dtype}, {self.info.total_q} rows on "
                                  f"{self.info.total_k} keys>")

    @contextmanager
    def _exclusive(self) -> Generator[None, None, None]:
        self._session.acquire()
        try:
            yield
        finally:
            self._session.release()

    def upload(self, workspace: Any = None, stream: Any = None) -> None:
        """Enqueues the copy of the plan's list to the workspace; once before the first run.

        workspace: at least info.workspace_bytes of device memory, aligned to 16: a tensor, which the plan keeps, or an
        address; None on the CPU, which needs none. stream: a torch.cuda.Stream or an address; None: the session's.

        Raises ArgumentError, DeviceError; after that the plan counts as not uploaded."""
        address: int | None
        if workspace is None or isinstance(workspace, int):
            address, n_bytes = workspace or None, self.info.workspace_bytes
        else:
            tensor = self._borrow(workspace, "workspace")
            if tensor.strides != packed(tensor.shape):
                raise ArgumentError("workspace has gaps")
            address, n_bytes = tensor.address or None, int(np.prod(tensor.shape)) * _BYTES[tensor.dtype]
            self._workspace = workspace
        with self._exclusive():
            call(core().pp_attention_plan_upload, self.handle, address, n_bytes, stream_address(stream))

    def run(self, q: Any, k: Any, v: Any, out: Any = None, lse: Any = None, *, block_table: Any = None,
            softmax_scale: float = 0.0, stream: Any = None, **strides: int) -> Any:
        """Attention of one layer; returns out. On a GPU it enqueues kernels and does not wait.

        q: [total_q, n_heads, head_dim]; k, v: [total_k, n_kv_heads, head_dim], with pages
        [n_pages, page_size, n_kv_heads, head_dim]; views are fine, if the last dimension has no gaps.
        out: as q; None: a new one, of NumPy's or PyTorch's as q is. lse: float32 [n_heads, total_q], natural logarithm.
        block_table: int32 [n_prompts, block_table_stride] of page numbers. softmax_scale: 0: 1 / sqrt(head_dim).
        Each is an array of NumPy or one with `__dlpack__`, or an address, with its strides in elements as further
        arguments: q_row_stride, q_head_stride, k_page_stride, ... (0: packed), lse_head_stride.

        Raises ArgumentError, TypeError, DeviceError. Except after DeviceError, nothing was written then."""
        if out is None:
            out = _new_like(q)
        params = sized(_abi.pp_attention_params, softmax_scale=softmax_scale, stream=stream_address(stream))
        alive = [self._place(params, name, given) for name, given in
                 (("q", q), ("k", k), ("v", v), ("out", out), ("lse", lse), ("block_table", block_table))]
        for name, value in strides.items():
            if not name.endswith("_stride") or not hasattr(params, name):
                raise TypeError(f"run() has no argument {name!r}")
            setattr(params, name, integer(name, value))
        with self._exclusive():
            call(core().pp_attention_varlen, self._session.handle, self.handle, ctypes.byref(params))
        del alive
        return out

    def _borrow(self, given: Any, name: str) -> Tensor:
        """Where a tensor lies, which must be on the session's device."""
        tensor = borrow(given, name)
        on_host = tensor.device[0] in (CPU, CUDA_HOST, CUDA_MANAGED)
        on_gpu = tensor.device == self._device or tensor.device[0] in (CUDA_HOST, CUDA_MANAGED)
        if not (on_host if self._device[0] == CPU else on_gpu):
            raise ArgumentError(f"{name} is on {_device(tensor.device)}, the session on {_device(self._device)}")
        return tensor

    def _place(self, params: _abi.pp_attention_params, name: str, given: Any) -> Tensor | None:
        """Address and strides of a tensor, whose shape and dtype must be right."""
        if given is None or isinstance(given, int):
            setattr(params, name, given or None)
            return None
        tensor, expected = self._borrow(given, name), self._shapes[name]
        shape = tensor.shape
        if len(shape) != len(expected) or any(n not in (None, m) for n, m in zip(expected, shape)):
            raise ArgumentError(f"{name} is of shape {list(shape)}, not "
                                f"[{', '.join('any' if n is None else str(n) for n in expected)}]")
        dtype = {"lse": "f32", "block_table": "i32"}.get(name, self.info.dtype)
        if tensor.dtype != dtype and (tensor.dtype, dtype) != ("u16", "bf16"):  # the bits, for NumPy
            raise ArgumentError(f"{name} is {tensor.dtype}; {dtype} is needed")
        if name == "block_table" and tensor.strides != packed(shape):
            raise ArgumentError("block_table has gaps")
        if shape[-1] > 1 and tensor.strides[-1] != 1:
            raise ArgumentError(f"the last dimension of {name} has gaps")
        if name in ("out", "lse") and isinstance(given, np.ndarray) and not given.flags.writeable:
            raise ArgumentError(f"{name} is not to be written")
        setattr(params, name, tensor.address or None)
        for stride, value in zip(self._strides.get(name, ()), tensor.strides):
            setattr(params, f"{name}_{stride}_stride", value)
        return tensor


def _device(device: tuple[int, int]) -> str:
    return "the CPU" if device[0] == CPU else f"cuda:{device[1]}"


_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "i32": 4, "i64": 8, "u8": 1, "u16": 2, "bool": 1}


def _new_like(q: Any) -> Any:
    if isinstance(q, np.ndarray):
        array = cast("NDArray[Any]", q)
        return np.empty(array.shape, array.dtype)
    if hasattr(q, "new_empty"):  # a tensor of PyTorch
        return q.new_empty(q.shape)
    raise TypeError(f"out is needed where q is a {type(q).__name__}")
