"""prepack bench: its figures, its sizes, the lengths it draws."""

import math

from harness import long

FIGURE_KEYS = {
    "gemm": ["name", "n", "k", "rows", "seconds", "flop", "bytes", "percent_of_roof", "limit",
             "guarded_seconds", "unguarded_seconds", "own_seconds", "guard_percent", "weights"],
    "attention": ["name", "lengths", "kernel", "least_tokens", "most_tokens", "tokens", "prompts",
                  "rows", "seconds", "flop", "bytes", "percent_of_roof", "limit", "warm_seconds",
                  "warm_percent_of_roof"],
    "rows": ["name", "rows", "seconds", "flop", "bytes", "percent_of_roof", "limit"],
}
CODES = ("int8", "int4", "nf4")


def check_figures(report):
    """Keys, and that shares follow from times and roofs."""
    roofs = report["roofs"]
    integers = any(f["weights"] in CODES for f in report["gemm"])
    assert roofs["flop_per_second"] > 1e6 and roofs["bytes_per_second"] > 1e6
    assert integers == (roofs["integer_flop_per_second"] is not None), roofs
    for bench, keys in FIGURE_KEYS.items():
        for figure in report[bench]:
            assert list(figure) == keys, (bench, list(figure))
            roof = "integer_flop_per_second" if figure.get("weights") in CODES else "flop_per_second"
            compute = figure["flop"] / (roofs[roof] or 1)
            memory = figure["bytes"] / roofs["bytes_per_second"]
            share = 100 * max(compute, memory) / figure["seconds"]
            assert abs(figure["percent_of_roof"] / share - 1) < 1e-6, figure
            assert figure["limit"] == ("compute" if compute > memory else "memory")
            if bench == "attention":
                share = 100 * max(compute, memory) / figure["warm_seconds"]
                assert abs(figure["warm_percent_of_roof"] / share - 1) < 1e-6, figure


