"""How the pictures look: one colour and one mark for each method, told apart without colour too (the palette is that
of Okabe and Ito)."""
from __future__ import annotations

import importlib
import io
from typing import Any

from .timing import DATASET, FULL, ORDERED, PREPACKING

COLORS = {PREPACKING: "#0072B2", FULL: "#E69F00", ORDERED: "#009E73", DATASET: "#CC79A7"}
MARKS = {PREPACKING: "o", FULL: "s", ORDERED: "^", DATASET: "D"}
HATCHES = {PREPACKING: "", FULL: "///", ORDERED: "\\\\\\", DATASET: "xx"}
LABELS = {PREPACKING: "Prepacking", FULL: "Full batching", ORDERED: "Length-ordered batching",
          DATASET: "Dataset prepacking"}
PAPER = "#6E6E6E"  # what the paper's authors measured
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
SERIES_MARKS = ("o", "s", "^", "D", "v", "P")
RIVALS = ("#D55E00", "#56B4E9", "#882255")

STYLE: dict[str, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9.0, "axes.titlesize": 10.0,
    "axes.labelsize": 9.0, "legend.fontsize": 9.0, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y",
    "grid.color": "#D9D9D9", "grid.linewidth": 0.6, "axes.axisbelow": True, "axes.edgecolor": "#444444",
    "xtick.color": "#444444", "ytick.color": "#444444", "axes.labelcolor": "#222222", "legend.frameon": False,
    "hatch.linewidth": 0.5, "lines.linewidth": 1.6, "lines.markersize": 5.0, "svg.fonttype": "none",
    "svg.hashsalt": "libprepack", "figure.constrained_layout.use": True, "savefig.facecolor": "white",
}


def library() -> Any:
    """matplotlib.pyplot in this style, without a display; None where matplotlib is not installed."""
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        pyplot: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return None
    pyplot.rcParams.update(STYLE)
    return pyplot


def color_of(method: str) -> str:
    """A rival's methods get colours of their own."""
    return COLORS.get(method) or RIVALS[sum(map(ord, method)) % len(RIVALS)]


def name_of(method: str) -> str:
    """How a legend calls a method."""
    return LABELS.get(method, method)


def times(factor: float) -> str:
    """2.4×"""
    return f"{factor:.1f}×"


def legend_above(picture: Any, handles: list[Any], labels: list[str], title: str | None = None) -> None:
    """One legend for all panels: in a line, or where the picture is narrow below one another. An empty title of the
    picture keeps its place, which releases of matplotlib before 3.7 do not do for a legend."""
    needed = 0.35 * len(labels) + 0.068 * sum(map(len, labels))  # inches
    columns = len(labels) if needed < picture.get_figwidth() else 1
    lines = -(-len(labels) // columns) + (title is not None)
    picture.suptitle("\n".join([" "] * lines), fontsize=12)
    picture.legend(handles, labels, loc="upper center", title=title, handlelength=1.6, columnspacing=1.6,
                   ncols=columns, borderaxespad=0.3)


def save(picture: Any, stem: str) -> list[str]:
    """PNG, in as few colours as it needs, and SVG; gives their paths."""
    paths = [stem + ".png", stem + ".svg"]
    drawn = io.BytesIO()
    picture.savefig(drawn, dpi=120)
    image: Any = importlib.import_module("PIL.Image")  # which matplotlib brings
    few = image.open(drawn).convert("RGB").quantize(96, method=image.Quantize.MEDIANCUT, dither=image.Dither.NONE)
    few.save(paths[0], optimize=True)
    picture.savefig(paths[1], metadata={"Date": None})
    return paths
