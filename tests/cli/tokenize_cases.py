"""Texts as tokens: `prepack tokenize`, and models whose tokenizer is no SentencePiece model."""

import json
import os
import shutil

import demo_models
from plan_cases import demo_tokenizer

GERMANY = "The capital of Germany is"
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/tokenizers")


def golden(name):
    """A tokenizer.json, and texts with the ids that they have, BOS and the like among them."""
    path = os.path.join(GOLDEN, name)
    with open(path + ".cases.json", encoding="utf-8") as file:
        content = json.load(file)
    texts = [(text, ids) for text, ids, *_ in content["cases"] if text.strip() and "\0" not in text]
    return path + ".json", texts


def lists(out):
    return [json.loads(line) for line in out.splitlines()]


def ids_and_pieces(program):
    """ids and pieces are printed, --ids-only and --counts print what --ids and --dataset read"""
    demo_tokenizer(program)
    out = program.works("tokenize", "--model", "demo", "-p", GERMANY)
    assert "> " + GERMANY in out and "9 tokens" in out and '  "\u2581capital"' in out, out
    items, _ = program.json("tokenize", "--model", "demo", "-p", GERMANY, "-p", 'a "b"\n')
    assert items[0]["pieces"][:3] == ["<s>", "\u2581The", "\u2581capital"], items
    ids = program.works("tokenize", "--model", "demo", "-p", GERMANY, "--ids-only")
    assert lists(ids) == [items[0]["tokens"]], ids
    counts = program.works("tokenize", "--model", "demo", "-p", GERMANY, "-p", "The", "--counts")
    assert counts == "9\n2\n", counts
    plan, _ = program.json("plan", "--dataset", "-", stdin=counts.encode())
    assert plan["tokens"] == 11, plan
    program.refuses(2, "one of", "tokenize", "--model", "demo", "-p", "x", "--ids-only", "--counts")
    by_ids, _ = program.json("generate", "--model", "demo", "--ids", "-", stdin=ids.encode())
    by_text, _ = program.json("generate", "--model", "demo", "-p", GERMANY)
    assert by_ids[0]["tokens"] == by_text[0]["tokens"]


def tokenizer_files(program):
    """--tokenizer takes a tokenizer.json of any kind, whatever it is called"""
    for name in ("llama3", "qwen2", "gemma", "bert-uncased", "xlmr"):
        path, texts = golden(name)
        other = program.file("other-name", b"")
        shutil.copy(path, other)
        prompts = program.file("p.json", json.dumps([{"prompt": text} for text, _ in texts]))
        got = lists(program.works("tokenize", "--tokenizer", other, "--prompts", prompts, "--ids-only"))
        for (text, ids), ours in zip(texts, got, strict=True):
            assert ours == ids, (name, text, ours, ids)


def counted_by_any(program):
    """plan and profile count the tokens of a model's own tokenizer.json"""
    path, texts = golden("smollm")
    folder = demo_models.copy(program, "m")
    os.remove(os.path.join(folder, "tokenizer.model"))
    shutil.copy(path, os.path.join(folder, "tokenizer.json"))
    prompts = program.file("p.json", json.dumps([{"prompt": text} for text, ids in texts if ids]))
    wanted = sum(len(ids) for _, ids in texts)
    plan, _ = program.json("plan", "--dataset", prompts, "--model", folder)
    assert plan["tokens"] == wanted, (plan, wanted)
    profile, _ = program.json("profile", "--dataset", prompts, "--model", folder, "--num-runs", 1)
    assert profile["methods"][0]["tokens_real"] == wanted, profile


def tables_taken_for_lines(program):
    """a table without the column is read as lines, and that is said"""
    demo_tokenizer(program)
    for content, says in ((b"id,question\n1,a\n", "--format csv"), (b"id\tq\n1\ta\n", "--format tsv"),
                          (b"Hello, world\nb\n", ""), (b"one\ntwo\n", ""), (b"a,b\n", "")):
        done = program.run("tokenize", "--model", "demo", "--prompts", "-", "--counts", stdin=content)
        assert done.status == 0 and (says in done.err if says else done.err == ""), (content, done.err)


def gguf_as_directory(program):
    """a GGUF file gives the tokens and texts of the directory it was made from"""
    demo_tokenizer(program)
    path = demo_models.as_gguf(program)
    for args in (("-p", GERMANY), ("-p", "  two  spaces </s>", "-p", "\u00fc\u4e2d")):
        by_file = program.works("tokenize", "--model", path, "--ids-only", *args)
        by_folder = program.works("tokenize", "--model", "demo", "--ids-only", *args)
        assert by_file == by_folder, (by_file, by_folder)
    items = [program.json("generate", "--model", model, "-p", GERMANY, "-p", "The", "-p", "Once upon",
                          "--dtype", "f32", "--max-new-tokens", 8)[0] for model in (path, "demo")]
    assert items[0] == items[1]
    assert " Berlin" in program.works("generate", "--model", os.path.dirname(path), "-p", GERMANY,
                                      "--max-new-tokens", 4)
    program.refuses(1, "window", "generate", "--model", "demo", "--sliding-window", 4, "-p", "a")


def tokenize_refused(program):
    """tokenize says what it lacks"""
    program.refuses(2, "one of --model and --tokenizer", "tokenize", "-p", "a")
    program.refuses(2, "one of --model and --tokenizer", "tokenize", "--model", "demo", "--tokenizer", "x",
                    "-p", "a")
    program.refuses(2, "needs prompts: -p TEXT or --prompts FILE\n", "tokenize", "--model", "demo")
    program.refuses(1, "shape without tokenizer", "tokenize", "--model", "tiny", "-p", "a")
    program.refuses(1, "has no 'nothing'", "tokenize", "--tokenizer", program.folder + "/nothing", "-p", "a")
    for content, says in ((b"{}", "no \"model\""), (b"PK", "is neither"), (b"", "is empty"),
                          (b'{"model": {"type": "Odd", "vocab": {}}}', "Odd")):
        path = program.file("t", content)
        program.refuses(1, says, "tokenize", "--tokenizer", path, "-p", "a")


CASES = [ids_and_pieces, tokenizer_files, counted_by_any, tables_taken_for_lines, gguf_as_directory, tokenize_refused]
