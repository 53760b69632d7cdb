#!/usr/bin/env python3
"""A linear layer of Qwen3.5-4B's shape, without its MLP: bench_linear against the layer of transformers in torch.

usage: linear_layer.py BENCH_LINEAR [--threads N] [--rounds N]
Rounds in turns; the best of each counts, since other work on the machine only adds. One thread is timed by its own CPU
time, in both. Ends with status 0 and a
sentence where a package is missing."""
import argparse
import subprocess
import sys
import time

try:
    import torch
    from transformers.models.qwen3_next.configuration_qwen3_next import Qwen3NextConfig
    from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextGatedDeltaNet
except ImportError as missing:
    print(f"1..0 # SKIP {missing}; install torch, transformers")
    sys.exit(0)

TOKENS = 1024  # the longest prompt of bench_linear


def ours(program, threads, times):
    """Times of the whole layer and of the operation, by dtype, in ns a token."""
    done = subprocess.run([program, str(threads), "", "0.5"], capture_output=True, text=True, check=True)
    dtype = None
    for line in done.stdout.splitlines():
        if line.startswith("cpu:"):
            dtype = line.split(", ")[1]
        words = line.split()
        if words[:2] == [str(TOKENS), str(TOKENS)]:
            projection, output, linear = map(float, words[2:5])
            keep(times, f"prepack {dtype}: layer", projection + output + linear)
            keep(times, f"prepack {dtype}: of that, beside products", linear)


def theirs(layer, x, clock):
    with torch.inference_mode():
        began = clock()
        layer(x)
    return (clock() - began) * 1e9 / x.shape[1]


def keep(times, label, nanoseconds):
    times[label] = min(nanoseconds, times.get(label, nanoseconds))


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    torch.manual_seed(1)
    layers = {}
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        config = Qwen3NextConfig(hidden_size=2560, linear_num_key_heads=16, linear_num_value_heads=32,
                                 linear_key_head_dim=128, linear_value_head_dim=128, linear_conv_kernel_dim=4)
        layers[name] = Qwen3NextGatedDeltaNet(config, 0).to(dtype).eval(), torch.randn(1, TOKENS, 2560).to(dtype)
    times = {}
    for _ in range(options.rounds):
        ours(options.program, options.threads, times)
        for name, (layer, x) in layers.items():
            for _ in range(2):
                keep(times, f"transformers {name}: layer", theirs(layer, x, clock))
    for label, nanoseconds in sorted(times.items()):
        print(f"# {label:42} {nanoseconds:10.0f} ns a token")
    for name in layers:
        ratio = times[f"transformers {name}: layer"] / times[f"prepack {name}: layer"]
        print(f"# {name}: {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
