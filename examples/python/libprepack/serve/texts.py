"""Tokens as texts: how a token is spelled in an answer, and where a text ends at a stop string."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Optional

from ..tokenizer import Tokenizer


def _byte_letters() -> dict[str, int]:
    """The letters in which byte-level BPE writes bytes (GPT-2): printable ones are themselves, the others follow
    from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in printable)
    letters.update({chr(0x100 + i): byte for i, byte in enumerate(others)})
    return letters


_BYTE_LETTERS = _byte_letters()


class Spelling:
    """Tokens one by one as texts, remembered.

    A token is spelled as it reads behind another one, so that a word keeps its space. One that is no whole character
    is `bytes:\\xe2\\x82`, as OpenAI writes it; of a model without a tokenizer it is `token_id:7`.
    """

    def __init__(self, tokenizer: Optional[Tokenizer]) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}
        anchor: list[int] = [] if tokenizer is None else tokenizer.encode("a", edges=False).tolist()
        self._anchor = anchor[-1:]
        self._anchor_text = "" if tokenizer is None else tokenizer.decode(self._anchor, keep_special=True)

    def __getitem__(self, id: int) -> str:
        text = self._known.get(id)
        if text is None:
            text = self._known[id] = self._spell(id)
        return text

    def _spell(self, id: int) -> str:
        if self._tokenizer is None:
            return f"token_id:{id}"
        text = self._tokenizer.decode([*self._anchor, id], keep_special=True)
        if text.startswith(self._anchor_text):
            text = text[len(self._anchor_text):]
        else:
            text = self._tokenizer.decode([id], keep_special=True)
        if "\ufffd" in text:
            text = "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.data(id))
        return text

    def data(self, id: int) -> bytes:
        """The bytes of a token."""
        spelled = (self._tokenizer.token(id) if self._tokenizer is not None else None) or ""
        byte = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", spelled)
        if byte:
            return bytes([int(byte[1], 16)])
        if spelled and all(letter in _BYTE_LETTERS for letter in spelled):
            return bytes(_BYTE_LETTERS[letter] for letter in spelled)
        return spelled.encode("utf-8", "surrogatepass")

    def named(self, tokens: Iterable[tuple[int, float]]) -> dict[str, float]:
        """Log-probabilities by spelling. Of two tokens that are spelled alike the second is `token_id:N`."""
        named: dict[str, float] = {}
        seen: set[int] = set()
        for id, logprob in tokens:
            if id in seen:
                continue
            seen.add(id)
            text = self[id]
            named[f"token_id:{id}" if text in named else text] = logprob
        return named


def offsets(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """Where each token begins in the text of them all, in characters."""
    stream = tokenizer.stream()
    places: list[int] = []
    length = 0
    for id in ids:
        places.append(length)
        length += len(stream.push(id))
    stream.close()
    return places


class StopText:
    """Text that comes in pieces and ends before the first stop string in it.

    What may be the beginning of a stop string is held back until it is known.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped: Optional[str] = None

    def push(self, piece: str) -> str:
        """What can be let go. `stopped` is the stop string afterwards, where one was found."""
        if not self._stops:
            return piece
        text = self._held + piece
        found = [(place, stop) for stop in self._stops for place in [text.find(stop)] if place >= 0]
        if found:
            place, self.stopped = min(found)
            self._held = ""
            return text[:place]
        keep = max((n for stop in self._stops for n in range(1, min(len(stop), len(text) + 1))
                    if text.endswith(stop[:n])), default=0)
        self._held = text[len(text) - keep:]
        return text[:len(text) - keep]

    @property
    def holds(self) -> bool:
        """Whether text is held back."""
        return bool(self._held)

    def finish(self) -> str:
        """What was held back: the text ends here."""
        held, self._held = self._held, ""
        return held
