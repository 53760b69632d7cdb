"""Memory by batch size, and the largest batch that a limit allows."""
from __future__ import annotations

from typing import Any, Callable

from ..errors import DeviceMemoryError, OutOfMemoryError
from ..model import Model
from ..planner import Packer
from .bench import dataset_of, device_of, prompts_of, session_of, session_on
from .figures import Figure, Options, Result, Row
from .pictures import COLORS, HATCHES, LABELS, MARKS, legend_above
from .prompts import label_of as data_label
from .prompts import Ids
from .shapes import label_of
from .timing import FULL, ORDERED, PREPACKING, Engine, Step, lay_out

METHODS = (PREPACKING, FULL, ORDERED)
MEGABYTE = 1024 * 1024


def make(options: Options) -> Result:
    """Rows: data set, method, batch size; those of the largest batch have the batch size that was found."""
    model = options.models[0]
    rows: list[Row] = []
    with session_of(options, model) as session:
        device = device_of(session)
        info = session.info
        by_name = {name: prompts_of(options, session, dataset_of(session, name)) for name in options.datasets}
        for name, prompts in by_name.items():
            for batch_size in options.batch_sizes:
                for method in METHODS:
                    options.say(f"{label_of(model)}, {name}, {method}, batches of {batch_size}")
                    step = _dearest(method, prompts, batch_size)
                    peak = _peak(options, session.model, step)
                    rows.append({"dataset": name, "kind": "peak", "method": method, "batch_size": batch_size,
                                 "tokens": step.n_tokens, "tokens_held": sum(map(len, step.prompts)),
                                 "megabytes": (peak - info.weight_bytes) / MEGABYTE})
        limit = info.memory_bytes + options.memory_mb * MEGABYTE  # weights and workspace are there already
        for name, prompts in by_name.items():
            for method in METHODS:
                options.say(f"{label_of(model)}, {name}, {method}, the largest batch")
                batch_size = largest(len(prompts), _fits(options, session.model, method, prompts, limit))
                step = _dearest(method, prompts, max(1, batch_size))
                rows.append({"dataset": name, "kind": "largest batch", "method": method, "batch_size": batch_size,
                             "tokens": step.n_tokens, "tokens_held": sum(map(len, step.prompts)),
                             "megabytes": options.memory_mb})
    summary = {"devices": {label_of(model): device}, "model": label_of(model),
               "weights_mb": info.weight_bytes / MEGABYTE, "workspace_mb": info.workspace_bytes / MEGABYTE,
               "limit_mb": options.memory_mb,
               "prompts": {name: len(prompts) for name, prompts in by_name.items()}}
    return Result(rows, summary, _table(rows), lambda plt: _draw(plt, options, label_of(model), rows))


def _dearest(method: str, prompts: list[Ids], batch_size: int) -> Step:
    """The batch of a method that holds the most tokens, padding included: the one that decides what is needed."""
    steps = lay_out(method, prompts, batch_size, Packer()).steps
    return max(steps, key=lambda step: sum(map(len, step.prompts)))


def _peak(options: Options, model: Model, step: Step, limit: int = 0) -> int:
    """The most bytes that a session of its own held while the step ran; its caches are alive at the end."""
    with session_on(options, model, limit) as session:
        Engine(session, "prefill").run(step)
        return session.info.peak_memory_bytes


def _fits(options: Options, model: Model, method: str, prompts: list[Ids], limit: int) -> Callable[[int], bool]:
    def fits(batch_size: int) -> bool:
        try:
            _peak(options, model, _dearest(method, prompts, batch_size), limit)
        except (OutOfMemoryError, DeviceMemoryError):
            return False
        return True
    return fits


def largest(n: int, fits: Callable[[int], bool]) -> int:
    """The largest batch size of at most n with which all batches fit, 0 if none: sizes are doubled, then halved."""
    low, high = 0, 1
    while high <= n and fits(high):
        low, high = high, 2 * high
    high = min(high, n + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _table(rows: list[Row]) -> list[list[str]]:
    table = [["data set", "", "batch", *METHODS]]
    for name, kind, batch_size in dict.fromkeys((row["dataset"], row["kind"], row["batch_size"]) for row in rows
                                                if row["kind"] == "peak"):
        mine = {row["method"]: row for row in rows
                if (row["dataset"], row["kind"], row["batch_size"]) == (name, kind, batch_size)}
        table.append([name, "MB over the weights", str(batch_size),
                      *(f"{mine[method]['megabytes']:.1f}" for method in METHODS)])
    for name in dict.fromkeys(row["dataset"] for row in rows):
        found = {row["method"]: row for row in rows if row["dataset"] == name and row["kind"] != "peak"}
        table.append([name, f"largest batch in {found[FULL]['megabytes']} MB of KV", "",
                      *(str(found[method]["batch_size"]) for method in METHODS)])
    return table


def _draw(plt: Any, options: Options, model: str, rows: list[Row]) -> Any:
    names = options.datasets
    picture, panels = plt.subplots(1, len(names) + 1, figsize=(1.2 + 2.4 * (len(names) + 1), 3.1))
    for panel, name in zip(panels, names):
        for method in METHODS:
            mine = [row for row in rows if (row["dataset"], row["kind"], row["method"]) == (name, "peak", method)]
            panel.plot([row["batch_size"] for row in mine], [row["megabytes"] for row in mine], color=COLORS[method],
                       marker=MARKS[method], linestyle="--" if method == ORDERED else "-")
        panel.set_xscale("log", base=2)
        panel.set_xticks(options.batch_sizes, [str(size) for size in options.batch_sizes])
        panel.minorticks_off()
        panel.set_ylim(0)
        panel.set_xlabel("prompts per batch")
        panel.set_title(data_label(name))
    panels[0].set_ylabel(f"MB over the weights\n({model})")
    last = panels[-1]
    for i, method in enumerate(METHODS):
        mine = [row for row in rows if row["kind"] != "peak" and row["method"] == method]
        at = [names.index(row["dataset"]) + (i - 1) * 0.27 for row in mine]
        last.bar(at, [row["batch_size"] for row in mine], 0.25, color=COLORS[method], hatch=HATCHES[method],
                 edgecolor="white", linewidth=0, label=LABELS[method])
        for x, row in zip(at, mine):
            last.annotate(str(row["batch_size"]), (x, row["batch_size"]), (0, 2), textcoords="offset points",
                          ha="center", fontsize=7.5)
    last.set_xticks(range(len(names)), [data_label(name).replace(" ", "\n") for name in names])
    last.set_title(f"Largest batch, {options.memory_mb} MB of KV")
    legend_above(picture, *last.get_legend_handles_labels())
    return picture


FIGURE = Figure("memory", "peak memory by batch size, and the largest batch in a given memory",
                "the README's table has one cell of it", make,
                {"datasets": ["mmlu", "rlhf"], "n_prompts": 512, "batch_sizes": [4, 8, 16, 32, 64]})
