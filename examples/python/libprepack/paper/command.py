"""The command line: python -m libprepack.paper FIGURE [options]."""
from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any, Sequence

from .. import errors
from . import (batching, by_batch_size, by_dataset, dataset_level, gain, generation, lengths, memory, packing,
               pictures, resources)
from .figures import Figure, Options
from .prompts import LABELS
from .record import show, write_csv, write_json
from .shapes import known

FIGURES: tuple[Figure, ...] = tuple(module.FIGURE for module in (
    by_dataset, by_batch_size, memory, resources, dataset_level, gain, batching, lengths, generation, packing))
NO_PICTURES = "matplotlib is not installed, so no pictures are drawn; the numbers go into the CSV and JSON files"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} should be at least 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m libprepack.paper", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Makes the figures and tables of the paper Prepacking (Zhao, Israel, Van den Broeck, Grover, "
                    "arXiv 2404.09529)\non this machine: FIGURE.csv, FIGURE.json, FIGURE.png and FIGURE.svg in --out.",
        epilog="figures:\n" + "\n".join(f"  {figure.name:<14} {figure.title}" for figure in FIGURES))
    parser.add_argument("figure", help="one of the figures below, `all`, or `list`: what each shows, and its options")
    parser.add_argument("--model", nargs="+", dest="models", metavar="MODEL",
                        help=f"directories, GGUF files, or shapes with random weights: {', '.join(known())}")
    parser.add_argument("--dataset", nargs="+", dest="datasets", metavar="DATASET",
                        help=f"{', '.join(LABELS)}; uniform:A-B; a file of token counts, or of texts (.jsonl, or one a "
                             "line) for models with a tokenizer")
    parser.add_argument("--prompts", type=_positive, dest="n_prompts", help="prompts of each data set")
    parser.add_argument("--batch-size", nargs="+", type=_positive, dest="batch_sizes", metavar="N")
    parser.add_argument("--rounds", type=_positive, help="how often each step is timed, in turns; the least counts")
    parser.add_argument("--device", help="cpu, cpu:KERNELS, cuda, cuda:N (default: cpu)")
    parser.add_argument("--dtype", help="of products and caches: auto, f32, bf16, f16")
    parser.add_argument("--weights", help="auto, f32, bf16, int8, int4, nf4")
    parser.add_argument("--threads", type=int, help="0, the default: one for each processor")
    parser.add_argument("--memory-mb", type=_positive, help="figure memory: MB of KV in which the largest batch fits")
    parser.add_argument("--max-new-tokens", type=_positive, help="figure generation")
    parser.add_argument("--clock", choices=["wall", "processor"],
                        help="processor: time of this process, on a machine that is busy with others")
    parser.add_argument("--rival", nargs="+", dest="rivals", choices=["transformers"], help="timed beside, in turns")
    parser.add_argument("--seed", type=int, help="of weights, choice and order of prompts, and ids (default: 0)")
    parser.add_argument("--out", default="paper-figures", metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="prints no progress and no table")
    return parser


def _options(figure: Figure, arguments: argparse.Namespace) -> Options:
    given: dict[str, Any] = {name: value for name, value in vars(arguments).items()
                             if value is not None and name not in ("figure", "out", "quiet")}
    return Options(**{**figure.defaults, **given})


def _list() -> str:
    lines: list[str] = []
    for figure in FIGURES:
        defaults = Options(**figure.defaults)
        lines.append(f"{figure.name}: {figure.title}\n    the authors' source: {figure.source}\n    default: --model "
                     f"{' '.join(defaults.models)} --dataset {' '.join(defaults.datasets)} --prompts "
                     f"{defaults.n_prompts} --batch-size {' '.join(map(str, defaults.batch_sizes))} --rounds "
                     f"{defaults.rounds}")
    return "\n".join(lines)


def make(figure: Figure, options: Options, out: str, quiet: bool, command: Sequence[str]) -> list[str]:
    """Makes a figure; gives the paths of its files. command: the words that asked for it."""
    began = time.perf_counter()
    if not quiet:
        options.say = lambda text: print(f"  {figure.name}: {text}", file=sys.stderr, flush=True)
    result = figure.make(options)
    result.summary["seconds"] = round(time.perf_counter() - began, 1)
    os.makedirs(out, exist_ok=True)
    stem = os.path.join(out, figure.name)
    write_csv(stem + ".csv", result.rows)
    write_json(stem + ".json", figure, options, result, command)
    paths = [stem + ".csv", stem + ".json"]
    plt = pictures.library()
    if plt is not None:
        picture = result.draw(plt)
        paths += pictures.save(picture, stem)
        plt.close(picture)
    if not quiet:
        print(show(result.table))
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit status."""
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    parsed = parser.parse_args(given)
    if parsed.figure == "list":
        print(_list())
        return 0
    by_name = {figure.name: figure for figure in FIGURES}
    if parsed.figure != "all" and parsed.figure not in by_name:
        parser.error(f"there is no figure '{parsed.figure}'; there are {', '.join(by_name)}, all, list")
    status = 0
    no_pictures = pictures.library() is None
    if no_pictures and not parsed.quiet:  # before the hours that it may take
        print(NO_PICTURES, file=sys.stderr)
    for figure in FIGURES if parsed.figure == "all" else [by_name[parsed.figure]]:
        try:
            paths = make(figure, _options(figure, parsed), parsed.out, parsed.quiet, given)
            print(f"{figure.name}: {' '.join(paths)}")
        except (ValueError, OSError, ImportError, errors.PrepackError) as error:
            print(f"libprepack.paper: {figure.name}: {error}", file=sys.stderr)
            status = 1
        except KeyboardInterrupt:
            print(f"libprepack.paper: {figure.name}: interrupted", file=sys.stderr)
            return 130
    if no_pictures and parsed.quiet and not status:
        print(NO_PICTURES, file=sys.stderr)
    return status