def bench_figures(program):
    """bench prints each operation at each size, with its share of the roofs"""
    args = ["--model", "tiny", "--num-runs", 1, "--threads", 2]
    report, text = program.json("bench", "all", *args, "--rows", "1,70", "--lengths", "9,20-40")
    check_figures(report)
    gemm = report["gemm"]
    names = ["qkv", "o", "gate_up", "down", "lm_head"]
    assert [(f["name"], f["rows"]) for f in gemm] == [(n, r) for r in (1, 70) for n in names]
    for f in gemm:
        assert f["flop"] == 2 * f["n"] * f["k"] * f["rows"]
        assert f["guard_percent"] is None and f["own_seconds"] is None
        assert report["roofs"]["flop_per_second"] >= 0.999999 * f["flop"] / f["seconds"]
    assert "guard %" not in text
    prefill, mixed, decode, _ = report["attention"]
    most = report["max_pass_tokens"]
    assert (prefill["prompts"], prefill["rows"]) == (most // 9, most // 9 * 9), prefill
    assert (mixed["least_tokens"], mixed["most_tokens"]) == (20, 40)
    assert most - 40 < mixed["rows"] <= most and most // 40 < mixed["prompts"] < most // 20
    assert (decode["name"], decode["prompts"], decode["rows"]) == ("decode", 64, 64)
    rows = [(f["name"], f["rows"]) for f in report["rows"]]
    assert rows == [(n, r) for n in ("embed", "rmsnorm", "rope_kv", "gather") for r in (1, 70)] + \
        [("sample", 1), ("sample", 64)]
    for part in ("% of roof", "20-40", "roofs", "copying", "median of 1"):
        assert part in text, part


def bench_mixed(program):
    """bench leaves out what no layer of a model has, and measures experts and linear layers"""
    args = ["bench", "all", "--num-runs", 1, "--threads", 2, "--rows", "1,70", "--lengths", "9"]
    for model, products, more in (("tiny-moe", ["qkv", "o", "lm_head"], ["route", "experts"]),
                                  ("tiny-linear", ["qkv", "o", "gate_up", "down", "lm_head"], ["linear"])):
        report, text = program.json(*args, "--model", model)
        check_figures(report)
        assert [f["name"] for f in report["gemm"] if f["rows"] == 1] == products
        for f in report["gemm"]:
            assert f["flop"] == 2 * f["n"] * f["k"] * f["rows"]
        rows = [(f["name"], f["rows"]) for f in report["rows"] if f["flop"] > 0]
        assert rows == [(name, n) for name in more for n in (1, 70)], rows
        assert all(name in text for name in more), text


def bench_formats(program):
    """bench gemm compares formats of weights, each against the roof of its kind"""
    args = ["bench", "gemm", "--model", "tiny", "--num-runs", 1, "--threads", 2, "--rows", "2"]
    report, text = program.json(*args, "--formats", "all")
    check_figures(report)
    assert [f["weights"] for f in report["gemm"]] == [w for w in ("bf16", *CODES) for _ in range(5)]
    by_name = {}
    for f in report["gemm"]:
        by_name.setdefault(f["name"], []).append(f["bytes"])
        assert f["flop"] == 2 * f["n"] * f["k"] * f["rows"]
    for name, (bf16, int8, int4, nf4) in by_name.items():
        assert bf16 > int8 >= int4 >= nf4, (name, bf16, int8, int4, nf4)
    assert "int8, int4, nf4: " in text and "weights" in text, text
    program.refuses(2, "they are: f32, bf16, int8, int4, nf4", *args, "--formats", "bf16,q8")
    program.refuses(2, "--formats is empty", *args, "--formats", "")
    program.refuses(1, "needs dtype f32", *args, "--formats", "f32", "--dtype", "bf16")


@long
def bench_sizes(program):
    """bench chooses sizes that fit, makes passes as large as asked for, and refuses the rest"""
    args = ["--model", "tiny", "--num-runs", 1, "--threads", 2]
    report, text = program.json("bench", "attention", *args)
    check_figures(report)
    assert report["gemm"] == [] and report["rows"] == [] and "product" not in text.split()[0]
    most = report["max_pass_tokens"]
    sizes = [(f["least_tokens"], f["most_tokens"]) for f in report["attention"]]
    assert (100, 500) in sizes and (50, 50) in sizes and len(sizes) == 2 * len(set(sizes))
    assert all(high <= most for _, high in sizes)
    report, _ = program.json("bench", "rows", *args, "--rows", most + 1)
    assert report["max_pass_tokens"] > most and report["rows"][0]["rows"] == most + 1
    report, _ = program.json("bench", "attention", *args, "--lengths", most + 100)
    assert report["attention"][0]["rows"] == most + 100
    program.refuses(1, "4096", "bench", "attention", *args, "--lengths", 4097)
    program.refuses(1, "--model also takes", "bench", "gemm", "--model", "nosuch")
    program.refuses(1, "this session needs", "bench", "gemm", *args, "--memory-limit", "1MB")


def bench_of_a_gpu(program):
    """bench of a GPU prints what the guard of products costs"""
    args = ["bench", "gemm", "--model", "tiny", "--num-runs", 1, "--rows", "3", "--device", "cuda",
            "--dtype", "bf16"]
    report, text = program.json(*args, env=program.with_gpu())
    check_figures(report)
    assert report["device_name"] == "Imaginary GPU"
    for f in report["gemm"]:
        assert abs(f["guarded_seconds"] - 9e-3) < 1e-9
        assert abs(f["unguarded_seconds"] - 6e-3) < 1e-9
        assert abs(f["guard_percent"] - 50) < 1e-6 and f["own_seconds"] == 1
    assert "guard %" in text and "+50.0" in text and "own GFLOP/s" in text, text


MASK = (1 << 64) - 1


class Random:
    """xoshiro256** from splitmix64, as examples/prepack/common/random.h promises."""

    def __init__(self, seed):
        self.x = seed
        self.x = self.split() ^ 0  # the stream
        self.state = [self.split() for _ in range(4)]

    def split(self):
        self.x = (self.x + 0x9e3779b97f4a7c15) & MASK
        z = self.x
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & MASK
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb & MASK
        return z ^ (z >> 31)

    def next(self):
        def rotate(x, bits):
            return (x << bits | x >> (64 - bits)) & MASK
        s = self.state
        result = rotate(s[1] * 5 & MASK, 7) * 9 & MASK
        t = s[1] << 17 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 45)
        return result

    def below(self, n):
        while True:
            x = self.next()
            if x >= (1 << 64) % n:
                return x % n

    def unit(self):
        return (self.next() >> 11) * 2.0 ** -53


