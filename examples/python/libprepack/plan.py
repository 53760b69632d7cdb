"""What a plan says: its figures, bins and segments; plans as JSON, and spread over workers."""
from __future__ import annotations

import ctypes
import dataclasses
from typing import TYPE_CHECKING, Any, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._arrays import Integers, Prompts, integer, name_of
from ._library import core, call, sized
from ._views import SharedHandle

if TYPE_CHECKING:
    from .batch import Batch

OBJECTIVES = {"fewest_bins": _abi.PP_OBJECTIVE_FEWEST_BINS, "balanced": _abi.PP_OBJECTIVE_BALANCED,
              "cheapest": _abi.PP_OBJECTIVE_CHEAPEST}
POLICIES = {"ffd": _abi.PP_POLICY_FFD, "bfd": _abi.PP_POLICY_BFD, "arrival": _abi.PP_POLICY_ARRIVAL,
            "first_fit": _abi.PP_POLICY_FIRST_FIT, "best_fit": _abi.PP_POLICY_BEST_FIT,
            "exact": _abi.PP_POLICY_EXACT, "auto": _abi.PP_POLICY_AUTO}
LIMITS = {"": 0, "max_steps": 1, "max_seconds": 2}

SEGMENT: np.dtype[Any] = np.dtype(_abi.pp_segment)


@dataclasses.dataclass(frozen=True)
class PlanInfo:
    """Figures of a plan. Costs are in units of the cost model: seconds, or tokens without one.

    policy: that found these bins; "auto": none of the others alone
    proven_optimal: no packing is better by the objective, rounding aside
    limit_reached: what ended the search: "max_steps", "max_seconds" or ""
    capacity: tokens of a bin, of the largest where they differ
    tokens: sum of all lengths
    longest_prompt: tokens
    lower_bound: no packing has fewer bins
    waste: 1 - placed_tokens / total_capacity
    gap: n_bins / lower_bound - 1; where the bins are balanced or cheapest, cost / cost_bound - 1
    seconds: that the planning took
    n_segments: places in the bins; n_prompts unless prompts are split or shared
    placed_tokens: sum of the segments: tokens less those that prefixes share
    used: placed_tokens and what alignment adds to them
    total_capacity: of all bins
    bound_l1, bound_l2, bound_dff, bound_lp: lower bounds by themselves; 0: not computed
    max_bin_prompts, mean_bin_prompts: prompts of a bin
    max_cost, mean_cost: of a bin
    cost_bound: "balanced": no packing's dearest bin is cheaper; "cheapest": no packing's sum is smaller
    """

    policy: str
    objective: str
    proven_optimal: bool
    limit_reached: str
    n_prompts: int
    n_bins: int
    capacity: int
    tokens: int
    longest_prompt: int
    lower_bound: int
    waste: float
    gap: float
    seconds: float
    n_segments: int
    placed_tokens: int
    used: int
    total_capacity: int
    bound_l1: int
    bound_l2: int
    bound_dff: int
    bound_lp: int
    max_bin_prompts: int
    mean_bin_prompts: float
    max_cost: float
    mean_cost: float
    cost_bound: float


@dataclasses.dataclass(frozen=True)
class BinInfo:
    """Figures of a bin.

    choice: the bin is capacities[choice] of the packer's; -1: none were given
    first_segment, n_segments: its segments, of those of all bins
    tokens: sum of the segments; used: and what alignment adds; capacity: at least `used`
    cost: by the plan's cost model
    """

    choice: int
    first_segment: int
    n_segments: int
    tokens: int
    used: int
    capacity: int
    cost: float


@dataclasses.dataclass(frozen=True)
class Partition:
    """The bins of a plan spread over workers.

    worker_of_bin: int32 [n_bins]
    proven_optimal: no partition's dearest worker is cheaper, rounding aside
    limit_reached: the search ended before it was done
    max_bins: of a worker
    max_cost, mean_cost: of a worker, by the plan's cost model
    cost_bound: in no partition is the dearest worker cheaper
    gap: max_cost / cost_bound - 1
    """

    worker_of_bin: NDArray[np.int32]
    proven_optimal: bool
    limit_reached: bool
    n_workers: int
    max_bins: int
    max_cost: float
    mean_cost: float
    cost_bound: float
    gap: float

    def bins(self, worker: int) -> NDArray[np.int64]:
        """The bins of a worker, in order."""
        return np.flatnonzero(self.worker_of_bin == worker)


def values_of(struct: Any, record: type[Any]) -> dict[str, Any]:
    """The fields of a struct that a dataclass has, by name."""
    return {field.name: getattr(struct, field.name) for field in dataclasses.fields(record)
            if hasattr(struct, field.name)}


