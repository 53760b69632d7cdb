"""How prompts go on: packed prefill, then a token at a time for all that run, as many as memory holds."""
from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._arrays import integer
from ._call import SCORE, Call, Plans, new_items
from ._ids import Ids, to_ids
from ._items import fill_tokens
from ._names import OUTPUTS
from ._text import StoppableText
from .cache import Cache
from .devices import devices, get_device
from .errors import ArgumentError, DeviceMemoryError, OutOfMemoryError, TooLongError
from .plan import Plan
from .results import Generation, TokenLogprobs

if TYPE_CHECKING:
    from .session import Session

MAX_ROWS = 512  # that run together; more do not make a token cheaper


@dataclass(frozen=True)
class Options:
    """The parameters of Session.generate."""

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seed: int | Sequence[int]
    stop: str | Sequence[str] | None
    stop_tokens: Sequence[int] | None
    ignore_eos: bool
    stream: Callable[[int, str], object] | None
    n_logprobs: int | None
    keep_caches: bool
    plan: Plans
    min_shared_prefix: int


class _Row:
    """A prompt that is being continued. Without a cache it waits: for its first run, or because memory was short."""

    def __init__(self, i: int, prompt: Ids, seed: int, max_tokens: int, text: StoppableText | None) -> None:
        self.i, self.prompt, self.seed, self.max_tokens, self.text = i, prompt, seed, max_tokens, text
        self.tokens: list[int] = []
        self.scores: list[tuple[Any, Any, Any]] = []  # of each token, where they are wanted
        self.cache: Cache | None = None
        self.finish_reason = ""

    @property
    def ids(self) -> Ids:
        """The prompt and what was drawn so far."""
        return np.concatenate([self.prompt, np.array(self.tokens, np.int32)]) if self.tokens else self.prompt

    def n_bytes(self, page_tokens: int, page_bytes: int) -> int:
        """Its cache's when it is done, at most."""
        return -(-(self.prompt.size + self.max_tokens) // page_tokens) * page_bytes


class _Generator:
    """The rows of one call of Session.generate."""

    def __init__(self, session: Session, running: Call, prompts: Sequence[Ids], options: Options) -> None:
        self.session, self.call, self.options = session, running, options
        stops = _stops(options.stop)
        if options.stream is not None and not callable(options.stream):
            raise TypeError(f"stream is a {type(options.stream).__name__}; it is a function of a number and a text")
        needs_text = bool(stops) or options.stream is not None
        tokenizer = session.tokenizer if needs_text or session.has_tokenizer else None
        seeds = _seeds(options.seed, len(prompts))
        n_most = session.model.config.max_position
        given = () if options.stop_tokens is None else options.stop_tokens
        self.stop_tokens: set[int] = set(to_ids(given, "stop_tokens").tolist())
        if not options.ignore_eos:
            self.stop_tokens.update(session.model.config.eos_tokens)
            if tokenizer is not None and tokenizer.eos_token is not None:
                self.stop_tokens.add(tokenizer.eos_token)
        self.rows = [_Row(i, ids, seed, min(options.max_new_tokens, n_most - ids.size + 1),
                          None if tokenizer is None else StoppableText(tokenizer, ids, stops))
                     for i, (ids, seed) in enumerate(zip(prompts, seeds))]
        info = session.read_info()
        self.page_tokens, self.page_bytes = info.page_tokens, info.page_bytes
        self.state_bytes = 3 * info.state_bytes  # two of a cache, one while a run writes
        self.room = _free_bytes(session) + info.kv_pool_bytes - info.kv_bytes
        self.max_rows = MAX_ROWS
        self.plan = options.plan
        self.waiting: deque[_Row] = deque(self.rows)
        self.active: list[_Row] = []
        running.total = sum(ids.size + row.max_tokens - 1 for ids, row in zip(prompts, self.rows))

    def run(self) -> None:
        """Until every row is finished."""
        while self.waiting or self.active:
            if self.waiting and len(self.active) <= self.max_rows * 3 // 4:
                self._start(self._admit())
            if self.active:
                self._step()

    def _admit(self) -> list[_Row]:
        """Rows that may begin now: as many as memory has room for, at least one where none is active."""
        admitted: list[_Row] = []
        if isinstance(self.plan, Plan):  # of all of them
            admitted.extend(self.waiting)
            self.waiting.clear()
            return admitted
        room = self.room - sum(self._n_bytes(row) for row in self.active)
        while self.waiting and len(self.active) + len(admitted) < self.max_rows:
            room -= self._n_bytes(self.waiting[0])
            if room < 0 and (self.active or admitted):
                break
            admitted.append(self.waiting.popleft())
        return admitted

    def _n_bytes(self, row: _Row) -> int:
        return row.n_bytes(self.page_tokens, self.page_bytes) + self.state_bytes

    def _start(self, rows: list[_Row]) -> None:
        """Prefill, and the first token of each row. Where memory is short half of them wait."""
        if not rows:
            return
        ids = [row.ids for row in rows]
        items = self._items(rows)
        fill_tokens(items, ids)
        scores = self._ask_scores(items)
        plan = self.call.plan(self.plan, ids)
        if isinstance(self.plan, Plan):  # of all of them: not of those that wait for memory
            self.plan = None
        try:
            caches = self.call.run(items, plan=plan,
                                   min_shared_prefix=self.options.min_shared_prefix)
        except (OutOfMemoryError, DeviceMemoryError) as error:
            if len(rows) == 1 and not self.active:
                error.index = rows[0].i
                raise
            n = len(rows) // 2
            self.max_rows = max(len(self.active) + n, 1)
            self.waiting.extendleft(reversed(rows[n:]))
            self._start(rows[:n])
            return
        for row, cache in zip(rows, caches):
            row.cache = cache
        self.active.extend(rows)
        self._take(rows, items["next"].tolist(), scores)

    def _step(self) -> None:
        """One token more of each active row. Where memory is short half of them wait, and begin anew later: what
        they had is computed again, to the same bits."""
        rows = self.active
        items = self._items(rows)
        last = np.array([row.tokens[-1] for row in rows], np.int32)
        items["tokens"] = last.ctypes.data + 4 * np.arange(last.size)
        items["n_tokens"] = 1
        scores = self._ask_scores(items)
        try:
            self.call.run(items, [row.cache for row in rows])
        except (OutOfMemoryError, DeviceMemoryError) as error:
            if len(rows) == 1:
                error.index = rows[0].i
                raise
            self.max_rows = len(rows) // 2
            self.active, paused = rows[:self.max_rows], rows[self.max_rows:]
            for row in paused:
                self._drop(row)
            self.waiting.extendleft(reversed(paused))
            return
        self._take(rows, items["next"].tolist(), scores)

    def _items(self, rows: Sequence[_Row]) -> NDArray[Any]:
        items = new_items(len(rows))
        items["output"] = OUTPUTS["token"]
        for name in ("temperature", "top_p", "min_p"):
            items[name] = getattr(self.options, name)
        items["top_k"] = integer("top_k", self.options.top_k, 32)
        items["seed"] = np.array([row.seed for row in rows], np.uint64)
        return items

    def _ask_scores(self, items: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Asks for the log-probability of the token that each item draws, and of the most likely ones."""
        if self.options.n_logprobs is None:
            return ()
        n_top = integer("n_logprobs", self.options.n_logprobs, 32)
        scores = np.zeros(len(items), SCORE)
        scores["token"], scores["target"] = items["n_tokens"] - 1, _abi.PP_DRAWN_TARGET
        top: NDArray[np.int32] = np.empty((len(items), max(n_top, 0)), np.int32)
        logprobs: NDArray[np.float64] = np.empty(top.shape, np.float64)
        each = np.arange(len(items))
        items["scores"], items["n_scores"], items["n_top"] = scores.ctypes.data + SCORE.itemsize * each, 1, n_top
        items["top_tokens"] = top.ctypes.data + top.strides[0] * each
        items["top_logprobs"] = logprobs.ctypes.data + logprobs.strides[0] * each
        return scores, top, logprobs

    def _take(self, rows: Sequence[_Row], drawn: Sequence[int], scores: tuple[NDArray[Any], ...]) -> None:
        """Gives each row its token; those that are finished by it leave."""
        for row, each in zip(rows, zip(*scores)):
            row.scores.append(each)
        for row, token in zip(rows, drawn):
            row.tokens.append(token)
            self._judge(row, token)
        self.active = [row for row in self.active if not row.finish_reason]

    def _judge(self, row: _Row, token: int) -> None:
        if token in self.stop_tokens:
            row.finish_reason = "stop"
        elif row.text is not None:
            self._show(row, row.text.push(token))
        if row.text is not None and row.text.is_stopped:
            row.finish_reason = "stop"
        elif not row.finish_reason and len(row.tokens) >= row.max_tokens:
            row.finish_reason = "length"
        if row.finish_reason:
            if row.text is not None:
                self._show(row, row.text.finish())
            if not self.options.keep_caches:
                self._drop(row)

    def _show(self, row: _Row, piece: str) -> None:
        if piece and self.options.stream is not None:
            self.options.stream(row.i, piece)

    def drop_all(self) -> None:
        """Gives all caches back."""
        for row in self.rows:
            self._drop(row)

    @staticmethod
    def _drop(row: _Row) -> None:
        cache, row.cache = row.cache, None
        if cache is not None:
            cache.close()


def _logprobs(row: _Row, n_top: int) -> TokenLogprobs:
    """Those of the tokens that a row drew. With n_top 0 there is a row without elements for each."""
    shape = (len(row.tokens), n_top)
    scores: Any = np.array([score for score, _, _ in row.scores], SCORE)
    return TokenLogprobs(np.array(row.tokens, np.int32), np.array(scores["logprob"]), np.array(scores["rank"]),
                         np.array([top for _, top, _ in row.scores], np.int32).reshape(shape),
                         np.array([logprobs for _, _, logprobs in row.scores], np.float64).reshape(shape))


def generate(session: Session, running: Call, prompts: Sequence[Ids], options: Options) -> list[Generation]:
    """Session.generate, of ids."""
    if integer("max_new_tokens", options.max_new_tokens) < 1:
        raise ArgumentError(f"max_new_tokens is {options.max_new_tokens}; at least 1 is generated")
    config = session.model.config
    for i, ids in enumerate(prompts):  # here, since the library would count those that run together
        if not ids.size:
            raise ArgumentError(f"prompt {i} has no tokens; at least one is needed", i)
        if ids.size > config.max_position:
            raise TooLongError(f"prompt {i} has {ids.size} tokens; the model has positions for {config.max_position}", i)
        wrong = np.flatnonzero((ids < 0) | (ids >= config.vocab_size))
        if wrong.size:
            raise ArgumentError(f"prompt {i}: token {ids[wrong[0]]} at {wrong[0]} is outside [0, {config.vocab_size})", i)
    rows = _Generator(session, running, prompts, options)
    try:
        rows.run()
    except BaseException:  # whose traceback would keep the caches
        rows.drop_all()
        raise
    n_top = None if options.n_logprobs is None else integer("n_logprobs", options.n_logprobs)
    return [Generation(row.text.text if row.text is not None else "", np.array(row.tokens, np.int32),
                       row.finish_reason, None if n_top is None else _logprobs(row, n_top), row.cache)
            for row in rows.rows]


def _stops(stop: str | Sequence[str] | None) -> list[str]:
    """The texts that end a generation."""
    if stop is None:
        return []
    stops = [stop] if isinstance(stop, str) or not isinstance(stop, Iterable) else list(stop)
    if not all(isinstance(each, str) and each for each in stops):
        raise ValueError(f"stop is {stop!r}; it is a text that is not empty, or some")
    return stops


def _seeds(seed: int | Sequence[int], n: int) -> list[int]:
    if hasattr(seed, "__index__") and not getattr(seed, "ndim", 0):
        first = operator.index(cast("int", seed))
        return [(first + i) % 2 ** 64 for i in range(n)]
    try:
        seeds = [operator.index(each) % 2 ** 64 for each in cast("Sequence[int]", seed)]
    except TypeError:
        raise TypeError(f"seed is {seed!r}; it is an integer, or one for each prompt") from None
    if len(seeds) != n:
        raise ValueError(f"{len(seeds)} seeds were given for {n} prompts")
    return seeds


def _free_bytes(session: Session) -> int:
    """Memory that caches may take: what the limit leaves, or half of what the device has free."""
    info = session.read_info()
    if session.memory_limit:
        return max(session.memory_limit - info.memory_bytes, 0)
    name = ":".join(info.device.split(":")[:2])
    known = [get_device(0)] if info.device.startswith("cpu") else [one for one in devices() if one.device == name]
    if not known or not known[0].available_bytes:
        return 2 ** 62  # nobody says: rows wait when memory is short
    return known[0].available_bytes // 2
