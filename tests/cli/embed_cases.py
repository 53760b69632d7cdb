"""`prepack embed`: its files, what is in them, and that none is left when it fails."""

import ast
import json
import math
import os
import signal
import struct
import subprocess
import time

import demo_models
from harness import long, TIMEOUT
from prefill_cases import prompts_of, read_tensors

LENGTHS = (3, 1, 200, 17, 40)
DIM = 192


def read_npy(path):
    """The rows of an array of f32, by NumPy's description of the format."""
    with open(path, "rb") as file:
        raw = file.read()
    assert raw[:8] == b"\x93NUMPY\x01\x00"
    (n,) = struct.unpack("<H", raw[8:10])
    assert (10 + n) % 64 == 0 and raw[9 + n:10 + n] == b"\n"
    head = ast.literal_eval(raw[10:10 + n].decode("ascii"))
    assert head["descr"] == "<f4" and head["fortran_order"] is False, head
    rows, columns = head["shape"]
    assert len(raw) == 10 + n + 4 * rows * columns, head
    values = struct.unpack(f"<{rows * columns}f", raw[10 + n:])
    return [values[i * columns:(i + 1) * columns] for i in range(rows)]


def embed(program, prompts, *args, model="demo", name="out.npy"):
    """The vectors of ids."""
    out = os.path.join(program.folder, name)
    ids = program.file("ids.jsonl", "".join(json.dumps(p) + "\n" for p in prompts))
    program.works("embed", "--model", model, "--ids", ids, "--out", out, "--force", *args)
    return read_npy(out) if name.endswith(".npy") else out


def near(a, b, most=1e-5):
    return len(a) == len(b) and all(abs(x - y) <= most * max(1, abs(y)) for x, y in zip(a, b))


def norm(row):
    return math.sqrt(math.fsum(x * x for x in row))


