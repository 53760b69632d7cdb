"""Model paths that lead to no model: every command says in one sentence what to pass."""

import os

import demo_models

HUB_ID = "some-org/some-model-135M"


def cache_folder(program, *revisions):
    """A Hugging Face cache folder with these snapshots of the demo model."""
    root = os.path.join(program.folder, "models--some-org--some-model")
    for revision in revisions:
        demo_models.copy(program, os.path.join(root, "snapshots", revision))
    os.makedirs(os.path.join(root, "blobs"), exist_ok=True)
    return root


def wrong_paths(program):
    """a wrong model path is one sentence that names what to pass"""
    model = demo_models.copy(program, "llama-1b")
    cache = cache_folder(program, "f00d")
    snapshot = os.path.join(cache, "snapshots", "f00d")
    weights = program.file("files/pytorch_model.bin", b"PK\3\4")
    program.file("adapter/adapter_config.json", "{}")
    program.file("page/config.json", "<!doctype html><html></html>")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"
    folder = program.folder
    for path, says in (
            (HUB_ID, f"hf download {HUB_ID} --local-dir DIR"),
            (HUB_ID, "nothing is downloaded here"),
            ("https://hub.example/a/b", "is a URL"),
            ("", "the model path is empty"),
            ("~/models/llama", "write the home directory out"),
            (model + " ", f"pass {model}"),
            (f"'{model}'", f"pass {model}"),
            (os.path.join(folder, "lama-1b"), f"is {model} meant?"),
            (os.path.join(folder, "LLAMA-1B"), f"is {model} meant?"),
            (os.path.join(folder, "x/y"), f"{folder} has no 'x'"),
            (os.path.join(model, "config.json"), f"pass the directory {model}"),
            (os.path.join(model, "model.safetensors"), f"pass the directory {model}"),
            (os.path.join(model, "tokenizer.model"), f"pass the directory {model}"),
            (weights, "pickles are not read"),
            (os.path.dirname(weights), "save the model as safetensors"),
            (program.file("gguf/a.gguf", b"GGUF\3"), "gguf/a.gguf"),
            (program.file("lfs/model.safetensors", pointer), "Git LFS pointer"),
            (os.path.join(folder, "adapter"), "merge it"),
            (os.path.join(folder, "page"), "web page"),
            (cache, f"pass {snapshot}"),
            (os.path.join(cache, "snapshots"), f"pass {snapshot}"),
            (os.path.join(cache, "blobs"), f"pass {snapshot}")):
        program.refuses(1, says, "generate", "--model", path, "--ids", "-", stdin=b"[1]")
    assert program.works("generate", "--model", snapshot, "-p", "a", "--max-new-tokens", 1)
    cache_folder(program, "beef")
    program.refuses(1, "2 snapshots", "generate", "--model", cache, "-p", "a")


def every_command(program):
    """every command that takes a model explains a wrong path alike"""
    ids = program.file("a.jsonl", "[1, 2]\n")
    out = os.path.join(program.folder, "out.safetensors")
    for args in (["generate", "-p", "a"], ["prefill", "-p", "a", "--out", out],
                 ["profile", "--ids", ids], ["plan", "--ids", ids, "--predict"],
                 ["plan", "--dataset", program.file("a.txt", "a\n")], ["tune"], ["bench", "gemm"],
                 ["generate", "-p", "a", "--random-weights"]):
        program.refuses(1, "if that is the id of a model on a hub", *args, "--model", HUB_ID)
        program.refuses(1, "(--model also takes demo, tiny", *args, "--model", "tini")
    assert not os.path.exists(out)


CASES = [wrong_paths, every_command]
