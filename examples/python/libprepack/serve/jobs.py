"""What the engine is asked for, and what it answers: plain records that cross threads."""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Optional, Protocol, Union

from .._ids import Ids
from ..results import Floats


@dataclass(frozen=True)
class Draw:
    """How tokens are drawn; the fields are those of `Item`."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


@dataclass(frozen=True)
class Token:
    """A token of an answer. offset: where its text begins in the text drawn. top: the most likely tokens there, most
    likely first. logprob: None where none was asked for."""

    id: int
    offset: int
    logprob: Optional[float] = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class PromptScores:
    """Log-probabilities of a prompt's tokens from the second on, with their ranks and the most likely tokens there."""

    logprobs: list[float]
    ranks: list[int]
    top: list[tuple[tuple[int, float], ...]]


@dataclass(frozen=True)
class Piece:
    """Text that a choice goes on with, and the tokens that it completes."""

    choice: int
    text: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Finished:
    """A choice is done. reason: "stop" or "length". n_tokens: how many were drawn."""

    choice: int
    reason: str
    n_tokens: int


@dataclass(frozen=True)
class Vector:
    """The hidden state that was asked for: f32 [hidden_size]."""

    values: Floats


@dataclass(frozen=True)
class Failed:
    """There will be no answer, and this is why."""

    error: Exception


Event = Union[PromptScores, Piece, Finished, Vector, Failed]


class Receiver(Protocol):
    """Who wants a job's answer."""

    def receive(self, job: Job, events: list[Event]) -> None:
        """Takes events in their order. It is called on the engine's thread and neither waits nor raises."""


@dataclass(eq=False)
class Job:
    """A prompt, and what is wanted of it.

    tokens: int32 [n], at least one. place: the prompt's in its request.
    n_choices continuations of at most max_new_tokens tokens each, drawn by `draw` with a seed of their own; 0: none.
    stop: strings, stop_tokens: ids, that end a continuation.
    n_top: log-probabilities of the drawn tokens are wanted, with so many alternatives; None: none.
    prompt_top: the same for the tokens of the prompt.
    vector: pooling and normalisation of the vector that is wanted in place of all this.
    is_streamed: whether pieces are handed out as they come, else with the end of a choice.
    cancelled: set by `Engine.cancel`.
    """

    tokens: Ids
    receiver: Receiver
    place: int = 0
    n_choices: int = 1
    max_new_tokens: int = 0
    draw: Draw = field(default_factory=Draw)
    seeds: tuple[int, ...] = (0,)
    stop: tuple[str, ...] = ()
    stop_tokens: frozenset[int] = frozenset()
    n_top: Optional[int] = None
    prompt_top: Optional[int] = None
    vector: Optional[tuple[str, bool]] = None
    is_streamed: bool = False
    id: int = -1
    arrived: float = field(default_factory=time.monotonic)
    cancelled: bool = False

    @property
    def is_forked(self) -> bool:
        """Whether several choices go on from one cache of the prompt."""
        return self.n_choices > 1 and self.max_new_tokens > 0

    @property
    def is_whole(self) -> bool:
        """Whether the prompt has to go through in one piece: for a vector that all its tokens have a part in."""
        return self.vector is not None and self.vector[0] != "last"

    @property
    def longest(self) -> int:
        """Tokens that a cache of it has at the end; nothing is computed for the last one drawn."""
        return int(self.tokens.size) + max(self.max_new_tokens - 1, 0)
