"""What the tests share: the model they run, and sessions of it."""
from __future__ import annotations

import functools
import os
from typing import Any

import libprepack

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../demo-model")
TEXTS = ["Anna has 3 apples and buys 4 more.", "Tom", "What is 3 plus 4?", "a b c d e f g h i j k l m n o p q r s t"]
WINDOW = {  # a model whose first layer has a sliding window
    "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "vocab_size": 256, "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "sliding_window": 16, "query_pre_attn_scalar": 16, "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0, "hidden_activation": "gelu_pytorch_tanh", "dtype": "float32"}


@functools.lru_cache(maxsize=None)
def demo_model() -> libprepack.Model:
    """The demo model, opened once."""
    return libprepack.Model(DEMO)


def demo(**options: Any) -> libprepack.Session:
    """A session of the demo model."""
    return libprepack.Session(demo_model(), **{"threads": 2, **options})
