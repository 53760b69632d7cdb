"""Time, memory and use of the processor by method: the table of the README of the paper's repository."""
from __future__ import annotations

from typing import Any, Callable

from ..model import Model
from . import published
from .bench import compare, dataset_of, device_of, prompts_of, rows_of, session_of, session_on
from .figures import Figure, Options, Result, Row
from .pictures import COLORS, HATCHES, LABELS, PAPER, legend_above
from .prompts import label_of as data_label
from .prompts import Ids
from .shapes import label_of
from .timing import FULL, ORDERED, PREPACKING, Engine, lay_out

METHODS = (PREPACKING, FULL, ORDERED)
MEGABYTE = 1024 * 1024


def make(options: Options) -> Result:
    """Rows: methods."""
    model, name, batch_size = options.models[0], options.datasets[0], options.batch_sizes[0]
    with session_of(options, model) as session:
        device = device_of(session)
        prompts = prompts_of(options, session, dataset_of(session, name))
        options.say(f"{label_of(model)}, {name}, batches of {batch_size}")
        found = compare(options, session, prompts, batch_size, "prefill", METHODS)
        rows = rows_of(found, session.info, model=label_of(model), dataset=name, batch_size=batch_size)
        rows = [row for row in rows if row["method"] in METHODS]
        for row in rows:
            row["peak_mb"] = _peak(options, session.model, row["method"], prompts, batch_size)
    for row in rows:
        paper = published.RESOURCES[row["method"]]
        row.update({"paper_" + key: paper[key] for key in ("seconds", "seconds_std", "peak_mb", "mean_use")})
    summary = {"devices": {label_of(model): device}, "model": label_of(model), "dataset": name}
    return Result(rows, summary, _table(rows), lambda plt: _draw(plt, name, label_of(model), batch_size, rows))


def _peak(options: Options, model: Model, method: str, prompts: list[Ids], batch_size: int) -> float:
    """The most memory over all batches of the method, weights included, in MB."""
    with session_on(options, model) as session:
        engine = Engine(session, "prefill")
        for step in lay_out(method, prompts, batch_size, engine.packer).steps:
            engine.run(step)
        return session.info.peak_memory_bytes / MEGABYTE


def _table(rows: list[Row]) -> list[list[str]]:
    table = [["method", "s a batch", "± over batches", "peak MB", "processors busy", "real / computed tokens",
              "paper: s a batch", "± over batches", "peak MB", "GPU busy"]]
    for row in rows:
        share = row["processor_share"]
        table.append([row["method"], f"{row['seconds_per_batch']:.4f}", f"{row['seconds_per_batch_std']:.4f}",
                      f"{row['peak_mb']:.1f}", "" if share is None else f"{100 * share:.0f} %",
                      f"{100 * row['tokens'] / row['tokens_computed']:.0f} %", f"{row['paper_seconds']:.3f}",
                      f"{row['paper_seconds_std']:.3f}", f"{row['paper_peak_mb']:.0f}",
                      f"{row['paper_mean_use']:.0f} %"])
    return table


def _draw(plt: Any, name: str, model: str, batch_size: int, rows: list[Row]) -> Any:
    full = next(row for row in rows if row["method"] == FULL)
    quantities: tuple[tuple[str, Callable[[Row], float], Callable[[Row], float]], ...] = (
        ("Time a batch, % of full batching", lambda row: 100.0 * row["seconds_per_batch"] / full["seconds_per_batch"],
         lambda row: 100.0 * row["paper_seconds"] / full["paper_seconds"]),
        ("Peak memory, % of full batching", lambda row: 100.0 * row["peak_mb"] / full["peak_mb"],
         lambda row: 100.0 * row["paper_peak_mb"] / full["paper_peak_mb"]),
        ("Device busy, %", lambda row: 100.0 * row["processor_share"], lambda row: 1.0 * row["paper_mean_use"]))
    if full["processor_share"] is None:
        quantities = quantities[:2]
    picture, panels = plt.subplots(1, len(quantities), figsize=(9.2, 3.1))
    for panel, (title, ours, papers) in zip(panels, quantities):
        for i, row in enumerate(rows):
            panel.bar(i - 0.2, ours(row), 0.36, color=COLORS[row["method"]], hatch=HATCHES[row["method"]],
                      edgecolor="white", linewidth=0)
            panel.bar(i + 0.2, papers(row), 0.36, color="white", edgecolor=PAPER, linewidth=1.1)
            for x, value in ((i - 0.2, ours(row)), (i + 0.2, papers(row))):
                panel.annotate(f"{value:.0f}", (x, value), (0, 2), textcoords="offset points", ha="center",
                               fontsize=7.5)
        panel.set_xticks(range(len(rows)), [LABELS[row["method"]].replace(" batching", "\nbatching") for row in rows])
        panel.set_ylim(0, 112)
        panel.set_title(title)
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[PREPACKING], linewidth=0),
               plt.Rectangle((0, 0), 1, 1, facecolor="white", edgecolor=PAPER, linewidth=1.1)]
    legend_above(picture, handles, [f"here: {model}", "paper: Llama2-1.3B on an A6000"],
                 f"{data_label(name)}, batches of {batch_size}")
    return picture


FIGURE = Figure("resources", "time, peak memory and use by method, MMLU in batches of 64", "README.md", make,
                {"batch_sizes": [64], "n_prompts": 512, "rounds": 3})
