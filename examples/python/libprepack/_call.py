"""One call of a session: exclusive use of it, its progress and its end; and pp_run, from arrays to results."""
from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._interrupt import Interruptible
from ._library import call, core, sized
from ._progress import Meter, Progress
from .cache import Cache
from .errors import MisuseError, PrepackError
from .plan import Plan
from .planner import Packer
from .results import Floats

if TYPE_CHECKING:
    from .cancel import Cancel
    from .session import Session


# None: the items in the order given.
Plans = Union[Plan, Packer, None]
# Receives the item's number, the number of the token that the first row is of, and rows [n, vocab_size], which are
# lent for the call.
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
        self._session.acquire()
        try:
            self._meter = Meter(self._progress)
        except BaseException:
            self._session.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._session.release()
        self._meter.close()

    def plan(self, plan: Plans, prompts: Sequence[NDArray[np.int32]]) -> Plan | None:
        """The plan of a run of these prompts: the one that was given, or by the packer that was."""
        return plan.plan(prompts) if isinstance(plan, Packer) else plan

    def run(self, items: NDArray[Any], caches: Sequence[Cache | None] | None = None, *,
            plan: Plan | None = None, min_shared_prefix: int = 0, sink: Sink | None = None,
            continuations: Any = None) -> list[Cache | None]:
        """pp_run, or pp_score_continuations of an array of pp_continuation. Returns each item's cache, new ones for
        items without; None for those that discard theirs.

        items: from new_items; their `cache` is filled here.
        """
        session, held = self._session, _held(caches, len(items))
        used = [cache for cache in held if cache is not None]
        for cache in used:
            cache.check_writable()
        items["cache"] = [cache.handle if cache is not None else 0 for cache in held]
        n_tokens = (int(items["n_tokens"].sum()) if continuations is None else
                    sum(one.n_tokens for one in continuations))
        interrupts = Interruptible(lambda: core().pp_session_cancel(handle),
                                   2.0 * n_tokens * session.model.n_parameters > _LONG_FLOP)
        handle = session.handle
        params = sized(_abi.pp_run_params, min_shared_prefix=min_shared_prefix)
        before = self.done

        def on_progress(_user: int | None, done: int, total: int) -> None:
            try:  # also where nobody looks: signals are handled here
                self.done = before + done
                if self._meter.is_shown:
                    self._meter.show(self.done, max(self.total, before + total))
            except BaseException as failure:
                interrupts.fail(failure)

        def on_logits(_user: int | None, piece: int | None) -> int:
            try:
                view = _abi.pp_logits.from_address(piece or 0)
                rows: Any = (ctypes.c_float * (view.n_rows * view.vocab_size)).from_address(view.logits or 0)
                array: Floats = np.frombuffer(memoryview(rows), np.float32).reshape(view.n_rows, view.vocab_size)
                array.flags.writeable = False
                assert sink is not None
                sink(view.i_item, view.first_token, array)
            except BaseException as failure:
                interrupts.fail(failure)
            return int(interrupts.failure is not None)

        params.progress = _abi.pp_progress_fn(on_progress)
        if sink is not None:
            params.sink = _abi.pp_logits_fn(on_logits)
        if self._cancel is not None:
            params.cancel = self._cancel.handle
        new: list[Cache | None] = []
        lengths = [len(cache) for cache in used]
        for cache in used:
            cache.pin(1)
        with interrupts:
            try:
                if continuations is not None:
                    call(core().pp_score_continuations, handle, continuations, len(continuations),
                         ctypes.byref(params))
                else:
                    call(core().pp_run, handle, None if plan is None else plan.handle, items.ctypes.data,
                         len(items), ctypes.byref(params))
                    new = [cache if cache is not None else Cache.adopt(session, address) if address else None
                           for cache, address in zip(held, items["cache"].tolist())]
            except PrepackError:
                if interrupts.failure is None:
                    raise
            finally:
                for cache in used:
                    cache.pin(-1)
        if interrupts.failure is not None:
            if new:  # it came behind the last pass: the run is undone where a window allows it
                for cache, length in zip(used, lengths):
                    core().pp_kvcache_truncate(cache.handle, length, None)
            raise interrupts.failure
        return new


def _held(caches: Sequence[Cache | None] | None, n: int) -> list[Cache | None]:
    if caches is None:
        return [None] * n
    return list(caches)


def check_session(session: Session, caches: Sequence[Cache | None]) -> None:
    """Refuses caches of other sessions."""
    for i, cache in enumerate(caches):
        if cache is not None and cache.session is not session:
            raise MisuseError(f"cache {i} belongs to another session", i)
