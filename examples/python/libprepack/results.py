"""What calls of a session give: plain records, and the item that `Session.run` takes."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ._ids import Ids, Prompt

if TYPE_CHECKING:
    from .cache import Cache

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


class Record:
    """A result: arrays are shown by dtype and shape."""

    def __repr__(self) -> str:
        names: tuple[str, ...] = tuple(getattr(self, "__dataclass_fields__"))
        shown = ", ".join(f"{name}={_short(getattr(self, name))}" for name in names)
        return f"{type(self).__name__}({shown})"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        array = cast("NDArray[Any]", value)
        if array.ndim == 1 and array.size <= 8:
            return str(array.tolist())
        return f"<{array.dtype} {list(array.shape)}>"
    return repr(value)


@dataclass
class Item:
    """One item of a run: tokens that are appended to a cache, and what is wanted of them.

    tokens: a str (text gets the tokenizer's beginning where there is no cache) or ids; at least one.
    cache: to append to; None: a new one, which the result has.
    output: "none", "last_logits", "all_logits", "token", "hidden", "pooled" or "labels".
    temperature, top_k, top_p, min_p, seed: how "token" draws: of the tokens in order of their logits the first top_k,
        of those as many as make up a share top_p of their probability, of those the ones with min_p times the
        probability of the first. temperature 0: the most likely one. 0 is no limit.
    scores: rows and ids [n_scores, 2] whose log-probabilities are wanted: (t, id) is log p(id | tokens 0 .. t); with
        the id -1 only the most likely tokens of the row are, with -2 the token that "token" draws is. n_top: how many of these, 0 .. 256.
    pooling: "last", "mean", "first" of "pooled". normalize: divides "hidden" and "pooled" by their norm.
    hidden_tokens: whose states "hidden" gives; None: every token's.
    discard_cache: no cache is handed out; `cache` must be None.
    """

    tokens: Prompt
    cache: Cache | None = None
    output: str = "none"
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    scores: Sequence[tuple[int, int]] | NDArray[np.int64] | None = None
    n_top: int = 0
    pooling: str = "last"
    normalize: bool = False
    hidden_tokens: Sequence[int] | NDArray[np.int64] | None = None
    discard_cache: bool = False


@dataclass(frozen=True, repr=False)
class ItemResult(Record):
    """What an item gave; None where it was not asked for.

    cache: the item's, or the new one. tokens: its ids, int32 [n_tokens].
    logits: f32 [vocab_size] of "last_logits", [n_tokens, vocab_size] of "all_logits".
    token: the id that was drawn. hidden: f32 [n_hidden, hidden_size]. pooled: f32 [hidden_size].
    labels: f32 [n_labels].
    logprobs: f64 [n_scores], natural; 0 for the id -1. ranks: int32 [n_scores], how many ids are more likely; -1 for
        the id -1. top_tokens: int32 [n_scores, n_top]; top_logprobs: f64 [n_scores, n_top].
    """

    cache: Cache | None
    tokens: Ids
    logits: Floats | None = None
    token: int | None = None
    hidden: Floats | None = None
    pooled: Floats | None = None
    labels: Floats | None = None
    logprobs: Doubles | None = None
    ranks: NDArray[np.int32] | None = None
    top_tokens: NDArray[np.int32] | None = None
    top_logprobs: Doubles | None = None


@dataclass(frozen=True, repr=False)
class Prefilled(Record):
    """A prompt that went through the model.

    cache: its KV cache, of len(tokens) tokens. tokens: its ids, int32 [n_tokens].
    logits: f32 [vocab_size] for the token after the last, [n_tokens, vocab_size] with logits="all"; None with "none".
    """

    cache: Cache
    tokens: Ids
    logits: Floats | None


@dataclass(frozen=True, repr=False)
class Generation(Record):
    """How a prompt went on.

    text: what was generated, without the stop string; "" where the session has no tokenizer.
    tokens: the ids that were drawn, int32 [n], the one that stopped it included.
    finish_reason: "stop": a stop token or string; "length": max_new_tokens, or the model has no more positions.
    logprobs: log-probabilities of the tokens drawn where n_logprobs asked for them.
    cache: with keep_caches, of the prompt and all tokens but the last, which nothing was computed for.
    """

    text: str
    tokens: Ids
    finish_reason: str
    logprobs: TokenLogprobs | None = None
    cache: Cache | None = None


@dataclass(frozen=True)
class Score:
    """How likely a continuation is after its context.

    logprob: natural, the sum over its tokens. is_greedy: whether each of them is the most likely one.
    n_tokens: of the continuation. n_context: tokens that the model saw before it.
    """

    logprob: float
    is_greedy: bool
    n_tokens: int
    n_context: int


@dataclass(frozen=True, repr=False)
class TokenLogprobs(Record):
    """Log-probabilities of tokens, each after all before it.

    tokens: int32 [n]. logprobs: f64 [n], natural; of a prompt's first token, which has nothing before it, nan.
    ranks: int32 [n], how many ids are more likely; -1 there.
    top_tokens: int32 [n, top], the most likely ids instead of each token, most likely first (-1 there);
    top_logprobs: f64 [n, top] (nan there).
    """

    tokens: Ids
    logprobs: Doubles
    ranks: NDArray[np.int32]
    top_tokens: NDArray[np.int32]
    top_logprobs: Doubles

    @property
    def sum(self) -> float:
        """Of all the log-probabilities there are."""
        return float(np.nansum(self.logprobs))


@dataclass(frozen=True)
class Prediction:
    """What a run of new prompts takes: seconds (or the cost model's unit; without one tokens), forward passes, the
    bytes of their caches afterwards, and those of states of linear layers at most."""

    seconds: float
    passes: int
    kv_bytes: int
    state_bytes: int = 0


@dataclass(frozen=True)
class PageClass:
    """Layers that look equally far back share pages. window: keys that a token sees in them; 0: all."""

    window: int
    page_bytes: int


@dataclass(frozen=True)
class SessionInfo:
    """What a session is and holds. Bytes are of the device's memory.

    device: "cpu:avx512bf16". dtype: of products and KV. weights: the format of the matrices; "auto": the blocks of a
    GGUF file, or formats that differ. attention: the attention kernel.
    page_tokens: token slots of a KV page; page_bytes: what they take at most.
    kv_bytes: pages and states in use by caches; kv_pool_bytes: those held, in use or free.
    state_bytes: of the states of all linear layers of a prompt, of which a cache has up to two, and a run takes one more
    for each item; none for one that discards its cache and that one pass takes whole. 0: there are no such layers.
    memory_bytes: held now, weights included; host_bytes: host memory beside it.
    tokens_computed, passes: tokens and forward passes that went through the model so far.
    """

    device: str
    device_name: str
    dtype: str
    weights: str
    attention: str
    pci_address: str
    n_threads: int
    max_pass_tokens: int
    page_tokens: int
    page_bytes: int
    chunk_tokens: int
    page_classes: tuple[PageClass, ...]
    keep_window_pages: bool
    weight_bytes: int
    workspace_bytes: int
    kv_bytes: int
    kv_pool_bytes: int
    memory_bytes: int
    peak_memory_bytes: int
    host_bytes: int
    tokens_computed: int
    passes: int
    state_bytes: int = 0
