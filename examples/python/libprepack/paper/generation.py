"""Generation side by side: prompts prefilled packed and each alone, both continued, as in the authors' notebook."""
from __future__ import annotations

import os
import sys
import textwrap
from typing import Any

import numpy as np

from ..session import Session
from .bench import device_of, session_of
from .figures import Figure, Options, Result, Row
from .pictures import COLORS
from .prompts import read_texts
from .shapes import label_of
from .timing import PREPACKING

MOST_SHOWN = 16  # prompts in the picture
DEMO = "demo"  # the model that comes with the library


def demo_model() -> str:
    """The folder of the demo model. Raises FileNotFoundError."""
    here = os.path.dirname(os.path.abspath(__file__))
    places = [os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(here))), "demo-model"),
              os.path.join("examples", "demo-model"),  # in the source's own folder, for a package that was installed
              *(os.path.join(prefix, "share", "prepack", "demo-model")
                for prefix in (sys.prefix, "/usr/local", "/usr"))]
    for place in places:
        if os.path.isfile(os.path.join(place, "config.json")):
            return place
    raise FileNotFoundError(f"the demo model is in none of {', '.join(places)}: --model DIR names another one")


def make(options: Options) -> Result:
    """Rows: prompts."""
    model = demo_model() if options.models[0] == DEMO else options.models[0]
    path = os.path.join(demo_model(), "examples.txt") if options.datasets[0] == DEMO else options.datasets[0]
    texts = read_texts(path)[:options.n_prompts]
    with session_of(options, model) as session:
        device = device_of(session)
        if not session.has_tokenizer:
            raise ValueError(f"{model} has no tokenizer: generation needs a model directory with one (--model DIR)")
        rows = _compare(session, texts, options.max_new_tokens)
    summary = {"devices": {label_of(model): device}, "model": label_of(model),
               "all_same": all(row["same_tokens"] and row["same_logits"] for row in rows)}
    table = [["prompt", "packed", "alone", "tokens", "first logits"]]
    for row in rows:
        table.append([_short(row["prompt"], 40), _short(row["packed"], 44), _short(row["alone"], 44),
                      "same" if row["same_tokens"] else "differ",
                      "same bits" if row["same_logits"] else f"differ by {row['largest_difference']:.3g}"])
    return Result(rows, summary, table, lambda plt: _draw(plt, label_of(model), rows))


def _short(text: str, width: int) -> str:
    return textwrap.shorten(repr(text)[1:-1], width, placeholder="…")


def _compare(session: Session, texts: list[str], max_new_tokens: int) -> list[Row]:
    from ..planner import Packer
    ids = [np.asarray(session.tokenizer.encode(text), dtype=np.int32) for text in texts]
    plan = Packer().plan([len(prompt) for prompt in ids])
    packed_logits = [found.logits for found in session.prefill(ids, plan=plan)]
    packed = session.generate(ids, max_new_tokens=max_new_tokens, plan=plan)
    rows: list[Row] = []
    for i, text in enumerate(texts):
        alone_logits = session.prefill([ids[i]])[0].logits
        alone = session.generate([ids[i]], max_new_tokens=max_new_tokens)[0]
        together = packed_logits[i]
        assert together is not None and alone_logits is not None
        rows.append({"prompt": text, "prompt_tokens": len(ids[i]), "packed": packed[i].text, "alone": alone.text,
                     "same_tokens": packed[i].tokens.tolist() == alone.tokens.tolist(),
                     "same_logits": together.tobytes() == alone_logits.tobytes(),
                     "largest_difference": float(np.abs(together - alone_logits).max())})
    return rows


def _lines(text: str, width: int, from_end: bool) -> list[str]:
    """At most three lines of a text; of a prompt its end, which is what is continued."""
    lines = textwrap.wrap(repr(text)[1:-1], width) or [""]
    if len(lines) > 3:
        lines = ["…", *lines[-2:]] if from_end else [*lines[:2], "…"]
    return lines


def _draw(plt: Any, model: str, all_rows: list[Row]) -> Any:
    rows = all_rows[:MOST_SHOWN]
    cells = [[_lines(row["prompt"], 48, True), _lines(row["packed"], 36, False), _lines(row["alone"], 36, False)]
             for row in rows]
    heights = [max(map(len, line)) for line in cells]
    n_same = sum(row["same_tokens"] and row["same_logits"] for row in all_rows)
    total = sum(heights) + 0.7 * len(rows) + 3.2
    picture = plt.figure(figsize=(9.2, 0.19 * total))
    panel = picture.subplots()
    panel.set_axis_off()
    panel.set_xlim(0, 1)
    panel.set_ylim(total, 0)
    places = (0.0, 0.40, 0.68, 0.96)
    panel.text(0, 0.8, f"{model}: the same tokens, and the same bits of the first logits, for {n_same} of "
                       f"{len(all_rows)} prompts", fontsize=10)
    for x, head in zip(places, ("Prompt", "Prefilled packed", "Prefilled alone", "Same")):
        panel.text(x, 2.5, head, fontweight="bold")
    y = 4.0
    for row, line, height in zip(rows, cells, heights):
        panel.axhline(y - 1.1, color="#D9D9D9", linewidth=0.6)
        for x, wrapped in zip(places, line):
            for i, words in enumerate(wrapped):
                panel.text(x, y + i, words, fontsize=8.5)
        same = row["same_tokens"] and row["same_logits"]
        panel.text(places[3], y, "yes" if same else "no", fontsize=8.5, fontweight="bold",
                   color=COLORS[PREPACKING] if same else "#D55E00")
        y += height + 0.7
    return picture


FIGURE = Figure("generation", "continuations of prompts that were prefilled packed and alone",
                "prepack_generation_demo.ipynb", make,
                {"models": [DEMO], "datasets": [DEMO], "n_prompts": 16})
