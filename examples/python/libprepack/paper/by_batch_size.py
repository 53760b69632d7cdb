"""Speed-up of prefilling by batch size."""
from __future__ import annotations

from typing import Any

from . import published
from .bench import compare, dataset_of, device_of, prompts_of, rows_of, session_of
from .figures import Figure, Options, Result, Row
from .pictures import MARKS, PAPER, color_of, legend_above, name_of
from .prompts import LABELS as DATASETS
from .prompts import label_of as data_label
from .shapes import label_of
from .timing import FULL, ORDERED, PREPACKING

METHODS = (PREPACKING, FULL, ORDERED)


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
                    found = compare(options, session, prompts, batch_size, "prefill", METHODS)
                    rows += rows_of(found, session.info, model=label_of(model), dataset=name,
                                    batch_size=batch_size)
    for row in rows:
        row["paper_speedup_1.3b"] = (_paper("Llama2-1.3B", row["dataset"]).get(row["batch_size"])
                                     if row["method"] == PREPACKING else None)
    return Result(rows, {"devices": devices}, _table(options, rows), lambda plt: _draw(plt, options, rows))


def _paper(model: str, dataset: str) -> dict[int, float]:
    return dict(zip(published.BATCH_SIZES, published.BY_BATCH_SIZE[model].get(dataset, ())))


def _drawn(rows: list[Row]) -> list[str]:
    """All methods but the one that they are measured by."""
    return [method for method in dict.fromkeys(row["method"] for row in rows) if method != FULL]


def _table(options: Options, rows: list[Row]) -> list[list[str]]:
    table = [["model", "data set", "method", *map(str, options.batch_sizes)]]
    for model in map(label_of, options.models):
        for name in options.datasets:
            for method in _drawn(rows):
                table.append([model, name, method, *(
                    f"{row['speedup']:.2f}" for row in rows
                    if (row["model"], row["dataset"], row["method"]) == (model, name, method))])
            paper = _paper("Llama2-1.3B", name)
            table.append(["", "", "paper, 1.3B", *(f"{paper[size]:.2f}" if size in paper else ""
                                                   for size in options.batch_sizes)])
    return table


def _draw(plt: Any, options: Options, rows: list[Row]) -> Any:
    n = len(options.datasets)
    columns = min(n, 3)
    lines = -(-n // columns)
    picture, panels = plt.subplots(lines, columns, squeeze=False, sharex=True,
                                   figsize=(1 + 2.6 * columns, 0.6 + 2.3 * lines))
    model = label_of(options.models[0])
    for i, panel in enumerate(panels.flat):
        panel.set_visible(i < n)
        if i < n:
            _panel(panel, options.datasets[i], [row for row in rows if row["dataset"] == options.datasets[i]
                                                and row["model"] == model], options.batch_sizes)
            if i // columns == lines - 1 or i + columns >= n:
                panel.set_xlabel("prompts per batch")
            if i % columns == 0:
                panel.set_ylabel("times as fast\nas full batching" + options.unit)
    handles, labels = panels[0][0].get_legend_handles_labels()
    legend_above(picture, handles, labels)
    return picture


def _panel(panel: Any, name: str, rows: list[Row], batch_sizes: list[int]) -> None:
    for method in _drawn(rows):
        mine = [row for row in rows if row["method"] == method]
        at = [row["batch_size"] for row in mine]
        panel.fill_between(at, [row["speedup_low"] for row in mine], [row["speedup_high"] for row in mine],
                           color=color_of(method), alpha=0.18, linewidth=0)
        panel.plot(at, [row["speedup"] for row in mine], color=color_of(method),
                   marker=MARKS.get(method, "v"), label=name_of(method))
    paper = _paper("Llama2-1.3B", name)
    if paper:
        panel.plot(list(paper), list(paper.values()), color=PAPER, marker="o", linestyle="--", markerfacecolor="white",
                   linewidth=1.1, label="Paper's prepacking, Llama2-1.3B on an A6000")
    panel.set_xscale("log", base=2)
    panel.set_xticks(batch_sizes, [str(size) for size in batch_sizes])
    panel.minorticks_off()
    panel.axhline(1, color="#888888", linewidth=0.8)
    panel.set_ylim(0.8)
    panel.set_title(data_label(name))


FIGURE = Figure("batch-sizes", "speed-up of prefilling over full batching by batch size",
                "figures/ablation_speed_up_over_batch_size_both_models.pdf", make,
                {"datasets": list(DATASETS), "n_prompts": 128, "batch_sizes": [4, 8, 16, 32, 64], "rounds": 2})
