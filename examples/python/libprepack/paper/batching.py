"""Time of a batch by its size, all prompts of one length: where batching stops being free."""
from __future__ import annotations

from typing import Any

import numpy as np

from . import published
from .bench import device_of, session_of
from .figures import Figure, Options, Result, Row
from .pictures import PAPER, SERIES, SERIES_MARKS
from .prompts import FIRST_ORDINARY_ID, Ids
from .shapes import label_of
from .timing import PREPACKING, Engine, Layout, Step, measure

LENGTHS = (50, 100, 200, 400)


def _batch(rng: np.random.Generator, n: int, length: int, vocab_size: int) -> list[Ids]:
    return [rng.integers(min(FIRST_ORDINARY_ID, vocab_size - 1), vocab_size, length, dtype=np.int32)
            for _ in range(n)]


def make(options: Options) -> Result:
    """Rows: length, batch size."""
    model = options.models[0]
    rng = np.random.default_rng(options.seed)
    rows: list[Row] = []
    with session_of(options, model) as session:
        device = device_of(session)
        on_cpu = session.info.device.startswith("cpu")
        lengths = [length for length in LENGTHS if length <= session.model.config.max_position]
        engine = Engine(session, "prefill")
        for length in lengths:
            options.say(f"{label_of(model)}, {length} tokens a prompt")
            steps = [Step(_batch(rng, n, length, session.model.config.vocab_size), n * length, False)
                     for n in options.batch_sizes]
            found = measure(engine, [Layout(PREPACKING, steps)], options.rounds, options.clock)[0]
            for n, rounds, busy in zip(options.batch_sizes, found.counted, found.busy):
                paper: dict[int, float] = dict(zip(published.BATCHING_SIZES, published.BATCHING.get(length, ())))
                rows.append({"length": length, "batch_size": n, "tokens": n * length, "seconds": min(rounds),
                             "seconds_median": float(np.median(rounds)), "seconds_max": max(rounds),
                             "processor_seconds": min(busy) if on_cpu else None,
                             "tokens_per_second": n * length / min(rounds), "paper_seconds": paper.get(n)})
    summary = {"devices": {label_of(model): device}, "model": label_of(model)}
    return Result(rows, summary, _table(options, rows), lambda plt: _draw(plt, options, label_of(model), rows))


def _table(options: Options, rows: list[Row]) -> list[list[str]]:
    table = [["tokens a prompt", "", *map(str, options.batch_sizes)]]
    for length in sorted({row["length"] for row in rows}):
        mine = [row for row in rows if row["length"] == length]
        table.append([str(length), "ms", *(f"{1000 * row['seconds']:.1f}" for row in mine)])
        table.append(["", "tokens a second", *(f"{row['tokens_per_second']:.0f}" for row in mine)])
        table.append(["", "paper: ms", *(f"{1000 * row['paper_seconds']:.0f}" if row["paper_seconds"] else ""
                                         for row in mine)])
    return table


def _draw(plt: Any, options: Options, model: str, rows: list[Row]) -> Any:
    picture, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.2))
    for i, length in enumerate(sorted({row["length"] for row in rows})):
        mine = [row for row in rows if row["length"] == length]
        at = [row["batch_size"] for row in mine]
        left.fill_between(at, [1000 * row["seconds"] for row in mine], [1000 * row["seconds_median"] for row in mine],
                          color=SERIES[i], alpha=0.2, linewidth=0)
        left.plot(at, [1000 * row["seconds"] for row in mine], color=SERIES[i], marker=SERIES_MARKS[i],
                  label=f"{length} tokens")
        single = [row for row in mine if row["batch_size"] == 1]
        if not single:
            continue
        right.plot(at, [row["tokens_per_second"] / single[0]["tokens_per_second"] for row in mine], color=SERIES[i],
                   marker=SERIES_MARKS[i])
        drawn = [row for row in mine if row["paper_seconds"]]
        if drawn and drawn[0]["batch_size"] == 1:
            base = drawn[0]["paper_seconds"]
            right.plot([row["batch_size"] for row in drawn],
                       [row["batch_size"] * base / row["paper_seconds"] for row in drawn], color=SERIES[i],
                       linestyle="--", linewidth=1, marker=SERIES_MARKS[i], markerfacecolor="white", markersize=4)
    for panel in (left, right):
        panel.set_xscale("log", base=2)
        panel.set_xticks(options.batch_sizes, [str(size) for size in options.batch_sizes])
        panel.minorticks_off()
        panel.set_xlabel("prompts per batch")
    left.set_ylabel("ms per batch" + options.unit)
    left.set_title(f"Prefilling, {model}")
    left.legend(title="each prompt", alignment="left")
    right.set_yscale("log", base=2)
    right.set_yticks([1, 2, 4, 8, 16], ["1×", "2×", "4×", "8×", "16×"])
    right.set_title("Tokens per second against one prompt alone")
    right.plot([], [], color=PAPER, linestyle="--", marker="o", markerfacecolor="white", markersize=4, linewidth=1,
               label="paper, Llama2-1.3B on an A6000")
    right.plot([], [], color=PAPER, marker="o", label="this machine")
    right.legend()
    return picture


FIGURE = Figure("batching", "time of a batch by its size, prompts of equal length",
                "figures/batch_size_figure.pdf, batching_experiment.py", make,
                {"batch_sizes": [1, 2, 4, 8, 16, 32, 64], "rounds": 5})
