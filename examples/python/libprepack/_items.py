"""Items of a run: from what callers say to arrays of pp_item, and from these to results."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._arrays import integer, integers
from ._call import SCORE, Call, Plans, Sink, check_session, new_items
from ._ids import Ids, Prompt, encode_prompts
from ._names import OUTPUTS, POOLINGS, constant
from ._progress import Progress
from .cache import Cache
from .results import Floats, Item, ItemResult, Prefilled

if TYPE_CHECKING:
    from .cancel import Cancel
    from .session import Session

_LOGITS = {"last": "last_logits", "all": "all_logits", "none": "none"}


def fill_tokens(items: NDArray[Any], prompts: Sequence[Ids]) -> None:
    """Points items at the ids of prompts, which live as long as the caller holds them."""
    items["tokens"] = [ids.ctypes.data for ids in prompts]
    items["n_tokens"] = [ids.size for ids in prompts]


def prefill(session: Session, prompts: Sequence[Prompt], caches: Sequence[Cache] | None, logits: str, plan: Plans,
            min_shared_prefix: int, progress: Progress, cancel: Cancel | None) -> list[Prefilled]:
    """Session.prefill, and with caches Session.append."""
    if logits not in _LOGITS:
        raise ValueError(f"logits is {logits!r}; it is one of {', '.join(map(repr, _LOGITS))}")
    ids = encode_prompts(prompts, lambda: session.tokenizer, begin=caches is None)
    if caches is not None and len(caches) != len(ids):
        raise ValueError(f"{len(ids)} prompts were given for {len(caches)} caches")
    if not ids:
        return []
    vocab_size = session.model.config.vocab_size
    items = new_items(len(ids))
    fill_tokens(items, ids)
    items["output"] = OUTPUTS[_LOGITS[logits]]
    rows = [0 if logits == "none" else 1 if logits == "last" else each.size for each in ids]
    out: Floats = np.empty((sum(rows), vocab_size), np.float32)
    starts = np.cumsum([0, *rows])
    if logits != "none":
        items["logits"] = out.ctypes.data + 4 * vocab_size * starts[:-1]
    if caches is not None:
        check_session(session, caches, False)
    with Call(session, progress, cancel) as running:
        made = running.run(items, caches, plan=running.plan(plan, ids), min_shared_prefix=min_shared_prefix)
    results: list[Prefilled] = []
    for i, (cache, each) in enumerate(zip(made, ids)):
        assert cache is not None
        given: Floats | None = None if logits == "none" else out[starts[i]:starts[i + 1]]
        results.append(Prefilled(cache, each, given[0] if given is not None and logits == "last" else given))
    return results


class _Outputs:
    """The arrays of one item's outputs, into which the library writes, by their names in ItemResult."""

    def __init__(self, session: Session, item: Item, ids: Ids, slot: Any, has_sink: bool) -> None:
        config = session.model.config
        output = item.output
        slot["output"] = constant(OUTPUTS, output, "output")
        slot["pooling"] = constant(POOLINGS, item.pooling, "pooling")
        slot["normalize"] = item.normalize
        slot["discard_cache"] = item.discard_cache
        for name in ("temperature", "top_p", "min_p"):
            slot[name] = getattr(item, name)
        slot["top_k"], slot["n_top"] = integer("top_k", item.top_k, 32), integer("n_top", item.n_top, 32)
        slot["seed"] = operator.index(item.seed) % 2 ** 64
        self.given: dict[str, NDArray[Any]] = {}
        self._kept: list[NDArray[Any]] = [ids]
        self._scores: NDArray[Any] | None = None
        if output in ("last_logits", "all_logits") and not has_sink:
            shape = (config.vocab_size,) if output == "last_logits" else (ids.size, config.vocab_size)
            self._array(slot, "logits", "logits", shape)
        elif output == "labels":
            self._array(slot, "logits", "labels", (config.n_labels,))
        elif output == "pooled":
            self._array(slot, "hidden", "pooled", (config.hidden_size,))
        elif output == "hidden":
            n_hidden = ids.size
            if item.hidden_tokens is not None:
                tokens = integers("hidden_tokens", item.hidden_tokens, np.int64)
                n_hidden = tokens.size
                slot["hidden_tokens"], slot["n_hidden"] = tokens.ctypes.data, n_hidden
                self._kept.append(tokens)
            self._array(slot, "hidden", "hidden", (n_hidden, config.hidden_size))
        if item.scores is not None:
            self._fill_scores(slot, item)

    def _array(self, slot: Any, field: str, name: str, shape: tuple[int, ...]) -> None:
        self.given[name] = np.empty(shape, np.float32)
        slot[field] = self.given[name].ctypes.data

    def _fill_scores(self, slot: Any, item: Item) -> None:
        wanted = np.asarray(item.scores)
        if wanted.size and (wanted.ndim != 2 or wanted.shape[1] != 2 or wanted.dtype.kind not in "iu"):
            raise ValueError(f"scores have the shape {list(wanted.shape)} of {wanted.dtype}; they are rows and ids, "
                             "integers [n_scores, 2]")
        wanted = wanted.reshape(-1, 2)
        self._scores = np.zeros(len(wanted), SCORE)
        self._scores["token"] = integers("rows of scores", wanted[:, 0], np.int64)
        self._scores["target"] = integers("ids of scores", wanted[:, 1], np.int32)
        slot["scores"], slot["n_scores"] = self._scores.ctypes.data, len(wanted)
        top = np.empty((len(wanted), max(item.n_top, 0)), np.int32)
        logprobs = np.empty(top.shape, np.float64)
        slot["top_tokens"], slot["top_logprobs"] = top.ctypes.data, logprobs.ctypes.data
        self.given["top_tokens"], self.given["top_logprobs"] = top, logprobs

    def result(self, item: Item, cache: Cache | None, ids: Ids, slot: Any) -> ItemResult:
        if self._scores is not None:
            self.given["logprobs"], self.given["ranks"] = self._scores["logprob"].copy(), self._scores["rank"].copy()
        return ItemResult(cache, ids, token=int(slot["next"]) if item.output == "token" else None, **self.given)


def run(session: Session, given: Sequence[Item], plan: Plans, min_shared_prefix: int, progress: Progress,
        cancel: Cancel | None, sink: Sink | None) -> list[ItemResult]:
    """Session.run."""
    for i, item in enumerate(given):
        if not isinstance(item, Item):
            raise TypeError(f"item {i} is a {type(item).__name__}; it is an Item")
    ids = encode_prompts([item.tokens for item in given], lambda: session.tokenizer,
                         begin=[item.cache is None for item in given], what="item")
    caches = [item.cache for item in given]
    check_session(session, caches)
    if not given:
        return []
    items = new_items(len(ids))
    fill_tokens(items, ids)
    outputs = [_Outputs(session, item, ids[i], items[i], sink is not None) for i, item in enumerate(given)]
    with Call(session, progress, cancel) as running:
        made = running.run(items, caches, plan=running.plan(plan, ids), min_shared_prefix=min_shared_prefix, sink=sink)
    return [outputs[i].result(item, made[i], ids[i], items[i]) for i, item in enumerate(given)]
