"""How long the prompts of the data sets are, and what padding them costs."""
from __future__ import annotations

from typing import Any

import numpy as np

from . import prompts as data
from .bench import dataset_of, session_of
from .figures import Figure, Options, Result, Row
from .pictures import COLORS
from .timing import PREPACKING

BINS = 30  # as the authors' dataset_utils.py draws them


def padded_share(lengths: data.Lengths, batch_size: int, seed: int | None) -> float:
    """Pad tokens over all tokens of batches of shuffled prompts; of sorted ones where seed is None."""
    order = np.sort(lengths) if seed is None else np.random.default_rng(seed).permutation(lengths)
    padded = sum(int(batch.max()) * len(batch) for batch in (order[i:i + batch_size]
                                                             for i in range(0, len(order), batch_size)))
    return 1 - int(lengths.sum()) / padded


def make(options: Options) -> Result:
    """Rows: data sets."""
    rows: list[Row] = []
    all_lengths: list[data.Lengths] = []
    for name in options.datasets:
        if name in data.LABELS or name.startswith("uniform:"):
            found = data.load(name)
        else:
            with session_of(options, options.models[0]) as session:
                found = dataset_of(session, name)
        lengths = found.lengths
        all_lengths.append(lengths)
        counts, edges = np.histogram(lengths, BINS)
        rows.append({"dataset": name, "prompts": len(lengths), "mean": float(lengths.mean()),
                     "median": float(np.median(lengths)), "std": float(lengths.std()), "min": int(lengths.min()),
                     "max": int(lengths.max()),
                     **{f"pad_share_{n}": padded_share(lengths, n, options.seed) for n in options.batch_sizes},
                     **{f"pad_share_sorted_{n}": padded_share(lengths, n, None) for n in options.batch_sizes},
                     "histogram": " ".join(map(str, counts.tolist())), "bin_width": float(edges[1] - edges[0])})
    table = [["data set", "prompts", "mean", "median", "min", "max",
              *(f"pads, batches of {n}" for n in options.batch_sizes),
              *(f"sorted, of {n}" for n in options.batch_sizes)]]
    for row in rows:
        table.append([row["dataset"], str(row["prompts"]), f"{row['mean']:.1f}", f"{row['median']:.0f}",
                      str(row["min"]), str(row["max"]),
                      *(f"{100 * row[f'pad_share_{n}']:.0f} %" for n in options.batch_sizes),
                      *(f"{100 * row[f'pad_share_sorted_{n}']:.1f} %" for n in options.batch_sizes)])
    return Result(rows, {}, table, lambda plt: _draw(plt, options, all_lengths, rows))


def _draw(plt: Any, options: Options, all_lengths: list[data.Lengths], rows: list[Row]) -> Any:
    n = len(all_lengths)
    columns = min(n, 3)
    lines = -(-n // columns)
    picture, panels = plt.subplots(lines, columns, squeeze=False, figsize=(0.8 + 2.8 * columns, 0.4 + 2.2 * lines))
    batch_size = options.batch_sizes[0]
    for i, panel in enumerate(panels.flat):
        panel.set_visible(i < n)
        if i >= n:
            continue
        lengths, row = all_lengths[i], rows[i]
        panel.hist(lengths, BINS, color=COLORS[PREPACKING], edgecolor="white", linewidth=0.4)
        panel.axvline(row["mean"], color="#222222", linewidth=1)
        panel.annotate(f"mean {row['mean']:.0f}", (row["mean"], 1), (4, -4), xycoords=("data", "axes fraction"),
                       textcoords="offset points", va="top", fontsize=8.5)
        panel.annotate(f"{row['prompts']:,} prompts, {row['min']} to {row['max']}\n"
                       f"{100 * row[f'pad_share_{batch_size}']:.0f} % pads in batches of {batch_size}", (0.98, 0.74),
                       xycoords="axes fraction", ha="right", va="top", fontsize=8.5,
                       bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 1.5})
        panel.set_title(data.label_of(options.datasets[i]))
        panel.set_xlim(0)
        if i // columns == lines - 1 or i + columns >= n:
            panel.set_xlabel("tokens")
        if i % columns == 0:
            panel.set_ylabel("prompts")
    return picture


FIGURE = Figure("lengths", "histograms of prompt lengths, and the share of pads that they cost",
                "dataset_utils.py draws them", make,
                {"datasets": list(data.LABELS), "batch_sizes": [16, 64]})
