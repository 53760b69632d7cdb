"""Models: configuration and weights, shared by sessions."""
from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from . import _abi
from ._arrays import integer
from ._library import call, core, log_to_logging, path_bytes, sized
from ._views import SharedHandle
from ._names import DTYPES, LAYERS, LINEAR_RULES, POOLINGS, ROPES, WEIGHTS, constant, decoded, name_of

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class ModelConfig:
    """What holds for the whole model.

    architecture: "llama", "qwen3", ...: model_type of config.json.
    dtype: of the stored weights: "f32" (those of a quantised GGUF file, too), "f16", "bf16".
    max_position: positions that the model has; longer prompts are refused.
    bos_token: None where the files state none. eos_tokens: those that end a text.
    has_lm_head: whether it gives logits; else hidden states alone, or scores of n_labels labels.
    pooling, normalize: how the files want embeddings made: "last", "mean", "first"; None where they do not say.
    n_experts, n_experts_per_token, expert_size, shared_expert_size: of a mixture of experts; 0 where there is none.
    n_linear_layers: layers with a state of linear_value_heads x linear_key_dim x linear_value_dim numbers in the
        place of keys and values. linear_rule: "delta", "mamba2"; None where there are none.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    max_position: int
    tie_embeddings: bool
    dtype: str
    bos_token: int | None
    eos_tokens: tuple[int, ...]
    norm_eps: float
    has_lm_head: bool
    n_labels: int
    pooling: str | None
    normalize: bool | None
    n_experts: int
    n_experts_per_token: int
    expert_size: int
    shared_expert_size: int
    n_linear_layers: int
    linear_rule: str | None
    linear_key_heads: int
    linear_value_heads: int
    linear_key_dim: int
    linear_value_dim: int
    linear_kernel: int


@dataclass(frozen=True)
class LayerConfig:
    """What may differ from layer to layer.

    sliding_window: keys that a token sees, itself included; 0: all before it.
    rope_type: "none", "default", "linear", "llama3", "yarn", "longrope", "dynamic", "proportional".
    rotary_dim: elements of a head that rotate, from the first on. rope_factor: 1 where the type has none.
    kind: "attention" or "linear"; a linear layer has n_kv_heads and head_dim 0, and kv_layer None.
    kv_layer: the layer whose keys and values it sees, its own number or that of one before it.
    intermediate_size: of its dense MLP, 0 where it has none; has_experts: in the place of it, or beside it.
    """

    sliding_window: int
    rope_type: str
    rotary_dim: int
    rope_theta: float
    rope_factor: float
    n_kv_heads: int
    head_dim: int
    kind: str
    kv_layer: int | None
    intermediate_size: int
    has_experts: bool


def presets() -> list[str]:
    """The names of shapes that are known without a file: "tiny", "llama2-7b", ... Model.random takes them."""
    names: list[str] = []
    while True:
        name: bytes | None = core().pp_model_preset_name(len(names))
        if name is None:
            return names
        names.append(decoded(name))


class Model(SharedHandle):
    """A model: a Hugging Face directory, a GGUF file, or a directory that `convert` wrote.

    path: config.json with model.safetensors (or its shards), a GGUF file, or a directory with a single one. Nothing
        is downloaded. Everything but the weights' values is read and checked here; they are read when the first
        session is made.
    sliding_window: of GGUF files alone, those made from Mistral 7B v0.1, which keep their window (4096) silent.
    log: whether the library's notes go to the logger "libprepack".

    Immutable; threads and sessions share it. Sessions hold it: it may be closed before them. What is known of it
    stays known when it is closed. Children after fork may use it, too.
    Raises FileError, FormatError, UnsupportedError, LimitError, PathError, ArgumentError: the sentence names file
    and place.
    """

    def __init__(self, path: Path, *, sliding_window: int = 0, log: bool = True) -> None:
        params = sized(_abi.pp_model_params, sliding_window=integer("sliding_window", sliding_window, 32))
        if log:
            params.log = log_to_logging
        address = ctypes.c_void_p()
        self._path: str | None = os.fspath(path)
        call(core().pp_model_open, path_bytes(path), ctypes.byref(params), ctypes.byref(address))
        self._adopt(address)

    @classmethod
    def random(cls, config: str | Mapping[str, Any] = "tiny", seed: int = 0, *, log: bool = True) -> Model:
        """A model with pseudo-random weights, for measuring and testing without a checkpoint.

        config: a preset (`presets()`), or a config.json: its text, or what json.load makes of it. Weights are a pure
        function of seed, tensor and place. Raises FormatError, UnsupportedError, LimitError.
        """
        text: bytes
        if isinstance(config, str):
            if "\0" in config:
                raise ValueError("config has a NUL character; no preset and no JSON has one")
            text = core().pp_model_preset(config.encode()) or config.encode()
            if not config.lstrip().startswith("{") and text == config.encode():
                raise ValueError(f"config is {config!r}; it is the text of a config.json or one of "
                                 f"{', '.join(presets())}")
        else:
            text = json.dumps(dict(config)).encode()
        params = sized(_abi.pp_model_params)
        if log:
            params.log = log_to_logging
        address = ctypes.c_void_p()
        call(core().pp_model_create_random, text, seed % 2 ** 64, ctypes.byref(params), ctypes.byref(address))
        model = cls.__new__(cls)
        model._path = None
        model._adopt(address)
        return model

    def _adopt(self, address: ctypes.c_void_p) -> None:
        super().__init__(address.value, core().pp_model_unref)
        config = sized(_abi.pp_model_config)
        self.invoke(core().pp_model_get_config, ctypes.byref(config))
        self._config = _config(config)  # sessions ask for it when the model may be closed
        self._layers = tuple(self._read_layer(i) for i in range(config.n_layers))
        self._n_parameters = int(core().pp_model_n_parameters(self.handle))
        self._is_random = bool(core().pp_model_is_random(self.handle))

    def _read_layer(self, i: int) -> LayerConfig:
        layer = sized(_abi.pp_layer_config)
        self.invoke(core().pp_model_get_layer, i, ctypes.byref(layer))
        return LayerConfig(layer.sliding_window, name_of(ROPES, layer.rope_type), layer.rotary_dim, layer.rope_theta,
                           layer.rope_factor, layer.n_kv_heads, layer.head_dim, name_of(LAYERS, layer.kind),
                           layer.kv_layer if layer.kv_layer >= 0 else None, layer.intermediate_size,
                           bool(layer.has_experts))

    @property
    def config(self) -> ModelConfig:
        """Its configuration."""
        return self._config

    @property
    def path(self) -> str | None:
        """The path that it was opened with; None for random weights."""
        return self._path

    def layer(self, i: int) -> LayerConfig:
        """Layer i of 0 .. n_layers - 1. Raises IndexError for another."""
        if not 0 <= i < len(self._layers):
            raise IndexError(f"layer is {i}; the model has {len(self._layers)}")
        return self._layers[i]

    @property
    def n_parameters(self) -> int:
        """Its parameters; a tied LM head counts once."""
        return self._n_parameters

    @property
    def is_random(self) -> bool:
        """Whether its weights are pseudo-random."""
        return self._is_random

    @property
    def identity(self) -> int:
        """The number by which a saved cache knows its model: part of a key under which caches are kept.

        Reads a few bytes of each stored tensor. Raises FileError."""
        identity = ctypes.c_uint64()
        self.invoke(core().pp_model_identity, ctypes.byref(identity))
        return identity.value

    def convert(self, directory: Path, *, weights: str = "int4", threads: int = 0,
                progress: Callable[[int, int], object] | None = None) -> Model:
        """Writes the model as a directory with its matrices in another format, and opens that.

        directory: one that is not there, or an empty one. weights: "f32", "bf16", "int8", "int4", "nf4".
        progress: called now and then with the weights that are done, of all. Tokenizers are not copied.
        Raises FileError (also where the directory is not empty), UnsupportedError, OutOfMemoryError; after an error
        nothing is left.
        """
        failure: list[BaseException] = []

        def step(_user: int | None, done: int, total: int) -> int:
            try:
                if progress is not None:
                    progress(done, total)
            except BaseException as error:  # it comes out of convert
                failure.append(error)
            return int(bool(failure))

        callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(step)
        params = sized(_abi.pp_convert_params, weights=constant(WEIGHTS, weights, "weights"), n_threads=integer("threads", threads, 32),
                       progress=ctypes.cast(callback, ctypes.c_void_p).value)
        try:
            self.invoke(core().pp_model_convert, path_bytes(directory), ctypes.byref(params))
        except Exception:
            if failure:
                raise failure[0] from None
            raise
        return type(self)(directory)

    def __repr__(self) -> str:
        if self.closed:
            return "<libprepack.Model: closed>"
        where = "random weights" if self.path is None else repr(self.path)
        return (f"<libprepack.Model {where}: {self.config.architecture}, {self.n_parameters:,} parameters, "
                f"{self.config.n_layers} layers, {self.config.dtype}>")


def _config(config: _abi.pp_model_config) -> ModelConfig:
    arch: bytes = core().pp_arch_name(config.arch)
    return ModelConfig(
        decoded(arch), config.vocab_size, config.hidden_size, config.intermediate_size, config.n_layers,
        config.n_heads, config.n_kv_heads, config.head_dim, config.max_position, bool(config.tie_embeddings),
        name_of(DTYPES, config.dtype), config.bos_token if config.bos_token >= 0 else None,
        tuple(config.eos_tokens[:config.n_eos_tokens]), config.norm_eps, bool(config.has_lm_head), config.n_labels,
        name_of(POOLINGS, config.pooling) if config.pooling >= 0 else None,
        bool(config.normalize) if config.normalize >= 0 else None,
        config.n_experts, config.n_experts_per_token, config.expert_size, config.shared_expert_size,
        config.n_linear_layers,
        name_of(LINEAR_RULES, config.linear_rule) if config.linear_rule != _abi.PP_LINEAR_NONE else None,
        config.linear_key_heads, config.linear_value_heads, config.linear_key_dim, config.linear_value_dim,
        config.linear_kernel)
