#!/usr/bin/env python3
"""The rivals of tests/gpu/run.sh, on the same GPU in the same run.

usage: gpu_rivals.py attention  --lengths FILE
       gpu_rivals.py checkpoint --lengths FILE --dir FOLDER
       gpu_rivals.py models     --dir FOLDER [--logits FILE]

attention: torch's attention functions over the same lengths as bench_device_attention.
checkpoint: writes a random model of the shape "llama1b" and prompts of those lengths.
models: transformers on that checkpoint, and whether libprepack's logits (f32 [prompts, vocab]) are as
close to f32 as transformers' own. --device cpu --tiny shows that the programs work."""
import argparse
import sys

import torch


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("attention", "checkpoint", "models"))
    parser.add_argument("--lengths")
    parser.add_argument("--dir")
    parser.add_argument("--logits")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no GPU")
    print(f"# torch {torch.__version__}" +
          (f", {torch.cuda.get_device_name()}" if args.device == "cuda" else ""), flush=True)
    lengths = []
    if args.lengths:
        with open(args.lengths, encoding="ascii") as file:
            lengths = [int(line) for line in file]
    if args.tiny:
        lengths = [min(n, 40) for n in lengths[:12]]
    if args.what == "attention":
        import rival_attention
        good = rival_attention.run(args.device, lengths, args.tiny, args.quick)
    else:
        import rival_transformers
        if args.what == "checkpoint":
            rival_transformers.checkpoint(args.dir, args.device, lengths, args.tiny)
            good = True
        else:
            good = rival_transformers.run(args.dir, args.device, args.logits, args.tiny, args.quick)
    sys.exit(0 if good else 1)


main()
