"""A job in the engine: which of its tokens are computed, what is known of them, and its branches."""
from __future__ import annotations

from typing import Optional

import numpy as np

from ..cache import Cache
from ..results import Item, ItemResult
from ..tokenizer import Tokenizer
from .branches import Branch
from .jobs import Event, Finished, Job, PromptScores, Vector


class Sequence:
    """A job on its way. The engine's thread alone.

    granted: tokens that steps of the queue have let in. done: tokens that are computed. target: tokens to compute
    before branches begin: all of them, or all but the last one where several choices each draw their first token
    after it.
    """

    def __init__(self, job: Job, tokenizer: Optional[Tokenizer]) -> None:
        self.job = job
        self.granted = 0
        self.done = 0
        self.n_tokens = int(job.tokens.size)
        self.target = self.n_tokens - 1 if job.is_forked else self.n_tokens
        self.cache: Optional[Cache] = None
        self.branches: list[Branch] = []
        self.reserved = 0
        self.has_begun = False  # whether something was handed out
        n_branches = job.n_choices if job.max_new_tokens > 0 else 0
        self._waiting_branches = [Branch(job, choice, tokenizer) for choice in range(n_branches)]
        self._forget_scores()

    def _forget_scores(self) -> None:
        self._logprobs: list[float] = []
        self._ranks: list[int] = []
        self._top: list[tuple[tuple[int, float], ...]] = []

    # ---- the prompt ----

    def ready(self, budget: int) -> int:
        """How many tokens of the prompt may go into a step that has room for so many."""
        if self.job.is_whole:
            return self.n_tokens if self.granted == self.n_tokens and budget > 0 else 0
        return max(min(self.target, self.granted, self.done + budget) - self.done, 0)

    @property
    def is_prefilled(self) -> bool:
        """Whether all that comes before the branches is computed."""
        return self.done >= self.target

    def item(self, n: int) -> Item:
        """The next n tokens of the prompt."""
        first, last = self.done, self.done + n
        is_last = last == self.target
        job = self.job
        item = Item(job.tokens[first:last], cache=self.cache)
        if job.prompt_top is not None:
            targets = job.tokens[first + 1:last + 1].astype(np.int64)
            item.scores = np.stack([np.arange(targets.size, dtype=np.int64), targets], axis=1)
            item.n_top = job.prompt_top
        if is_last and job.vector is not None:
            item.output, (item.pooling, item.normalize) = "pooled", job.vector
        if is_last and self._draws_at_once:
            self._waiting_branches[0].draws(item, n)
        item.discard_cache = is_last and first == 0 and job.longest == self.n_tokens and not job.is_forked
        return item

    @property
    def _draws_at_once(self) -> bool:
        """Whether the run of the last tokens draws the first one of the only branch."""
        return len(self._waiting_branches) == 1 and not self.job.is_forked

    def accept(self, n: int, result: ItemResult) -> list[Event]:
        """Takes what the run of the next n tokens gave."""
        first, self.done = self.done, self.done + n
        self.cache = result.cache
        n_scores = min(self.done, self.n_tokens - 1) - first if self.job.prompt_top is not None else 0
        if n_scores > 0 and result.logprobs is not None and result.ranks is not None:
            self._logprobs += result.logprobs[:n_scores].tolist()
            self._ranks += result.ranks[:n_scores].tolist()
            self._top += self._tops(result, n_scores)
        return self._end_of_prompt(result) if self.is_prefilled else []

    def _tops(self, result: ItemResult, n: int) -> list[tuple[tuple[int, float], ...]]:
        if result.top_tokens is None or result.top_logprobs is None:
            return [()] * n
        top = self.job.prompt_top or 0
        return [tuple(zip(ids, logprobs)) for ids, logprobs in
                zip(result.top_tokens[:n, :top].tolist(), result.top_logprobs[:n, :top].tolist())]

    def _scores(self) -> list[Event]:
        if self.job.prompt_top is None:
            return []
        return [PromptScores(self._logprobs, self._ranks, self._top)]

    def _end_of_prompt(self, result: ItemResult) -> list[Event]:
        events = self._scores()
        if result.pooled is not None:
            events.append(Vector(result.pooled))
        elif not self._waiting_branches:
            events += [Finished(choice, "length", 0) for choice in range(self.job.n_choices)]
        elif self._draws_at_once:
            self.branches, self._waiting_branches = self._waiting_branches, []
            branch = self.branches[0]
            branch.cache, self.cache = self.cache, None
            events += branch.accept(result)
        else:
            self.fork()
        return events

    # ---- the branches ----

    def begin(self) -> list[Event]:
        """Of a prompt of one token, before which there is nothing to compute: its choices begin with it."""
        self.fork()
        return self._scores()

    def fork(self) -> None:
        """Gives every branch its cache: the prompt's without its last token."""
        self.branches, self._waiting_branches = self._waiting_branches, []
        if self.cache is not None:
            for branch in self.branches[1:]:
                branch.cache = self.cache.fork()
            self.branches[0].cache, self.cache = self.cache, None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_prefilled and all(branch.reason is not None for branch in self.branches) \
            and not self._waiting_branches

    @property
    def n_drawn(self) -> int:
        """Tokens drawn so far."""
        return sum(len(branch.drawn) for branch in self.branches)

    def restart(self) -> None:
        """Gives all memory back. What was drawn stays: caches are computed anew from it, to the same bits."""
        for branch in self.branches:
            if branch.cache is not None:
                branch.cache.close()
                branch.cache = None
        if self.cache is not None:
            self.cache.close()
            self.cache = None
        if not self.branches:
            self.done = 0
            self._forget_scores()

    def close(self) -> None:
        """Gives everything back."""
        for branch in [*self.branches, *self._waiting_branches]:
            branch.close()
        if self.cache is not None:
            self.cache.close()
            self.cache = None
