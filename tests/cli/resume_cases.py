"""`prepack score --out`: data that is refused, runs that are stopped, and runs that go on."""

import json
import os
import random
import signal
import subprocess
import time

from harness import long, TIMEOUT
from score_cases import read_lines

N_ITEMS = 60


def questions(n=N_ITEMS):
    draws = random.Random(7)
    return [{"context": [1] + [draws.randrange(3, 1000) for _ in range(draws.randrange(1, 24))],
             "continuations": [[draws.randrange(3, 1000) for _ in range(draws.randrange(1, 5))] for _ in range(3)],
             "answer": i % 3} for i in range(n)]


def command(program, name, *more, data=None):
    """The words of a run that writes `name`."""
    path = os.path.join(program.folder, "data.jsonl")
    if data is not None or not os.path.exists(path):
        program.file("data.jsonl", "".join(json.dumps(q) + "\n" for q in (data or questions())))
    return ["score", "--model", "demo", "--data", path, "--out", os.path.join(program.folder, name), "--tokens",
            *map(str, more)]


def content(program, name):
    with open(os.path.join(program.folder, name), "rb") as file:
        return file.read()


def stop(program, words, path, least, number):
    """Sends a signal when the file has `least` bytes; the status and what was said, None where it was done before."""
    with subprocess.Popen([program.path, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=program.environment()) as process:
        end = time.monotonic() + TIMEOUT
        while process.poll() is None and (not os.path.exists(path) or os.path.getsize(path) < least):
            assert time.monotonic() < end
            time.sleep(0.0005)
        if process.poll() is None:
            process.send_signal(number)
        _, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, err.decode()


def figures(summary):
    """What does not tell how long a run took, or how much of it was done before."""
    passing = ("seconds", "tokens_computed", "peak_session_bytes")
    return {key: value for key, value in summary.items() if key not in passing}


@long
def killed_anywhere(program):
    """a run that is killed at random places and goes on leaves the bytes of one that is not"""
    whole, _ = program.json(*command(program, "whole"))
    wanted = content(program, "whole")
    path = os.path.join(program.folder, "out")
    draws = random.Random(11)
    n_killed = 0
    for batch_size in (1, 4, 64):
        if os.path.exists(path):
            os.unlink(path)
        for _ in range(3):
            done = os.path.getsize(path) if os.path.exists(path) else 0
            words = command(program, "out", "--resume", "--batch-size", batch_size, "--threads", 1)
            least = done + draws.randrange((len(wanted) - done) // 2 + 1)
            status, err = stop(program, words, path, least, signal.SIGKILL)
            assert status in (0, -signal.SIGKILL), (status, err)
            n_killed += status != 0
            # As a full disk or a crash of the machine may leave it: cut anywhere.
            size = os.path.getsize(path) if os.path.exists(path) else 0
            if size > done:
                os.truncate(path, size - draws.randrange(min(size, 300)))
        summary, _ = program.json(*command(program, "out", "--resume"))
        assert content(program, "out") == wanted, batch_size
        assert figures(summary) == figures(whole)
    assert n_killed > 0, "no run was killed before its end"


def interrupted(program):
    """Ctrl-C leaves whole lines, says how many, and the run goes on"""
    path = os.path.join(program.folder, "out")
    words = command(program, "out", "--batch-size", 1, "--dtype", "f32", "--threads", 1)
    status, err = stop(program, words, path, 2000, signal.SIGINT)
    assert status == 130, (status, err)
    lines = err.splitlines()
    _, items = read_lines(path)
    assert lines[0] == "prepack: interrupted" and len(lines) == 2, lines
    assert f"{path} has {len(items)} of {N_ITEMS} items; --resume goes on with the others" in lines[1], lines
    program.refuses(1, "this run has cpu:ref", *command(program, "out", "--resume", "--device", "cpu:ref"))
    summary, _ = program.json(*words, "--resume")
    assert summary["items"] == N_ITEMS and read_lines(path)[1][:len(items)] == items
    again, text = program.json(*words, "--resume")
    assert figures(again) == figures(summary) and again["tokens_computed"] == 0
    assert f"{N_ITEMS} items were done before" in text, text


def refused_files(program):
    """a file is neither replaced nor gone on with by a run of something else"""
    few = questions(6)
    words = command(program, "out", data=few)
    program.works(*words)
    wanted = content(program, "out")
    resume = [*words, "--resume"]
    program.refuses(1, "is there already; --resume goes on with it, --force begins anew", *words)
    program.refuses(1, "was begun with top 0, but this run has 2", *resume, "--top", 2)
    program.refuses(1, "was begun with dtype bf16, but this run has f32", *resume, "--dtype", "f32")
    program.refuses(1, "was begun with data ", *command(program, "out", "--resume", data=few[:5] + [few[0]]))
    program.refuses(1, "was begun with items 6, but this run has 5", *command(program, "out", "--resume", data=few[:5]))
    program.refuses(2, "--resume is for --out", *words[:5], "--resume")
    program.refuses(2, "one of --resume and --force", *resume, "--force")
    assert content(program, "out") == wanted
    command(program, "out", data=few)
    for damage, says in ((b"some notes\n", "is not a file that 'prepack score' wrote"),
                         (b"some notes", "is not a file that 'prepack score' wrote"),
                         (b"{}\n", "is not a file that 'prepack score' wrote"),
                         (wanted[:-1].replace(b'"item":3', b'"item":4') + b"\n", "line 5 of "),
                         (wanted.replace(b'"logprob"', b'"logprop"', 1), "line 2 of "),
                         (wanted + wanted.splitlines()[-1].replace(b'"item":5', b'"item":6') + b"\n", "more lines")):
        program.file("out", damage)
        program.refuses(1, says, *resume)
        assert content(program, "out") == damage, says
    for begun in (b"", wanted[:20], wanted[:wanted.index(b"\n")], wanted[:-1], wanted[:-20]):
        program.file("out", begun)
        program.works(*resume)
        assert content(program, "out") == wanted, begun
    program.works(*words, "--force")
    assert content(program, "out") == wanted
    program.refuses(1, "is a directory", *command(program, ".", "--force"))
    program.refuses(1, "could not be opened", *command(program, "no/such/folder"))
    program.refuses(1, "no regular file", *words[:6], "/dev/null", "--force")


def wrong_data(program):
    """wrong data gives a sentence with item and line before anything runs"""
    good = '{"context": "a", "continuation": " b"}\n'
    out = os.path.join(program.folder, "out")
    args = ["score", "--model", "demo", "--data", "-", "--out", out]
    for content_, says in (
            ("{", "line 3 of standard input: what begins there is not JSON"),
            ("[1]", "line 3 of standard input: no JSON object begins where one must"),
            ("{}", "item 2 (line 3 of standard input): none of 'context', 'question' is there"),
            ('{"context": "a"}', "none of 'continuation', 'continuations', 'choices' is there"),
            ('{"context": "a", "question": "b", "continuation": "c"}', "only one of 'context' and 'question'"),
            ('{"context": "a", "continuation": "c", "choices": ["d"]}', "only one of 'continuation' and 'choices'"),
            ('{"context": 4, "continuation": "b"}', "'context' must be a text or a list of token ids"),
            ('{"context": ["a"], "continuation": "b"}', "'context' must be a text or a list of token ids"),
            ('{"context": "a", "continuation": [4]}', "'continuation' must have texts, as the context is"),
            ('{"context": [4], "continuation": "b"}', "'continuation' must have lists of token ids"),
            ('{"context": "a", "continuations": []}', "'continuations' must be a continuation or a list of some"),
            ('{"context": "a", "continuations": ["b", ""]}', "continuation 2 has no tokens"),
            ('{"context": "a", "continuation": "b\\u0000"}', "the character \\u0000"),
            ('{"context": "a", "continuation": "\\ud800"}', "'continuation' cannot be read"),
            ('{"context": [1024], "continuation": [4]}', "token id 1024, but ids must be from 0 to 1023"),
            ('{"context": [1], "continuation": [-4]}', "token id -4, but ids must be from 0 to 1023"),
            ('{"context": "a", "choices": ["b", "c"], "answer": 2}', "'answer' must be a number from 0 to 1"),
            ('{"context": "a", "choices": ["b", "c"], "answer": "C"}', "'answer' must be a number from 0 to 1"),
            ('{"context": "a", "choices": ["b", "c"], "answer": 0.5}', "or a letter from A on"),
            ('{"context": "a", "context": "b", "continuation": "c"}', "a key stands in it twice")):
        program.refuses(1, says, *args, stdin=(good + "\n" + content_ + "\n").encode())
    program.refuses(1, "holds nothing to score", *args)
    program.refuses(1, "line 2 of standard input is not UTF-8", *args, stdin=good.encode() + b'"\xff"')
    program.refuses(2, "--top is 256, but", "score", "--model", small_vocabulary(program),
                    "--random-weights", "--data", "-", "--top", 256,
                    stdin=b'{"context": [1], "continuation": [2]}')
    assert not os.path.exists(out)
    texts = ["score", "--model", "demo", "--perplexity"]
    for words, says in ((args[:3], "score needs --data"), (["score", "--data", "a"], "score needs --model"),
                        (args[:3] + ["--ids", "a"], "--ids is for --perplexity"),
                        (texts + ["--data", "a", "--ids", "b"], "one of --data and --ids"),
                        (texts + ["--data", "mmlu"], "mmlu is a list of token counts"),
                        (texts + ["--data", "a", "--answer-field", "x"], "have no continuations"),
                        (args + ["--stride", "4"], "--stride is for --perplexity"),
                        (args + ["--format", "csv"], "read from JSON"),
                        (args + ["--force", "--resume"], "one of --resume and --force"),
                        (args + ["--max-length", "5000"], "the model takes at most 1024"),
                        (texts + ["--ids", "-", "--stride", "9", "--max-length", "8"], "a window has only 8 tokens")):
        program.refuses(2, says, *words, stdin=b"[1, 2]")


def small_vocabulary(program):
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": 32,
              "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64,
              "rms_norm_eps": 1e-5, "torch_dtype": "float32"}
    program.file("small/config.json", json.dumps(config))
    return os.path.join(program.folder, "small")


CASES = [killed_anywhere, interrupted, refused_files, wrong_data]
