"""`prepack prefill`: the file it writes, and that it leaves none when it fails."""

import json
import os
import resource
import signal
import struct
import subprocess
import time

import demo_models
from harness import TIMEOUT

LENGTHS = (3, 1, 200, 17)


def prompts_of(lengths):
    return [[(7 * i + 3 * k) % 1000 + 1 for k in range(n)] for i, n in enumerate(lengths)]


def read_tensors(path):
    """Name -> (dtype, shape, values), and the metadata; what readers of the format insist on holds."""
    with open(path, "rb") as file:
        raw = file.read()
    (n,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8:8 + n])
    metadata = head.pop("__metadata__")
    place = 0
    tensors = {}
    for name, t in sorted(head.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = t["data_offsets"]
        count = 1
        for size in t["shape"]:
            count *= size
        width = {"I64": 8, "F32": 4}[t["dtype"]]
        assert begin == place and end - begin == count * width, (name, t)
        place = end
        code = {"I64": "q", "F32": "f"}[t["dtype"]]
        values = struct.unpack(f"<{count}{code}", raw[8 + n + begin:8 + n + end])
        tensors[name] = (t["dtype"], t["shape"], values)
    assert (8 + n) % 8 == 0 and 8 + n + place == len(raw)
    return tensors, metadata


def prefill(program, name, prompts, *args, model="demo"):
    out = os.path.join(program.folder, name)
    ids = program.file("ids.jsonl", "".join(json.dumps(p) + "\n" for p in prompts))
    program.works("prefill", "--model", model, "--ids", ids, "--out", out, *args)
    return read_tensors(out)


def the_file(program):
    """logits, lengths, keys and values stand where the help says, alone and in any batch"""
    prompts = prompts_of(LENGTHS)
    tensors, metadata = prefill(program, "a", prompts, "--kv")
    assert metadata["model"] == "demo" and metadata["dtype"] == "bf16", metadata
    assert metadata["device"].startswith("cpu") and metadata["producer"].startswith("prepack ")
    config = demo_models.read_config()
    heads, dim = config["num_key_value_heads"], config["hidden_size"] // config["num_attention_heads"]
    assert tensors["lengths"] == ("I64", [4], LENGTHS)
    assert tensors["logits"][:2] == ("F32", [4, 1024])
    assert len(tensors) == 2 + 4 * config["num_hidden_layers"] * 2
    for i, n in enumerate(LENGTHS):
        for layer in range(config["num_hidden_layers"]):
            for half in "kv":
                assert tensors[f"prompt.{i}.layer.{layer}.{half}"][:2] == ("F32", [n, heads, dim])
    for args in (("--batch-size", 1), ("--batch-size", 3), ("--capacity", 256)):
        assert prefill(program, "b", prompts, "--kv", "--force", *args)[0] == tensors, args
    for i, prompt in enumerate(prompts):
        alone, _ = prefill(program, "c", [prompt], "--kv", "--force")
        assert alone["logits"][2] == tensors["logits"][2][1024 * i:1024 * (i + 1)]
        for name in alone:
            if name.startswith("prompt.0."):
                assert alone[name] == tensors[name.replace("prompt.0", f"prompt.{i}")], name
    plain, _ = prefill(program, "d", prompts)
    assert plain == {name: tensors[name] for name in ("lengths", "logits")}
    cut, _ = prefill(program, "e", [prompts[2][:100]], "--kv")
    values = tensors["prompt.2.layer.5.k"][2]
    assert cut["prompt.0.layer.5.k"][2] == values[:100 * heads * dim]


def agrees_with_generate(program):
    """the highest logit is the token that generate takes, for texts too"""
    demo_models.copy(program, weights=False)
    prompts = program.file("a.txt", "The capital of Germany is\n3 + 4 =\nOnce\n")
    out = os.path.join(program.folder, "a.safetensors")
    figures, _ = program.json("prefill", "--model", "demo", "--prompts", prompts, "--out", out)
    logits = read_tensors(out)[0]["logits"][2]
    items, _ = program.json("generate", "--model", "demo", "--prompts", prompts, "--max-new-tokens", 1)
    for i, item in enumerate(items):
        row = logits[1024 * i:1024 * (i + 1)]
        assert [row.index(max(row))] == item["tokens"], i
    assert figures["prompts"] == 3 and figures["file_bytes"] == os.path.getsize(out), figures
    assert figures["kv"] is False and figures["dtype"] == "bf16" and figures["seconds"] > 0, figures


def windows_keep_all(program):
    """layers with a window have the keys of all tokens"""
    model = demo_models.changed(program, "m", architectures=["MistralForCausalLM"],
                                model_type="mistral", sliding_window=16)
    prompts = prompts_of((300, 5))
    windowed, _ = prefill(program, "a", prompts, "--kv", model=model)
    full, _ = prefill(program, "b", prompts, "--kv")
    # What the first layer has of a token is a function of that token and its place alone.
    for half in "kv":
        name = f"prompt.0.layer.0.{half}"
        assert windowed[name] == full[name] and windowed[name][1][0] == 300
    assert windowed["prompt.0.layer.5.k"] != full["prompt.0.layer.5.k"]
    assert any(windowed["prompt.0.layer.5.k"][2][:100])
    assert windowed["prompt.1.layer.5.k"] == full["prompt.1.layer.5.k"]


def linear_states(program):
    """linear layers have a state and what their convolution holds, whatever the prompt's length"""
    prompts = prompts_of((70, 1, 5))
    tensors, _ = prefill(program, "a", prompts, "--kv", model="tiny-linear")
    parts = {}
    for name, (_, shape, values) in tensors.items():
        if name.startswith("prompt."):
            _, i, _, layer, part = name.split(".")
            parts.setdefault((layer, part), []).append((shape, values))
            assert part not in "kv" or shape[0] == len(prompts[int(i)]), (name, shape)
    kinds = {part for _, part in parts}
    assert kinds == {"k", "v", "state", "conv"}, kinds
    for (layer, part), three in parts.items():
        assert len(three) == 3 and all(any(values) for _, values in three), (layer, part)
        if part in ("state", "conv"):
            assert three[0][0] == three[1][0] == three[2][0], (layer, part)
            assert len({values for _, values in three}) == 3, (layer, part)
        if part == "conv":  # one token: zeros before it
            rows, channels = three[1][0]
            assert not any(three[1][1][:(rows - 1) * channels]), layer
    for i, prompt in enumerate(prompts):
        alone, _ = prefill(program, "b", [prompt], "--kv", "--force", model="tiny-linear")
        for name in alone:
            if name.startswith("prompt.0."):
                assert alone[name] == tensors[name.replace("prompt.0", f"prompt.{i}")], name


def left_behind(program):
    return [name for name in os.listdir(program.folder) if ".partial-" in name or name == "out"]


def refusals(program):
    """what cannot be written is refused before the run, and leaves no file"""
    there = program.file("there", "old")
    args = ["prefill", "--model", "demo", "--ids", program.file("ids", "[1, 2]")]
    program.refuses(1, "is there already; --force replaces it", *args, "--out", there)
    program.refuses(1, "is a directory", *args, "--out", program.folder)
    program.refuses(1, "no regular file", *args, "--force", "--out", "/dev/null")
    program.refuses(1, "could not be opened", *args, "--out", os.path.join(program.folder, "no/out"))
    out = os.path.join(program.folder, "out")
    program.refuses(2, "must be a file", *args, "--out", "-")
    program.refuses(2, "--out", *args)
    program.refuses(2, "--out is empty", "prefill", "--model", "demo", "-p", "a", "--out", "")
    program.refuses(2, "--prompts FILE or --ids FILE", "prefill", "--model", "demo", "--out", out)
    program.refuses(1, "prompt 1", "prefill", "--model", "demo", "--out", out, "--ids", "-",
                    stdin=b"[5000]")
    program.refuses(1, "prompt 2", *args[:3], "--out", out, "--ids", "-", "--capacity", 2,
                    stdin=b"[1]\n[1, 2, 3]")
    with open(there, encoding="utf-8") as file:
        assert file.read() == "old"
    assert not left_behind(program), left_behind(program)
    program.works(*args, "--out", there, "--force")
    assert read_tensors(there)[0]["lengths"][2] == (2,)


def no_room(program):
    """a file that grows too large for the disk or a limit is one sentence, and goes"""
    ids = program.file("ids", "".join(json.dumps(p) for p in prompts_of([50] * 40)))
    out = os.path.join(program.folder, "out")
    words = [program.path, "prefill", "--model", "demo", "--ids", ids, "--out", out, "--kv"]
    for most, says in ((1 << 18, f"prepack: {out} would have"), (100, f"{out} could not be written: ")):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        done = subprocess.run(words, capture_output=True, env=program.environment(), timeout=TIMEOUT,
                              preexec_fn=limit, check=False, text=True)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, (done.returncode, done.stderr)
        assert says in done.stderr, done.stderr
        assert not left_behind(program), left_behind(program)


def interrupted(program):
    """Ctrl-C leaves neither the file nor a part of it, once and twice"""
    ids = program.file("ids", "".join(json.dumps(p) for p in prompts_of([400] * 600)))
    out = os.path.join(program.folder, "out")
    words = [program.path, "prefill", "--model", "demo", "--ids", ids, "--out", out, "--batch-size", "4",
             "--threads", "1", "--dtype", "f32", "--kv"]
    for times in (1, 2):
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=program.environment()) as process:
            end = time.monotonic() + TIMEOUT
            while not left_behind(program):
                assert process.poll() is None and time.monotonic() < end, process.stderr.read()
                time.sleep(0.005)
            for _ in range(times):
                process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 130 and err == b"prepack: interrupted\n", (process.returncode, err)
        assert not left_behind(program), left_behind(program)


CASES = [the_file, agrees_with_generate, windows_keep_all, linear_states, refusals, no_room, interrupted]
