"""Token ids: what callers give, checked and converted once to contiguous int32 arrays."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union, cast

import numpy as np
from numpy.typing import NDArray

from .errors import ArgumentError

if TYPE_CHECKING:
    from .tokenizer import Tokenizer

# A prompt: text, or the ids of its tokens in anything that NumPy makes an array of integers of.
Prompt = Union[str, Sequence[int], "NDArray[np.integer[Any]]", Any]
Ids = NDArray[np.int32]

_INT32 = np.iinfo(np.int32)


def to_ids(ids: Any, what: str) -> Ids:
    """Ids as a contiguous int32 array [n_tokens], which is the caller's own where it is one already.

    Raises TypeError for what are no integers, ValueError for more than one dimension or an id that is none.
    """
    if isinstance(ids, (str, bytes, bytearray)):
        raise TypeError(f"{what} is {type(ids).__name__}; token ids are a sequence or an array of integers")
    if not isinstance(ids, np.ndarray):
        if isinstance(ids, (int, float, np.generic)) or ids is None:
            raise TypeError(f"{what} is {ids!r}; a prompt is a str or a sequence of token ids: a single prompt of "
                            f"ids is given as [[...]]")
        if not hasattr(ids, "__array__") and hasattr(ids, "__dlpack__"):
            ids = np.from_dlpack(ids)
        elif not isinstance(ids, (list, tuple)) and not hasattr(ids, "__array__"):
            ids = list(ids)
    array: NDArray[Any] = np.asarray(cast("Any", ids))
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, np.int32)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what} is an array of {array.dtype}; token ids are integers")
    if array.ndim != 1:
        raise ValueError(f"{what} has the shape {list(array.shape)}; the ids of a prompt are an array [n_tokens]")
    if array.dtype != np.int32:
        low, high = int(array.min()), int(array.max())
        if low < _INT32.min or high > _INT32.max:
            raise ValueError(f"{what} has the id {low if low < _INT32.min else high}; ids are of 32 bits")
    return np.ascontiguousarray(array, np.int32)


def _short(text: Any) -> Any:
    return text if len(text) <= 40 else text[:37] + type(text)(b"..." if isinstance(text, (bytes, bytearray)) else "...")


def to_list(prompts: Any, what: str) -> list[Any]:
    """A list of prompts. Raises TypeError where it is a single one, as a str is."""
    if isinstance(prompts, (str, bytes, bytearray)):
        raise TypeError(f"{what} is a single {type(prompts).__name__}; pass a list: [{_short(prompts)!r}]")
    if not hasattr(prompts, "__iter__") or hasattr(prompts, "keys"):
        raise TypeError(f"{what} is a {type(prompts).__name__}; it is a list, each of whose prompts is a str or "
                        f"token ids")
    return list(prompts)


def encode_prompts(prompts: Any, tokenizer: Any, *, begin: bool | Sequence[bool] = True, end: bool = False,
                   what: str = "prompt") -> list[Ids]:
    """The ids of each of a list of prompts. Texts go through the tokenizer together.

    tokenizer: a function without parameters that gives it; called where there is a text.
    begin: whether texts get what the tokenizer puts before them (BOS, [CLS]), one for all or one for each prompt.
    end: whether those that do also get what it puts behind them (EOS, [SEP]).
    """
    given: list[Any] = to_list(prompts, what + "s")
    begins = [begin] * len(given) if isinstance(begin, bool) else begin
    texts = [i for i, prompt in enumerate(given) if isinstance(prompt, str)]
    ids: list[Ids] = [to_ids(prompt, f"{what} {i}") if not isinstance(prompt, str) else _NONE
                      for i, prompt in enumerate(given)]
    if texts:
        speaker: Tokenizer = tokenizer()
        edges = any(begins[i] for i in texts)
        try:
            encoded = speaker.encode([given[i] for i in texts], edges=edges)
        except ArgumentError as error:
            error.index = texts[error.index] if error.index is not None else None
            raise
        n_before, n_after = (edge.size for edge in speaker.edges) if edges else (0, 0)
        for i, tokens in zip(texts, encoded):
            first = 0 if begins[i] else n_before
            ids[i] = tokens[first:] if begins[i] and end else tokens[first:tokens.size - n_after]
    return ids


_NONE: Ids = np.zeros(0, np.int32)
