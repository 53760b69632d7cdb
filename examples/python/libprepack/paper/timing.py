"""Methods of prefilling, and how they are timed.

A method lays the same prompts out as steps, the calls that are made one after another:

    prepacking          batches in the order of the prompts; each is planned and runs without padding
    full-batching       the same batches, every prompt padded to the longest of its batch
    length-ordered      the prompts sorted by length, cut into batches, padded
    dataset-prepacking  all prompts are planned at once; their bins are cut into as many steps as there are batches

Padded tokens are computed by the same kernels, as engines that pad do; laying padded rows out is not timed. Planning
and sorting are. Methods take turns step by step, so that what else the machine does meets all of them.
"""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Callable

import numpy as np

from ..planner import Packer
from ..results import Item
from ..session import Session
from .prompts import Ids

PREPACKING, FULL, ORDERED, DATASET = "prepacking", "full-batching", "length-ordered", "dataset-prepacking"
METHODS = (PREPACKING, FULL, ORDERED, DATASET)
METRICS = ("prefill", "ttft")
PAD_ID = 0


@dataclass
class Step:
    """A call: its prompts as they are given to the model, padded where the method pads."""

    prompts: list[Ids]
    n_tokens: int  # without padding
    packed: bool  # planned anew in every round


@dataclass
class Layout:
    """The steps of a method; seconds: what sorting or planning all prompts took."""

    method: str
    steps: list[Step]
    seconds: float = 0.0


@dataclass
class Times:
    """What the steps of a layout took. seconds, busy: [step][round], wall and processor time."""

    layout: Layout
    seconds: list[list[float]] = field(default_factory=list[list[float]])
    busy: list[list[float]] = field(default_factory=list[list[float]])
    tokens_computed: int = 0  # in one round
    clock: str = "wall"  # of Options: which of the two counts

    @property
    def counted(self) -> list[list[float]]:
        """[step][round] by the clock."""
        return self.busy if self.clock == "processor" else self.seconds

    @property
    def n_prompts(self) -> int:
        """Of all steps."""
        return sum(len(step.prompts) for step in self.layout.steps)

    @property
    def n_tokens(self) -> int:
        """Of all steps, without padding."""
        return sum(step.n_tokens for step in self.layout.steps)

    @property
    def steps(self) -> list[float]:
        """The least of the rounds for every step: what other processes add is left out as far as can be."""
        return [min(rounds) for rounds in self.counted]

    @property
    def total(self) -> float:
        """Seconds for all prompts."""
        return self.layout.seconds + sum(self.steps)

    def of_round(self, i: int) -> float:
        """Seconds for all prompts in round i."""
        return self.layout.seconds + sum(rounds[i] for rounds in self.counted)

    def speedup(self, base: Times) -> tuple[float, float, float]:
        """How many times as fast as `base` over the same prompts: of the least times, and the least and the greatest
        of the rounds."""
        rounds = [base.of_round(i) / self.of_round(i) for i in range(len(self.seconds[0]))]
        best = base.total / self.total
        return best, min(*rounds, best), max(*rounds, best)

    @property
    def processor_steps(self) -> list[float]:
        """Processor seconds of every step, of all threads: what it took no matter who else wanted the cores."""
        return [min(rounds) for rounds in self.busy]

    @property
    def processor_total(self) -> float:
        """Processor seconds for all prompts."""
        return sum(self.processor_steps)

    def processor_speedup(self, base: Times) -> float | None:
        """The ratio of the processor times; None where the clock is too coarse. It says nothing of a GPU."""
        return base.processor_total / self.processor_total if self.processor_total > 0 else None


def pad(prompts: list[Ids]) -> list[Ids]:
    """All as long as the longest, with pad tokens behind them: of causal attention these change nothing before."""
    longest = max(len(prompt) for prompt in prompts)
    return [np.concatenate([prompt, np.full(longest - len(prompt), PAD_ID, np.int32)]) for prompt in prompts]


