#!/usr/bin/env python3
"""Text to ids: libprepack-tokenizer against PyPI tokenizers on the same tokenizer.json, the same texts, one
thread each, in turns in one process. Three figures a file: many short texts in one call, one long text,
opening the file. Each side is called with what it takes without a copy, made beforehand: an array of slices
here, a list of str there, of which encode_batch_fast keeps no offsets. What a call returns is dropped outside
the time; both give [CLS], BOS and the like. Both remember words between calls, so that the first run counts
for nothing.

usage: tokenizer_speed.py LIBPREPACK-TOKENIZER.SO PROMPTS TOKENIZER.JSON... [--runs N] [--megabytes N]
PROMPTS holds a text a line. Needs PyPI tokenizers; without it it says so and ends with status 0. Ends with
status 1 where ids differ."""
import argparse
import ctypes as C
import os
import statistics
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"  # before tokenizers starts its threads
os.environ["TOKENIZERS_PARALLELISM"] = "false"
try:
    import tokenizers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)


class Error(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("code", C.c_int32), ("native_code", C.c_int32),
                ("index", C.c_int64), ("message", C.c_char * 488)]


class Text(C.Structure):
    _fields_ = [("bytes", C.c_char_p), ("n_bytes", C.c_size_t)]


class EncodeParams(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("special", C.c_int32), ("no_edges", C.c_int32),
                ("offsets", C.c_int32), ("n_threads", C.c_int32)]


class Encoded(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("n", C.c_int64), ("ids", C.POINTER(C.c_int32)),
                ("offsets", C.c_void_p)]


class Ours:
    """libprepack-tokenizer through its C interface."""
    name = "libprepack"

    def __init__(self, library):
        self.lib = C.CDLL(library)
        self.err = Error(C.sizeof(Error))
        self.params = EncodeParams()
        self.lib.pp_encode_params_init(C.byref(self.params), C.c_size_t(C.sizeof(EncodeParams)))
        self.params.n_threads = 1

    def call(self, name, *args):
        if getattr(self.lib, name)(*args, C.byref(self.err)) < 0:
            sys.exit(f"{name}: {self.err.message.decode()}")

    def open(self, path):
        tokenizer = C.c_void_p()
        self.call("pp_tokenizer_open", path.encode(), None, C.byref(tokenizer))
        return tokenizer

    def close(self, tokenizer):
        self.lib.pp_tokenizer_destroy(tokenizer)

    def prepare(self, texts):
        encoded = [text.encode() for text in texts]
        return (Text * len(texts))(*[Text(b, len(b)) for b in encoded])

    def encode(self, tokenizer, texts):
        encoding = C.c_void_p()
        self.call("pp_tokenizer_encode", tokenizer, texts, C.c_int64(len(texts)),
                  C.byref(self.params), C.byref(encoding))
        return encoding

    def ids(self, encoding, n):
        out, encoded = [], Encoded(C.sizeof(Encoded))
        for i in range(n):
            self.call("pp_encoding_get", encoding, C.c_int64(i), C.byref(encoded))
            out.append(encoded.ids[:encoded.n] if encoded.n else [])
        return out

    def drop(self, encoding):
        self.lib.pp_encoding_destroy(encoding)


class Theirs:
    """PyPI tokenizers."""
    name = f"tokenizers {tokenizers.__version__}"

    def open(self, path):
        return tokenizers.Tokenizer.from_file(path)

    def prepare(self, texts):
        return texts

    def encode(self, tokenizer, texts):
        fast = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
        return fast(texts)

    def ids(self, encoding, n):
        return [e.ids for e in encoding]

    def close(self, tokenizer):
        del tokenizer

    drop = close


def in_turns(sides, runs, work, drop):
    """Seconds of each side, run by run; who is first alternates, and the first run is not counted."""
    seconds = {side: [] for side in sides}
    for run in range(runs + 1):
        for side in sides if run % 2 else reversed(sides):
            began = time.perf_counter()
            result = work(side)
            spent = time.perf_counter() - began
            drop(side, result)
            del result  # what Python frees, it frees here
            if run:
                seconds[side].append(spent)
    return seconds


def report(what, n_bytes, seconds):
    """Medians and the ratio of them in pairs: how many times as fast libprepack is."""
    ours, theirs = seconds.values()
    ratios = [t / o for o, t in zip(ours, theirs)]
    parts = []
    for side, values in seconds.items():
        middle = statistics.median(values)
        rate = f" ({n_bytes / 1e6 / middle:.1f} MB/s)" if n_bytes else ""
        parts.append(f"{side.name} {middle * 1e3:.2f} ms{rate}")
    print(f"  {what:28s} {', '.join(parts)}: {statistics.median(ratios):.2f} times as fast "
          f"({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} pairs)")


def encode(sides, opened, what, texts, runs):
    """Times the encoding of texts; returns how many of them have other ids."""
    prepared = {side: side.prepare(texts) for side in sides}
    ids = {}
    for side in sides:
        result = side.encode(opened[side], prepared[side])
        ids[side] = side.ids(result, len(texts))
        side.drop(result)
    seconds = in_turns(sides, runs, lambda s: s.encode(opened[s], prepared[s]),
                       lambda s, result: s.drop(result))
    report(what, sum(len(text.encode()) for text in texts), seconds)
    counts = [sum(map(len, ids[side])) for side in sides]
    other = sum(a != b for a, b in zip(*ids.values()))
    print(f"  {'':28s} {counts[0]} and {counts[1]} ids; {other} of {len(texts)} texts differ")
    return other


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("prompts")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--megabytes", type=float, default=10)
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs is at least 1")
    with open(args.prompts, encoding="utf-8", newline="\n") as lines:
        prompts = [line.rstrip("\n") for line in lines if line.strip()]
    if not prompts:
        parser.error(f"{args.prompts} holds no text")
    joined = "\n".join(prompts) + "\n"
    size = len(joined.encode())
    wanted = int(args.megabytes * 1e6)
    long = (joined * (wanted // size + 1)).encode()[:wanted].decode(errors="ignore")
    sides = [Ours(args.library), Theirs()]
    other = 0
    for path in args.files:
        print(path)
        seconds = in_turns(sides, args.runs, lambda s: s.open(path), lambda s, t: s.close(t))
        report("opening", 0, seconds)
        opened = {side: side.open(path) for side in sides}
        other += encode(sides, opened, f"{len(prompts)} texts", prompts, args.runs)
        other += encode(sides, opened, f"one text of {len(long.encode()) / 1e6:.1f} MB", [long],
                        args.runs)
        for side, tokenizer in opened.items():
            side.close(tokenizer)
    sys.exit(other > 0)


main()
