#!/usr/bin/env python3
"""Log-probabilities of continuations: libprepack against transformers on the same random checkpoint, in turns.

usage: rival_scores.py LIBPREPACK.SO FILE [--shape 15m|110m|llama1b] [--vocab N] [--threads N] [--rounds N]
                       [--folder DIR] [--trial N] [--first N] [--each]

FILE: JSON lines {"context": [ids], "continuations": [[ids], ...]}. transformers gets every help that its users can
give it: contexts of one-token continuations go through once, batches are sorted by length, logits are computed for the
rows that are needed alone, and of several batch sizes the fastest on a part of the file counts. --each: transformers
scores each continuation by itself. --first: so many lines of the file.
Needs torch and transformers; without them it says so and stops."""
import argparse
import json
import os
import statistics
import sys
import tempfile
import time

try:
    import numpy as np
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging
    import rival_prepack
    from rival_world import SHAPES
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

BATCHES = (1, 2, 4, 8, 16, 32)


def read_questions(path):
    with open(path, encoding="utf-8") as file:
        return [(line["context"], line["continuations"]) for line in map(json.loads, file)]


def make_checkpoint(args, folder):
    path = os.path.join(folder, f"{args.shape}-{args.vocab}")
    if os.path.exists(os.path.join(path, "config.json")):
        return path
    torch.manual_seed(41)
    torch.set_default_dtype(torch.bfloat16)
    config = LlamaConfig(vocab_size=args.vocab, max_position_embeddings=4096, tie_word_embeddings=False,
                         dtype=torch.bfloat16, **SHAPES[args.shape])
    LlamaForCausalLM(config).save_pretrained(path)
    torch.set_default_dtype(torch.float32)
    return path


class Prepack:
    """One call for all: contexts are shared, and what several of them begin with."""

    def __init__(self, args, checkpoint):
        self.session = rival_prepack.package(args.library).Session(checkpoint, threads=args.threads, log=False)

    def score(self, questions):
        pairs = [(np.array(context + continuation, np.int32), len(context)) for context, all_of in questions
                 for continuation in all_of]
        began = time.perf_counter()
        scores = self.session.score_tokens(pairs)
        return time.perf_counter() - began, [score.logprob for score in scores]


class Transformers:
    def __init__(self, args, checkpoint):
        torch.set_num_threads(args.threads)
        self.model = LlamaForCausalLM.from_pretrained(checkpoint, dtype=torch.bfloat16).eval()
        self.batch, self.each = 1, args.each

    def forward(self, rows):
        """Log-probabilities behind each row of ids, left-padded; rows: (ids, first row that is needed)."""
        longest, keep = max(len(ids) for ids, _ in rows), max(len(ids) - first for ids, first in rows)
        padded = torch.tensor([[0] * (longest - len(ids)) + ids for ids, _ in rows])
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids, _ in rows])
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        with torch.inference_mode():
            out = self.model(padded, attention_mask=mask, position_ids=positions, use_cache=False,
                             logits_to_keep=keep)
            return torch.log_softmax(out.logits.float(), -1)

    def score(self, questions):
        began = time.perf_counter()
        work = []  # ids, first needed row, [(place of the result, continuation)]
        n = 0
        for context, all_of in questions:
            if not self.each and all(len(one) == 1 for one in all_of):
                work.append((context, len(context) - 1, [(n + i, one) for i, one in enumerate(all_of)]))
            else:
                work += [(context + one[:-1], len(context) - 1, [(n + i, one)]) for i, one in enumerate(all_of)]
            n += len(all_of)
        work.sort(key=lambda row: len(row[0]))
        results = [0.0] * n
        for first in range(0, len(work), self.batch):
            batch = work[first:first + self.batch]
            logprobs = self.forward([(ids, needed) for ids, needed, _ in batch])
            for row, (ids, needed, wanted) in zip(logprobs, batch, strict=True):
                behind = row[-(len(ids) - needed):]
                for place, continuation in wanted:
                    results[place] = sum(behind[i, token].item() for i, token in enumerate(continuation))
        return time.perf_counter() - began, results

    def choose(self, questions):
        tried = {}
        for self.batch in BATCHES:
            self.score(questions[:2])
            tried[self.batch] = self.score(questions)[0]
            print(f"  transformers, batches of {self.batch}: {tried[self.batch]:.2f} s for {len(questions)}", flush=True)
        self.batch = min(tried, key=tried.get)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("library")
    parser.add_argument("file")
    parser.add_argument("--shape", choices=SHAPES, default="110m")
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trial", type=int, default=32)
    parser.add_argument("--folder")
    parser.add_argument("--first", type=int)
    parser.add_argument("--each", action="store_true")
    args = parser.parse_args()
    logging.disable_progress_bar()
    questions = read_questions(args.file)[:args.first]
    with tempfile.TemporaryDirectory() as own:
        checkpoint = make_checkpoint(args, args.folder or own)
        ours, theirs = Prepack(args, checkpoint), Transformers(args, checkpoint)
        theirs.choose(questions[::max(1, len(questions) // args.trial)])
        seconds = {ours: [], theirs: []}
        for turn in range(args.rounds + 1):
            results = {}
            for way, spent in seconds.items():
                some = questions if turn else questions[:4]
                took, results[way] = way.score(some)
                if turn:
                    spent.append(took)
                    print(f"round {turn}: {type(way).__name__} {took:.2f} s", flush=True)
        off = max(abs(a - b) for a, b in zip(results[ours], results[theirs], strict=True))
    tokens = sum(len(context) + sum(map(len, all_of)) for context, all_of in questions)
    mine, other = (statistics.median(seconds[way]) for way in (ours, theirs))
    print(f"{args.shape}, vocabulary {args.vocab}, {len(questions)} questions of {tokens} tokens: libprepack "
          f"{mine:.2f} s, transformers in batches of {theirs.batch} {other:.2f} s: {other / mine:.1f}x; "
          f"log-probabilities differ by {off:.1e} at most")


if __name__ == "__main__":
    main()