def draw(kind, mean, seed, tokens, most_prompts, longest):
    """The lengths that the help describes."""
    random, lengths = Random(seed), []
    while tokens > 0 and len(lengths) < most_prompts:
        if kind == "uniform":
            n = 1 + random.below(2 * mean - 1)
        elif kind == "bimodal":
            n = mean * 11 // 2 if random.below(10) == 0 else (mean + 1) // 2
        else:
            tail = mean / math.sqrt(1 - random.unit()) - mean
            n = min(max(1, int(tail + 0.5)), 64 * mean, longest)
        lengths.append(min(n, tokens))
        tokens -= lengths[-1]
    return lengths


def causal_flop(lengths, heads, head_dim):
    return sum(2 * n * (n + 1) for n in lengths) * heads * head_dim


def check_drawn(figure, lengths):
    """A figure of prefill over these lengths: 4 heads of 16."""
    assert figure["prompts"] == len(lengths), (figure, lengths)
    assert figure["tokens"] == figure["rows"] == sum(lengths), (figure, lengths)
    assert (figure["least_tokens"], figure["most_tokens"]) == (min(lengths), max(lengths))
    assert figure["flop"] == causal_flop(lengths, 4, 16), (figure, lengths)


@long
def bench_lengths(program):
    """bench attention draws the lengths that its help describes, from the seed alone"""
    path = program.file("some.txt", "3\n\n500\n70\n")
    names = ["constant:50", "constant", "uniform:300", "longtail:40", "longtail:9", "bimodal:100",
             "uniform", path]
    args = ["bench", "attention", "--model", "tiny", "--num-runs", 1, "--threads", 2, "--tokens",
            3000, "--lengths", ",".join(names)]
    for seed in (41, 7):
        report, text = program.json(*args, "--seed", seed)
        check_figures(report)
        assert report["max_pass_tokens"] >= 3000
        prefill, decode = report["attention"][:len(names)], report["attention"][len(names):]
        assert [f["lengths"] for f in prefill] == [f["lengths"] for f in decode] == names
        assert {f["name"] for f in prefill} == {"prefill"} and {f["name"] for f in decode} == {"decode"}
        check_drawn(prefill[0], [50] * 60)
        check_drawn(prefill[1], [200] * 15)
        for figure, again in zip(prefill[2:7], decode[2:7]):
            kind, mean = (figure["lengths"] + ":200").split(":")[:2]
            check_drawn(figure, draw(kind, int(mean), seed, 3000, 3000, 3000))
            lengths = draw(kind, int(mean), seed, 6000, 64, 3000)
            assert (again["prompts"], again["rows"]) == (len(lengths), len(lengths))
            assert again["tokens"] == sum(lengths) and again["flop"] == 4 * sum(lengths) * 4 * 16
        check_drawn(prefill[7], [3, 500, 70] * 5 + [3, 132])
        assert "flushed ms" in text and "warm ms" in text and "kernel" not in text
    longest, _ = program.json(*args[:-1], "longtail:4000", "--tokens", 9000)
    assert longest["attention"][0]["most_tokens"] <= 4096  # what tiny takes


