"""The arrays of one or several bins, for hosts that run their own engine.

    batch = plan.batch(prompts)                                      # every bin, ragged
    my_engine(batch.tokens, batch.positions, batch.cu_seqlens, batch.last_rows)
    for batch in plan.batches(prompts, layout="padded"): ...         # one row at a time, and a dense mask
        my_padded_engine(batch.tokens, batch.positions, batch.mask("f32"))
"""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._arrays import Prompts, choice, integer
from ._library import core, sized
from ._views import SharedHandle
from .plan import Plan

LAYOUTS = {"ragged": _abi.PP_LAYOUT_RAGGED, "padded": _abi.PP_LAYOUT_PADDED}
MASKS = {"bool": _abi.PP_DTYPE_BOOL, "f32": _abi.PP_DTYPE_F32, "f16": _abi.PP_DTYPE_F16, "bf16": _abi.PP_DTYPE_BF16}
KINDS: dict[str, type[np.generic]] = {"bool": np.bool_, "f32": np.float32, "f16": np.float16, "bf16": np.uint16}


class Batch(SharedHandle):
    """Prompts laid out. Immutable: threads may share it. The arrays show its memory, read-only:

    tokens      int32 [n_tokens]; padded: [n_rows, row_len]
    positions   as tokens; they restart at 0 at each prompt, a pad's is 0
    cu_seqlens  int32 [n_prompts + 1] prefix sums of the lengths, in batch order
    starts      int64 [n_prompts] index of each prompt's first token in `tokens`, flattened
    last_rows   int64 [n_prompts] index of each prompt's last token
    prompts     int32 [n_prompts] which prompt this is, an index into the plan's

    n_rows, row_len: 1 and all tokens where ragged. n_tokens: without pads. max_seqlen: the longest prompt.
    """

    def __init__(self) -> None:
        raise TypeError("batches are made by Plan.batch and Plan.batches")

    @classmethod
    def adopt(cls, address: int | None, layout: str) -> Batch:
        """The object for a pp_batch, which it owns from now on."""
        batch = cls.__new__(cls)
        SharedHandle.__init__(batch, address, core().pp_batch_destroy)
        view = sized(_abi.pp_batch_view)
        batch.invoke(core().pp_batch_get_view, ctypes.byref(view))
        batch._fields, batch.layout = view, layout
        batch.n_rows, batch.row_len, batch.n_prompts = int(view.n_rows), int(view.row_len), int(view.n_prompts)
        batch.n_tokens, batch.max_seqlen = int(view.n_tokens), int(view.max_seqlen)
        return batch

    _fields: _abi.pp_batch_view
    layout: str
    n_rows: int
    row_len: int
    n_prompts: int
    n_tokens: int
    max_seqlen: int

    def __repr__(self) -> str:
        if self.closed:
            return "<libprepack.Batch: closed>"
        return (f"<libprepack.Batch, {self.layout}: {self.n_prompts} prompts, {self.n_tokens} tokens in {self.n_rows} "
                f"rows of {self.row_len}>")

    def _rows(self, address: int | None) -> NDArray[Any]:
        shape = (self.n_tokens,) if self.layout == "ragged" else (self.n_rows, self.row_len)
        return self._view(address, shape, np.int32)

    @property
    def tokens(self) -> NDArray[np.int32]:
        """int32 [n_tokens]; padded: [n_rows, row_len]."""
        return self._rows(self._fields.tokens)

    @property
    def positions(self) -> NDArray[np.int32]:
        """As tokens; they restart at 0 at each prompt."""
        return self._rows(self._fields.positions)

    @property
    def cu_seqlens(self) -> NDArray[np.int32]:
        """int32 [n_prompts + 1]: prefix sums of the lengths, in batch order."""
        return self._view(self._fields.cu_seqlens, (self.n_prompts + 1,), np.int32)

    @property
    def starts(self) -> NDArray[np.int64]:
        """int64 [n_prompts]: index of each prompt's first token in `tokens`, flattened."""
        return self._view(self._fields.starts, (self.n_prompts,), np.int64)

    @property
    def last_rows(self) -> NDArray[np.int64]:
        """int64 [n_prompts]: index of each prompt's last token in `tokens`, flattened."""
        return self._view(self._fields.last_rows, (self.n_prompts,), np.int64)

    @property
    def prompts(self) -> NDArray[np.int32]:
        """int32 [n_prompts]: which prompt this is, an index into the plan's."""
        return self._view(self._fields.prompts, (self.n_prompts,), np.int32)

    def mask(self, dtype: str = "bool", window_left: int = -1) -> NDArray[Any]:
        """A new array [n_rows, row_len, row_len], for engines without variable-length attention: row i may see
        column j when both are of the same prompt, j is not after i, and i - j <= window_left (-1: no limit). A
        pad sees itself only.

        dtype: "bool": True may see; "f32", "f16", "bf16": 0 and -infinity, to be added. NumPy has no bf16: its
        bits come as uint16.

        Raises ArgumentError (dtype, window_left), LimitError, MemoryError (too large)."""
        number, kind = choice("dtype", dtype, MASKS), KINDS[dtype]
        n_bytes = ctypes.c_size_t()
        self.invoke(core().pp_batch_mask_bytes, number, ctypes.byref(n_bytes))
        mask: NDArray[Any] = np.empty((self.n_rows, self.row_len, self.row_len), kind)
        self.invoke(core().pp_batch_mask, number, integer("window_left", window_left), mask.ctypes.data,
                   n_bytes.value)
        return mask


def build(plan: Plan, prompts: Prompts, layout: str, pad_token: int, first_bin: int, n_bins: int,
          row_len: int) -> Batch:
    """What `Plan.batch` says."""
    params, batch = _abi.pp_batch_params(), ctypes.c_void_p()
    core().pp_batch_params_init(ctypes.byref(params), ctypes.sizeof(params))
    params.layout, params.pad_token = choice("layout", layout, LAYOUTS), integer("pad_token", pad_token, 32)
    params.first_bin, params.n_bins = integer("first_bin", first_bin), integer("n_bins", n_bins)
    params.row_len = integer("row_len", row_len)
    plan.invoke(core().pp_batch_build, prompts.array, len(prompts), ctypes.byref(params), ctypes.byref(batch))
    return Batch.adopt(batch.value, layout)
