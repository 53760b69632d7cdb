"""The engine: one thread that owns the session and takes jobs, step after step, from a queue.

A step is one run: a token for every branch that goes on, and tokens of prompts that the queue lets in, at most
`step_tokens` of them, so that a long prompt holds nobody up for longer than a step. What a job gets is what it would
get alone, to the bit: the library promises it, and nothing here depends on company.
"""
from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Optional

from .._names import version
from ..errors import MisuseError
from ..model import ModelConfig
from ..queue import Queue, QueueClosed, QueueStats
from ..results import SessionInfo
from ..session import Session
from ..tokenizer import Tokenizer
from .api_errors import ApiError
from .jobs import Failed, Job
from .memory import Memory
from .metrics import Metrics
from .sequences import Sequence
from .settings import Settings
from .steps import Outcome, Part, Stepper, fail

logger = logging.getLogger("libprepack.serve")

# Seconds that an engine without work waits for some before it looks around.
_IDLE = 0.25


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What is known once the model is loaded."""

    config: ModelConfig
    tokenizer: Optional[Tokenizer]
    max_length: int
    max_tokens: int
    eos_tokens: frozenset[int]
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The engine's figures after a step."""

    info: Optional[SessionInfo] = None
    n_running: int = 0
    n_held: int = 0
    promised: int = 0
    budget: int = 0


def _fingerprint(session: Session, info: SessionInfo) -> str:
    """A word for all that the bits of an answer depend on, besides the request."""
    model = session.model.identity if session.model.path is not None else repr(session.model)
    parts = (version(), model, info.device, info.dtype, info.weights, info.attention)
    return "fp_" + hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