def _step(prompts: list[Ids], method: str) -> Step:
    n_tokens = sum(len(prompt) for prompt in prompts)
    return Step(pad(prompts) if method in (FULL, ORDERED) else prompts, n_tokens, method == PREPACKING)


def _cut_bins(prompts: list[Ids], n_steps: int, packer: Packer) -> list[list[Ids]]:
    """All prompts in the order of their bins, cut after every bin that fills the next n-th part of the tokens."""
    plan = packer.plan([len(prompt) for prompt in prompts])
    all_tokens = sum(len(prompt) for prompt in prompts)
    cuts: list[list[Ids]] = [[]]
    placed = 0
    for members in plan:
        if placed * n_steps >= all_tokens * len(cuts):
            cuts.append([])
        together: list[Ids] = [prompts[i] for i in members]
        cuts[-1] += together
        placed += sum(map(len, together))
    return cuts


def lay_out(method: str, prompts: list[Ids], batch_size: int, packer: Packer) -> Layout:
    """The steps of a method over prompts in their order."""
    n_steps = -(-len(prompts) // batch_size)
    began = time.perf_counter()
    if method == DATASET:
        groups = _cut_bins(prompts, n_steps, packer)
        return Layout(method, [_step(group, method) for group in groups], time.perf_counter() - began)
    if method == ORDERED:
        prompts = sorted(prompts, key=len)
    seconds = time.perf_counter() - began
    groups = [prompts[i:i + batch_size] for i in range(0, len(prompts), batch_size)]
    return Layout(method, [_step(group, method) for group in groups], seconds if method == ORDERED else 0.0)


class Engine:
    """What steps run on: `run` computes a step's caches and, for "ttft", its first tokens."""

    def __init__(self, session: Session, metric: str) -> None:
        self.session = session
        self.packer = Packer()
        self.output = "token" if metric == "ttft" else "none"

    def run(self, step: Step) -> object:
        """A step, from its prompts to the end of the last kernel. Gives what it made, which lives as long as that."""
        plan = self.packer.plan([len(prompt) for prompt in step.prompts]) if step.packed else None
        items = [Item(prompt, output=self.output) for prompt in step.prompts]
        results = self.session.run(items, plan=plan)
        self.session.synchronize()
        return results

    def tokens_computed(self) -> int:
        """So far."""
        return self.session.info.tokens_computed

    def warm_up(self, step: Step) -> None:
        """Wakes threads and fills caches."""
        self.run(Step([prompt[:16] for prompt in step.prompts[:4]], 0, False))


Runner = Callable[[Step], object]


def _time(run: Runner, step: Step) -> tuple[float, float]:
    busy, began = time.process_time(), time.perf_counter()
    made = run(step)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    del made  # freeing caches is nobody's prefill
    return seconds, busy


def measure(engine: Engine, layouts: list[Layout], rounds: int, clock: str = "wall",
            rivals: dict[str, Runner] | None = None) -> list[Times]:
    """Times every step of all layouts, rounds times, in turns, by the clock of Options. A layout whose method is a
    rival's runs there. Raises ValueError for the processor's clock where a GPU computes."""
    if clock == "processor" and not engine.session.info.device.startswith("cpu"):
        raise ValueError(f"the processor's clock says nothing of {engine.session.info.device}: --clock wall")
    runners = rivals or {}
    all_times = [Times(layout, [[] for _ in layout.steps], [[] for _ in layout.steps], clock=clock)
                 for layout in layouts]
    engine.warm_up(layouts[0].steps[0])
    for i_round in range(rounds):
        for i in range(max(len(layout.steps) for layout in layouts)):
            first = (i_round + i) % len(layouts)
            for times in all_times[first:] + all_times[:first]:
                if i >= len(times.layout.steps):
                    continue
                step, run = times.layout.steps[i], runners.get(times.layout.method, engine.run)
                before = engine.tokens_computed()
                seconds, busy = _time(run, step)
                times.seconds[i].append(seconds)
                times.busy[i].append(busy)
                if i_round == 0:
                    times.tokens_computed += engine.tokens_computed() - before
    return all_times
