"""A continuation as it grows: token after token, text, and where it ends."""
from __future__ import annotations

from typing import Optional

import numpy as np

from .._abi import PP_DRAWN_TARGET
from .._ids import Ids
from ..cache import Cache
from ..results import Item, ItemResult
from ..tokenizer import Tokenizer
from .jobs import Event, Finished, Job, Piece, Token
from .texts import StopText

# Tokens of a prompt that its continuation's text may depend on: those of a character that is not whole, and one.
_BEFORE = 32


class Branch:
    """One choice of a job. Engine's thread alone."""

    def __init__(self, job: Job, choice: int, tokenizer: Optional[Tokenizer]) -> None:
        self.job = job
        self.choice = choice
        self.cache: Optional[Cache] = None
        self.drawn: list[int] = []
        self.reason: Optional[str] = None
        self._stream = None if tokenizer is None else tokenizer.stream()
        if self._stream is not None:
            for id in job.tokens[-_BEFORE:].tolist():  # they decide how the text goes on: spaces, half characters
                self._stream.push(id)
        self._stop = StopText(job.stop)
        self._length = 0
        self._text: list[str] = []
        self._tokens: list[Token] = []

    def draws(self, item: Item, n: int) -> None:
        """Lets an item of n tokens, whose last one is the branch's, draw the next one."""
        draw = self.job.draw
        item.output, item.seed = "token", self.job.seeds[self.choice]
        item.temperature, item.top_k, item.top_p, item.min_p = draw.temperature, draw.top_k, draw.top_p, draw.min_p
        if self.job.n_top is not None:
            row = np.array([(n - 1, PP_DRAWN_TARGET)], np.int64)
            item.scores = row if item.scores is None else np.concatenate([item.scores, row])
            item.n_top = max(item.n_top, self.job.n_top)

    def item(self) -> Item:
        """Its share of the next step: its last token; all of them where it has no cache yet, or no longer."""
        if self.cache is not None and self.drawn:
            tokens: Ids = np.asarray(self.drawn[-1:], np.int32)
        elif self.cache is not None:
            tokens = self.job.tokens[-1:]
        else:
            tokens = np.concatenate([self.job.tokens, np.asarray(self.drawn, np.int32)])
        item = Item(tokens, cache=self.cache)
        self.draws(item, len(tokens))
        return item

    def accept(self, result: ItemResult) -> list[Event]:
        """Takes the token that a run drew, whose score is the last of the run's."""
        id = -1 if result.token is None else result.token
        logprob: Optional[float] = None
        top: tuple[tuple[int, float], ...] = ()
        if self.job.n_top is not None and result.logprobs is not None:
            logprob = float(result.logprobs[-1])
            if result.top_tokens is not None and result.top_logprobs is not None:
                top = tuple(zip(result.top_tokens[-1].tolist(), result.top_logprobs[-1].tolist()))[:self.job.n_top]
        self.drawn.append(id)
        self._tokens.append(Token(id, self._length, logprob, top))
        return self._events(self._advance(id))

    def _advance(self, id: int) -> str:
        """What of the text is certain after this token. Sets `reason` where it is the last."""
        is_stop = id in self.job.stop_tokens
        text = ""
        if self._stream is not None and not is_stop:
            piece = self._stream.push(id)
            self._length += len(piece)
            text = self._stop.push(piece)
        if self._stop.stopped is None and (is_stop or len(self.drawn) == self.job.max_new_tokens):
            self.reason = "stop" if is_stop else "length"
            text += self._stop.push(self._stream.finish() if self._stream is not None else "")
            if self._stop.stopped is None:
                text += self._stop.finish()
        if self._stop.stopped is not None:
            self.reason = "stop"
        return text

    def _events(self, text: str) -> list[Event]:
        self._text.append(text)
        if self.reason is None and (not self.job.is_streamed or self._stop.holds):
            return []
        events: list[Event] = []
        text = "".join(self._text)
        if text or self._tokens:
            events.append(Piece(self.choice, text, tuple(self._tokens)))
        self._text, self._tokens = [], []
        if self.reason is not None:
            events.append(Finished(self.choice, self.reason, len(self.drawn)))
        return events

    def close(self) -> None:
        """Gives its cache back."""
        if self.cache is not None:
            self.cache.close()
            self.cache = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None
