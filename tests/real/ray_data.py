#!/usr/bin/env python3
"""libprepack.ray.Prefill on a local Ray cluster of two workers: order, rows that fail, an actor that is killed, and
the bits of a plain session.

usage: ray_data.py [--model DIR]

PREPACK_LIBRARY and PREPACK_TOKENIZER_LIBRARY name the libraries. Prints TAP; ends with status 0 and a sentence where
Ray is missing. Outside the suite: it needs ray[data]. Ray's processes listen on every address there is: they get a
network of their own, which has none but 127.0.0.1; where the system allows no such thing the script skips."""
import argparse
import ctypes
import fcntl
import logging
import os
import signal
import socket
import struct
import sys
import tempfile

import numpy as np

PYTHON = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "examples", "python"))
sys.path.insert(0, PYTHON)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [PYTHON, os.environ.get("PYTHONPATH")]))
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_DATA_DISABLE_PROGRESS_BARS="1", RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")
try:
    import ray
    import ray.data
except ImportError as missing:
    print(f"1..0 # SKIP {missing}; install ray[data]")
    sys.exit(0)

import libprepack
from libprepack.ray import Prefill, keep_order

WORDS = "the old man and sea 1 + 2 = 3 capital of France is once upon a time".split()
results = []


def report(name, problems):
    problems = list(problems)
    results.append(not problems)
    print("ok" if not problems else "not ok", len(results), "-", name, flush=True)
    for problem in problems[:10]:
        print("#", problem, flush=True)


def enter_own_network():
    """A network namespace with the loopback device alone. False where that is not allowed."""
    new_user, new_net, get_flags, set_flags, up = 0x10000000, 0x40000000, 0x8913, 0x8914, 1
    libc = ctypes.CDLL(None)
    if libc.unshare(new_net) and libc.unshare(new_user | new_net):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, get_flags, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", request)[1]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", flags | up))
    return True


def make_prompts(n):
    """Texts of many lengths, some of which begin alike."""
    shared = " ".join(WORDS[i * 7 % len(WORDS)] for i in range(60))
    ends = [" ".join(WORDS[(i * 5 + j * j) % len(WORDS)] for j in range(1 + i * 13 % 90)) for i in range(n)]
    return [(shared if i % 3 == 0 else "") + end for i, end in enumerate(ends)]


class Dying(Prefill):
    """Kills its process when it sees a row for the first time, in the middle of the work."""

    def __init__(self, *args, row, marker, **options):
        super().__init__(*args, **options)
        self.row, self.marker = row, marker

    def __call__(self, batch):
        if self.row in batch["id"] and not os.path.exists(self.marker):
            with open(self.marker, "w", encoding="utf-8"):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


def run(rows, kind=Prefill, batch_size=7, n_blocks=5, **arguments):
    """The rows that come out, in their order."""
    dataset = keep_order(ray.data.from_items(rows, override_num_blocks=n_blocks))
    return dataset.map_batches(kind, fn_constructor_kwargs=dict(arguments, dtype="f32"), batch_size=batch_size,
                               compute=ray.data.ActorPoolStrategy(size=2)).take_all()


def misplaced(found, rows):
    if [row["id"] for row in found] != [row["id"] for row in rows]:
        yield f"rows come as {[row['id'] for row in found][:20]}"


def check_logits(model, session, prompts):
    rows = [{"id": i, "prompt": prompt} for i, prompt in enumerate(prompts)]
    found = run(rows, model=model)
    yield from misplaced(found, rows)
    for row, prompt in zip(found, prompts):
        [alone] = session.prefill([prompt])
        logits = np.asarray(row["logits"])
        if row["error"] or logits.dtype != np.float32 or not np.array_equal(logits, alone.logits):
            yield f"row {row['id']}: other bits than alone ({row['error']})"


