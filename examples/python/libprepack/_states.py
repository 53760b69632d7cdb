"""Vectors of prompts: embeddings, hidden states, scores of labels. Caches are dropped as prompts are done."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._call import Call, new_items
from ._ids import Prompt, encode_prompts
from ._items import fill_tokens
from ._names import OUTPUTS, POOLINGS, constant
from ._progress import Progress
from .results import Floats

if TYPE_CHECKING:
    from .cancel import Cancel
    from .session import Session


def _vectors(session: Session, prompts: Sequence[Prompt], output: str, field: str, width: int, pooling: int,
             normalize: bool, min_shared_prefix: int, progress: Progress, cancel: Cancel | None) -> Floats:
    """One vector a prompt, f32 [n, width]."""
    ids = encode_prompts(prompts, lambda: session.tokenizer, end=True)
    out: Floats = np.empty((len(ids), width), np.float32)
    if not ids:
        return out
    items = new_items(len(ids))
    fill_tokens(items, ids)
    items["output"], items["discard_cache"] = OUTPUTS[output], 1
    items["pooling"], items["normalize"] = pooling, normalize
    items[field] = out.ctypes.data + 4 * width * np.arange(len(ids))
    with Call(session, progress, cancel) as running:
        running.run(items, min_shared_prefix=min_shared_prefix)
    return out


def embed(session: Session, prompts: Sequence[Prompt], pooling: str, normalize: bool | None, min_shared_prefix: int,
          progress: Progress, cancel: Cancel | None) -> Floats:
    """Session.embed."""
    config = session.model.config
    if pooling == "auto":
        pooling = config.pooling or "last"
    if normalize is None:
        normalize = config.normalize is not False
    return _vectors(session, prompts, "pooled", "hidden", config.hidden_size, constant(POOLINGS, pooling, "pooling"),
                    normalize, min_shared_prefix, progress, cancel)


def classify(session: Session, prompts: Sequence[Prompt], min_shared_prefix: int, progress: Progress,
             cancel: Cancel | None) -> Floats:
    """Session.classify."""
    return _vectors(session, prompts, "labels", "logits", session.model.config.n_labels, 0, False, min_shared_prefix,
                    progress, cancel)


def hidden(session: Session, prompts: Sequence[Prompt], progress: Progress, cancel: Cancel | None) -> list[Floats]:
    """Session.hidden."""
    ids = encode_prompts(prompts, lambda: session.tokenizer, end=True)
    if not ids:
        return []
    width = session.model.config.hidden_size
    starts = np.cumsum([0, *(each.size for each in ids)])
    out: Floats = np.empty((int(starts[-1]), width), np.float32)
    items = new_items(len(ids))
    fill_tokens(items, ids)
    items["output"], items["discard_cache"] = OUTPUTS["hidden"], 1
    items["hidden"] = out.ctypes.data + 4 * width * starts[:-1]
    with Call(session, progress, cancel) as running:
        running.run(items)
    return [out[starts[i]:starts[i + 1]] for i in range(len(ids))]
