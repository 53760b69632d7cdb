"""The prompts of a figure: lists of lengths of public data sets, lengths drawn evenly, or texts from a file."""
from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any, Sequence, cast

import numpy as np
from numpy.typing import NDArray

from ..tokenizer import Tokenizer

Ids = NDArray[np.int32]
Lengths = NDArray[np.int64]

# In the paper's order, with its names.
LABELS = {"wikitext256": "Wiki256", "wikitext512": "Wiki512", "mmlu": "MMLU", "alpaca": "Alpaca",
          "samsum": "SamSum", "rlhf": "Anthropic RLHF"}
FIRST_ORDINARY_ID = 3  # ids below begin, end and pad in most vocabularies


@dataclass(frozen=True)
class Dataset:
    """Lengths of all its prompts, and the prompts themselves where they are known."""

    name: str
    lengths: Lengths
    ids: list[Ids] | None = None


def label_of(name: str) -> str:
    """How pictures call a data set."""
    return LABELS.get(name, os.path.basename(name))


def folders() -> list[str]:
    """Where the lists of lengths may be, in the order in which they are looked for."""
    here = os.path.dirname(os.path.abspath(__file__))
    return [os.path.join(here, "lengths"),
            os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(here))), "data", "lengths"),
            *(os.path.join(prefix, "share", "prepack", "lengths") for prefix in (sys.prefix, "/usr/local", "/usr"))]


def list_path(name: str) -> str:
    """The file of a list of lengths. Raises FileNotFoundError."""
    for folder in folders():
        path = os.path.join(folder, name + ".txt")
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(f"the lengths of '{name}' are in none of {', '.join(folders())}; a file of lengths, one a "
                            "line, may be given in its place")


def _even(name: str) -> Lengths:
    """uniform:A-B, 4096 lengths, every one as likely as another."""
    first, _, last = name.partition(":")[2].partition("-")
    if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise ValueError(f"the data set '{name}' should be uniform:A-B with 1 <= A <= B, in tokens")
    return np.random.default_rng(0).integers(int(first), int(last) + 1, 4096, dtype=np.int64)


def read_texts(path: str) -> list[str]:
    """The prompts of a file: a JSON object a line with "prompt" or "text", or a JSON string, else a text a line."""
    if not os.path.isfile(path):
        raise ValueError(f"there is no file of texts '{path}'")
    texts: list[str] = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if path.endswith(".jsonl"):
                value: Any = json.loads(line)
                if isinstance(value, dict):
                    record = cast("dict[str, Any]", value)
                    value = record.get("prompt", record.get("text"))
                if not isinstance(value, str):
                    raise ValueError(f'line {number} of {path} is neither a string nor an object with "prompt" or '
                                     '"text"')
                texts.append(value)
            else:
                texts.append(line.rstrip("\n"))
    if not texts:
        raise ValueError(f"{path} holds no prompts")
    return texts


def _is_lengths(path: str) -> bool:
    with open(path, encoding="utf-8") as file:
        return all(line.strip().isdigit() for line in file if line.strip())


def load(name: str, tokenizer: Tokenizer | None = None) -> Dataset:
    """A data set by name (LABELS), by the form uniform:A-B, or from a file: token counts, one a line, or texts, one a
    line or as JSONL, for which the tokenizer is needed. Raises ValueError, FileNotFoundError."""
    if name in LABELS:
        return Dataset(name, np.loadtxt(list_path(name), dtype=np.int64, ndmin=1))
    if name.startswith("uniform:"):
        return Dataset(name, _even(name))
    if not os.path.isfile(name):
        raise ValueError(f"there is no data set '{name}': it is neither a file nor uniform:A-B nor one of "
                         f"{', '.join(LABELS)}")
    if _is_lengths(name):
        lengths = np.loadtxt(name, dtype=np.int64, ndmin=1)
        if not lengths.size or lengths.min() < 1:
            raise ValueError(f"{name} should hold token counts, each at least 1")
        return Dataset(name, lengths)
    if tokenizer is None:
        raise ValueError(f"{name} holds texts: they need a model directory with its tokenizer (--model DIR)")
    ids = [np.asarray(tokenizer.encode(text), dtype=np.int32) for text in read_texts(name)]
    return Dataset(name, np.array([len(i) for i in ids], dtype=np.int64), ids)


def choose(dataset: Dataset, n: int, seed: int) -> NDArray[np.int64]:
    """Indices of n prompts in random order: the middles of n equal parts of all prompts by length, so that few
    prompts stand for many; all of them, shuffled, where n is not smaller."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dataset.lengths))
    if n < len(order):
        order = order[np.argsort(dataset.lengths[order], kind="stable")]
        order = rng.permutation(order[((np.arange(n) + 0.5) * len(order) / n).astype(np.int64)])
    return order


def tokens_of(dataset: Dataset, chosen: Sequence[int] | NDArray[np.int64], vocab_size: int, seed: int,
              limit: int) -> list[Ids]:
    """The chosen prompts' ids: their own, or random ones of their lengths, cut to limit tokens."""
    rng = np.random.default_rng([seed, 1])
    if dataset.ids is not None:
        return [dataset.ids[i][:limit] for i in chosen]
    low = min(FIRST_ORDINARY_ID, vocab_size - 1)
    return [rng.integers(low, vocab_size, min(int(dataset.lengths[i]), limit), dtype=np.int32) for i in chosen]
