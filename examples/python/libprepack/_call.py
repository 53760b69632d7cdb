"""One call of a session: exclusive use of it, its progress and its end; and pp_run, from arrays to results."""
from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._arrays import integer
from ._interrupt import Interruptible
from ._library import call, core, sized
from ._progress import Meter, Progress
from .cache import Cache
from .cancel import Cancel
from .errors import CancelledError, MisuseError, PrepackError
from .plan import Plan
from .planner import Packer
from .results import Floats

if TYPE_CHECKING:
    from .session import Session


# None: the items in the order given.
Plans = Union[Plan, Packer, None]
# Receives the item's number, the number of the token that the first row follows, and rows [n, vocab_size].
Sink = Callable[[int, int, Floats], object]

ITEM: np.dtype[Any] = np.dtype(_abi.pp_item)
SCORE: np.dtype[Any] = np.dtype(_abi.pp_score)


def new_items(n: int) -> NDArray[Any]:
    """n items of a run, all zero: an array of structs whose fields are those of pp_item."""
    items = np.zeros(n, ITEM)
    items["struct_size"] = ITEM.itemsize
    return items


_LONG_FLOP = 1e12  # some seconds of a few cores


class Call:
    """A call of a session, which no other thread and no callback may use meanwhile: they get MisuseError.

    progress is told of the tokens of all its runs; `total` is what it expects of them together, 0: those of the run.
    """

    def __init__(self, session: Session, progress: Progress = False, cancel: Cancel | None = None) -> None:
        self._session = session
        self._progress = progress
        self._cancel = cancel
        self.total = 0
        self.done = 0

    def __enter__(self) -> Call:
        self._held = ExitStack()
        with self._held:
            self._session.acquire()
            self._held.callback(self._session.release)
            self._session.is_cancelled = False
            if self._cancel is not None and not isinstance(self._cancel, Cancel):
                raise TypeError(f"cancel is a {type(self._cancel).__name__}; it is a Cancel, or None")
            self._stop = None if self._cancel is None else self._held.enter_context(self._cancel.in_use())
            self._meter = Meter(self._progress)
            self._held.callback(self._meter.close)
            self._held = self._held.pop_all()  # all went well
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def plan(self, plan: Plans, prompts: Sequence[NDArray[np.int32]]) -> Plan | None:
        """The plan of a run of these prompts: the one that was given, or by the packer that was."""
        if plan is not None and not isinstance(plan, (Plan, Packer)):
            raise TypeError(f"plan is a {type(plan).__name__}; it is a Plan, a Packer, or None")
        return plan.plan(prompts) if isinstance(plan, Packer) else plan

    def run(self, items: NDArray[Any], caches: Sequence[Cache | None] | None = None, *,
            plan: Plan | None = None, min_shared_prefix: int = 0, sink: Sink | None = None) -> list[Cache | None]:
        """pp_run. Returns each item's cache, new ones for items without; None for those that discard theirs.

        items: from new_items; their `cache` is filled here."""
        held: list[Cache | None] = [None] * len(items) if caches is None else list(caches)
        with ExitStack() as uses:  # nobody closes what the run uses
            items["cache"] = [_hold(cache, uses) if cache is not None else 0 for cache in held]
            address = None if plan is None else uses.enter_context(plan.in_use())
            new: list[Cache | None] = []

            def run(handle: int, params: object) -> None:
                call(core().pp_run, handle, address, items.ctypes.data, len(items), params)
                new.extend(cache if cache is not None else Cache.adopt(self._session, made) if made else None
                           for cache, made in zip(held, items["cache"].tolist()))

            try:
                self._run(run, int(items["n_tokens"].sum()), [cache for cache in held if cache is not None],
                          min_shared_prefix, sink)
            except BaseException:  # whose traceback would keep them
                for given, cache in zip(held, new):
                    if given is None and cache is not None:
                        cache.close()
                raise
        return new

    def score(self, continuations: Any, min_shared_prefix: int) -> None:
        """pp_score_continuations of a ctypes array of pp_continuation."""
        self._run(lambda handle, params: call(core().pp_score_continuations, handle, continuations,
                                              len(continuations), params),
                  sum(one.n_tokens for one in continuations), [], min_shared_prefix, None)

    def _run(self, function: Callable[[int, object], object], n_tokens: int, caches: Sequence[Cache],
             min_shared_prefix: int, sink: Sink | None) -> None:
        """Calls a function with the session's address and the parameters of a run. What callbacks and signal
        handlers raise ends the run, and is raised when it has ended; then the caches are as before."""
        if self._session.is_cancelled:
            raise CancelledError("the call was cancelled by Session.cancel")
        for cache in caches:
            cache.check_writable()
        handle, lengths = self._session.handle, [len(cache) for cache in caches]
        interrupts = Interruptible(lambda: core().pp_session_cancel(handle),
                                   2.0 * n_tokens * self._session.model.n_parameters > _LONG_FLOP)
        params = self._params(interrupts, min_shared_prefix, sink)
        is_done = False
        with interrupts:
            try:
                function(handle, ctypes.byref(params))
                is_done = True
            except PrepackError:
                if interrupts.failure is None:
                    raise
        if interrupts.failure is not None:
            for cache, length in zip(caches, lengths):
                # it came behind the last pass: the run is undone where windows and states allow it
                if is_done and core().pp_kvcache_kept(cache.handle, length) == length:
                    core().pp_kvcache_truncate(cache.handle, length, None)
            raise interrupts.failure

    def _params(self, interrupts: Interruptible, min_shared_prefix: int, sink: Sink | None) -> _abi.pp_run_params:
        """The parameters of a run, with callbacks that raise nothing."""
        before = self.done

        def on_progress(_user: int | None, done: int, total: int) -> None:
            try:  # also where nobody looks: signals are handled here
                interrupts.insist()
                if self._session.is_cancelled:  # between two runs, which the library did not hear
                    self._session.cancel()
                self.done = before + done
                if self._meter.is_shown:
                    self._meter.show(self.done, max(self.total, before + total))
            except BaseException as failure:
                interrupts.fail(failure)

        def on_logits(_user: int | None, address: int | None) -> int:
            try:
                assert sink is not None
                piece = _abi.pp_logits.from_address(address or 0)
                rows: Floats = np.empty((piece.n_rows, piece.vocab_size), np.float32)
                ctypes.memmove(rows.ctypes.data, piece.logits or 0, rows.nbytes)
                sink(piece.i_item, piece.first_token, rows)
            except BaseException as failure:
                interrupts.fail(failure)
            return int(interrupts.failure is not None)

        params = sized(_abi.pp_run_params, min_shared_prefix=integer("min_shared_prefix", min_shared_prefix),
                       cancel=self._stop)
        params.progress = _abi.pp_progress_fn(on_progress)
        if sink is not None:
            params.sink = _abi.pp_logits_fn(on_logits)
        return params


def _hold(cache: Cache, uses: ExitStack) -> int:
    """A cache's address; nobody closes it before the uses end."""
    address = cache.hold()
    uses.callback(cache.let_go)
    return address


def check_session(session: Session, caches: Sequence[Cache | None], optional: bool = True) -> None:
    """Refuses what is no cache, and caches of other sessions."""
    for i, cache in enumerate(caches):
        if not isinstance(cache, Cache) and not (optional and cache is None):
            raise TypeError(f"cache {i} is a {type(cache).__name__}; it is a Cache")
        if cache is not None and cache.session is not session:
            raise MisuseError(f"cache {i} belongs to another session", i)
