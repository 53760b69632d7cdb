"""What packing itself takes, greedy and exact: bins, and time."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..planner import Packer
from . import prompts as data
from .figures import Figure, Options, Result, Row
from .pictures import SERIES, SERIES_MARKS, legend_above

POLICIES = {"ffd": "first-fit decreasing", "bfd": "best-fit decreasing (the paper's greedy)",
            "exact": "exact (the paper's integer program)"}
MAX_SECONDS = 10.0  # of a search


def make(options: Options) -> Result:
    """Rows: data set, number of prompts, policy."""
    rows: list[Row] = []
    for name in options.datasets:
        dataset = data.load(name)
        for n in options.batch_sizes:
            batches = _batches(dataset.lengths, n, options.seed)
            for policy in POLICIES:
                options.say(f"{name}, {n} prompts, {policy}")
                rows.append({"dataset": name, "prompts": n, "batches": len(batches), "policy": policy,
                             **_plans(policy, batches, options.rounds)})
    return Result(rows, {"max_seconds": MAX_SECONDS}, _table(rows), lambda plt: _draw(plt, options, rows))


def _batches(lengths: data.Lengths, n: int, seed: int) -> list[data.Lengths]:
    """At most 8 batches of n shuffled prompts."""
    order = np.random.default_rng(seed).permutation(lengths)
    return [order[i:i + n] for i in range(0, min(8 * n, len(order) - n + 1), n)] or [order]


def _plans(policy: str, batches: list[data.Lengths], rounds: int) -> Row:
    packer = Packer(policy=policy, max_steps=-1, max_seconds=MAX_SECONDS) if policy == "exact" else \
        Packer(policy=policy)
    bins, bound, proven = 0, 0, 0
    waste: list[float] = []
    seconds: list[float] = []
    for lengths in batches:
        plans = [packer.plan(lengths).info for _ in range(rounds)]
        bins += plans[0].n_bins
        bound += plans[0].lower_bound
        proven += plans[0].proven_optimal
        waste.append(plans[0].waste)
        seconds.append(min(plan.seconds for plan in plans))
    return {"bins": bins, "lower_bound": bound, "proven_optimal": proven, "waste": float(np.mean(waste)),
            "microseconds": 1e6 * float(np.mean(seconds)), "microseconds_max": 1e6 * max(seconds)}


def _table(rows: list[Row]) -> list[list[str]]:
    table = [["data set", "prompts", "policy", "bins", "lower bound", "proven optimal", "pads in packed rows", "µs",
              "slowest: µs"]]
    for row in rows:
        table.append([row["dataset"], str(row["prompts"]), row["policy"], str(row["bins"]), str(row["lower_bound"]),
                      f"{row['proven_optimal']} of {row['batches']}", f"{100 * row['waste']:.2f} %",
                      f"{row['microseconds']:.1f}", f"{row['microseconds_max']:.1f}"])
    return table


def _draw(plt: Any, options: Options, rows: list[Row]) -> Any:
    picture, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.2))
    sizes = options.batch_sizes
    for i, (policy, label) in enumerate(POLICIES.items()):
        mine = [[row for row in rows if row["policy"] == policy and row["prompts"] == n] for n in sizes]
        spot = [n * (1 + 0.06 * (i - 1)) for n in sizes]  # beside one another, where they are equal
        left.plot(spot, [100 * np.mean([row["waste"] for row in group]) for group in mine], color=SERIES[i],
                  marker=SERIES_MARKS[i], label=label)
        right.plot(sizes, [np.mean([row["microseconds"] for row in group]) for group in mine], color=SERIES[i],
                   marker=SERIES_MARKS[i], label=label)
    for panel in (left, right):
        panel.set_xscale("log", base=2)
        panel.set_xticks(sizes, [str(size) for size in sizes])
        panel.minorticks_off()
        panel.set_xlabel("prompts packed together")
    left.set_ylim(0)
    left.set_ylabel("% of the rows")
    left.set_title("Pads left in packed rows")
    right.set_yscale("log")
    right.set_ylabel("µs per plan")
    right.set_title("Time to plan")
    legend_above(picture, *left.get_legend_handles_labels())
    return picture


FIGURE = Figure("packing", "greedy and exact packing: pads left, and the time that planning takes",
                "utils.py has both; no numbers were found", make,
                {"datasets": list(data.LABELS), "batch_sizes": [16, 64, 256, 1024], "rounds": 3})
