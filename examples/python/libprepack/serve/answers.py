"""What the endpoints share: the service behind them, and how events become answers, whole or piece by piece."""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Optional, Protocol

from .engine import Engine, Loaded
from .exchange import Exchange
from .jobs import Finished, Job, Piece, PromptScores
from .mailbox import Mailbox, Patience
from .metrics import Metrics
from .settings import Settings
from .templates import Templates
from .texts import Spelling


class Service:
    """What all requests share."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.metrics: Metrics = engine.metrics
        self.created = int(time.time())
        self.templates = Templates()
        self._spelling: Optional[Spelling] = None

    def spelling(self, loaded: Loaded) -> Spelling:
        """How tokens are spelled."""
        if self._spelling is None:
            self._spelling = Spelling(loaded.tokenizer)
        return self._spelling


@dataclass
class Usage:
    """Tokens of a request: of its prompts, each counted once, and drawn."""

    prompt_tokens: int
    completion_tokens: int = 0

    def value(self) -> dict[str, Any]:
        """The JSON object."""
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens,
                "total_tokens": self.prompt_tokens + self.completion_tokens}


class Reply(Protocol):
    """Puts the answers of one endpoint together."""

    def take_scores(self, job: Job, scores: PromptScores) -> None:
        """The prompt of a job was scored; it comes before its choices."""

    def choice(self, job: Job, piece: Piece, reason: Optional[str]) -> dict[str, Any]:
        """An entry of `choices`, for what a choice goes on with."""
        ...

    def value(self, choices: list[dict[str, Any]], usage: Optional[Usage]) -> dict[str, Any]:
        """The object of an answer."""
        ...

    def chunk(self, choices: list[dict[str, Any]], usage: Optional[Usage]) -> dict[str, Any]:
        """The object of a piece of an answer."""
        ...


async def _next_entries(mailbox: Mailbox, reply: Reply, usage: Usage) -> list[dict[str, Any]]:
    """Entries of `choices` from the next events: what goes on and ends at once is one entry."""
    job, events = await mailbox.next()
    pieces: dict[int, Piece] = {}
    reasons: dict[int, Optional[str]] = {}
    for event in events:
        if isinstance(event, PromptScores):
            reply.take_scores(job, event)
        elif isinstance(event, Piece):
            pieces[event.choice] = event
            reasons.setdefault(event.choice, None)
        elif isinstance(event, Finished):
            reasons[event.choice] = event.reason
            usage.completion_tokens += event.n_tokens
    return [reply.choice(job, pieces.get(choice, Piece(choice, "", ())), reason)
            for choice, reason in reasons.items()]


async def run_jobs(patience: Patience, mailbox: Mailbox, reply: Reply, usage: Usage) -> list[dict[str, Any]]:
    """The choices of all jobs, in their order. Raises ApiError, ClientGone."""
    choices: list[dict[str, Any]] = []
    while mailbox.is_open:
        choices += await patience.wait(_next_entries(mailbox, reply, usage))
    return sorted(choices, key=lambda choice: int(choice["index"]))


async def stream_jobs(exchange: Exchange, patience: Patience, mailbox: Mailbox, reply: Reply, usage: Usage,
                      has_usage: bool) -> None:
    """Sends what the jobs give as it comes. An error is raised before anything was sent, where it can be."""
    while mailbox.is_open:
        entries = await patience.wait(_next_entries(mailbox, reply, usage))
        if entries and exchange.status is None:
            await exchange.start_events()
        for entry in entries:
            chunk = reply.chunk([entry], None)
            if not has_usage:
                chunk.pop("usage", None)
            await exchange.event(chunk)
    if has_usage:
        await exchange.event(reply.chunk([], usage))
    await exchange.event("[DONE]")
    await exchange.end_events()
