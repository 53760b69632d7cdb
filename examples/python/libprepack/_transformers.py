"""Caches of transformers: out of it, and into it. Keys are after the rotary embedding on both sides, so that either
goes on where the other stopped."""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._ids import Prompt
from .errors import UnsupportedError

if TYPE_CHECKING:
    from .cache import Cache
    from .model import LayerConfig
    from .session import Session


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"caches of transformers need the packages transformers and torch: {error}") from None


def _check_kinds(layers: list[LayerConfig]) -> None:
    if any(layer.kind == "linear" for layer in layers):
        raise UnsupportedError("the model has linear layers, whose states are not exchanged with caches of transformers; "
                               "Cache.states and write_states have them")


# ---- to transformers ----

def to_transformers(cache: Cache, device: Any, dtype: Any) -> Any:
    """Cache.to_transformers."""
    torch, cache_utils = _module("torch"), _module("transformers.cache_utils")
    model, own = cache.session.model, cache.session.info.dtype
    n_tokens = len(cache)
    layers = [model.layer(i) for i in range(model.config.n_layers)]
    _check_kinds(layers)
    sliding: Any = getattr(cache_utils, "DynamicSlidingWindowLayer", None)
    if sliding is None and any(cache.first_token(i) > 0 for i in range(len(layers))):
        raise UnsupportedError("this version of transformers has no caches with a sliding window, behind which a layer "
                               "holds nothing: Session(keep_window_pages=True) keeps all, or install 4.56 or later")

    def tensor(array: NDArray[Any]) -> Any:
        """[1, n_kv_heads, n_tokens, head_dim] of a copy [n_tokens, n_kv_heads, head_dim]."""
        bits = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) if own == "bf16" else torch.from_numpy(array)
        return bits.transpose(0, 1)[None].to(device=device, dtype=dtype or bits.dtype).contiguous()

    result: Any = cache_utils.DynamicCache()
    if sliding is not None:
        result.layers = [sliding(sliding_window=layer.sliding_window) if layer.sliding_window else
                         cache_utils.DynamicLayer() for layer in layers]
        result.layer_class_to_replicate = None
    for i, layer in enumerate(layers if n_tokens else []):
        if layer.kv_layer != i:  # it sees those of a layer before it; transformers stores none there either
            continue
        result.update(tensor(cache.keys(i, dtype=own)), tensor(cache.values(i, dtype=own)), i)
        if sliding is not None and layer.sliding_window:
            result.layers[i].cumulative_length = n_tokens  # it counts what it was given, which is less
    return result


# ---- from transformers ----

def _halves(cache: Any) -> list[tuple[Any, Any]]:
    """Keys and values of each layer, whatever the version of transformers."""
    if hasattr(cache, "layers"):
        return [(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in cache.layers]
    if hasattr(cache, "key_cache"):
        return list(zip(cache.key_cache, cache.value_cache))
    if isinstance(cache, (tuple, list)):
        pairs: list[Any] = list(cache)  # pyright: ignore[reportUnknownArgumentType]
        return [(pair[0], pair[1]) for pair in pairs]
    raise TypeError(f"a {type(cache).__name__} is no cache of transformers that is known here; DynamicCache is")


def _array(tensor: Any, dtype: str) -> NDArray[Any]:
    """[n_tokens, n_kv_heads, head_dim], in the session's dtype where that is the tensor's, else float32."""
    torch = _module("torch")
    rows = tensor.detach()[0].transpose(0, 1).to("cpu").contiguous()
    if rows.dtype == torch.bfloat16 and dtype == "bf16":
        bits: NDArray[Any] = rows.view(torch.int16).numpy()
        return bits.view(np.uint16)
    if rows.dtype == torch.float16 and dtype == "f16":
        return np.asarray(rows.numpy())
    return np.asarray(rows.float().numpy())


def from_transformers(session: Session, source: Any, tokens: Prompt | None) -> Cache:
    """Cache.from_transformers."""
    halves, model = _halves(source), session.model
    config, dtype = model.config, session.info.dtype
    layers = [model.layer(i) for i in range(config.n_layers)]
    _check_kinds(layers)
    n_own = sum(layer.kv_layer == i for i, layer in enumerate(layers))  # the others see theirs, and stand behind them
    if len(halves) not in (config.n_layers, n_own):
        raise ValueError(f"the cache has {len(halves)} layers, the model {config.n_layers}")
    halves = halves[:n_own]
    for i, half in ((i, half) for i, pair in enumerate(halves) for half in pair):
        layer = model.layer(i)
        shape = tuple(half.shape) if half is not None and hasattr(half, "shape") else ()
        if len(shape) != 4 or shape[0] != 1 or (shape[1], shape[3]) != (layer.n_kv_heads, layer.head_dim):
            raise ValueError(f"layer {i} has the shape {list(shape)}; it is [1, {layer.n_kv_heads}, n_tokens, "
                             f"{layer.head_dim}], of one prompt")
    held = [keys.shape[2] for keys, _ in halves]
    n_tokens = int(source.get_seq_length()) if hasattr(source, "get_seq_length") else max(held)
    for i, n in enumerate(held):
        window = model.layer(i).sliding_window
        if n != n_tokens and not (window and min(window - 1, n_tokens) <= n < n_tokens):
            raise ValueError(f"layer {i} holds {n} of {n_tokens} tokens; a DynamicCache holds all"
                             + (f", or the last {window - 1}" if window else ""))
    cache = session.create_cache(n_tokens, tokens)
    for i, ((keys, values), n) in enumerate(zip(halves, held)):
        first = cache.first_token(i)
        skipped = max(first - (n_tokens - n), 0)  # what our layer does not hold
        if n > skipped:
            cache.write_keys(i, _array(keys[:, :, skipped:], dtype), first_token=n_tokens - n + skipped)
            cache.write_values(i, _array(values[:, :, skipped:], dtype), first_token=n_tokens - n + skipped)
        if n_tokens - n > first:  # zeros, which a shorter cache would look at
            cache.keep_at_least(n_tokens)
    return cache
