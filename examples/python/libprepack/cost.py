"""What a forward pass costs on one machine: a model of a few coefficients that the planner packs by and that
predicts a run before it starts.

    cost = libprepack.measure_cost(session)                  some seconds
    packer = libprepack.Packer(2048, cost=cost)
    cost.predict([100, 200, 300])                            seconds
"""
from __future__ import annotations

import ctypes
import dataclasses
import threading
from typing import TYPE_CHECKING

import numpy as np

from . import _abi
from ._arrays import Integers, integer, integers
from ._library import call, core, sized
from .errors import ArgumentError

if TYPE_CHECKING:
    from .session import Session


def cost_struct(cost: CostModel | None) -> _abi.pp_cost_model | None:
    """For calls of the C library; None for None."""
    if cost is not None and not isinstance(cost, CostModel):
        raise TypeError(f"cost is a {type(cost).__name__}; it is a CostModel, or None")
    return None if cost is None else cost.struct


@dataclasses.dataclass(frozen=True)
class CostModel:
    """A pass of n prompts of lengths l costs, in seconds when it was measured,

        per_pass + per_token * round_up(sum(l), tile) + per_square * sum(l ** 2) + per_prompt * n

    The default costs its tokens. error: mean relative error on passes left out of the fit, 0: not known;
    max_tokens: of the largest pass that was measured, 0: not known; device and model: at most 63 bytes of UTF-8."""

    per_pass: float = 0.0
    per_token: float = 1.0
    per_square: float = 0.0
    per_prompt: float = 0.0
    tile: int = 1
    error: float = 0.0
    device: str = ""
    model: str = ""
    max_tokens: int = 0

    @property
    def struct(self) -> _abi.pp_cost_model:
        """For calls of the C library."""
        names = {name: getattr(self, name).encode() for name in ("device", "model")}
        for name, text in names.items():
            if len(text) > 63 or b"\0" in text:
                raise ArgumentError(f"{name} of a cost model has {len(text)} bytes; allowed are 63 without NUL")
        return sized(_abi.pp_cost_model, per_pass=self.per_pass, per_token=self.per_token,
                     per_square=self.per_square, per_prompt=self.per_prompt, tile=integer("tile", self.tile),
                     error=self.error, max_tokens=integer("max_tokens", self.max_tokens), **names)

    @classmethod
    def of_struct(cls, struct: _abi.pp_cost_model) -> CostModel:
        """From a call of the C library."""
        values = {field.name: getattr(struct, field.name) for field in dataclasses.fields(cls)}
        for name in ("device", "model"):
            values[name] = values[name].decode("utf-8", "replace")
        return cls(**values)

    def predict(self, lengths: Integers) -> float:
        """The cost of one pass of prompts of these lengths; without any, 0.

        Raises ArgumentError (a length below 1, a coefficient that is negative or not finite)."""
        given = integers("lengths", lengths, np.int64)
        result = ctypes.c_double()
        call(core().pp_cost_predict, ctypes.byref(self.struct), given.ctypes.data, given.size,
             ctypes.byref(result))
        return result.value

    def to_json(self) -> str:
        """As a JSON object, which `from_json` and `prepack tune` read; numbers read back as the same doubles."""
        struct, n_bytes = self.struct, ctypes.c_size_t()
        call(core().pp_cost_to_json, ctypes.byref(struct), None, 0, ctypes.byref(n_bytes))
        text = ctypes.create_string_buffer(n_bytes.value + 1)
        call(core().pp_cost_to_json, ctypes.byref(struct), text, len(text), ctypes.byref(n_bytes))
        return text.raw[:n_bytes.value].decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> CostModel:
        """Reads a model that `to_json` or `prepack tune` wrote.

        Raises FormatError (the sentence says which field), UnsupportedError (another version), LimitError."""
        given = text.encode() if isinstance(text, str) else bytes(text)
        struct = sized(_abi.pp_cost_model)
        call(core().pp_cost_from_json, given, len(given), ctypes.byref(struct))
        return cls.of_struct(struct)


def measure_cost(session: Session, *, cache_only: bool = False, max_tokens: int = 0, max_length: int = 0,
                 seconds: float = 10.0, seed: int = 0) -> CostModel:
    """Measures the cost model of a session's device and model, in seconds, by prefills of random tokens of many
    sizes and mixes of lengths. Other work on the machine at the same time makes the model worse.

    cache_only: of passes that only write KV caches, without logits. max_tokens: of a pass, 64 or more; 0: the
    session's max_pass_tokens. max_length: of a prompt; 0: as many as the model and a pass hold. seconds: to
    spend, about; passes grow until half of it is gone (CostModel.max_tokens says how far). The session's caches
    stay as they are.

    Raises ArgumentError (a parameter, a session without a model), MisuseError (a call of the session runs),
    CancelledError, OutOfMemoryError, DeviceMemoryError (not even the smallest passes fit), DeviceError."""
    params, result = _abi.pp_cost_params(), sized(_abi.pp_cost_model)
    core().pp_cost_params_init(ctypes.byref(params), ctypes.sizeof(params))
    params.cache_only = int(cache_only)
    params.max_tokens, params.max_length = integer("max_tokens", max_tokens), integer("max_length", max_length)
    params.seconds, params.seed = seconds, integer("seed", seed)
    problems: list[BaseException] = []
    done = threading.Event()  # Thread.join takes a thread for ended when a signal interrupts it

    def measure() -> None:
        try:
            call(core().pp_cost_measure, session.handle, ctypes.byref(params), ctypes.byref(result))
        except BaseException as problem:  # for the thread that waits
            problems.append(problem)
        finally:
            done.set()

    # In a thread of its own, since a signal is only seen by a main thread that runs Python.
    session.acquire()
    try:
        thread = threading.Thread(target=measure, name="libprepack-measure")
        thread.start()
        try:
            done.wait()
        except BaseException:
            while not done.wait(0.05):
                session.cancel()
            raise
    finally:
        session.release()
    if problems:
        raise problems[0]
    return CostModel.of_struct(result)
