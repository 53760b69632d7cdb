"""transformers beside us: the same batches and order, the same threads, its fastest attention for a batch of rows.

Rows are padded on the right and no mask is given, so that PyTorch takes its causal kernel without one: with causal
attention the pads behind a prompt change nothing before them, and a mask would only make it slower. No logits are
computed for "prefill", one row a prompt for "ttft"; weights are random ones of the same shape, or the checkpoint's.
"""
from __future__ import annotations

import importlib
import os
from typing import Any, Iterator

import numpy as np

from ..session import Session
from .shapes import SMALL
from .timing import FULL, ORDERED, Layout, Runner, Step


def _libraries() -> tuple[Any, Any]:
    try:
        return importlib.import_module("torch"), importlib.import_module("transformers")
    except ImportError as error:
        raise ValueError(f"--rival transformers: {error.name} is not installed here") from None


def _load(name: str, session: Session) -> Any:
    torch, transformers = _libraries()
    device = "cuda" if session.info.device.startswith("cuda") else "cpu"
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[session.info.dtype]
    if os.path.isdir(name):
        model = transformers.AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    elif name in SMALL:
        shape = {key: value for key, value in SMALL[name].items()
                 if key not in ("architectures", "model_type", "dtype")}
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape)).to(dtype)
    else:
        raise ValueError(f"transformers is timed on model directories and on {', '.join(SMALL)}, not on '{name}'")
    torch.set_num_threads(session.info.n_threads)
    return model.to(device).eval()


_models: dict[tuple[str, int], Any] = {}


def transformers_methods(session: Session, names: list[str], metric: str,
                         layouts: list[Layout]) -> Iterator[tuple[Layout, Runner]]:
    """Layouts of full batching and length-ordered batching that transformers runs. Raises ValueError where it is not
    installed."""
    torch, _ = _libraries()
    config = session.model.config
    name = next((name for name in names if session.model.path == name or
                 SMALL.get(name, {}).get("hidden_size") == config.hidden_size), names[0])
    key = (name, session.info.n_threads)
    if key not in _models:
        _models.clear()
        _models[key] = _load(name, session)
    model = _models[key]

    def run(step: Step) -> object:
        with torch.inference_mode():
            rows = torch.from_numpy(np.stack(step.prompts).astype(np.int64)).to(model.device)
            if metric == "ttft":
                made = model(rows, use_cache=True, logits_to_keep=1)
                return made, made.logits.argmax(-1).cpu()
            made = model.model(rows, use_cache=True)
            if model.device.type == "cuda":
                torch.cuda.synchronize()
            return made

    for layout in layouts:
        if layout.method in (FULL, ORDERED):
            yield Layout(f"transformers {layout.method}", layout.steps, layout.seconds), run