@long
def bench_heads(program):
    """--heads and --head-dim change a shape's attention, and nothing else"""
    args = ["bench", "all", "--num-runs", 1, "--threads", 2, "--rows", 5, "--tokens", 5000,
            "--lengths", "5000,7"]
    report, text = program.json(*args, "--model", "tiny", "--heads", "6:2", "--head-dim", 24)
    check_figures(report)
    assert (report["n_heads"], report["n_kv_heads"], report["head_dim"]) == (6, 2, 24)
    assert "6 on 2 kv heads, head_dim 24" in text, text
    first = report["attention"][0]
    assert first["flop"] == causal_flop([5000], 6, 24) and first["bytes"] % 5000 == 0
    shapes = {f["name"]: (f["n"], f["k"]) for f in report["gemm"]}
    assert shapes["qkv"] == ((6 + 2 * 2) * 24, 64) and shapes["o"] == (64, 6 * 24)
    assert shapes["gate_up"] == (2 * 176, 64)
    report, _ = program.json("bench", "attention", "--num-runs", 1, "--lengths", 9, "--model",
                             "tiny", "--heads", 8)
    assert (report["n_heads"], report["n_kv_heads"], report["head_dim"]) == (8, 8, 16)


def bench_refuses(program):
    """bench says what is wrong with lengths and heads"""
    bench = ["bench", "attention", "--model", "tiny"]
    shown = "constant, uniform, longtail and bimodal"
    for lengths in ("gauss", "uniform:", "uniform:0", "uniform:2x", "longtail:1048577", "", "9,",
                    "constant:-1", "none.txt", "9,uniform,9:9"):
        program.refuses(2, shown, *bench, "--lengths", lengths)
    program.refuses(2, "more than 32", *bench, "--lengths", ",".join(["uniform"] * 33))
    program.refuses(1, "line 2 of", *bench, "--lengths", program.file("bad.txt", "3\nx\n"))
    program.refuses(1, "no lengths", *bench, "--lengths", program.file("empty.txt", "\n"))
    program.refuses(1, "1048576", *bench, "--lengths", program.file("long.txt", "1048577\n"))
    for heads in ("", "x", "0", "5:3", "4:8", "4:", "4:0", "1025", "4:2x", "-4", "4:-2"):
        program.refuses(2, "such as 32:8", *bench, "--heads", heads)
    program.refuses(2, "from 2 to 512", *bench, "--head-dim", 1)
    program.refuses(1, "even", *bench, "--head-dim", 3)
    program.refuses(2, "from 1 to 1048576", *bench, "--tokens", 0)
    program.refuses(2, "random weights", "bench", "attention", "--model", "demo", "--heads", "4")


@long
def bench_two_kernels(program):
    """where a GPU has attention kernels of its own, those of every GPU stand beside them"""
    args = ["bench", "all", "--model", "tiny", "--num-runs", 1, "--rows", 3, "--lengths",
            "9,bimodal:30", "--tokens", 200, "--dtype", "bf16"]
    report, text = program.json(*args, "--device", "cuda:1", env=program.with_gpu())
    check_figures(report)
    assert report["device"] == "cuda:1", report["device"]
    order = [(f["name"], f["lengths"], f["kernel"]) for f in report["attention"]]
    assert order == [(name, lengths, kernel) for name in ("prefill", "decode")
                     for lengths in ("9", "bimodal:30") for kernel in ("wgmma", "mma.sync")], order
    for own, every in zip(report["attention"][::2], report["attention"][1::2]):
        assert all(own[key] == every[key] for key in ("prompts", "tokens", "flop", "bytes"))
    assert [f["rows"] for f in report["gemm"]] == [3] * 5
    assert text.count("mma.sync") == 4 and "kernel" in text and "the L2 cache" in text, text
    report, text = program.json(*args, "--device", "cuda:1:mma", env=program.with_gpu())
    assert {f["kernel"] for f in report["attention"]} == {"mma.sync"} and "kernel" not in text


CASES = [bench_figures, bench_mixed, bench_formats, bench_sizes, bench_of_a_gpu, bench_lengths, bench_heads, bench_refuses,
         bench_two_kernels]
