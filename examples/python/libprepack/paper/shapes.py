"""Models to measure: shapes with random weights by name, or a checkpoint."""
from __future__ import annotations

import os
from typing import Any

from ..model import Model, presets


def _llama(hidden: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16", "vocab_size": 32000,
            "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": heads, "head_dim": hidden // heads,
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2}


# Small enough for a processor: the same proportions as the paper's models, and their vocabulary.
SMALL: dict[str, dict[str, Any]] = {
    "llama-15m": _llama(288, 768, 6, 6),
    "llama-42m": _llama(512, 1376, 8, 8),
    "llama-110m": _llama(768, 2048, 12, 12),
}


def known() -> list[str]:
    """Names of shapes."""
    return [*SMALL, *presets()]


def open_model(name: str, seed: int) -> Model:
    """The model that a name says: a directory or GGUF file, else a shape with random weights. Raises ValueError for
    a name that is neither."""
    if os.path.exists(name):
        return Model(name)
    if name in SMALL:
        return Model.random(SMALL[name], seed)
    if name in presets():
        return Model.random(name, seed)
    raise ValueError(f"there is no model '{name}': it is neither a path nor one of {', '.join(known())}")


def label_of(name: str) -> str:
    """How pictures call it."""
    return os.path.basename(os.path.normpath(name)) if os.path.exists(name) else name
