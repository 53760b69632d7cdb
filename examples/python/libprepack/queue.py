"""The planner for prompts that arrive one by one. Threads that receive requests add them to a queue; the thread
that runs the model takes step after step from it.

    queue = libprepack.Queue(2048)                       token budget of a step
    queue.add(7, n_tokens=312)                           any thread; False: full, try again after the next step
    try:
        while True:
            step = queue.next(1.0)                       None: nothing to run yet
            for prompt in step or ():
                ...
    except libprepack.QueueClosed:                       closed, and nothing waits any more
        pass
"""
from __future__ import annotations

import ctypes
import dataclasses
import math
import os
import threading
import time
from typing import Any, Iterator, NamedTuple

import numpy as np

from . import _abi
from ._arrays import choice, integer
from ._library import call, core, sized
from ._views import SharedHandle
from .cost import CostModel, cost_struct
from .errors import CancelledError
from .plan import values_of
from .planner import OVERSIZE

# Seconds that a main thread waits inside the library, where it does not see signals.
_SIGNALS = 0.1


class QueueClosed(CancelledError):
    """The queue is closed: nothing can be added; nothing waits any more."""


class StepPrompt(NamedTuple):
    """Tokens first_token .. first_token + n_tokens - 1 of a prompt, in a step."""

    id: int
    first_token: int  # 0 unless the prompt is split
    n_tokens: int
    start: int  # place in the step, alignment included
    age: float  # seconds since it was added
    continues: bool  # later steps hold the rest of the prompt


RECORD: np.dtype[Any] = np.dtype(_abi.pp_step_prompt)


@dataclasses.dataclass(frozen=True)
class Step:
    """Prompts to run together: a sequence of StepPrompt.

    tokens: in it; used: and what alignment adds; capacity: tokens it could hold
    n_waiting: prompts that wait on
    cost: of the step, by the queue's cost model
    """

    prompts: tuple[StepPrompt, ...]
    tokens: int
    used: int
    capacity: int
    n_waiting: int
    cost: float

    @property
    def ids(self) -> list[int]:
        """Of the prompts."""
        return [prompt.id for prompt in self.prompts]

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[StepPrompt]:
        return iter(self.prompts)


@dataclasses.dataclass(frozen=True)
class QueueStats:
    """What a queue has done so far: added = handed_out + cancelled + waiting at any time.

    waiting, added, handed_out, cancelled: prompts; one that is split is handed out with its last part
    waiting_tokens: of those that wait
    refused: adds that found the queue full
    tokens: in all steps; used: and what alignment adds to them
    waste: 1 - tokens / capacity of all steps
    oldest_age: seconds that the oldest prompt waits
    mean_age, p50_age, p99_age, longest_age: seconds from add to step, of the prompts handed out
    """

    closed: bool
    waiting: int
    waiting_tokens: int
    added: int
    handed_out: int
    cancelled: int
    refused: int
    steps: int
    tokens: int
    used: int
    waste: float
    oldest_age: float
    mean_age: float
    p50_age: float
    p99_age: float
    longest_age: float