def check_killed(model, session, prompts, folder):
    rows = [{"id": i, "prompt": prompt} for i, prompt in enumerate(prompts)]
    marker = os.path.join(folder, "killed")
    found = run(rows, Dying, model=model, row=len(rows) // 2, marker=marker)
    if not os.path.exists(marker):
        yield "no actor was killed"
    yield from misplaced(found, rows)
    for row, prompt in zip(found, prompts):
        if not np.array_equal(row["logits"], session.prefill([prompt])[0].logits):
            yield f"row {row['id']}: other bits than alone"


def check_failing(model, session):
    n_most, n_ids = session.model.config.max_position, session.model.config.vocab_size
    ids = [[5, 6, 7], [8], [], [n_ids], list(range(9)) * (n_most // 9 + 2), [1, 2]]
    wanted = ["", "", "has no tokens", "is outside", "the model has positions for", ""]
    rows = [{"id": i, "tokens": np.array(each, np.int64)} for i, each in enumerate(ids)]
    found = run(rows, model=model, column="tokens", into="last", batch_size=None, n_blocks=1)
    for row, each, words in zip(found, ids, wanted, strict=True):
        if (words not in row["error"]) or bool(words) != bool(row["error"]):
            yield f"row {row['id']}: {row['error']!r}, wanted {words!r}"
        if not words and not np.array_equal(row["last"], session.prefill([each])[0].logits):
            yield f"row {row['id']}: other bits than alone"
        if words and not np.isnan(row["last"]).all():
            yield f"row {row['id']}: a result in spite of {row['error']!r}"
    texts = [{"id": 0, "prompt": "a text"}, {"id": 1, "prompt": ""}, {"id": 2, "prompt": None}]
    errors = [bool(row["error"]) for row in run(texts, model=model, batch_size=None, n_blocks=1)]
    if errors != [False, True, True]:
        yield f"texts: {errors}"
    numbers = run([{"id": 0, "prompt": 3}, {"id": 1, "prompt": 4}], model=model, output="generate")
    if not all(row["error"] and row["generate"] == "" for row in numbers):
        yield f"numbers: {numbers}"


def check_outputs(model, session, prompts, folder):
    continuations = [" " + WORDS[i % len(WORDS)] for i in range(len(prompts))]
    rows = [{"id": i, "prompt": prompt, "continuation": rest}
            for i, (prompt, rest) in enumerate(zip(prompts, continuations, strict=True))]
    scored = run(rows, model=model, output="score")
    for row, expected in zip(scored, session.score(prompts, continuations), strict=True):
        if row["score"] != expected.logprob or row["is_greedy"] != expected.is_greedy:
            yield f"score {row['id']}: {row['score']}, alone {expected.logprob}"
    for row, expected in zip(run(rows, model=model, output="logprobs"), session.logprobs(prompts), strict=True):
        if not np.array_equal(row["logprobs"], expected.logprobs, equal_nan=True):
            yield f"logprobs {row['id']}: other bits than alone"
    for row, expected in zip(run(rows, model=model, output="embed", pooling="mean"),
                             session.embed(prompts, pooling="mean"), strict=True):
        if not np.array_equal(row["embed"], expected):
            yield f"embed {row['id']}: other bits than alone"
    for row, expected in zip(run(rows, model=model, output="generate", max_new_tokens=5),
                             session.generate(prompts, max_new_tokens=5), strict=True):
        if (row["generate"], row["finish_reason"]) != (expected.text, expected.finish_reason):
            yield f"generate {row['id']}: {row['generate']!r}, alone {expected.text!r}"
    drawn = [run(rows, model=model, output="generate", temperature=1.0, max_new_tokens=5, batch_size=size)
             for size in (3, 16)]
    if [row["generate"] for row in drawn[0]] != [row["generate"] for row in drawn[1]]:
        yield "what is drawn depends on the batch"
    for row, prompt in zip(run(rows, model=model, output="caches", folder=folder), prompts, strict=True):
        cache, [alone] = session.load_cache(row["caches"]), session.prefill([prompt], logits="none")
        if len(cache) != len(alone.cache) or any(not np.array_equal(cache.keys(layer), alone.cache.keys(layer))
                                                 for layer in range(session.model.config.n_layers)):
            yield f"cache {row['id']}: other bits than alone"


def check_refusals(model):
    for arguments, words in ((dict(output="tokens"), "output is 'tokens'"),
                             (dict(pooling="mean"), "no option 'pooling'"), (dict(output="caches"), "give `folder`")):
        try:
            Prefill(model, **arguments)
            yield f"{arguments} is not refused"
        except ValueError as error:
            if words not in str(error):
                yield f"{arguments}: {error}"
    try:
        Prefill(model)({"text": np.array(["a"], object)})
        yield "a missing column is not refused"
    except KeyError as error:
        if "no column 'prompt'" not in str(error):
            yield str(error)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("--model", default=os.path.join(PYTHON, "..", "demo-model"))
    model = os.path.abspath(parser.parse_args().model)
    if not enter_own_network():
        print("1..0 # SKIP no network of its own is allowed here, and Ray listens on every address")
        return 0
    report("what is unknown is refused", check_refusals(model))
    ray.init(num_cpus=2, object_store_memory=128 << 20, include_dashboard=False, _node_ip_address="127.0.0.1",
             logging_level=logging.ERROR, log_to_driver=False)
    try:
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        session = libprepack.Session(model, dtype="f32")
        prompts = make_prompts(40)
        with tempfile.TemporaryDirectory() as folder:
            report("rows keep their order and have the bits of a plain session", check_logits(model, session, prompts))
            report("a killed actor's rows are computed again, to the same bits",
                   check_killed(model, session, prompts, folder))
            report("a row that fails says so and leaves the others alone", check_failing(model, session))
            report("scores, vectors, text and caches are a plain session's",
                   check_outputs(model, session, prompts[:20], os.path.join(folder, "caches")))
    finally:
        ray.shutdown()
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
