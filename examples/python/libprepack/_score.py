"""How likely tokens are: continuations of contexts, and every token of a prompt."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _abi
from ._arrays import integer
from ._call import SCORE, Call, new_items
from ._ids import Ids, Prompt, encode_prompts, to_ids, to_list
from ._items import fill_tokens
from ._progress import Progress
from .errors import ArgumentError
from .results import Score, TokenLogprobs

if TYPE_CHECKING:
    from .cancel import Cancel
    from .session import Session


# ---- texts and ids to tokens, by docs/scoring.md ----

def _start(session: Session, is_text: bool) -> Ids:
    """What stands for an empty context: the beginning of a text, else a token that begins or ends one."""
    config = session.model.config
    candidates: list[int | None] = [config.bos_token, *config.eos_tokens[:1]]
    if is_text:
        tokenizer = session.tokenizer
        before = tokenizer.edges[0]
        if before.size:
            return before
        candidates = [tokenizer.bos_token, config.bos_token, tokenizer.eos_token, *config.eos_tokens[:1]]
    return np.array([token for token in candidates if token is not None][:1], np.int32)


def _split_texts(session: Session, texts: Sequence[tuple[str, str]]) -> list[tuple[Ids, int]]:
    """Tokens of context and continuation together, and how many are the context's, of pairs of texts."""
    tokenizer = session.tokenizer
    pairs: list[tuple[str, str]] = []
    for context, continuation in texts:
        stripped = context.rstrip()
        pairs.append((stripped, context[len(stripped):] + continuation))
    before = tokenizer.edges[0]
    contexts = sorted({context for context, _ in pairs if context})
    known = dict(zip(contexts, tokenizer.encode(contexts, edges=False)))
    wholes = tokenizer.encode([context + continuation for context, continuation in pairs], edges=False)
    split: list[tuple[Ids, int]] = []
    for (context, _), whole in zip(pairs, wholes):
        if context:
            tokens = known[context]
            split.append((np.concatenate([before, tokens, whole[tokens.size:]]), before.size + tokens.size))
        else:
            start = _start(session, True)
            split.append((np.concatenate([start, whole]), start.size))
    return split


def split(session: Session, contexts: Sequence[Prompt], continuations: Sequence[Prompt]) -> list[tuple[Ids, int]]:
    """The tokens that are scored for each pair, and how many of them are the context's."""
    first, second = to_list(contexts, "contexts"), to_list(continuations, "continuations")
    if len(first) != len(second):
        raise ValueError(f"there are {len(first)} contexts and {len(second)} continuations; they go in pairs")
    pairs: list[tuple[Ids, int]] = [(_NONE, 0)] * len(first)
    texts: list[int] = []
    for i, (context, continuation) in enumerate(zip(first, second)):
        if isinstance(context, str) != isinstance(continuation, str):
            raise TypeError(f"pair {i} is a text and ids; it is two texts, or ids twice")
        if isinstance(context, str):
            texts.append(i)
        else:
            before = to_ids(context, f"context {i}")
            before = before if before.size else _start(session, False)
            pairs[i] = np.concatenate([before, to_ids(continuation, f"continuation {i}")]), before.size
    for i, pair in zip(texts, _split_texts(session, [(first[i], second[i]) for i in texts]) if texts else ()):
        pairs[i] = pair
    return [_cut(session, i, *pair) for i, pair in enumerate(pairs)]


def _cut(session: Session, i: int, tokens: Ids, n_context: int) -> tuple[Ids, int]:
    """The last max_position + 1 tokens, of which the model sees all but the last."""
    n_most = session.model.config.max_position + 1
    n_continuation = tokens.size - n_context
    if n_continuation < 1:
        raise ArgumentError(f"continuation {i} has no tokens that are not the context's", i)
    if n_context < 1:
        raise ArgumentError(f"context {i} is empty, and neither model nor tokenizer has a token to begin with", i)
    if n_continuation >= n_most:
        raise ArgumentError(f"continuation {i} has {n_continuation} tokens; with one before it the model has "
                            f"positions for {n_most - 1}", i)
    return tokens[-n_most:], min(n_context, n_most - n_continuation)


_NONE: Ids = np.zeros(0, np.int32)


# ---- scores ----

def score_tokens(session: Session, pairs: Sequence[tuple[Any, int]], min_shared_prefix: int, progress: Progress,
                 cancel: Cancel | None) -> list[Score]:
    """Session.score_tokens."""
    pairs = list(pairs)
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise TypeError(f"pair {i} is {str(pair)[:40]}; it is (tokens, n_context)")
    if not pairs:
        return []
    ids = [to_ids(tokens, f"pair {i}") for i, (tokens, _) in enumerate(pairs)]
    wanted = (_abi.pp_continuation * len(ids))()
    for slot, tokens, (_, n_context) in zip(wanted, ids, pairs):
        slot.tokens, slot.n_tokens, slot.n_context = tokens.ctypes.data, tokens.size, integer("n_context", n_context)
    with Call(session, progress, cancel) as running:
        running.score(wanted, min_shared_prefix)
    return [Score(slot.logprob, bool(slot.is_greedy), slot.n_tokens - slot.n_context, slot.n_context)
            for slot in wanted]


def logprobs(session: Session, prompts: Sequence[Prompt], top: int, min_shared_prefix: int, progress: Progress,
             cancel: Cancel | None) -> list[TokenLogprobs]:
    """Session.logprobs."""
    ids = encode_prompts(prompts, lambda: session.tokenizer)
    if not 0 <= integer("top", top) <= _abi.PP_MAX_TOP:
        raise ArgumentError(f"top is {top}; allowed: 0 to {_abi.PP_MAX_TOP}")
    if not ids:
        return []
    results = [TokenLogprobs(each, np.full(each.size, np.nan), np.full(each.size, -1, np.int32),
                             np.full((each.size, top), -1, np.int32), np.full((each.size, top), np.nan))
               for each in ids]
    scores = [np.zeros(max(each.size - 1, 0), SCORE) for each in ids]
    items = new_items(len(ids))
    fill_tokens(items, ids)
    items["discard_cache"], items["n_top"] = 1, top
    for slot, each, wanted, result in zip(items, ids, scores, results):
        wanted["token"], wanted["target"] = np.arange(wanted.size), each[1:]
        slot["scores"], slot["n_scores"] = wanted.ctypes.data, wanted.size
        slot["top_tokens"] = result.top_tokens[1:].ctypes.data
        slot["top_logprobs"] = result.top_logprobs[1:].ctypes.data
    with Call(session, progress, cancel) as running:
        running.run(items, min_shared_prefix=min_shared_prefix)
    for wanted, result in zip(scores, results):
        result.logprobs[1:], result.ranks[1:] = wanted["logprob"], wanted["rank"]
    return results
