"""The text of a generation, token by token, up to the first of its stop strings."""
from __future__ import annotations

from collections.abc import Sequence

from ._ids import Ids
from .tokenizer import Tokenizer


class StoppableText:
    """Pieces that may be shown as they come: what could be the beginning of a stop string is held back until it is
    known to be none."""

    def __init__(self, tokenizer: Tokenizer, before: Ids, stops: Sequence[str]) -> None:
        self._stream = tokenizer.stream()
        for token in before.tolist():  # what stands before decides how a text goes on: spaces, half characters
            self._stream.push(token)
        self._stops = stops
        self._shown: list[str] = []
        self._held = ""
        self.is_stopped = False

    @property
    def text(self) -> str:
        """All that was shown."""
        return "".join(self._shown)

    def push(self, token: int) -> str:
        """What may be shown after this token."""
        return self._show(self._stream.push(token), False)

    def finish(self) -> str:
        """What was held back, when no more tokens come."""
        piece = "" if self.is_stopped else self._show(self._stream.finish(), True)
        self._stream.close()
        return piece

    def _show(self, piece: str, is_end: bool) -> str:
        held = self._held + piece
        ends = [place for place in (held.find(stop) for stop in self._stops) if place >= 0]
        n = len(held)
        if ends:
            self.is_stopped, n = True, min(ends)
        elif not is_end:
            n -= self._n_open(held)
        self._held = held[n:]
        if n:
            self._shown.append(held[:n])
        return held[:n]

    def _n_open(self, text: str) -> int:
        """Characters at the end of a text with which a stop string may begin."""
        return max((n for stop in self._stops for n in range(1, min(len(stop), len(text) + 1))
                    if text.endswith(stop[:n])), default=0)