def kinds_of_files(program):
    """the three kinds of files hold the same vectors, in the order of the input"""
    prompts = prompts_of(LENGTHS)
    rows = embed(program, prompts)
    assert len(rows) == len(prompts) and all(len(row) == DIM and abs(norm(row) - 1) < 1e-5 for row in rows)
    tensors, metadata = read_tensors(embed(program, prompts, name="a.safetensors"))
    assert list(tensors) == ["embeddings"] and tensors["embeddings"][1] == [5, DIM]
    assert tensors["embeddings"][2] == tuple(x for row in rows for x in row)
    assert metadata["pooling"] == "last" and metadata["model"] == "demo", metadata
    with open(embed(program, prompts, name="a.jsonl"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert [line["index"] for line in lines] == list(range(5))
    for line, row in zip(lines, rows):
        assert struct.pack(f"<{DIM}f", *line["embedding"]) == struct.pack(f"<{DIM}f", *row)
    figures, _ = program.json("embed", "--model", "demo", "--ids", "-", "--out", os.path.join(program.folder, "b.npy"),
                              stdin=json.dumps(prompts).encode())
    assert (figures["texts"], figures["dim"], figures["tokens"]) == (5, DIM, sum(LENGTHS)), figures
    assert figures["pooling"] == "last" and figures["normalize"] is True and figures["what"] == "embeddings"


@long
def same_bits(program):
    """batches, shared prefixes and company change no bit"""
    shared = [5 + i for i in range(30)]
    prompts = [shared + p for p in prompts_of(LENGTHS)] + [shared, shared]
    for pooling in ("last", "mean", "first"):
        rows = embed(program, prompts, "--pooling", pooling)
        for args in (("--share-prefixes", 0), ("--batch-size", 1, "--threads", 1),
                     ("--batch-size", 2, "--share-prefixes", 4, "--policy", "arrival")):
            assert embed(program, prompts, "--pooling", pooling, *args) == rows, (pooling, args)


def poolings(program):
    """a mean is that of the last states of all beginnings, and a norm divides"""
    prompt = prompts_of((1, 9))[1]
    plain = ("--no-normalize", "--dtype", "f32")
    lasts = embed(program, [prompt[:n] for n in range(1, 10)], "--pooling", "last", *plain)
    mean, = embed(program, [prompt], "--pooling", "mean", *plain)
    first, = embed(program, [prompt], "--pooling", "first", *plain)
    assert near(mean, [math.fsum(column) / 9 for column in zip(*lasts)]) and first == lasts[0]
    unit, = embed(program, [prompt], "--pooling", "mean", "--normalize", "--dtype", "f32")
    assert near(unit, [x / norm(mean) for x in mean], 1e-6)
    assert embed(program, [prompt], "--dtype", "f32")[0] != lasts[-1], "normalised unless a model says otherwise"


def texts(program):
    """texts get their prefix, their ends and their cut"""
    def rows(*args):
        out = os.path.join(program.folder, "t.npy")
        program.works("embed", "--model", "demo", "--out", out, "--force", *args)
        return read_npy(out)
    text, prefix = "Leo works as a", "Instruct: find the answer. Query: "
    ids = json.loads(program.works("tokenize", "--model", "demo", "-p", text, "--ids-only"))
    assert rows("-p", text) == embed(program, [ids])
    assert rows("-p", text, "--append-eos") == embed(program, [ids + [2]]) == embed(program, [ids], "--append-eos")
    assert embed(program, [ids + [2]], "--append-eos") == embed(program, [ids + [2]])
    assert rows("-p", text, "-p", "3", "--prefix", prefix) == rows("-p", prefix + text, "-p", prefix + "3")
    done = program.run("embed", "--model", "demo", "-p", text, "-p", "a", "--max-length", 4, "--append-eos", "--out",
                       os.path.join(program.folder, "c.npy"))
    assert "1 of 2 texts were cut to 4 tokens" in done.err, done.err
    assert read_npy(os.path.join(program.folder, "c.npy"))[0] == embed(program, [ids[:3] + [2]])[0]
    file = program.file("t.csv", "prompt,n\n" + "".join(f"{text} {i},{i}\n" for i in range(5)))
    assert rows("--prompts", file, "--batch-size", 2)[4] == rows("-p", f"{text} 4")[0]


def models_say(program):
    """pooling and norm are those of the model's files, and a head gives scores"""
    pooling = {"word_embedding_dimension": DIM, "pooling_mode_mean_tokens": True, "pooling_mode_lasttoken": False}
    modules = [{"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
               for i, (path, kind) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling")))]
    folder = demo_models.copy(program, "mean", {"modules.json": modules, "1_Pooling/config.json": pooling,
                                                "config.json": demo_models.read_config()})
    prompts = prompts_of(LENGTHS)
    out = os.path.join(program.folder, "out.npy")
    said = program.works("embed", "--model", folder, "--ids", program.file("i", json.dumps(prompts)), "--out", out)
    assert "mean (as the model's files have it), not normalised" in said, said
    assert read_npy(out) == embed(program, prompts, "--pooling", "mean", "--no-normalize")
    tensors = demo_models.read_weights()
    weights = [[(7 * i + k) % 5 - 2 for k in range(DIM)] for i in range(3)]
    bf16 = b"".join(struct.pack("<f", w)[2:] for row in weights for w in row)
    tensors["score.weight"] = ["BF16", [3, DIM], bf16]
    folder = demo_models.changed(program, "labels", tensors, architectures=["LlamaForSequenceClassification"],
                                 id2label={str(i): f"L{i}" for i in range(3)})
    scores = embed(program, prompts, "--dtype", "f32", model=folder)
    states = embed(program, prompts, "--no-normalize", "--dtype", "f32", model=folder)
    for row, state in zip(scores, states):
        assert near(row, [math.fsum(w * x for w, x in zip(ws, state)) for ws in weights], 1e-4), row
    assert embed(program, prompts, "--labels", "--dtype", "f32", "--batch-size", 2, model=folder) == scores
    with open(embed(program, prompts, name="s.jsonl", model=folder), encoding="utf-8") as file:
        assert len(json.loads(file.readline())["scores"]) == 3
    program.refuses(1, "has no head that scores labels", "embed", "--model", "demo", "-p", "a", "--labels", "--out",
                    os.path.join(program.folder, "x.npy"))


def left_behind(program):
    return [name for name in os.listdir(program.folder) if ".partial-" in name or name == "o.npy"]


def refusals(program):
    """wrong command lines and data leave no file"""
    out = os.path.join(program.folder, "o.npy")
    args = ["embed", "--model", "demo", "--out", out]
    for words, says in ((["embed", "--out", out], "embed needs --model"), (args[:3] + ["-p", "a"], "embed needs --out"),
                        (args[:4] + ["a.json", "-p", "a"], "must end in .npy, .safetensors or .jsonl"),
                        (args[:4] + [".npy", "-p", "a"], "must end in"), (args, "embed needs prompts"),
                        (args + ["--normalize", "--no-normalize", "-p", "a"], "one of --normalize"),
                        (args + ["--labels", "--pooling", "mean", "-p", "a"], "neither pooled"),
                        (args + ["--ids", "-", "--prefix", "a"], "not before --ids"),
                        (args + ["--max-length", "5000", "-p", "a"], "the model takes at most 1024"),
                        (args + ["--pooling", "max", "-p", "a"], "one of model, last, mean, first")):
        program.refuses(2, says, *words)
    program.refuses(1, "prompt 2 (line 2 of standard input) has 2000 tokens, but the model takes at most 1024; "
                    "--max-length", *args, "--ids", "-", stdin=f"[1]\n{[1] * 2000}".encode())
    program.refuses(1, "prompt 1 (line 1 of standard input): token id 1024", *args, "--ids", "-", stdin=b"[1024]")
    program.refuses(1, "is there already; --force", "embed", "--model", "demo", "-p", "a", "--out",
                    program.file("there.npy", ""))
    assert not left_behind(program), left_behind(program)


def interrupted(program):
    """Ctrl-C leaves no file"""
    ids = program.file("ids", "".join(json.dumps(p) for p in prompts_of([400] * 600)))
    words = [program.path, "embed", "--model", "demo", "--ids", ids, "--out", os.path.join(program.folder, "o.npy"),
             "--batch-size", "4", "--threads", "1", "--dtype", "f32"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=program.environment()) as process:
        end = time.monotonic() + TIMEOUT
        while not left_behind(program):
            assert process.poll() is None and time.monotonic() < end, process.stderr.read()
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130 and err == b"prepack: interrupted\n", (process.returncode, err)
    assert not left_behind(program), left_behind(program)


CASES = [kinds_of_files, same_bits, poolings, texts, models_say, refusals, interrupted]