class Engine:
    """Jobs in, events out. `submit`, `cancel`, `drain` and `abort` are for any thread.

    open_session: makes the session, on the engine's thread; it and the bytes that the session may hold.
    state: "loading", "ready", "draining", "stopped", or "failed", of which `failure` has the reason.
    """

    def __init__(self, open_session: Callable[[], tuple[Session, int]], settings: Settings,
                 metrics: Optional[Metrics] = None) -> None:
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.state = "loading"
        self.failure: Optional[BaseException] = None
        self.snapshot = Snapshot()
        self._open_session = open_session
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._ids = itertools.count()
        self._jobs: dict[int, Job] = {}  # those whose sequences do not exist yet
        self._loaded: Optional[Loaded] = None
        self._aborted: Optional[ApiError] = None
        self._is_loaded = threading.Event()
        self._thread = threading.Thread(target=self._main, name="prepack-engine", daemon=True)

    # ---- any thread ----

    def start(self) -> None:
        """Begins to load the model."""
        self._thread.start()

    def wait_until_loaded(self, timeout: Optional[float] = None) -> bool:
        """Waits until the state is no longer "loading"; False where that took too long."""
        return self._is_loaded.wait(timeout)

    def check(self) -> Loaded:
        """What is known of the model. Raises ApiError 503 where no job would be taken, and MisuseError in a child of
        the process that made this engine."""
        if os.getpid() != self._process:
            raise MisuseError(f"the engine's thread is in process {self._process} and was not copied to its child "
                              f"{os.getpid()}: make engine and session after fork, in the worker")
        if self.state == "ready" and self._loaded is not None:
            return self._loaded
        if self.state == "loading":
            raise ApiError(503, "the model is being loaded; try again later", code="loading", retry_after=5)
        if self.state == "failed":
            raise ApiError(503, f"the engine has failed: {self.failure}", code="failed")
        raise ApiError(503, "the server is being stopped and takes no more requests", code="draining", retry_after=5)

    def submit(self, jobs: list[Job]) -> None:
        """Lets jobs wait for their steps, all or none of them. Their receivers hear of them until they are finished
        or have failed, each on the engine's thread.

        Raises ApiError: 400 for one that needs more memory than there is, 429 where the queue is full, 503; and
        MisuseError, as `check`."""
        loaded = self.check()
        if len(jobs) > self.settings.max_waiting:
            raise ApiError(400, f"the request has {len(jobs)} prompts; allowed: {self.settings.max_waiting}, as many as may "
                                "wait", code="too_large")
        for job in jobs:
            need = self._memory.need(job)
            if need > self._memory.budget:
                raise ApiError(400, f"prompt {job.place} needs {need / 2 ** 20:.1f} MiB for {job.longest} tokens and "
                                    f"{job.n_choices} choices; this server has {self._memory.budget / 2 ** 20:.1f} MiB: "
                                    f"ask for fewer tokens or choices", code="too_large")
            if job.longest > loaded.max_length:
                raise ApiError(400, f"prompt {job.place} would have {job.longest} tokens; allowed: {loaded.max_length}",
                               code="context_length_exceeded")
        for i, job in enumerate(jobs):
            job.id = next(self._ids)
            try:
                self._add(job)
            except Exception:
                self.cancel(jobs[:i])
                raise

    def _add(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.id] = job
        is_added = False
        try:
            is_added = self._queue.add(job.id, int(job.tokens.size))
        except QueueClosed:
            raise ApiError(503, "the server is being stopped and takes no more requests", code="draining",
                           retry_after=5) from None
        finally:
            if not is_added:
                with self._lock:
                    self._jobs.pop(job.id, None)
        if not is_added:
            raise ApiError(429, f"{self.settings.max_waiting} prompts wait already; try again later",
                           code="queue_full", retry_after=1)

    def cancel(self, jobs: list[Job]) -> None:
        """Forgets jobs: nobody wants them any more. What has begun ends with the running step. Finished ones are
        passed over."""
        for job in jobs:
            job.cancelled = True
            if self._queue.cancel(job.id):
                with self._lock:
                    if self._jobs.pop(job.id, None) is not None:
                        self.metrics.finished.add(reason="cancelled")

    def queue_stats(self) -> Optional[QueueStats]:
        """The queue's figures, once there is one."""
        return self._queue.stats if self._loaded is not None else None

    def drain(self) -> None:
        """Takes no more jobs. Those that it has are finished; then the thread ends."""
        with self._lock:
            if self.state not in ("ready", "loading"):
                return
            self.state = "draining"
        if self._loaded is not None:
            self._queue.close()

    def abort(self, error: ApiError) -> None:
        """Ends what is left of the jobs, which fail with this error, and the thread."""
        self._aborted = error
        self.drain()
        if self._loaded is not None and self._thread.is_alive():
            try:
                self._session.cancel()
            except MisuseError:  # the thread has closed it just now
                pass

    def join(self, timeout: Optional[float] = None) -> bool:
        """Waits for the thread to end; False where that took too long."""
        if not self.has_started:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def has_started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    @property
    def has_loaded(self) -> bool:
        """Whether the model was loaded."""
        return self._loaded is not None

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    # ---- the engine's thread ----

    def _main(self) -> None:
        try:
            self._load()
        except BaseException as error:
            self._fail(error)
            return
        finally:
            self._is_loaded.set()
        try:
            self._loop()
            if self.state != "failed":
                self.state = "stopped"
        except BaseException as error:
            logger.exception("the engine ends")
            self._fail(error)
        finally:
            self._queue.close()
            self._fail_all(self._aborted or ApiError(503, f"the engine has failed: {self.failure}", code="failed"))
            self._stepper.close()
            self._session.close()

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self.state = "failed"

    def _load(self) -> None:
        session, limit = self._open_session()
        settings, info, config = self.settings, session.info, session.model.config
        max_length = min(settings.max_length or config.max_position, config.max_position)
        tokenizer = session.tokenizer if session.has_tokenizer else None
        self._session = session
        self._memory = Memory(limit or 1 << 62, session.model, info, max_length, settings.min_shared_prefix > 0)
        room = max(info.max_pass_tokens - settings.max_running, info.max_pass_tokens // 2)
        self._step_tokens = settings.step_tokens or room
        self._queue = Queue(self._step_tokens, max_waiting=settings.max_waiting, oversize="split",
                            max_age=settings.max_age)
        self._stepper = Stepper(session, settings.min_shared_prefix, self.metrics)
        self._tokenizer = tokenizer
        self._held: deque[Sequence] = deque()  # let in by the queue, and not by memory
        self._prefilling: list[Sequence] = []
        self._decoding: list[Sequence] = []
        self._by_id: dict[int, Sequence] = {}
        eos = frozenset(config.eos_tokens)
        if tokenizer is not None and tokenizer.eos_token is not None:
            eos |= {tokenizer.eos_token}
        self._loaded = Loaded(config, tokenizer, max_length, settings.max_tokens or max_length, eos,
                              _fingerprint(session, info))
        self._take_snapshot()
        with self._lock:
            if self.state == "loading":
                self.state = "ready"

    def _loop(self) -> None:
        """Step after step, until the queue is closed and all is done, or somebody aborts."""
        if self.state == "draining":
            self._queue.close()
        while self._aborted is None and self._take_from_queue():
            self._reap()
            self._admit()
            parts = self._parts()
            if parts:
                self._step(parts)
            self._take_snapshot()

    def _take_from_queue(self) -> bool:
        """Moves the queue's next step to what may run. False: it is closed, and all is done."""
        if any(sequence.ready(1) for sequence in self._prefilling):
            return True
        is_partway = any(sequence.granted < sequence.n_tokens for sequence in self._by_id.values())
        if self._held and not is_partway:
            return True  # memory is what lacks: let the others wait in the queue
        try:
            step = self._queue.next(0.0 if self._decoding else _IDLE)
        except QueueClosed:
            return bool(self._by_id)
        for piece in step or ():
            sequence = self._by_id.get(piece.id) or self._begin(piece.id)
            if sequence is not None:
                sequence.granted += piece.n_tokens
        return True

    def _begin(self, id: int) -> Optional[Sequence]:
        with self._lock:
            job = self._jobs.pop(id, None)
        if job is None:
            return None
        sequence = self._by_id[id] = Sequence(job, self._tokenizer)
        self._held.append(sequence)
        return sequence

    def _admit(self) -> None:
        """Lets in what waits for memory, first come, first served."""
        while self._held:
            sequence = self._held[0]
            n_running = sum(one.job.n_choices for one in self._prefilling + self._decoding)
            if n_running and n_running + sequence.job.n_choices > self.settings.max_running:
                return
            need = self._memory.need(sequence.job)
            if not self._memory.promise(need):
                return
            sequence.reserved = need
            self._held.popleft()
            if sequence.is_prefilled and not sequence.branches:
                sequence.job.receiver.receive(sequence.job, sequence.begin())
            (self._decoding if sequence.branches else self._prefilling).append(sequence)

    def _parts(self) -> list[Part]:
        parts = [Part(sequence, branch=branch) for sequence in self._decoding for branch in sequence.branches
                 if branch.reason is None]
        budget = self._step_tokens
        for sequence in self._prefilling:
            n = sequence.ready(budget)
            if n:
                parts.append(Part(sequence, n))
                budget -= n
            if budget <= 0:
                break
        return parts

    def _step(self, parts: list[Part]) -> None:
        begin = time.monotonic()
        try:
            outcome = self._stepper.step(parts)
        except Exception as failure:  # no fault of the requests': they hear of it, and others are not touched
            logger.exception("a step failed")
            outcome = Outcome({part.sequence: failure for part in parts})
        self.metrics.step_seconds.observe(time.monotonic() - begin)
        for sequence, error in outcome.failed.items():
            if self._aborted is None:
                fail(sequence, error)
                self._end(sequence, "failed")
        if outcome.device_error is not None:
            raise outcome.device_error
        for sequence in [one for one in self._prefilling if one.is_prefilled and not one.is_over]:
            self._prefilling.remove(sequence)
            self._decoding.append(sequence)
        for sequence in [one for one in self._prefilling + self._decoding if one.is_over]:
            self._end(sequence, "finished")
        if outcome.is_stuck:
            self._make_room()

    def _make_room(self) -> None:
        """Memory was promised that is not there: the sequence that came last starts again when others are done."""
        running = self._prefilling + self._decoding
        sequence = max(running, key=lambda one: one.job.id)
        sequence.restart()
        if len(running) == 1:
            fail(sequence, ApiError(503, "there is not enough memory for this request now", code="out_of_memory",
                                    retry_after=1))
            self._end(sequence, "failed")
            return
        (self._prefilling if sequence in self._prefilling else self._decoding).remove(sequence)
        self._memory.shrink(sequence.reserved)
        sequence.reserved = 0
        self._held.appendleft(sequence)
        logger.warning("there is less memory than was thought: %d MiB of %d for keys and values",
                       self._memory.room >> 20, self._memory.budget >> 20)

    def _end(self, sequence: Sequence, reason: str) -> None:
        """Gives back what a sequence has."""
        self.metrics.finished.add(reason=reason)
        for place in (self._prefilling, self._decoding, self._held):
            if sequence in place:
                place.remove(sequence)
        self._by_id.pop(sequence.job.id, None)
        self._memory.give_back(sequence.reserved)
        sequence.reserved = 0
        sequence.close()

    def _reap(self) -> None:
        """Ends what nobody wants any more."""
        for sequence in [one for one in self._by_id.values() if one.job.cancelled]:
            self._queue.cancel(sequence.job.id)
            self._end(sequence, "cancelled")

    def _fail_all(self, error: ApiError) -> None:
        with self._lock:
            jobs, self._jobs = list(self._jobs.values()), {}
        for sequence in list(self._by_id.values()):
            fail(sequence, error)
            self._end(sequence, "failed")
        for job in jobs:
            job.receiver.receive(job, [Failed(error)])

    def _take_snapshot(self) -> None:
        self.snapshot = Snapshot(
            self._session.info, sum(one.job.n_choices for one in self._prefilling + self._decoding), len(self._held),
            self._memory.promised, self._memory.budget)
