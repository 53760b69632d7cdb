"""From the prompts of a request to token ids that the model has."""
from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .._ids import Ids, encode_prompts
from ..errors import ArgumentError, PrepackError
from .api_errors import ApiError, refused
from .engine import Loaded
from .parameters import Prompt

# Characters from which on texts are tokenized beside the event loop instead of in it.
_LONG = 1 << 14


async def tokenize(loaded: Loaded, prompts: Sequence[Prompt], name: str, *, ends: bool = False) -> list[Ids]:
    """The ids of each prompt, at least one. name: the parameter. ends: whether texts keep what the tokenizer puts
    behind them. Raises ApiError 400."""
    if sum(len(prompt) for prompt in prompts) > _LONG:
        return await asyncio.get_running_loop().run_in_executor(None, _tokenize, loaded, prompts, name, ends)
    return _tokenize(loaded, prompts, name, ends)


def _tokenize(loaded: Loaded, prompts: Sequence[Prompt], name: str, ends: bool) -> list[Ids]:
    if loaded.tokenizer is None and any(isinstance(prompt, str) for prompt in prompts):
        raise refused(name, f"{name} has text, and there is no tokenizer beside the model; allowed: token ids",
                      "no_tokenizer")
    try:
        encoded = encode_prompts(prompts, lambda: loaded.tokenizer, end=ends, what=f"{name}, entry")
    except ArgumentError as error:
        where = f", entry {error.index}" if error.index is not None else ""
        raise refused(name, f"{name}{where}: {error}") from None
    except (PrepackError, TypeError, ValueError, OverflowError) as error:
        raise refused(name, str(error)) from None
    for i, ids in enumerate(encoded):
        check(loaded, ids, name, i)
    return encoded


def check(loaded: Loaded, ids: Ids, name: str, i: int) -> None:
    """Raises ApiError 400 for ids that the model does not have, for none, and for too many."""
    vocab_size = loaded.config.vocab_size
    if not ids.size:
        raise refused(name, f"{name}, entry {i}, has no tokens; allowed: at least one")
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocab_size:
        raise refused(name, f"{name}, entry {i}, has the id {low if low < 0 else high}; allowed: 0 to {vocab_size - 1}")
    if ids.size > loaded.max_length:
        raise too_long(loaded, name, i, int(ids.size))


def too_long(loaded: Loaded, name: str, i: int, n: int, max_tokens: int = 0) -> ApiError:
    """400 for a prompt that does not fit, alone or with what is asked for behind it."""
    behind = f" and {max_tokens} are asked for behind them" if max_tokens else ""
    return refused(name, f"{name}, entry {i}, has {n} tokens{behind}; allowed: {loaded.max_length} together",
                   "context_length_exceeded")
