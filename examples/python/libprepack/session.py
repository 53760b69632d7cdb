"""Sessions: a model on a device, and all that can be asked of it."""
from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _abi, _generate, _predict, _score, _states
from ._arrays import Integers, integer
from ._call import Call, Plans, Sink
from ._chat import Conversation, chat_tokens, conversations_of, open_template
from ._ids import Ids, Prompt, encode_prompts, to_ids
from ._items import prefill, run
from ._library import Handle, call, core, log_to_logging, logger, path_bytes, sized
from ._names import DTYPES, WEIGHTS, constant, decoded, name_of
from ._progress import Progress
from .cache import Cache
from .errors import ArgumentError, MisuseError, PrepackError
from .model import Model, Path
from .results import (Floats, Generation, Item, ItemResult, PageClass, Prediction, Prefilled, Score,
                      SessionInfo, TokenLogprobs)
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    from .cancel import Cancel
    from .cost import CostModel
    from .plan import Plan

Stream = Callable[[int, str], object]


class Session(Handle):
    """A model on a device: its threads or stream, its memory, its caches.

        session = libprepack.Session("model-dir")
        session.generate(["The capital of Germany is"], max_new_tokens=8)[0].text

    model: a Model, or the path of one; None: a session for attention on one's own tensors alone.
    device: "cpu", also with a kernel set ("cpu:avx2"); "cuda", "cuda:1".
    dtype: of products and KV: "f32", "bf16", on cuda "bf16", "f16"; "auto": by the weights.
    weights: how matrices are kept: "auto" (as stored), "f32", "bf16", "int8", "int4", "nf4".
    threads: CPU threads; 0: one for each processor that this process may use.
    max_pass_tokens: of one forward pass, 64 .. 2^20; 0: the device's choice. It moves speed and memory, no result.
    memory_limit: bytes of the device's memory; 0: nine tenths of what is free.
    keep_window_pages: layers with a sliding window keep what is behind it, so that caches can be cut to any length.
    tokenizer: a Tokenizer or the path of one; None: the one beside the model, opened when text comes or goes.
    stream: cuda: the address of a cudaStream_t to run on, which outlives the session.

    Whatever shares a run with a prompt, its results are bitwise the same as alone. A list of prompts holds str and
    sequences or arrays of token ids, mixed as you like.

    One thread at a time uses a session and its caches: a second one, and a callback, gets MisuseError at once;
    `cancel` is for any thread. After os.fork the child gets MisuseError. Ctrl-C ends a call between forward passes,
    and so does what a callback raises, which comes out of the call; caches are then as before it. Closing a session
    with living caches is allowed: they can still be read, saved and closed, but not run.

    Raises NoBackendError, UnsupportedError, OutOfMemoryError, DeviceMemoryError, FileError, ArgumentError.
    """

    def __init__(self, model: Model | Path | None, *, device: str = "cpu", dtype: str = "auto", weights: str = "auto",
                 threads: int = 0, max_pass_tokens: int = 0, memory_limit: int = 0, keep_window_pages: bool = False,
                 tokenizer: Tokenizer | Path | None = None, stream: int | None = None, log: bool = True) -> None:
        if model is not None and not isinstance(model, (str, os.PathLike, Model)):
            raise TypeError(f"model has the type {type(model).__name__}; it is a path, a Model, or None")
        self._model = Model(model, log=log) if isinstance(model, (str, os.PathLike)) else model
        self._tokenizer = tokenizer if isinstance(tokenizer, Tokenizer) else None
        self._tokenizer_path = None if isinstance(tokenizer, Tokenizer) else tokenizer
        self._memory_limit = memory_limit
        self._template: Any = None
        self._lock = threading.Lock()
        self.is_cancelled = False
        params = sized(
            _abi.pp_session_params, device=_device_bytes(device), dtype=constant(DTYPES, dtype, "dtype"),
            weights=constant(WEIGHTS, weights, "weights"), n_threads=integer("threads", threads, 32),
            max_pass_tokens=integer("max_pass_tokens", max_pass_tokens, 32),
            memory_limit=integer("memory_limit", memory_limit), keep_window_pages=int(keep_window_pages), stream=stream)
        if log:
            params.log = log_to_logging
        address = ctypes.c_void_p()
        if self._model is None:
            call(core().pp_session_create, None, ctypes.byref(params), ctypes.byref(address))
        else:
            with self._model.in_use() as handle:
                call(core().pp_session_create, handle, ctypes.byref(params), ctypes.byref(address))
        super().__init__(address.value, core().pp_session_destroy)

    # ---- what it is ----

    @property
    def model(self) -> Model:
        """Its model. Raises MisuseError where it has none."""
        if self._model is None:
            raise MisuseError("this session has no model")
        return self._model

    @property
    def has_model(self) -> bool:
        """Whether it has one."""
        return self._model is not None

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer: the one that was given, or that beside the model, which is opened now.

        Raises FileError where there is none, MisuseError for a model with random weights."""
        if self._tokenizer is None:
            path = self._tokenizer_path if self._tokenizer_path is not None else self.model.path
            if path is None:
                raise MisuseError("a model with random weights has no tokenizer: pass token ids, or "
                                  "Session(tokenizer=...)")
            self._tokenizer = Tokenizer(path)
        return self._tokenizer

    @property
    def has_tokenizer(self) -> bool:
        """Whether `tokenizer` can be opened. Raises where that is not so of one that was named."""
        try:
            self.tokenizer
        except (PrepackError, ImportError) as error:
            if self._tokenizer_path is not None:  # one was asked for
                raise
            logger.info("no tokenizer: %s", error)
            return False
        return True

    @property
    def info(self) -> SessionInfo:
        """Its device, formats, memory and counters, now."""
        self.acquire()
        try:
            return self.read_info()
        finally:
            self.release()

    def read_info(self) -> SessionInfo:
        """`info`, for who has the session already."""
        info = sized(_abi.pp_session_info)
        call(core().pp_session_get_info, self.handle, ctypes.byref(info))
        return _info(info)

    @property
    def memory_limit(self) -> int:
        """What `memory_limit` was; 0: none was given."""
        return self._memory_limit

    def cancel(self) -> None:
        """Makes the call that is running raise CancelledError, also one that is between two runs of the library;
        nothing where none is. For any thread."""
        self.is_cancelled = self._lock.locked()
        core().pp_session_cancel(self.handle)

    def synchronize(self) -> None:
        """Waits until the device has done all that was given to it. Raises DeviceError."""
        self.acquire()
        try:
            call(core().pp_session_synchronize, self.handle)
        finally:
            self.release()

    def trim(self) -> int:
        """Gives memory of pages that no cache uses back to the device; returns the bytes."""
        self.acquire()
        try:
            return int(core().pp_session_trim(self.handle))
        finally:
            self.release()

    def acquire(self) -> None:
        """Takes the session for the calling thread. Raises MisuseError where a call of it runs."""
        if not self._lock.acquire(blocking=False):
            raise MisuseError("another thread, or the call whose callback this is, uses this session: one thread at a "
                              "time uses a session and its caches")

    def release(self) -> None:
        """Gives it back."""
        self._lock.release()

    def close(self) -> None:
        """Ends it. Its caches can still be read, saved and closed; the last of them takes its memory along.

        Raises MisuseError while a call of it runs."""
        if self._address is not None:
            self.acquire()
            try:
                super().close()
            finally:
                self.release()

    # ---- tokens through the model ----

    def run(self, items: Sequence[Item], plan: Plans = None, *, min_shared_prefix: int = 0,
            progress: Progress = False, cancel: Cancel | None = None, sink: Sink | None = None) -> list[ItemResult]:
        """Runs items of every kind together, prompts and single tokens alike: the general way, of which the other
        calls are short forms.

        plan: a Plan made of the items' numbers of tokens, or a Packer that makes one; None: the items in this order.
        min_shared_prefix: without a plan, what items without cache begin with alike is computed once where it is so
            many tokens or more; 0: never.
        progress: False, True (a bar, where tqdm is installed), or a function of the tokens done, and all.
        cancel: ends the run from another thread.
        sink: receives logits of "last_logits" and "all_logits" in pieces, in place of the results: sink(i_item,
            first_token, rows), rows f32 [n, vocab_size], the first of which follows the item's token first_token.
        Raises ArgumentError (index: the item), TooLongError, UnsupportedError (an output that the model has no head
        for), OutOfMemoryError, DeviceMemoryError, DeviceError, CancelledError, NotFiniteError, BufferError. Then
        every cache is as before, and the session usable.
        """
        return run(self, items, plan, min_shared_prefix, progress, cancel, sink)

    def prefill(self, prompts: Sequence[Prompt], *, logits: str = "last", plan: Plans = None,
                min_shared_prefix: int = 0, progress: Progress = False,
                cancel: Cancel | None = None) -> list[Prefilled]:
        """A cache for each prompt.

        logits: "last": for the token after the last; "all": after each token; "none". The other parameters, and what
        is raised, as of `run`."""
        return prefill(self, prompts, None, logits, plan, min_shared_prefix, progress, cancel)

    def append(self, caches: Sequence[Cache], prompts: Sequence[Prompt], *, logits: str = "last",
               progress: Progress = False, cancel: Cancel | None = None) -> list[Prefilled]:
        """Appends a prompt to each cache, which grows. Texts get no beginning (BOS). Otherwise as `prefill`."""
        return prefill(self, prompts, caches, logits, None, 0, progress, cancel)

    def decode(self, caches: Sequence[Cache], tokens: Sequence[int] | Ids) -> Floats:
        """Appends one token to each of n caches; gives the logits after them, f32 [n, vocab_size]."""
        ids = to_ids(tokens, "tokens")
        if ids.size != len(caches):
            raise ValueError(f"{ids.size} tokens were given for {len(caches)} caches")
        done = prefill(self, list(ids.reshape(-1, 1)), caches, "last", None, 0, False, None)
        return np.stack([each.logits for each in done if each.logits is not None]) if done else np.zeros(
            (0, self.model.config.vocab_size), np.float32)

    # ---- text ----

    def generate(self, prompts: Sequence[Prompt], *, max_new_tokens: int = 64, temperature: float = 0.0,
                 top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0, seed: int | Sequence[int] = 0,
                 stop: str | Sequence[str] | None = None, stop_tokens: Sequence[int] | None = None,
                 ignore_eos: bool = False, stream: Stream | None = None, n_logprobs: int | None = None,
                 keep_caches: bool = False, plan: Plans = None, min_shared_prefix: int = 0,
                 progress: Progress = False, cancel: Cancel | None = None) -> list[Generation]:
        """How prompts go on: packed prefill, then all that still run together, a token each.

        max_new_tokens: of each prompt, at least 1; fewer where the model has no more positions.
        temperature: 0: the most likely token. top_k, top_p, min_p: as of Item.
        seed: prompt i draws with seed + i; or one for each. What is drawn is a function of prompt, parameters and
            seed alone, whatever else runs.
        stop: texts that end a generation, and are not part of its text.
        stop_tokens: ids that end it, besides those that end a text by the model's files and its tokenizer, which
            ignore_eos takes out.
        stream: stream(i, piece) receives the text of prompt i in pieces as it comes.
        n_logprobs: log-probabilities of the tokens drawn, with so many alternatives each (0 .. 256).
        keep_caches: hands the caches out.
        plan, min_shared_prefix, progress, cancel, and what is raised: as of `run`; index is the prompt's.

        Prompts beyond what memory holds wait: 10,000 of them are as good as 10.
        """
        options = _generate.Options(max_new_tokens, temperature, top_k, top_p, min_p, seed, stop, stop_tokens,
                                    ignore_eos, stream, n_logprobs, keep_caches, plan, min_shared_prefix)
        ids = encode_prompts(prompts, lambda: self.tokenizer)
        with Call(self, progress, cancel) as running:
            return _generate.generate(self, running, ids, options)

    def chat(self, conversations: Sequence[Conversation], *, template: Mapping[str, Any] | None = None,
             **options: Any) -> list[Generation]:
        """How conversations go on: lists of messages ({"role": "user", "content": "..."}), by the chat template of
        the model's files, which the package transformers fills in. options: of `generate`.

        template: what the template gets besides (enable_thinking=False, tools=...).
        Raises ImportError without transformers, UnsupportedError where there is no template, and as `generate`."""
        return self.generate(self.chat_tokens(conversations, **(template or {})), **options)

    def chat_tokens(self, conversations: Sequence[Conversation], **template: Any) -> list[Ids]:
        """The ids of conversations as `chat` makes them, for prefill and the others. template:
        add_generation_prompt (True), and what the template knows besides."""
        given = conversations_of(conversations)
        if self._template is None:
            self._template = open_template(self.model.path)
        return chat_tokens(self, self._template, given, template)

    def score(self, contexts: Sequence[Prompt], continuations: Sequence[Prompt], *, min_shared_prefix: int = 16,
              progress: Progress = False, cancel: Cancel | None = None) -> list[Score]:
        """How likely each context goes on with its continuation.

        Two texts are split into tokens as lm-evaluation-harness does it (docs/scoring.md): white space at the end of
        the context belongs to the continuation, and only the last max_position + 1 tokens count. Ids are taken as
        they are. min_shared_prefix: contexts that begin alike are computed once where it is so many tokens or more.
        Raises TypeError for a text with ids, ValueError where nothing is left of a continuation, and as `run`
        (index: the pair).
        """
        pairs = _score.split(self, contexts, continuations)
        return self.score_tokens(pairs, min_shared_prefix=min_shared_prefix, progress=progress, cancel=cancel)

    def score_tokens(self, pairs: Sequence[tuple[Prompt, int]], *, min_shared_prefix: int = 16,
                     progress: Progress = False, cancel: Cancel | None = None) -> list[Score]:
        """As `score` for (tokens, n_context): ids, of which the first n_context, at least one, are the context."""
        return _score.score_tokens(self, pairs, min_shared_prefix, progress, cancel)

    def logprobs(self, prompts: Sequence[Prompt], *, top: int = 0, min_shared_prefix: int = 0,
                 progress: Progress = False, cancel: Cancel | None = None) -> list[TokenLogprobs]:
        """The log-probability of each token of each prompt after all before it; the first has none (nan).

        top: so many of the most likely ids in each place, 0 .. 256. Raises as `run`."""
        return _score.logprobs(self, prompts, top, min_shared_prefix, progress, cancel)

    # ---- vectors ----

    def embed(self, prompts: Sequence[Prompt], *, pooling: str = "auto", normalize: bool | None = None,
              min_shared_prefix: int = 0, progress: Progress = False, cancel: Cancel | None = None) -> Floats:
        """A vector for each prompt, f32 [n, hidden_size], behind the model's last norm.

        Texts get what the tokenizer puts before and behind them. pooling: "last", "mean" or "first" token; "auto": as
        the model's files have it, else the last. normalize: to length 1; None: unless the files say otherwise.
        Raises as `run`."""
        return _states.embed(self, prompts, pooling, normalize, min_shared_prefix, progress, cancel)

    def hidden(self, prompts: Sequence[Prompt], *, progress: Progress = False,
               cancel: Cancel | None = None) -> list[Floats]:
        """The state of each token of each prompt behind the model's last norm: f32 [n_tokens, hidden_size]."""
        return _states.hidden(self, prompts, progress, cancel)

    def classify(self, prompts: Sequence[Prompt], *, min_shared_prefix: int = 0, progress: Progress = False,
                 cancel: Cancel | None = None) -> Floats:
        """The scores (logits) that a classification or reward model gives, f32 [n, n_labels].

        Raises UnsupportedError for a model without such a head, and as `run`."""
        return _states.classify(self, prompts, min_shared_prefix, progress, cancel)

    # ---- before it runs ----

    def predict(self, lengths: Integers | Plan, cost: CostModel | None = None) -> Prediction:
        """What a run of new prompts would take; nothing runs.

        lengths: tokens of each prompt, or a Plan. cost: a CostModel; None: a pass costs its tokens.
        Raises TooLongError where a prompt has more tokens than the model has positions for."""
        return _predict.predict(self, lengths, cost)

    # ---- caches ----

    def create_cache(self, n_tokens: int, tokens: Prompt | None = None) -> Cache:
        """A cache of n_tokens tokens whose keys and values are zeros, to be written to.

        tokens: their ids; needed where the model's rotary embedding depends on a prompt's length (longrope, dynamic).
        Raises ArgumentError, TooLongError, OutOfMemoryError, DeviceMemoryError."""
        ids = None if tokens is None else to_ids(tokens, "tokens")
        if ids is not None and ids.size != n_tokens:
            raise ValueError(f"{ids.size} tokens were given for a cache of {n_tokens}")
        return self._new_cache(core().pp_kvcache_create, integer("n_tokens", n_tokens), None if ids is None else ids.ctypes.data)

    def load_cache(self, path: Path) -> Cache:
        """A cache that Cache.save wrote, bit for bit. `inspect_cache` tells what a file holds.

        Raises ArgumentError (of another model, dtype or format of weights; the sentence names both), FormatError (cut
        off or damaged), UnsupportedError, LimitError, FileError, OutOfMemoryError."""
        return self._new_cache(core().pp_kvcache_load, path_bytes(path))

    def import_cache(self, data: bytes | bytearray | memoryview) -> Cache:
        """A cache from the bytes that Cache.export gave. Raises as `load_cache`."""
        memory = np.frombuffer(data, np.uint8)
        return self._new_cache(core().pp_kvcache_import, memory.ctypes.data, memory.size)

    def _new_cache(self, function: Any, *arguments: Any) -> Cache:
        address = ctypes.c_void_p()
        self.acquire()
        try:
            call(function, self.handle, *arguments, ctypes.byref(address))
            return Cache.adopt(self, address.value or 0)
        finally:
            self.release()

    def __repr__(self) -> str:
        if self._unusable:
            return self._unusable
        if self._lock.locked():
            return f"<libprepack.Session in use: {self._model!r}>"
        info = self.read_info()
        return f"<libprepack.Session on {info.device}, {info.dtype}: {self._model!r}>"


def _device_bytes(device: str) -> bytes:
    if not isinstance(device, str):
        raise TypeError(f"device is a {type(device).__name__}; it is a str, as \"cpu\"")
    if "\0" in device:
        raise ArgumentError(f"device is {device!r}; no device has a NUL character in its name")
    return device.encode()


def _info(info: _abi.pp_session_info) -> SessionInfo:
    classes = tuple(PageClass(info.class_windows[i], info.class_page_bytes[i]) for i in range(info.n_page_classes))
    return SessionInfo(
        decoded(info.device), decoded(info.device_name), name_of(DTYPES, info.dtype), name_of(WEIGHTS, info.weights),
        decoded(info.attention), decoded(info.pci_address), info.n_threads, info.max_pass_tokens, info.page_tokens,
        info.page_bytes, info.chunk_tokens, classes, bool(info.keep_window_pages), info.weight_bytes,
        info.workspace_bytes, info.kv_bytes, info.kv_pool_bytes, info.memory_bytes, info.peak_memory_bytes,
        info.host_bytes, info.tokens_computed, info.passes, info.state_bytes)
