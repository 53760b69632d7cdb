"""Packing all prompts at once against packing every batch."""
from __future__ import annotations

from typing import Any

from . import published
from .bench import compare, dataset_of, device_of, prompts_of, rows_of, session_of
from .figures import Figure, Options, Result, Row
from .pictures import MARKS, color_of, legend_above, name_of
from .prompts import label_of as data_label
from .shapes import label_of
from .timing import DATASET, FULL, ORDERED, PREPACKING


def make(options: Options) -> Result:
    """Rows: model, data set, batch size, method."""
    rows: list[Row] = []
    devices: dict[str, Any] = {}
    for model in options.models:
        with session_of(options, model) as session:
            devices[label_of(model)] = device_of(session)
            for name in options.datasets:
                prompts = prompts_of(options, session, dataset_of(session, name))
                for batch_size in options.batch_sizes:
                    options.say(f"{label_of(model)}, {name}, batches of {batch_size}")
                    found = compare(options, session, prompts, batch_size, "prefill",
                                    (PREPACKING, DATASET, FULL, ORDERED))
                    rows += rows_of(found, session.info, model=label_of(model), dataset=name,
                                    batch_size=batch_size)
    for row in rows:
        row["paper_ms_per_prompt_1.3b"] = _paper(row["dataset"], row["method"]).get(row["batch_size"])
    return Result(rows, {"devices": devices}, _table(rows), lambda plt: _draw(plt, options, rows))


def _paper(dataset: str, method: str) -> dict[int, float]:
    drawn = published.DATASET_LEVEL["Llama2-1.3B"].get(dataset, {}).get(method, ())
    return dict(zip(published.DATASET_LEVEL_BATCH_SIZES, drawn))


def _table(rows: list[Row]) -> list[list[str]]:
    table = [["model", "data set", "batch", "method", "ms a prompt", "speed-up", "computed / real", "paper, 1.3B: ms",
              "speed-up"]]
    for row in rows:
        paper = row["paper_ms_per_prompt_1.3b"]
        full = _paper(row["dataset"], FULL).get(row["batch_size"])
        table.append([row["model"], row["dataset"], str(row["batch_size"]), row["method"],
                      f"{row['ms_per_prompt']:.2f}", f"{row['speedup']:.2f}",
                      f"{row['tokens_computed'] / row['tokens']:.2f}", f"{paper:.1f}" if paper else "",
                      f"{full / paper:.2f}" if paper and full else ""])
    return table


def _draw(plt: Any, options: Options, rows: list[Row]) -> Any:
    models = [label_of(model) for model in options.models]
    picture, panels = plt.subplots(len(models), len(options.datasets), squeeze=False,
                                   figsize=(0.9 + 2.75 * len(options.datasets), 0.6 + 2.5 * len(models)))
    for i_model, model in enumerate(models):
        for i, name in enumerate(options.datasets):
            panel = panels[i_model][i]
            for method in dict.fromkeys(row["method"] for row in rows):
                mine = [row for row in rows
                        if (row["model"], row["dataset"], row["method"]) == (model, name, method)]
                panel.plot([row["batch_size"] for row in mine], [row["ms_per_prompt"] for row in mine],
                           color=color_of(method), marker=MARKS.get(method, "v"), label=name_of(method),
                           linestyle="--" if method == DATASET else "-")
            panel.set_xscale("log", base=2)
            panel.set_xticks(options.batch_sizes, [str(size) for size in options.batch_sizes])
            panel.minorticks_off()
            panel.set_ylim(0)
            panel.set_title(f"{data_label(name)}, {model}")
            if i_model == len(models) - 1:
                panel.set_xlabel("prompts per batch")
        panels[i_model][0].set_ylabel("ms per prompt" + options.unit)
    legend_above(picture, *panels[0][0].get_legend_handles_labels())
    return picture


FIGURE = Figure("dataset-level", "time a prompt: packing the whole data set, packing batches, padding",
                "figures/dataset_level_ablation.pdf, profiling_dataset_level_prepacking.py", make,
                {"datasets": ["mmlu", "alpaca", "rlhf"], "n_prompts": 256, "batch_sizes": [8, 16, 32], "rounds": 3})
