"""What the lengths of a batch say about the speed-up.

For a batch of k prompts with L tokens, the longest of m tokens, packed into r bins of m: the paper fits the speed-up by
m - L/k, how far the longest is above the mean, and by r/k, the rows that packing leaves. Here packed rows hold no pad
tokens, so k m / L, padded tokens over real ones, is drawn as well: what there is to gain.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import published
from .bench import compare, dataset_of, device_of, prompts_of, session_of
from .figures import Figure, Options, Result, Row
from .pictures import COLORS
from .prompts import label_of as data_label
from .shapes import label_of
from .timing import FULL, PREPACKING

Values = NDArray[np.float64]
STATISTICS = {"m - L/k": "longest − mean (tokens)", "r/k": "bins / prompts", "k m / L": "padded / real tokens"}


def fit(x: Values, y: Values) -> tuple[float, float, float]:
    """Slope, intercept and R squared of the line of least squares. R squared is 0 where x or y does not vary."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0, float(y.mean()), 0.0
    slope, intercept = np.polyfit(x, y, 1)
    rest = y - (slope * x + intercept)
    return float(slope), float(intercept), float(1 - (rest @ rest) / ((y - y.mean()) @ (y - y.mean())))


def make(options: Options) -> Result:
    """Rows: batches."""
    from ..planner import Packer
    model, name, batch_size = options.models[0], options.datasets[0], options.batch_sizes[0]
    rows: list[Row] = []
    packer = Packer()
    with session_of(options, model) as session:
        device = device_of(session)
        on_cpu = session.info.device.startswith("cpu")
        prompts = prompts_of(options, session, dataset_of(session, name))
        prompts = prompts[:len(prompts) // batch_size * batch_size]
        if not prompts:
            raise ValueError(f"{options.n_prompts} prompts of {name} are no batch of {batch_size}")
        options.say(f"{label_of(model)}, {name}, {len(prompts) // batch_size} batches of {batch_size}")
        found = compare(options, session, prompts, batch_size, "prefill", (PREPACKING, FULL))
    busy = list(zip(found[PREPACKING].processor_steps, found[FULL].processor_steps))
    for i, (packed, full) in enumerate(zip(found[PREPACKING].steps, found[FULL].steps)):
        lengths = [len(prompt) for prompt in found[PREPACKING].layout.steps[i].prompts]
        k, longest, tokens = len(lengths), max(lengths), sum(lengths)
        n_bins = len(packer.plan(lengths))
        rows.append({"batch": i, "prompts": k, "longest": longest, "tokens": tokens, "bins": n_bins,
                     "m - L/k": longest - tokens / k, "r/k": n_bins / k, "k m / L": k * longest / tokens,
                     "seconds_prepacking": packed, "seconds_full": full, "speedup": full / packed,
                     "processor_speedup": busy[i][1] / busy[i][0] if on_cpu and busy[i][0] > 0 else None})
    fits: dict[str, dict[str, Any]] = {}
    for statistic in STATISTICS:
        x = np.array([row[statistic] for row in rows], dtype=float)
        slope, intercept, r_squared = fit(x, np.array([row["speedup"] for row in rows], dtype=float))
        used = np.array([row["processor_speedup"] for row in rows], dtype=float)  # None: not a number
        fits[statistic] = {"slope": slope, "intercept": intercept, "r_squared": r_squared,
                           "processor_r_squared": None if np.isnan(used).any() else fit(x, used)[2],
                           "paper_r_squared": published.GAIN_R_SQUARED.get(statistic)}
    summary = {"devices": {label_of(model): device}, "model": label_of(model), "dataset": name, "fits": fits}
    return Result(rows, summary, _table(fits), lambda plt: _draw(plt, options, rows, fits))


def _table(fits: dict[str, dict[str, Any]]) -> list[list[str]]:
    table = [["statistic of a batch", "slope", "R squared", "of processor times", "paper's R squared"]]
    for statistic, found in fits.items():
        paper, busy = found["paper_r_squared"], found["processor_r_squared"]
        table.append([f"{statistic}: {STATISTICS[statistic]}", f"{found['slope']:.4f}", f"{found['r_squared']:.3f}",
                      "" if busy is None else f"{busy:.3f}", f"{paper:.2f}" if paper else "not drawn"])
    return table


def _draw(plt: Any, options: Options, rows: list[Row], fits: dict[str, dict[str, Any]]) -> Any:
    picture, panels = plt.subplots(1, len(STATISTICS), figsize=(9.2, 3.1), sharey=True)
    y = [row["speedup"] for row in rows]
    for panel, statistic in zip(panels, STATISTICS):
        x = [row[statistic] for row in rows]
        panel.scatter(x, y, s=16, color=COLORS[PREPACKING], alpha=0.6, linewidths=0)
        ends = np.array([min(x), max(x)])
        found = fits[statistic]
        panel.plot(ends, found["slope"] * ends + found["intercept"], color="#D55E00")
        paper = found["paper_r_squared"]
        panel.set_title(f"R² = {found['r_squared']:.2f}" + (f"   (paper: {paper:.2f})" if paper else ""))
        panel.set_xlabel(f"{STATISTICS[statistic]}\n{statistic.replace('-', chr(0x2212))}")  # a minus sign
    panels[0].set_ylabel("times as fast as full batching" + options.unit.replace(" ", "\n"))
    picture.suptitle(f"{len(rows)} batches of {options.batch_sizes[0]} prompts, {data_label(options.datasets[0])}, "
                     f"{label_of(options.models[0])}", fontsize=10)
    return picture


FIGURE = Figure("gain", "speed-up of single batches against statistics of their lengths",
                "figures/speedup_gain16llama1b5000.pdf", make,
                {"datasets": ["rlhf"], "n_prompts": 2000, "rounds": 2})
