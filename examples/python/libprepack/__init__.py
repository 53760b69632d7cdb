"""libprepack: prefill of language models by bin packing, and what can be asked of a model with it.

    import libprepack
    session = libprepack.Session("model-dir")
    session.generate(["The capital of Germany is"], max_new_tokens=8)[0].text
    session.score(["2 + 2 =", "2 + 2 ="], [" 4", " 5"])
    session.embed(["one text", "another"])
    session.prefill(["a prompt", "another one"])

Lists of prompts hold texts and token ids, mixed as you like. What a prompt gets is bitwise the same alone and with
any others. docs/python.md is the guide.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from ._names import version
from .attention import AttentionInfo, AttentionPlan, stream_address
from .batch import Batch
from .cache import Cache, CacheFile, inspect_cache
from .cancel import Cancel
from .cost import CostModel, measure_cost
from .devices import Device, devices
from .errors import (
    ArgumentError,
    CancelledError,
    DeviceError,
    DeviceMemoryError,
    FileError,
    FormatError,
    InternalError,
    LimitError,
    MisuseError,
    NoBackendError,
    NotFiniteError,
    OutOfMemoryError,
    PathError,
    PrepackError,
    StructSizeError,
    TooLongError,
    UnsupportedError,
)
from .model import LayerConfig, Model, ModelConfig, presets
from .plan import BinInfo, Partition, Plan, PlanInfo
from .planner import Packer
from .queue import Queue, QueueClosed, QueueStats, Step, StepPrompt
from .results import (
    Generation,
    Item,
    ItemResult,
    PageClass,
    Prediction,
    Prefilled,
    Score,
    SessionInfo,
    TokenLogprobs,
)
from .session import Session
from .tokenizer import Encoded, SpecialToken, TextStream, Tokenizer

__all__ = [
    "ArgumentError",
    "AttentionInfo",
    "AttentionPlan",
    "Batch",
    "BinInfo",
    "Cache",
    "CacheFile",
    "Cancel",
    "CancelledError",
    "CostModel",
    "Device",
    "DeviceError",
    "DeviceMemoryError",
    "Encoded",
    "FileError",
    "FormatError",
    "Generation",
    "InternalError",
    "Item",
    "ItemResult",
    "LayerConfig",
    "LimitError",
    "MisuseError",
    "Model",
    "ModelConfig",
    "NoBackendError",
    "NotFiniteError",
    "OutOfMemoryError",
    "Packer",
    "PageClass",
    "Partition",
    "PathError",
    "Plan",
    "PlanInfo",
    "Prediction",
    "Prefilled",
    "PrepackError",
    "Queue",
    "QueueClosed",
    "QueueStats",
    "Score",
    "Session",
    "SessionInfo",
    "SpecialToken",
    "Step",
    "StepPrompt",
    "StructSizeError",
    "TextStream",
    "TokenLogprobs",
    "Tokenizer",
    "TooLongError",
    "UnsupportedError",
    "devices",
    "inspect_cache",
    "measure_cost",
    "presets",
    "stream_address",
    "version",
]

__version__: str  # that of the library, which is loaded when somebody asks

if not TYPE_CHECKING:  # a checker would take every name for one that is here

    def __getattr__(name: str) -> str:
        if name == "__version__":
            return version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
