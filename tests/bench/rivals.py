#!/usr/bin/env python3
"""Prefill of prompts: libprepack against transformers, llama.cpp, ik_llama.cpp, CTranslate2 and OpenVINO on the same
random checkpoint, the same prompts and the same threads. Each rival is tried in several settings on a few of the
prompts, and runs in the best of them; then all run in turns, and medians count.

usage: rivals.py LIBPREPACK.SO (LENGTHS_FILE | --equal N,LEN) [--shape 15m|110m|llama1b] [--threads N] [--rounds N]
                 [--rivals NAMES] [--formats NAMES] [--only WORDS] [--ik BUILD_DIR] [--folder DIR] [--trial N]
                 [--prepare]
--equal 1,512: one prompt of 512 tokens. --rivals and --formats: names with commas. --only: groups that contain one of
these words, such as int8,q8_0. --folder keeps converted files there for the next run; without it they are deleted.
--prepare: makes those files and measures nothing.
Needs torch and transformers; what else is missing is said and left out."""
import argparse
import importlib
import statistics
import sys
import tempfile

try:
    import rival_prepack
    from rival_world import SHAPES, World
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

RIVALS = {"transformers": "rival_torch", "llama.cpp": "rival_llamacpp", "ik": "rival_ik",
          "ctranslate2": "rival_ctranslate2", "openvino": "rival_openvino"}


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("library")
    parser.add_argument("lengths", nargs="?")
    parser.add_argument("--equal")
    parser.add_argument("--shape", choices=SHAPES, default="110m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trial", type=int, default=16)
    parser.add_argument("--rivals", default=",".join(RIVALS))
    parser.add_argument("--formats", default=",".join(rival_prepack.FORMATS))
    parser.add_argument("--only")
    parser.add_argument("--ik")
    parser.add_argument("--folder")
    parser.add_argument("--prepare", action="store_true")
    args = parser.parse_args()
    unknown = set(args.rivals.split(",")) - set(RIVALS) - {""}
    unknown |= set(args.formats.split(",")) - set(rival_prepack.FORMATS)
    if unknown:
        parser.error(f"{', '.join(unknown)}: rivals are {', '.join(RIVALS)}, formats "
                     f"{', '.join(rival_prepack.FORMATS)}")
    if (args.lengths is None) == (args.equal is None):
        parser.error("either a file of lengths or --equal N,LEN")
    return args


def all_ways(args, world):
    """Groups of ways, ours first."""
    ways = list(rival_prepack.ways(world, args.library, args.formats.split(",")))
    for name in filter(None, args.rivals.split(",")):
        if name == "ik" and not args.ik:
            print("without ik_llama.cpp: its build is named by --ik")
            continue
        try:
            module = importlib.import_module(RIVALS[name])
        except ImportError as missing:
            print(f"without {name}: {missing}")
            continue
        ways += module.ways(world, args.ik) if name == "ik" else module.ways(world)
    words = args.only.split(",") if args.only else [""]
    groups = {}
    for way in ways:
        if any(word.lower() in way.group.lower() for word in words):
            groups.setdefault(way.group, []).append(way)
    return groups


def try_way(way, prompts):
    """Seconds for the prompts, the second time; None where it cannot be had."""
    try:
        opened = way.open()
        try:
            opened.prefill(prompts)
            return opened.prefill(prompts)[0]
        finally:
            opened.close()
    except RuntimeError as error:
        print(f"  {way.group}, {way.label}: left out: {str(error).strip().splitlines()[-1]}", flush=True)
        return None


def best_way(world, ways):
    if len(ways) == 1:
        return ways[0]
    tokens = sum(map(len, world.trial))
    tried = {}
    for way in ways:
        seconds = try_way(way, world.trial)
        if seconds:
            tried[way] = seconds
            print(f"  {way.group}, {way.label}: {tokens / seconds:.0f} tokens/s", flush=True)
    return min(tried, key=tried.get) if tried else None


def prepare(ways):
    try:
        ways[0].open().close()
        print(f"{ways[0].group}: its files are there", flush=True)
    except RuntimeError as error:
        print(f"{ways[0].group}: left out: {error}", flush=True)


def in_turns(world, chosen, rounds):
    """Seconds of each round, and logits; the first round warms up."""
    opened, seconds, logits = {}, {}, {}
    for way in chosen:
        try:
            opened[way] = way.open()
        except RuntimeError as error:
            print(f"  {way.group}: left out: {error}")
    for turn in range(rounds + 1):
        for way, runner in opened.items():
            spent, logits[way] = runner.prefill(world.prompts)
            if turn:
                seconds.setdefault(way, []).append(spent)
    for runner in opened.values():
        runner.close()
    return seconds, logits


def report(world, seconds, logits):
    tokens = sum(world.lengths)
    print(f"\n{world.shape}, {world.threads} threads, {len(world.prompts)} prompts of {tokens} tokens "
          f"(longest {max(world.lengths)}), medians of {len(next(iter(seconds.values())))} rounds in turns")
    medians = {way: statistics.median(spent) for way, spent in seconds.items()}
    ours = {way: m for way, m in medians.items() if way.group.startswith("libprepack")}
    reference = logits[next((way for way in medians if "transformers bf16" in way.group), next(iter(medians)))]
    names = [way.group.split()[1] for way in ours]
    print(f"{'':70} {'tokens/s':>9} {'spread':>15} {'logits off':>10}  times as fast: "
          f"{' '.join(f'{name:>6}' for name in names)}")
    for way, median in medians.items():
        off = ((logits[way] - reference).abs().max() / reference.abs().max()).item()
        ratios = " ".join(f"{median / mine:6.2f}" for mine in ours.values())
        spread = f"{tokens / max(seconds[way]):.0f}-{tokens / min(seconds[way]):.0f}"
        print(f"{way.group + ', ' + way.label:70} {tokens / median:9.0f} {spread:>15} {off:10.1e}  {'':14} {ratios}")


def run(args, folder):
    world = World(args, folder)
    chosen = []
    for ways in all_ways(args, world).values():
        if args.prepare:
            prepare(ways)
            continue
        way = best_way(world, ways)
        if way:
            chosen.append(way)
    if args.prepare:
        return
    seconds, logits = in_turns(world, chosen, args.rounds)
    if not seconds:
        sys.exit("nothing could be measured")
    report(world, seconds, logits)


def main():
    args = arguments()
    if args.folder:
        run(args, args.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(args, folder)


main()