class Plan(SharedHandle):
    """Prompts in bins, as `Packer.plan` made them: a sequence of bins, each an int32 array of indices into what
    was planned, in the order in which they lie. Immutable: threads may share it. It can be pickled.

        for prompts in plan:                 # int32 [n], read-only, shows the plan's memory
            ...

    Where prompts are split or share prefixes a bin lists its segments' prompts, so that one may be in several.
    """

    def __init__(self) -> None:
        raise TypeError("plans are made by Packer.plan and Plan.from_json")

    @classmethod
    def adopt(cls, address: int | None) -> Plan:
        """The object for a pp_plan, which it owns from now on."""
        plan = cls.__new__(cls)
        SharedHandle.__init__(plan, address, core().pp_plan_destroy)
        struct = sized(_abi.pp_plan_info)
        plan.invoke(core().pp_plan_get_info, ctypes.byref(struct))
        values = values_of(struct, PlanInfo)
        values.update(policy=name_of(struct.policy, POLICIES), objective=name_of(struct.objective, OBJECTIVES),
                      proven_optimal=bool(struct.proven_optimal),
                      limit_reached=name_of(struct.limit_reached, LIMITS))
        plan.info = PlanInfo(**values)
        return plan

    info: PlanInfo

    def __len__(self) -> int:
        """The number of bins."""
        return self.info.n_bins

    def __getitem__(self, i_bin: int) -> NDArray[np.int32]:
        """The prompts of a bin. Raises IndexError outside the plan."""
        number = range(self.info.n_bins)[i_bin]
        prompts, n_prompts = ctypes.c_void_p(), ctypes.c_int64()
        self.invoke(core().pp_plan_get_bin, number, ctypes.byref(prompts), ctypes.byref(n_prompts), None)
        return self._view(prompts.value, (n_prompts.value,), np.int32)

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[i] for i in range(self.info.n_bins))

    def __repr__(self) -> str:
        info = self.info
        return f"<Plan: {info.n_prompts} prompts, {info.n_bins} bins of {info.capacity}, waste {info.waste:.1%}>"

    def bin_info(self, i_bin: int) -> BinInfo:
        """Figures of a bin. Raises IndexError outside the plan."""
        struct = sized(_abi.pp_bin_info)
        self.invoke(core().pp_plan_get_bin_info, range(self.info.n_bins)[i_bin], ctypes.byref(struct))
        return BinInfo(**values_of(struct, BinInfo))

    @property
    def segments(self) -> NDArray[Any]:
        """A copy of all segments, bin after bin: records [n_segments] of

            prompt       of those that share the tokens, the one with the lowest index
            first_token  0 unless the prompt is split or shares a prefix
            n_tokens
            start        place in the bin, alignment included
            after        the segment, in an earlier bin, whose KV cache this one continues; or -1
        """
        segments: NDArray[Any] = np.zeros(self.info.n_segments, SEGMENT)
        address, size = segments.ctypes.data, SEGMENT.itemsize
        for i in range(len(segments)):
            self.invoke(core().pp_plan_get_segment, i, address + i * size)
        return segments

    @property
    def ends(self) -> NDArray[np.int64]:
        """The segment that holds each prompt's last token [n_prompts]; from there `after` leads back to its
        first."""
        ends = np.empty(self.info.n_prompts, np.int64)
        self.invoke(core().pp_plan_get_ends, ends.ctypes.data, ends.size)
        return ends

    def to_json(self) -> str:
        """The plan as a JSON object (docs/plan-format.md), the same text for the same plan. Raises LimitError
        above some 7 million prompts."""
        n_bytes = ctypes.c_size_t()
        self.invoke(core().pp_plan_to_json, None, 0, ctypes.byref(n_bytes))
        text = ctypes.create_string_buffer(n_bytes.value + 1)
        self.invoke(core().pp_plan_to_json, text, len(text), ctypes.byref(n_bytes))
        return text.raw[:n_bytes.value].decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Reads a plan that `to_json`, `prepack plan --save` or somebody else wrote; nothing in it is believed
        that can be checked. A proof of optimality by a strong bound may be lost on the way.

        Raises FormatError (the sentence says where; `index`: the prompt or bin), UnsupportedError (another
        version), LimitError."""
        given = text.encode() if isinstance(text, str) else bytes(text)
        address = ctypes.c_void_p()
        call(core().pp_plan_from_json, given, len(given), None, ctypes.byref(address))
        return cls.adopt(address.value)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_json, (self.to_json(),)

    def partition(self, n_workers: int) -> Partition:
        """Gives every bin a worker, the dearest worker as cheap as possible. Deterministic.

        Raises ArgumentError (n_workers below 1), UnsupportedError (bins that continue prompts of other bins)."""
        workers, struct = np.empty(self.info.n_bins, np.int32), sized(_abi.pp_partition_info)
        self.invoke(core().pp_plan_partition, integer("n_workers", n_workers), workers.ctypes.data, workers.size,
                   ctypes.byref(struct))
        workers.flags.writeable = False
        values = values_of(struct, Partition)
        values.update(proven_optimal=bool(struct.proven_optimal), limit_reached=bool(struct.limit_reached))
        return Partition(worker_of_bin=workers, **values)

    def batch(self, prompts: Iterable[Integers], *, layout: str = "ragged", pad_token: int = 0, first_bin: int = 0,
              n_bins: int | None = None, row_len: int = 0) -> Batch:
        """The arrays of bins first_bin .. first_bin + n_bins - 1 (None: of all the rest), for an engine of one's
        own.

        prompts: token ids of all that was planned, in the same order. layout: "ragged": all tokens one after
        another, without pads; "padded": a row for each bin, of row_len tokens (0: the fullest of these bins).

        Raises ArgumentError (bins outside the plan; prompts that are not the plan's: `index` names one),
        TooLongError (row_len shorter than a bin), UnsupportedError (a plan that splits prompts or shares
        prefixes)."""
        from .batch import build
        return build(self, Prompts(prompts), layout, pad_token, first_bin, -1 if n_bins is None else n_bins, row_len)

    def batches(self, prompts: Iterable[Integers], *, layout: str = "ragged", pad_token: int = 0,
                row_len: int = 0) -> Iterator[Batch]:
        """The arrays of each bin, one after the other. Parameters and errors as of `batch`."""
        from .batch import build
        given = Prompts(prompts)
        return (build(self, given, layout, pad_token, i, 1, row_len) for i in range(self.info.n_bins))
