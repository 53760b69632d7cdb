"""What a figure is, which options it has, and what it gives."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

Row = dict[str, Any]


@dataclass
class Options:
    """What a figure is made with; every figure has defaults of its own.

    models: paths, or names of shapes. device, dtype, weights, threads: of Session. threads 0: all processors.
    datasets: of prompts.load. n_prompts: of a data set. batch_sizes: prompts of a batch.
    rounds: how often each step is timed; the methods take turns in every round.
    rivals: other engines to time beside, "transformers".
    clock: "wall", or "processor": of this process, which other processes disturb less; not for a GPU.
    memory_mb: that KV pages may take where the largest batch is looked for.
    max_new_tokens: of a prompt that is continued.
    """

    models: list[str] = field(default_factory=lambda: ["llama-15m"])
    device: str = "cpu"
    dtype: str = "auto"
    weights: str = "auto"
    threads: int = 0
    datasets: list[str] = field(default_factory=lambda: ["mmlu"])
    n_prompts: int = 128
    batch_sizes: list[int] = field(default_factory=lambda: [16])
    rounds: int = 3
    seed: int = 0
    clock: str = "wall"
    rivals: list[str] = field(default_factory=list[str])
    memory_mb: int = 64
    max_new_tokens: int = 20
    say: Callable[[str], None] = lambda text: None

    @property
    def unit(self) -> str:
        """What axes of time say beside the unit."""
        return " (processor)" if self.clock == "processor" else ""


@dataclass
class Result:
    """rows: the figure's numbers, one line of the CSV each, all with the same names. summary: what is one number for
    all of them. table: lines to show on a terminal. draw: makes the picture, a matplotlib Figure, with
    matplotlib.pyplot."""

    rows: list[Row]
    summary: dict[str, Any]
    table: list[list[str]]
    draw: Callable[[Any], Any]


@dataclass(frozen=True)
class Figure:
    """name: on the command line. title: one line. source: where the paper's authors have it. defaults: options that
    differ from those of Options. uses: which options matter beside device, dtype, weights, threads and seed."""

    name: str
    title: str
    source: str
    make: Callable[[Options], Result]
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
