"""Caches: the keys and values of one prompt, in a session's pages."""
from __future__ import annotations

import ctypes
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._arrays import integer
from ._ids import Ids, Prompt, to_ids
from ._library import call, core, path_bytes, sized
from ._names import DTYPES, HALVES, constant, decoded, name_of
from ._transformers import from_transformers, to_transformers
from ._views import SharedHandle
from .dlpack import Export
from .dlpack import page as page_export
from .errors import ArgumentError
from .model import Path

if TYPE_CHECKING:
    from .session import Session

# The NumPy dtype of each dtype of the library. NumPy has no bf16: its bits stand in uint16.
NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32), "f16": np.dtype(np.float16), "bf16": np.dtype(np.uint16)}


@dataclass(frozen=True)
class CacheFile:
    """What a saved cache says of itself. model: `Model.identity` of its model. n_bytes: of the file.
    tokens: int32 [n_tokens], where they were saved with it, else None. n_linear: layers that have a state, of
    state_bytes bytes together."""

    n_tokens: int
    n_bytes: int
    model: int
    dtype: str
    weights: str
    device: str
    architecture: str
    producer: str
    n_layers: int
    n_kv_heads: int
    head_dim: int
    tokens: Ids | None
    n_linear: int = 0
    state_bytes: int = 0


def inspect_cache(path: Path) -> CacheFile:
    """Reads what a saved cache says of itself, without a session; keys, values and checksum are not looked at.

    Raises FileError, FormatError, LimitError."""
    info = sized(_abi.pp_kvcache_file_info)
    call(core().pp_kvcache_inspect, path_bytes(path), ctypes.byref(info), None, 0)
    tokens: Ids | None = None
    if info.has_tokens:
        tokens = np.empty(info.n_tokens, np.int32)
        call(core().pp_kvcache_inspect, path_bytes(path), ctypes.byref(info), tokens.ctypes.data, tokens.size)
    return CacheFile(info.n_tokens, info.bytes, info.model, name_of(DTYPES, info.dtype), decoded(info.weights),
                     decoded(info.device), decoded(info.architecture), decoded(info.producer), info.n_layers,
                     info.n_kv_heads, info.head_dim, tokens, info.n_linear, info.state_bytes)


