"""/v1/completions: prompts go on, or are scored (`echo` with `logprobs`), or both."""
from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

from .._ids import Ids
from .answers import Reply, Service, Usage, run_jobs, stream_jobs
from .engine import Loaded
from .exchange import Exchange
from .jobs import Job, Piece, PromptScores, Token
from .mailbox import Mailbox
from .parameters import Body, Prompt, finite, prompts
from .prompts import tokenize
from .texts import Spelling, offsets
from .wishes import Wish, check_model, read_wish, top_logprobs

DEFAULT_MAX_TOKENS = 16  # OpenAI's


@dataclass(frozen=True)
class Request:
    """What was asked for, once it has been checked."""

    prompts: list[Prompt]
    max_tokens: Optional[int]
    echo: bool
    logprobs: Optional[int]
    prompt_logprobs: Optional[int]
    wish: Wish

    @property
    def prompt_top(self) -> Optional[int]:
        """How many alternatives the scores of the prompt need; None: it is not scored."""
        tops = [top for top in (self.logprobs if self.echo else None, self.prompt_logprobs) if top is not None]
        return max(tops) if tops else None


def read(body: Body, loaded: Loaded, service: Service) -> Request:
    """The parameters of a request. Raises ApiError."""
    settings = service.settings
    check_model(body, settings)
    body.only("suffix", "", why="text is not put in between")
    request = Request(
        prompts(body, "prompt", settings.max_prompts),
        body.optional_integer("max_tokens", 0, loaded.max_tokens), body.flag("echo"),
        top_logprobs(body, "logprobs"), top_logprobs(body, "prompt_logprobs"), read_wish(body, loaded, settings))
    body.finish()
    return request


def jobs_of(request: Request, ids: list[Ids], loaded: Loaded, mailbox: Mailbox) -> list[Job]:
    """A job for each prompt."""
    wish = request.wish
    return [Job(tokens, mailbox, place, wish.n,
                wish.max_new_tokens(loaded, tokens, request.max_tokens, DEFAULT_MAX_TOKENS, "prompt", place), wish.draw,
                wish.seeds, wish.stop, wish.stop_tokens, request.logprobs, request.prompt_top, is_streamed=wish.is_streamed)
            for place, tokens in enumerate(ids)]


class Logprobs:
    """The object that OpenAI's completions have: four lists that belong together."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.token_logprobs: list[Optional[float]] = []
        self.top_logprobs: list[Optional[dict[str, float]]] = []
        self.text_offset: list[int] = []

    def add_prompt(self, spelling: Spelling, ids: list[int], places: list[int], scores: PromptScores,
                   n_top: int) -> None:
        """Tokens of the prompt, of which nothing is known of the first."""
        self.tokens += [spelling[id] for id in ids]
        self.token_logprobs += [None, *map(finite, scores.logprobs)]
        self.top_logprobs += [None, *(named(spelling, id, logprob, top[:n_top]) for id, logprob, top in
                                      zip(ids[1:], scores.logprobs, scores.top))]
        self.text_offset += places

    def add_drawn(self, spelling: Spelling, tokens: Iterable[Token], offset: int) -> None:
        """Tokens that were drawn, in a text that begins at the offset."""
        for token in tokens:
            logprob = token.logprob or 0.0
            self.tokens.append(spelling[token.id])
            self.token_logprobs.append(finite(logprob))
            self.top_logprobs.append(named(spelling, token.id, logprob, token.top))
            self.text_offset.append(offset + token.offset)

    def value(self) -> dict[str, Any]:
        """The JSON object."""
        return {"tokens": self.tokens, "token_logprobs": self.token_logprobs, "top_logprobs": self.top_logprobs,
                "text_offset": self.text_offset}


def named(spelling: Spelling, id: int, logprob: float, top: Iterable[tuple[int, float]]) -> dict[str, float]:
    """Log-probabilities by spelling, of a token and its alternatives."""
    return {text: finite(value) for text, value in spelling.named([(id, logprob), *top]).items()}


def prompt_logprobs(spelling: Spelling, ids: list[int], scores: PromptScores,
                    n_top: int) -> list[Optional[dict[str, Any]]]:
    """vLLM's form: for each token of the prompt the likelihoods there, by id."""
    entries: list[Optional[dict[str, Any]]] = [None]
    for id, logprob, rank, top in zip(ids[1:], scores.logprobs, scores.ranks, scores.top):
        ranked = {other: (value, i) for i, (other, value) in enumerate(top[:n_top])}
        ranked[id] = (logprob, rank)
        entries.append({str(other): {"logprob": finite(value), "rank": place + 1, "decoded_token": spelling[other]}
                        for other, (value, place) in ranked.items()})
    return entries


