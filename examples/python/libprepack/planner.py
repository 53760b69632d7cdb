"""The planner: lengths in, bins out; needs no model and no device.

    packer = libprepack.Packer(2048, policy="auto")
    plan = packer.plan([312, 1900, 48, 703])             # or the prompts themselves
    for prompts in plan:                                 # int32 arrays of indices
        ...
    session.prefill(prompts, plan=plan)                  # or plan.batch(prompts) for another engine
"""
from __future__ import annotations

import ctypes
import inspect
from typing import Any, Iterable, Union

import numpy as np

from . import _abi
from ._arrays import Integers, Prompts, choice, integer, integers, is_lengths
from ._ids import to_list
from ._library import call, core, sized
from ._views import SharedHandle
from .cost import CostModel, cost_struct
from .errors import ArgumentError
from .plan import OBJECTIVES, POLICIES, BinInfo, Partition, Plan, PlanInfo

__all__ = ["BinInfo", "Packer", "Partition", "Plan", "PlanInfo"]

OVERSIZE = {"error": _abi.PP_OVERSIZE_ERROR, "own_bin": _abi.PP_OVERSIZE_OWN_BIN, "split": _abi.PP_OVERSIZE_SPLIT}


class Packer(SharedHandle):
    """Limits and a policy, by which prompts are put into bins. Immutable: threads may share it; it can be pickled.

    capacity: tokens of a bin. None: the longest prompt of each call, the rule of the Prepacking paper
        (arXiv 2404.09529); "balanced": no limit.
    objective: what the bins shall be
        "fewest_bins"  as few as possible (bin packing)
        "balanced"     n_bins bins, the dearest as cheap as possible
        "cheapest"     rows of the lengths row_lens, each computed in full, the cheapest in all
    policy: of "fewest_bins": "ffd" (the default) and "bfd": first-fit and best-fit decreasing; "arrival",
        "first_fit", "best_fit": in order of arrival; "exact": a search until the plan is proven optimal or the
        limits are reached; "auto": the same within limits for planning on the fly.
    capacities: of the bins there are ("fewest_bins"); no others are made. Replaces capacity.
    min_shared_prefix: prefixes of at least so many tokens that prompts share are placed once ("fewest_bins";
        needs the prompts themselves). 0: none is.
    n_bins: to make ("balanced"). row_lens: lengths that a row may have ("cheapest").
    oversize: prompts longer than the capacity: "error"; "own_bin": alone in a bin as large as they are; "split":
        into chunks, in bins that run one after another.
    keep_order: bins are runs of prompts in order of arrival.
    max_prompts: of a bin; 0: no limit.
    bin_alignment, prompt_alignment: a bin's tokens, a prompt's room, are rounded up to a multiple of this.
    max_steps: of a search, some tens of nanoseconds each; -1: no limit; 0: 2000 a prompt, at most 2,000,000.
    max_seconds: also stop searching after this time; such a plan may differ from run to run. 0: no such limit.
    cost: what a bin costs; None: its tokens.

    Raises ArgumentError (a value that is not allowed, settings of another objective or that contradict one
    another), OutOfMemoryError."""

    def __init__(self, capacity: int | None = None, *, objective: str = "fewest_bins", policy: str | None = None,
                 capacities: Integers | None = None, min_shared_prefix: int = 0, n_bins: int | None = None,
                 row_lens: Integers | None = None, oversize: str = "error", keep_order: bool = False,
                 max_prompts: int = 0, bin_alignment: int = 1, prompt_alignment: int = 1, max_steps: int = 0,
                 max_seconds: float = 0.0, cost: CostModel | None = None) -> None:
        capacities = None if capacities is None else integers("capacities", capacities, np.int64).tolist()
        row_lens = None if row_lens is None else integers("row_lens", row_lens, np.int64).tolist()
        settings = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self._settings = {name: value for name, value in settings.items() if value != _DEFAULTS.get(name)}
        if capacity is not None and integer("capacity", capacity) < 1:
            raise ArgumentError(f"capacity is {capacity}; at least 1 token is allowed, or None: the longest prompt")
        params = _abi.pp_packer_params()
        core().pp_packer_params_init(ctypes.byref(params), ctypes.sizeof(params))
        params.objective = choice("objective", objective, OBJECTIVES)
        params.oversize = choice("oversize", oversize, OVERSIZE)
        params.capacity = capacity or 0
        params.keep_order, params.max_prompts = int(keep_order), integer("max_prompts", max_prompts)
        params.bin_alignment = integer("bin_alignment", bin_alignment)
        params.prompt_alignment = integer("prompt_alignment", prompt_alignment)
        params.max_steps, params.max_seconds = integer("max_steps", max_steps), max_seconds
        alive: list[Any] = []  # what the params point to, for the call

        def address(of: ctypes.Structure) -> int:
            alive.append(of)
            return ctypes.addressof(of)

        model = cost_struct(cost)
        if model is not None:
            params.cost = address(model)
        if policy is not None or capacities is not None or min_shared_prefix:
            fewest = sized(_abi.pp_fewest_params, policy=choice("policy", policy or "ffd", POLICIES),
                           min_shared_prefix=integer("min_shared_prefix", min_shared_prefix))
            if capacities is not None:
                alive.append(integers("capacities", capacities, np.int64))
                fewest.capacities, fewest.n_capacities = alive[-1].ctypes.data, alive[-1].size
                if not fewest.n_capacities:
                    raise ArgumentError("capacities are none: at least one bin is needed")
            params.fewest = address(fewest)
        if n_bins is not None:
            params.balanced = address(sized(_abi.pp_balanced_params, n_bins=integer("n_bins", n_bins)))
        if row_lens is not None:
            alive.append(integers("row_lens", row_lens, np.int64))
            params.cheapest = address(sized(_abi.pp_cheapest_params, row_lens=alive[-1].ctypes.data,
                                            n_row_lens=alive[-1].size))
        packer = ctypes.c_void_p()
        call(core().pp_packer_create, ctypes.byref(params), ctypes.byref(packer))
        super().__init__(packer.value, core().pp_packer_destroy)

    def __reduce__(self) -> tuple[Any, ...]:
        return _packer, (self._settings,)

    def __repr__(self) -> str:
        return f"Packer({', '.join(f'{name}={value!r}' for name, value in self._settings.items())})"

    def plan(self, prompts: Union[Integers, Iterable[Integers]], together: Integers | None = None,
             apart: Integers | None = None) -> Plan:
        """Packs prompts into bins. Deterministic unless max_seconds ends a search. About 10 ms for a million
        lengths with "ffd".

        prompts: lengths in tokens (integers, each at least 1), or the prompts: sequences of token ids.
        together, apart: a number for each prompt: prompts with the same one, not negative, go into the same bin,
        or into different bins.

        Raises ArgumentError (a length below 1: `index` names the prompt; constraints that contradict one
        another; shared prefixes without tokens), TooLongError (a prompt longer than the capacity: `index`; what
        belongs together does not fit into a bin), UnsupportedError (a constraint that this objective cannot
        keep)."""
        given: Any = prompts if hasattr(prompts, "ndim") else to_list(prompts, "prompts")
        n = len(given)
        struct = sized(_abi.pp_plan_input, n=n)
        if is_lengths(given):
            lengths = integers("lengths", given, np.int64)
            struct.lengths = lengths.ctypes.data
        else:
            tokens = Prompts(given)
            struct.prompts = ctypes.addressof(tokens.array)
        classes = []
        for name, values in (("together", together), ("apart", apart)):
            if values is not None:
                classes.append(integers(name, values, np.int32))
                if classes[-1].size != n:
                    raise ArgumentError(f"{name} has {classes[-1].size} numbers for {n} prompts")
                setattr(struct, name, classes[-1].ctypes.data)
        address = ctypes.c_void_p()
        self.invoke(core().pp_packer_plan_input, ctypes.byref(struct), ctypes.byref(address))
        return Plan.adopt(address.value)


_DEFAULTS = {parameter.name: parameter.default for parameter in inspect.signature(Packer.__init__).parameters.values()}


def _packer(settings: dict[str, Any]) -> Packer:
    return Packer(**settings)