class Cache(SharedHandle):
    """The KV cache of one prompt: len(cache) tokens. Runs make them (Session.prefill, Session.run), and
    Session.create_cache, load_cache and import_cache.

    A cache keeps its session alive. It is used by one thread at a time together with its session (another gets
    MisuseError), but may be closed, or collected, in any. While views of its pages exist (`page`), what would change
    what they see (a run, `truncate`, `write_keys`, `close`) raises BufferError.
    """

    def __init__(self) -> None:
        raise TypeError("caches are made by Session.prefill, Session.run, Session.create_cache and Session.load_cache")

    @classmethod
    def adopt(cls, session: Session, address: int) -> Cache:
        """The object for a pp_kvcache of the session, which it owns from now on."""
        cache = cls.__new__(cls)
        cache._session = session
        cache._least = 0
        SharedHandle.__init__(cache, address, core().pp_kvcache_destroy)
        return cache

    _of_one_process = True
    _session: Session
    _least: int

    # ---- what it is ----

    def __len__(self) -> int:
        """Its tokens."""
        return self._ask(core().pp_kvcache_length)

    def __bool__(self) -> bool:
        """True, also of a cache without tokens."""
        return True

    @property
    def session(self) -> Session:
        """The session that it belongs to."""
        return self._session

    @property
    def n_bytes(self) -> int:
        """Bytes of the pages that it refers to; pages that others share count fully."""
        return self._ask(core().pp_kvcache_bytes)

    def first_token(self, layer: int) -> int:
        """The first token whose keys and values a layer holds; 0 for layers without a window."""
        return self._ask(core().pp_kvcache_first_token, self._layer(layer))

    def _ask(self, function: Any, *arguments: Any) -> int:
        """What a function that cannot fail says of it, while nobody closes it."""
        handle = self.hold()
        try:
            return int(function(handle, *arguments))
        finally:
            self.let_go()

    def _layer(self, layer: int) -> int:
        self._session.model.layer(layer)  # raises where there is none
        return layer

    # ---- what becomes of it ----

    @contextmanager
    def _exclusive(self, writes: bool = False) -> Generator[int, None, None]:
        """Its address, while no other thread may use the session, or close the cache."""
        self._session.acquire()
        try:
            if writes:
                self.check_writable()
            with self.in_use() as handle:
                yield handle
        finally:
            self._session.release()

    def check_writable(self) -> None:
        """Raises BufferError while views of its pages exist."""
        if len(self._memory):
            raise BufferError("arrays show the cache's pages: drop them before it changes")

    def kept(self, n_tokens: int) -> int:
        """The length that a cut to n_tokens would leave: in models with linear layers the longest of which the cache has
        states, elsewhere n_tokens. `cache.truncate(cache.kept(n))` goes back to n, or as little further as it must.
        Linear layers have states of all tokens, and of the cache before the last run of several, or its end when single
        ones have followed. -1: the cache cannot be cut so."""
        return self._ask(core().pp_kvcache_kept, integer("n_tokens", n_tokens))

    def fork(self, n_tokens: int | None = None) -> Cache:
        """A new cache that holds the first n_tokens tokens (None: all). It shares pages, which are copied when one of
        the two is written to.

        Raises ArgumentError for more tokens than there are, a length at which a sliding window would reach behind
        what its layer still holds (Session(keep_window_pages=True) keeps all), or one of which linear layers have no
        states (`kept`)."""
        address = ctypes.c_void_p()
        with self._exclusive() as handle:
            call(core().pp_kvcache_fork, handle, len(self) if n_tokens is None else self._length(n_tokens),
                 ctypes.byref(address))
            fork = Cache.adopt(self._session, address.value or 0)
        fork.keep_at_least(self._least)
        return fork

    def truncate(self, n_tokens: int) -> None:
        """Drops all tokens from n_tokens on. Raises ArgumentError as `fork`, BufferError while there are views."""
        with self._exclusive(writes=True) as handle:
            call(core().pp_kvcache_truncate, handle, self._length(n_tokens))

    def keep_at_least(self, n_tokens: int) -> None:
        """It, and what is forked of it, cannot become shorter: behind a window it holds no more than it needs."""
        self._least = n_tokens

    def _length(self, n_tokens: int) -> int:
        if 0 <= n_tokens < self._least:
            raise ArgumentError(f"this cache came from elsewhere with the last keys of its sliding windows alone: it "
                                f"cannot be cut to {n_tokens} tokens, below {self._least}")
        n = integer("n_tokens", n_tokens)
        left = self.kept(n)
        if 0 <= left < n:
            raise ArgumentError(f"the cache has states of linear layers at {left} tokens and not at {n}: "
                                f"Cache.kept says where it can be cut")
        return n

    def close(self) -> None:
        """Gives its pages back. Raises BufferError while views of them exist, MisuseError while a call uses it."""
        super().close()

    # ---- copies ----

    def keys(self, layer: int, *, dtype: str = "f32", first_token: int | None = None,
             n_tokens: int | None = None) -> NDArray[Any]:
        """A copy of a layer's keys, after the rotary embedding: [n_tokens, n_kv_heads, head_dim].

        dtype: "f32", or the session's own for the bits ("bf16" as uint16, since NumPy has no such dtype).
        first_token: None: the first that the layer holds. n_tokens: None: all from there on.
        Raises IndexError, ArgumentError for tokens that the layer does not hold."""
        return self._read("keys", layer, dtype, first_token, n_tokens)

    def values(self, layer: int, *, dtype: str = "f32", first_token: int | None = None,
               n_tokens: int | None = None) -> NDArray[Any]:
        """A copy of a layer's values, as `keys`."""
        return self._read("values", layer, dtype, first_token, n_tokens)

    def _read(self, half: str, layer: int, dtype: str, first_token: int | None, n_tokens: int | None) -> NDArray[Any]:
        first = self.first_token(layer) if first_token is None else integer("first_token", first_token)
        n = len(self) - first if n_tokens is None else integer("n_tokens", n_tokens)
        config = self._session.model.layer(layer)
        kind = constant(DTYPES, dtype, "dtype")
        out: NDArray[Any] = np.empty((max(n, 0), config.n_kv_heads, config.head_dim),
                                     NUMPY_DTYPES.get(dtype, np.dtype(np.float32)))
        with self._exclusive() as handle:
            call(core().pp_kvcache_read, handle, layer, HALVES[half], _abi.PP_KV_NHD, kind, first, n,
                 out.ctypes.data, out.nbytes)
        return out

    def write_keys(self, layer: int, keys: NDArray[Any], *, first_token: int | None = None) -> None:
        """Overwrites keys of a layer, of tokens that it holds.

        keys: [n_tokens, n_kv_heads, head_dim], after the rotary embedding; float32 (rounded to the session's dtype),
            or the session's own dtype (bf16 as uint16). first_token: None: the first that the layer holds.
        What a fork holds stays. Raises IndexError, TypeError, ValueError for another shape, ArgumentError,
        BufferError while there are views, OutOfMemoryError."""
        self._write("keys", layer, keys, first_token)

    def write_values(self, layer: int, values: NDArray[Any], *, first_token: int | None = None) -> None:
        """Overwrites values of a layer, as `write_keys`."""
        self._write("values", layer, values, first_token)

    def _write(self, half: str, layer: int, array: NDArray[Any], first_token: int | None) -> None:
        first = self.first_token(layer) if first_token is None else integer("first_token", first_token)
        config = self._session.model.layer(layer)
        source = np.ascontiguousarray(array)
        dtype = next((name for name, known in NUMPY_DTYPES.items() if known == source.dtype), None)
        if dtype is None:
            raise TypeError(f"{half} are {source.dtype}; they are float32, float16, or bf16 as uint16")
        if source.ndim != 3 or source.shape[1:] != (config.n_kv_heads, config.head_dim):
            raise ValueError(f"{half} have the shape {list(source.shape)}; it is [n_tokens, {config.n_kv_heads}, "
                             f"{config.head_dim}]")
        with self._exclusive(writes=True) as handle:
            call(core().pp_kvcache_write, handle, layer, HALVES[half], _abi.PP_KV_NHD, DTYPES[dtype], first,
                 len(source), source.ctypes.data, source.nbytes)

    # ---- states ----

    def states(self, layer: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A copy of a linear layer's state behind the last token, float32: of the recurrence [n_value_heads, key_dim,
        value_dim], and the inputs that its convolution still sees, [kernel - 1, channels], the latest last.

        Raises IndexError, ArgumentError for a layer that attends, or a cache without tokens."""
        parts = self._empty_states(layer)
        with self._exclusive() as handle:
            for which, part in enumerate(parts):
                call(core().pp_kvcache_read_state, handle, layer, which, part.ctypes.data, part.nbytes)
        return parts

    def write_states(self, layer: int, recurrent: NDArray[Any], inputs: NDArray[Any]) -> None:
        """Overwrites a linear layer's state, in the shapes of `states`. What a fork holds stays.

        Raises IndexError, ValueError for another shape, ArgumentError, OutOfMemoryError."""
        given = [np.ascontiguousarray(part, np.float32) for part in (recurrent, inputs)]
        for part, shape in zip(given, (part.shape for part in self._empty_states(layer))):
            if part.shape != shape:
                raise ValueError(f"a part of the state has the shape {list(part.shape)}; it is {list(shape)}")
        with self._exclusive(writes=True) as handle:
            for which, part in enumerate(given):
                call(core().pp_kvcache_write_state, handle, layer, which, part.ctypes.data, part.nbytes)

    def _empty_states(self, layer: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        config = self._session.model.config
        self._layer(layer)
        channels = (2 * config.linear_key_heads * config.linear_key_dim
                    + config.linear_value_heads * config.linear_value_dim)
        return (np.empty((config.linear_value_heads, config.linear_key_dim, config.linear_value_dim), np.float32),
                np.empty((max(config.linear_kernel - 1, 0), channels), np.float32))

    # ---- pages, without a copy ----

    def page(self, layer: int, half: str, token: int) -> Export:
        """The page of a layer that holds a token, as it lies in memory: to be read by NumPy (`.numpy()`,
        np.asarray) and what knows DLPack (torch.from_dlpack), bf16 and GPU memory included.

        half: "keys" or "values". Shape [n_tokens, n_kv_heads, head_dim] of the page's tokens; where pairs of tokens,
        or of a head's elements, are neighbours in memory, that dimension is two: [pairs, 2, ...] or [..., pairs, 2].
        `first_token_of_page` says which token is first. The cache keeps until all arrays of it are gone: what would
        change it raises BufferError.
        Raises IndexError, ArgumentError for a token that the layer does not hold."""
        page, config = self._page(layer, half, token), self._session.model.layer(layer)
        number = self._session.read_info().device.split(":")[1:2] if page.on_device else ["0"]
        export = page_export(self, page, config.n_kv_heads, config.head_dim,
                             int(number[0]) if number and number[0].isdigit() else 0, self._session.synchronize)
        self._memory.add(export.memory)
        return export

    def first_token_of_page(self, layer: int, token: int) -> int:
        """The first token of the page that holds a token."""
        return self._page(layer, "keys", token).first_token

    def _page(self, layer: int, half: str, token: int) -> _abi.pp_kvcache_page:
        page = sized(_abi.pp_kvcache_page)
        which = constant(HALVES, half, "half")
        with self._exclusive() as handle:
            call(core().pp_kvcache_get_page, handle, self._layer(layer), which, integer("token", token),
                 ctypes.byref(page))
        return page

    # ---- beyond the session ----

    def save(self, path: Path, tokens: Prompt | None = None) -> None:
        """Writes it to a safetensors file, in the place of one that is there when all is written.

        tokens: ids of its tokens, as many as it is long, saved with it. Session.load_cache reads it, bit for bit.
        Raises FileError, ArgumentError for tokens that are not so many."""
        params = self._save_params(tokens)
        with self._exclusive() as handle:
            call(core().pp_kvcache_save, handle, path_bytes(path), ctypes.byref(params[0]))

    def export(self, tokens: Prompt | None = None) -> bytes:
        """The bytes that `save` writes. Session.import_cache takes them."""
        params = self._save_params(tokens)
        n_bytes = ctypes.c_size_t()
        with self._exclusive() as handle:
            call(core().pp_kvcache_export_size, handle, ctypes.byref(params[0]), ctypes.byref(n_bytes))
            memory = np.empty(n_bytes.value, np.uint8)
            call(core().pp_kvcache_export, handle, ctypes.byref(params[0]), memory.ctypes.data, memory.size)
        return memory.tobytes()

    def to_transformers(self, *, device: Any = "cpu", dtype: Any = None) -> Any:
        """A DynamicCache of transformers with copies of its keys and values, from which model.generate goes on:

            cache = session.prefill([ids])[0].cache
            model.generate(torch.tensor([[*ids, token]]), past_key_values=cache.to_transformers())

        where the ids are those of the cache and at least one more (the parameter is `cache` in later versions). device, dtype: of the tensors; None: the session's
        dtype. Layers with a sliding window hold as much of it as transformers would.
        Raises ImportError without transformers and torch; UnsupportedError for a version before 4.56, where a window
        has passed already."""
        return to_transformers(self, device, dtype)

    @staticmethod
    def from_transformers(session: Session, cache: Any, tokens: Prompt | None = None) -> Cache:
        """A cache of the session with the keys and values of a DynamicCache of transformers (or pairs of tensors
        [1, n_kv_heads, n_tokens, head_dim], one a layer) of one prompt, computed by the same model.

        tokens: the ids; needed where the model's rotary embedding depends on a prompt's length (longrope, dynamic).
        Values are rounded to the session's dtype. A cache whose layers hold no more than their windows cannot be
        made shorter: `truncate` and `fork` raise ArgumentError then.
        Raises TypeError for another kind of cache, ValueError for another shape, ImportError, TooLongError,
        OutOfMemoryError."""
        return from_transformers(session, cache, tokens)

    def _save_params(self, tokens: Prompt | None) -> tuple[_abi.pp_kvcache_save_params, Ids | None]:
        params = sized(_abi.pp_kvcache_save_params)
        if tokens is None:
            return params, None
        ids = to_ids(tokens, "tokens")
        if ids.size != len(self):
            raise ValueError(f"{ids.size} tokens were given for a cache of {len(self)}")
        params.tokens = ids.ctypes.data
        return params, ids

    def __repr__(self) -> str:
        return self._unusable or f"<libprepack.Cache: {len(self)} tokens, {self.n_bytes:,} bytes>"
