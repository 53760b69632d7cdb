"""Prefilling and time to first token by data set and model."""
from __future__ import annotations

from typing import Any

from . import published
from .bench import compare, dataset_of, device_of, prompts_of, rows_of, session_of
from .figures import Figure, Options, Result, Row
from .pictures import COLORS, HATCHES, color_of, legend_above, name_of, times
from .prompts import LABELS as DATASETS
from .prompts import label_of as data_label
from .shapes import label_of
from .timing import FULL, METRICS, ORDERED, PREPACKING

METHODS = (PREPACKING, FULL, ORDERED)
TITLES = {"prefill": "Prefilling", "ttft": "First token"}


def make(options: Options) -> Result:
    """Rows: model, data set, metric, method."""
    rows: list[Row] = []
    devices: dict[str, Any] = {}
    batch_size = options.batch_sizes[0]
    for model in options.models:
        with session_of(options, model) as session:
            devices[label_of(model)] = device_of(session)
            for name in options.datasets:
                prompts = prompts_of(options, session, dataset_of(session, name))
                for metric in METRICS:
                    options.say(f"{label_of(model)}, {name}, {metric}")
                    found = compare(options, session, prompts, batch_size, metric, METHODS)
                    rows += rows_of(found, session.info, model=label_of(model), dataset=name, metric=metric,
                                    batch_size=batch_size)
    for row in rows:
        row["paper_speedup_1.3b"] = (published.speedup(row["metric"], row["dataset"], "Llama2-1.3B")
                                     if batch_size == 16 and row["method"] == PREPACKING else None)
    return Result(rows, {"devices": devices}, _table(rows), lambda plt: _draw(plt, options, rows))


def _table(rows: list[Row]) -> list[list[str]]:
    table = [["model", "data set", "metric", "method", "ms a batch", "± over batches", "speed-up", "rounds",
              "paper, 1.3B"]]
    for row in rows:
        paper = row["paper_speedup_1.3b"]
        table.append([row["model"], row["dataset"], row["metric"], row["method"],
                      f"{1000 * row['seconds_per_batch']:.1f}", f"{1000 * row['seconds_per_batch_std']:.1f}",
                      f"{row['speedup']:.2f}", f"{row['speedup_low']:.2f} to {row['speedup_high']:.2f}",
                      f"{paper:.2f}" if paper else ""])
    return table


def _draw(plt: Any, options: Options, rows: list[Row]) -> Any:
    models = [label_of(model) for model in options.models]
    picture, panels = plt.subplots(len(METRICS), len(options.datasets), squeeze=False,
                                   figsize=(1.2 + 1.75 * len(options.datasets), 4.9))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    width = 0.8 / len(methods)
    for i_metric, metric in enumerate(METRICS):
        for i_dataset, name in enumerate(options.datasets):
            panel = panels[i_metric][i_dataset]
            here = [row for row in rows if row["metric"] == metric and row["dataset"] == name]
            for i, method in enumerate(methods):
                mine = [row for row in here if row["method"] == method]
                at = [models.index(row["model"]) + (i - (len(methods) - 1) / 2) * width for row in mine]
                bars = panel.bar(at, [1000 * row["seconds_per_batch"] for row in mine], width * 0.94,
                                 color=color_of(method), hatch=HATCHES.get(method, ""), edgecolor="white",
                                 linewidth=0,
                                 yerr=_spread(mine),
                                 error_kw={"elinewidth": 0.8, "capsize": 1.6, "ecolor": "#333333"},
                                 label=name_of(method))
                if method == PREPACKING:
                    _name_speedups(panel, here, models, bars)
            panel.set_xticks(range(len(models)), models)
            panel.set_xlim(-0.55, len(models) - 0.45)
            panel.set_ylim(0, panel.get_ylim()[1] * 1.06)
            panel.set_title(f"{data_label(name)}\n{TITLES[metric]}")
        panels[i_metric][0].set_ylabel("ms per batch" + options.unit)
    legend_above(picture, *panels[0][0].get_legend_handles_labels())
    return picture


def _spread(rows: list[Row]) -> tuple[list[float], list[float]]:
    """Error bars, which end at 0."""
    up = [1000 * row["seconds_per_batch_std"] for row in rows]
    return [min(bar, 1000 * row["seconds_per_batch"]) for bar, row in zip(up, rows)], up


def _name_speedups(panel: Any, here: list[Row], models: list[str], bars: Any) -> None:
    """Over each model's bars: how many times as fast prepacking is as full batching."""
    for i, model in enumerate(models):
        of_model = {row["method"]: row for row in here if row["model"] == model}
        top = 1000 * (of_model[FULL]["seconds_per_batch"] + of_model[FULL]["seconds_per_batch_std"])
        panel.annotate(times(of_model[PREPACKING]["speedup"]), (i, top), (0, 3), textcoords="offset points",
                       ha="center", color=COLORS[PREPACKING], fontweight="bold", fontsize=8.5)


FIGURE = Figure("datasets", "prefilling and time to first token by data set and model, batches of 16",
                "figures/alldataset_comparison.pdf", make,
                {"models": ["llama-15m", "llama-42m"], "datasets": list(DATASETS), "n_prompts": 96, "rounds": 2})