class Queue(SharedHandle):
    """Prompts that wait, and the rules by which they leave. Any thread may call anything at any time.

    Whoever is due first leaves first: a prompt is due max_age seconds after it came, or at its deadline; a level of
    priority is worth priority_age seconds. Of those that follow, a step takes those that fill it best. What fills
    no step well waits for company until it is due.

    capacity: tokens of a step. max_waiting: prompts that may wait. max_prompts: of a step; 0: no limit.
    oversize: prompts longer than the capacity: "error"; "own_bin": a step each; "split": over several steps.
    keep_order: prompts leave in the order in which they came.
    bin_alignment, prompt_alignment: a step's tokens, a prompt's room, are rounded up to a multiple of this.
    cost: what a step costs; None: its tokens.

    `close` ends it: what waits is handed out, then `next` raises QueueClosed in every thread. Memory goes when
    nobody refers to the queue any more, or with `destroy`. As a context it closes at the end.

    Raises ArgumentError (a value out of its range), OutOfMemoryError."""

    _of_one_process = True

    def __init__(self, capacity: int, *, max_waiting: int = 4096, max_prompts: int = 0, oversize: str = "error",
                 keep_order: bool = False, bin_alignment: int = 1, prompt_alignment: int = 1, max_age: float = 0.010,
                 priority_age: float = 1.0, cost: CostModel | None = None) -> None:
        params, queue = _abi.pp_queue_params(), ctypes.c_void_p()
        core().pp_queue_params_init(ctypes.byref(params), ctypes.sizeof(params))
        params.capacity, params.max_waiting = integer("capacity", capacity), integer("max_waiting", max_waiting)
        params.max_prompts, params.keep_order = integer("max_prompts", max_prompts), int(keep_order)
        params.oversize = choice("oversize", oversize, OVERSIZE)
        params.bin_alignment = integer("bin_alignment", bin_alignment)
        params.prompt_alignment = integer("prompt_alignment", prompt_alignment)
        params.max_age, params.priority_age = max_age, priority_age
        model = cost_struct(cost)
        if model is not None:
            params.cost = ctypes.addressof(model)
        call(core().pp_queue_create, ctypes.byref(params), ctypes.byref(queue))
        super().__init__(queue.value, core().pp_queue_destroy)
        # no step has more prompts than wait, and each takes its room
        self._room = min(max_waiting, capacity // prompt_alignment + 1, max_prompts or max_waiting)

    def add(self, id: int, n_tokens: int, priority: int = 0, deadline: float = 0.0) -> bool:
        """Lets a prompt wait; never waits itself. False: max_waiting prompts wait already, and this one does not.

        id: the host's name for it, 64 bits; no two that wait share one. priority: higher goes first; 0 where order
        is kept. deadline: seconds from now until it is due; 0: the queue's max_age.

        Raises QueueClosed, TooLongError (it does not fit into a step), ArgumentError (no tokens, a negative
        deadline, an id that waits already: `index` is the id)."""
        prompt = sized(_abi.pp_waiting_prompt, id=integer("id", id), n_tokens=integer("n_tokens", n_tokens),
                       priority=integer("priority", priority, 32), deadline=deadline)
        try:
            return self.invoke(core().pp_queue_add, ctypes.byref(prompt)) == _abi.PP_OK
        except CancelledError as error:
            raise QueueClosed(str(error), error.index) from None

    def next(self, max_wait: float = math.inf) -> Step | None:
        """Takes the next step, waiting at most max_wait seconds for one, without the GIL. None: nothing waits, or
        what waits is not due and would not fill a step well. Several threads may take steps, each gets its own.

        Raises QueueClosed when the queue is closed and nothing waits any more, ArgumentError (a negative
        max_wait)."""
        records = np.empty(self._room, RECORD)
        step = sized(_abi.pp_step, prompts=records.ctypes.data, room=self._room)
        end = time.monotonic() + max_wait
        main = threading.current_thread() is threading.main_thread()
        while True:
            slice_ = min(max_wait, _SIGNALS) if main else max_wait
            status = self.invoke(core().pp_queue_next, slice_, ctypes.byref(step))
            if status == _abi.PP_GONE:
                raise QueueClosed("the queue is closed and nothing waits any more")
            if status == _abi.PP_OK:
                break
            max_wait = end - time.monotonic()
            if not main or max_wait <= 0:
                return None
        prompts = tuple(StepPrompt(id, first, n, start, age, bool(continues)) for id, first, n, start, age, continues
                        in records[:step.n_prompts].tolist())
        return Step(prompts, step.tokens, step.used, step.capacity, step.n_waiting, step.cost)

    def cancel(self, id: int) -> bool:
        """Removes a prompt that waits, or what still waits of one that is split. False: it does not wait: a step
        holds it, it was cancelled before, or it was never added."""
        return self.invoke(core().pp_queue_cancel, integer("id", id)) == _abi.PP_OK

    def close(self) -> None:
        """No prompt can be added any more; `next` hands out what waits, without further waiting, and then raises
        QueueClosed, also in threads that wait now. May be called again."""
        if self._address is not None:
            self.invoke(core().pp_queue_close)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._address is None or self.stats.closed

    def destroy(self) -> None:
        """Forgets what waits and gives the memory back. Raises MisuseError while another thread uses it."""
        super().close()

    @property
    def stats(self) -> QueueStats:
        """What the queue has done so far."""
        struct = sized(_abi.pp_queue_stats)
        self.invoke(core().pp_queue_get_stats, ctypes.byref(struct))
        values = values_of(struct, QueueStats)
        values.update(closed=bool(struct.closed))
        return QueueStats(**values)

    def __len__(self) -> int:
        """Prompts that wait."""
        return self.stats.waiting

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        if self._unusable:
            return self._unusable
        stats = self.stats
        return f"<libprepack.Queue: {'closed, ' if stats.closed else ''}{stats.waiting} prompts wait>"

    def _free(self) -> None:
        # A child after fork has copies of waiting threads' locks, and would wait for these threads.
        if self._process == os.getpid():
            super()._free()