class Completions:
    """Answers of one request, put together from the events of its jobs."""

    def __init__(self, request: Request, loaded: Loaded, service: Service, ids: list[Ids]) -> None:
        self.request = request
        self._spelling = service.spelling(loaded)
        self._tokenizer = loaded.tokenizer
        self._ids = [tokens.tolist() for tokens in ids]
        self._head = {"id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion", "created": int(time.time()),
                      "model": service.settings.name, "system_fingerprint": loaded.fingerprint}
        self._texts: dict[int, str] = {}
        self._scores: dict[int, PromptScores] = {}
        self._shown: set[int] = set()

    def prompt_text(self, place: int) -> str:
        """A prompt as text: as it was sent, where it was."""
        text = self._texts.get(place)
        if text is None:
            prompt = self.request.prompts[place]
            text = prompt if isinstance(prompt, str) else (
                self._tokenizer.decode(prompt) if self._tokenizer is not None else "")
            self._texts[place] = text
        return text

    def take_scores(self, job: Job, scores: PromptScores) -> None:
        """The prompt was scored."""
        self._scores[job.place] = scores

    def choice(self, job: Job, piece: Piece, reason: Optional[str]) -> dict[str, Any]:
        """What a choice goes on with, its prompt before the first piece where that is wanted."""
        request = self.request
        index = job.place * request.wish.n + piece.choice
        is_first = index not in self._shown
        self._shown.add(index)
        before = self.prompt_text(job.place) if request.echo else ""
        entry: dict[str, Any] = {"index": index, "text": before + piece.text if is_first else piece.text,
                                 "logprobs": None, "finish_reason": reason}
        if request.logprobs is not None:
            entry["logprobs"] = self._logprobs(job, piece, is_first, len(before))
        if request.prompt_logprobs is not None and is_first:
            entry["prompt_logprobs"] = prompt_logprobs(self._spelling, self._ids[job.place], self._scores[job.place],
                                                       request.prompt_logprobs)
        return entry

    def _logprobs(self, job: Job, piece: Piece, is_first: bool, offset: int) -> dict[str, Any]:
        logprobs = Logprobs()
        if self.request.echo and is_first:
            scores = self._scores[job.place]
            ids = self._ids[job.place]
            places = [0] * len(ids) if self._tokenizer is None else offsets(self._tokenizer, ids)
            logprobs.add_prompt(self._spelling, ids, [min(place, offset) for place in places], scores,
                                self.request.logprobs or 0)
        logprobs.add_drawn(self._spelling, piece.tokens, offset)
        return logprobs.value()

    def value(self, choices: list[dict[str, Any]], usage: Optional[Usage]) -> dict[str, Any]:
        """The object of an answer."""
        return {**self._head, "choices": choices, "usage": None if usage is None else usage.value()}

    chunk = value


async def completions(exchange: Exchange, service: Service) -> None:
    """POST /v1/completions."""
    loaded = service.engine.check()
    body = await exchange.body(service.settings.max_body_bytes)
    request = read(body, loaded, service)
    patience = exchange.begin(service.settings.request_timeout)
    ids = await tokenize(loaded, request.prompts, "prompt")
    mailbox = Mailbox(service.engine)
    jobs = jobs_of(request, ids, loaded, mailbox)
    reply: Reply = Completions(request, loaded, service, ids)
    usage = Usage(sum(int(tokens.size) for tokens in ids))
    try:
        mailbox.submit(jobs)
        if request.wish.is_streamed:
            await stream_jobs(exchange, patience, mailbox, reply, usage, request.wish.has_usage)
        else:
            choices = await run_jobs(patience, mailbox, reply, usage)
            await exchange.answer(200, reply.value(choices, usage))
    finally:
        mailbox.close()
