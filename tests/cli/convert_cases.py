"""prepack convert, and weights of other formats in every command."""

import json
import os

from demo_models import SOURCE
from harness import long
from usage_cases import interrupted


def converts_and_opens(program):
    """convert writes what generate computes the same from"""
    for word in ("int8", "int4", "nf4", "bf16"):
        out = os.path.join(program.folder, word)
        said = program.works("convert", "--model", SOURCE, "--weights", word, "--out", out)
        assert f"weights     {word}, " in said and "with 1 more file of" in said, said
        assert sorted(os.listdir(out)) == ["config.json", "generation_config.json",
                                           "model.safetensors", "tokenizer.model"], os.listdir(out)
        with open(os.path.join(out, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        assert config.get("quantization_config", {}).get("format", "bf16") == word, config
        args = ("-p", "The capital of Germany is", "--max-new-tokens", 4)
        ours, _ = program.json("generate", "--model", SOURCE, "--weights", word, *args)
        theirs, text = program.json("generate", "--model", out, *args)
        assert ours == theirs and ours[0]["text"], (ours, theirs)
        assert word == "bf16" or f"weights {word}" in text, text


@long
def spells_as_the_paper(program):
    """--loadbit 8 and 4 are --weights int8 and int4, in every command that runs a model"""
    path = program.file("a.lengths", "5\n9\n")
    report, text = program.json("profile", "--model", "tiny", "--dataset", path, "--loadbit", 8,
                                "--num-runs", 1, "--methods", "prepacking")
    assert report["weights"] == "int8" and "weights int8" in text, (report, text)
    ids = program.file("a.ids.jsonl", "[5, 6, 7]\n")
    for command in (("prefill", "--ids", ids, "--out", os.path.join(program.folder, "o.safetensors")),
                    ("bench", "gemm", "--rows", 2, "--num-runs", 1)):
        report, _ = program.json(*command, "--model", "tiny", "--loadbit", 4)
        assert report["weights"] == "int4", report
    for word, says in (("3", "--loadbit is '3', but must be one of 8, 4"),
                       ("int8", "--loadbit is 'int8', but must be one of 8, 4")):
        program.refuses(2, says, "profile", "--model", "tiny", "--loadbit", word)
    program.refuses(2, "--weights is 'int3', but must be one of auto, f32, bf16, int8, int4, nf4",
                    "generate", "--model", "demo", "-p", "x", "--weights", "int3")


def refuses_wrong_lines(program):
    """convert says what is missing, and takes no directory that holds something"""
    out = os.path.join(program.folder, "out")
    program.refuses(2, "needs --model", "convert", "--weights", "int8", "--out", out)
    program.refuses(2, "needs --out", "convert", "--model", "demo", "--weights", "int8")
    program.refuses(2, "needs --weights", "convert", "--model", "demo", "--out", out)
    program.file("out/file", "x")
    program.refuses(1, "is not empty", "convert", "--model", "tiny", "--weights", "int8", "--out",
                    out)
    assert os.listdir(out) == ["file"]
    program.works("convert", "--model", "tiny", "--weights", "int8", "--out", out + "8")
    program.refuses(1, "was converted to int8; allowed: auto and int8", "generate", "--model",
                    out + "8", "--ids", program.file("a.ids.jsonl", "[5, 6]\n"), "--weights", "f32")
    program.refuses(1, "was converted to int8; what it was made from can be converted, not this",
                    "convert", "--model", out + "8", "--weights", "int4", "--out", out + "4")


def leaves_nothing_behind(program):
    """Ctrl-C ends a conversion and takes what was written away"""
    place = os.path.join(program.folder, "place")
    os.mkdir(place)
    interrupted(program, "convert", "--model", "llama1b", "--weights", "int4", "--threads", "1", "--out",
                os.path.join(place, "out"))
    assert os.listdir(place) == [], os.listdir(place)


CASES = [converts_and_opens, spells_as_the_paper, refuses_wrong_lines, leaves_nothing_behind]
