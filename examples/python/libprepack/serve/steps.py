"""One step of the engine: a run of parts of sequences, and who is to blame when it fails."""
from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Optional, Union

from ..errors import CancelledError, DeviceError, PrepackError
from ..results import Item, ItemResult
from ..session import Session
from .branches import Branch
from .jobs import Event, Failed
from .metrics import Metrics
from .sequences import Sequence

logger = logging.getLogger("libprepack.serve")


@dataclass(frozen=True)
class Part:
    """A sequence's part of a step: the next n tokens of its prompt, or the next token of a branch."""

    sequence: Sequence
    n: int = 0
    branch: Optional[Branch] = None

    def item(self) -> Item:
        """The item of the run."""
        return self.sequence.item(self.n) if self.branch is None else self.branch.item()


@dataclass
class Outcome:
    """What came of a step. failed: sequences that cannot go on, and why. is_stuck: memory was short, and nothing
    was computed. device_error: the session is lost."""

    failed: dict[Sequence, Exception] = field(default_factory=lambda: {})
    is_stuck: bool = False
    device_error: Optional[DeviceError] = None


def fail(sequence: Sequence, error: Exception) -> None:
    """Tells whoever waits that there will be no answer."""
    sequence.job.receiver.receive(sequence.job, [Failed(error)])


# A part without a result is tried again in the next step where it lacked memory.
_Result = Union[ItemResult, PrepackError, None]


class Stepper:
    """Runs steps on a session. The engine's thread alone."""

    def __init__(self, session: Session, min_shared_prefix: int, metrics: Metrics) -> None:
        self._session = session
        self._min_shared_prefix = min_shared_prefix
        self._metrics = metrics

    def close(self) -> None:
        """Forgets the session."""
        del self._session

    def step(self, parts: list[Part]) -> Outcome:
        """Runs the parts together. One that cannot be run takes none of the others along."""
        outcome = Outcome()
        results = self._run([part.item() for part in parts])
        for part, result in zip(parts, results):
            if isinstance(result, DeviceError):
                outcome.device_error = result
            if isinstance(result, PrepackError):
                if not isinstance(result, MemoryError):
                    outcome.failed[part.sequence] = result
                continue
            if result is not None:
                self._accept(part, result, outcome)
        outcome.is_stuck = all(isinstance(result, MemoryError) for result in results)
        return outcome

    def _run(self, items: list[Item]) -> list[_Result]:
        """A result for each item: what it gave, or why it cannot be run. After an error the others are run without
        whom the library blames, and where it blames nobody by halves."""
        try:
            return list(self._session.run(items, min_shared_prefix=self._min_shared_prefix))
        except PrepackError as error:
            if len(items) == 1 or isinstance(error, (DeviceError, CancelledError)):
                return [error] * len(items)
            if error.index is not None and 0 <= error.index < len(items):
                i = error.index
                rest = self._run(items[:i] + items[i + 1:])
                return [*rest[:i], error, *rest[i:]]
            half = len(items) // 2
            return [*self._run(items[:half]), *self._run(items[half:])]

    def _accept(self, part: Part, result: ItemResult, outcome: Outcome) -> None:
        sequence = part.sequence
        try:
            events = self._events(part, result)
        except Exception as error:
            logger.exception("a result could not be taken")
            outcome.failed[sequence] = error
            return
        if events:
            if not sequence.has_begun:
                self._metrics.first_token_seconds.observe(time.monotonic() - sequence.job.arrived)
                sequence.has_begun = True
            sequence.job.receiver.receive(sequence.job, events)

    def _events(self, part: Part, result: ItemResult) -> list[Event]:
        """Takes a result, and counts it."""
        sequence, branch = part.sequence, part.branch
        self._metrics.generated_tokens.add(int(result.token is not None))
        if branch is None:
            self._metrics.prompt_tokens.add(part.n)
            return sequence.accept(part.n, result)
        branch.cache = result.cache
        events = branch.accept(result)
        if branch.reason is not None:
            branch.close()
        return events
