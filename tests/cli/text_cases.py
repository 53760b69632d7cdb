"""Files of prompts of any kind, what becomes of their texts, and how sentences name prompts."""

import json
import os

import demo_models
from plan_cases import demo_tokenizer

PROMPT = "The capital of Germany is"
LLAMA = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
         "unk_token": "<unk>", "add_bos_token": True}


def formats_by_content(program):
    """what a file of prompts holds is told from its content, whatever it is called"""
    model = demo_tokenizer(program)
    prompts = [PROMPT, "3 + 4 =", 'A "b", c']
    objects = [{"id": i, "prompt": p} for i, p in enumerate(prompts)]
    lines = "".join(json.dumps(o) + "\n" for o in objects)
    table = [["id", "prompt"]] + [[str(i), '"' + p.replace('"', '""') + '"']
                                  for i, p in enumerate(prompts)]
    kinds = {
        "lines": "".join(p + "\n" for p in prompts),
        "jsonl": lines,
        "json": json.dumps(objects, indent=1),
        "indented": "\n".join(json.dumps(o, indent=1) for o in objects),
        "strings": json.dumps(prompts),
        "csv": "".join(",".join(row) + "\n" for row in table),
        "tsv": "".join("\t".join(row) + "\r\n" for row in table),
    }
    names = {"lines": ("a", "a.TXT", "a.data"), "csv": ("b.CSV", "b.csv", "b", "b.data"),
             "tsv": ("c.TSV", "c.tab", "c", "c.data")}
    json_names = ("d.JSONL", "d.ndjson", "d.json", "d", "d.data", "d.txt")
    want, _ = program.json("plan", "--dataset", program.file("plain.txt", kinds["lines"]), *model)
    for kind, content in kinds.items():
        ways = [("--dataset", program.file("f/" + name, content))
                for name in names.get(kind, json_names)]
        for args in ways + [("--dataset", "-")]:
            plan, _ = program.json("plan", *args, *model, stdin=content.encode())
            assert (plan["prompts"], plan["tokens"]) == (3, want["tokens"]), (kind, args, plan)


def format_by_option(program):
    """--format forces what a file holds, and what does not fit is one sentence"""
    model = demo_tokenizer(program)
    path = program.file("a", '{"prompt": "x"}\n{"prompt": "y"}\n')
    def count(*args):
        return program.json("plan", *args, *model)[0]["prompts"]
    assert count("--dataset", path) == count("--dataset", path, "--format", "lines") == 2
    assert count("--dataset", program.file("b", "[INST] hello\n")) == 1
    text = program.file("c.csv", "one\ntwo\n")
    assert count("--dataset", text, "--format", "lines") == 2
    lengths = program.file("d", "3\n4\n")
    assert program.json("plan", "--dataset", lengths, "--format", "lengths")[0]["tokens"] == 7
    broken = program.file("e", '{"prompt": "x"}\nplain text\n')
    program.refuses(1, "--format lines", "plan", "--dataset", broken, *model)
    program.refuses(1, "line 2", "plan", "--dataset", broken, *model)
    for args, says in (
            (["--dataset", lengths, "--field", "x", "--format", "lines"], "lines of text"),
            (["--dataset", "demo", "--format", "csv"], "comes with the program"),
            (["--dataset", path, "--format", "yaml"], "auto, lines, text, json, csv, tsv, lengths")):
        program.refuses(2, says, "plan", *args)
    program.refuses(2, "--prompts", "generate", *model, "-p", "a", "--format", "csv")


def other_fields(program):
    """fields that are not asked for may hold whatever other programs write"""
    model = demo_tokenizer(program)
    others = ["14933243513335727983", "1" * 400, "-1e999", "NaN", "Infinity", "-Infinity", "null",
              "true", '"\\ud800 \\" {["', "[" * 100000 + "]" * 100000, '{"prompt": "inner"}',
              '[{"a": [1, "}"]}, 2]']
    lines = "".join(f'{{"x": {value}, "prompt": "{PROMPT}", "y": {value}}}\n' for value in others)
    for content in (lines, "[" + ",".join(lines.splitlines()) + "]"):
        path = program.file("a.jsonl", content)
        plan, _ = program.json("plan", "--dataset", path, *model)
        assert (plan["prompts"], plan["tokens"]) == (len(others), 9 * len(others)), plan
    for content, says in (('{"x": , "prompt": "a"}', "a value is missing"),
                          ('{"x": [1, "prompt": "a"}', "wrong bracket"),
                          ('{"x": [1, "prompt": "a"', "has no end"),
                          ('{"x": "a, "prompt": 1}', "missing"),
                          ('{"x": 1 "prompt": "a"}', "',' or '}'"),
                          ('[{"prompt": "a"} {"prompt": "b"}]', "',' or ']'"),
                          ('[{"prompt": "a"}] x', "follows the list"),
                          ('{"prompt": "\\ud800"}', "line 2")):
        path = program.file("b.jsonl", "\n" + content + "\n")
        program.refuses(1, says, "plan", "--dataset", path, *model)
        program.refuses(1, "line 2", "plan", "--dataset", path, *model)


def prompt_numbers(program):
    """every command and path names a prompt by its number and its line, from 1"""
    model = demo_tokenizer(program)
    long_line = PROMPT + " a big town in the middle of it"
    path = program.file("five.txt", f"The\n\nA\nOne\n{long_line}\nTwo\n")
    says = f"prompt 4 (line 5 of {path}) has"
    for args in (["generate", *model, "--prompts", path, "--batch-size", 2, "--capacity", 6],
                 ["generate", *model, "--prompts", path, "--capacity", 6],
                 ["plan", *model, "--dataset", path, "--batch-size", 2, "--capacity", 6],
                 ["plan", *model, "--dataset", path, "--seed", 7, "--capacity", 6],
                 ["profile", *model, "--dataset", path, "--batch-size", 2, "--capacity", 6],
                 ["profile", *model, "--dataset", path, "--capacity", 6, "--methods",
                  "dataset-prepacking"]):
        program.refuses(1, says, *args)
    lengths = program.file("a.lengths", "3\n4\n\n5000\n")
    says = f"prompt 3 (line 4 of {lengths}) has 5000 tokens"
    program.refuses(1, says, "profile", "--model", "tiny", "--dataset", lengths)
    program.refuses(1, says, "plan", "--model", "demo", "--dataset", lengths, "--predict",
                    "--batch-size", 1)
    program.refuses(1, "prompt 2 has", "generate", *model, "-p", "a", "-p", long_line,
                    "--capacity", 6, "--batch-size", 1)
    listed = program.file("list.json", json.dumps(["a", long_line], indent=0))
    program.refuses(1, f"prompt 2 (line 3 of {listed})", "generate", *model, "--prompts", listed,
                    "--capacity", 6)


def count_tokens(program, folder, text, *args):
    plan, _ = program.json("plan", "--model", folder, "--dataset", "-", "--format", "json", *args,
                           stdin=json.dumps([text]).encode())
    return plan["tokens"]


def tokenizer_settings(program):
    """tokenizer_config.json says what begins and ends a text; counts as transformers 5.24 has them"""
    demo_tokenizer(program)
    added = {"1023": {"content": "<|x|>", "special": True}}
    eats = {"1023": {"content": "<|x|>", "lstrip": True, "rstrip": True}}
    for settings, text, tokens in (
            (None, PROMPT, 9), ({}, PROMPT, 9),
            ({"add_bos_token": False}, PROMPT, 8), ({"add_bos_token": None}, PROMPT, 9),
            ({"add_eos_token": True}, PROMPT, 10), ({"bos_token": None}, PROMPT, 8),
            ({"add_bos_token": False, "add_eos_token": True}, "", 1),
            ({"bos_token": {"__type": "AddedToken", "content": "</s>"}}, PROMPT, 9),
            ({}, "a</s>b", 4), ({}, "a</s> b", 4), ({}, "a </s>b", 5), ({}, "</s>b", 3),
            ({}, "a<unk>b", 4), ({}, "a</s></s>b", 5), ({}, "a<s", 4),
            ({"legacy": True}, "</s>b", 3), ({"add_prefix_space": False}, PROMPT, 10),
            ({"add_prefix_space": False}, "a</s>b", 4),
            ({"split_special_tokens": True}, "a</s>b", 7),
            ({"added_tokens_decoder": added}, "a <|x|> b", 5),
            ({"added_tokens_decoder": eats}, "a <|x|> b", 4)):
        files = {} if settings is None else {"tokenizer_config.json": {**LLAMA, **settings}}
        if settings and settings.get("bos_token", "") is None:
            files["tokenizer_config.json"]["add_bos_token"] = False
        folder = demo_models.copy(program, "m", files, weights=False)
        got = count_tokens(program, folder, text)
        assert got == tokens, (settings, text, got, tokens)
    folder = demo_models.copy(program, "m", {"tokenizer_config.json": LLAMA}, weights=False)
    assert count_tokens(program, folder, "a</s>b", "--special-tokens", "literal") == 7
    program.file("m/added_tokens.json", '{"<|y|>": 1023}')
    assert count_tokens(program, folder, "a<|y|>b") == 4


def special_ids(program):
    """a special token in a prompt is one id, and the text behind it gets no space"""
    demo_tokenizer(program)
    items, _ = program.json("generate", "--model", "demo", "-p", PROMPT + "</s>", "-p", PROMPT,
                            "--max-new-tokens", 4)
    assert items[0]["tokens"] != items[1]["tokens"], items
    literal, _ = program.json("generate", "--model", "demo", "-p", PROMPT, "--max-new-tokens", 4,
                              "--special-tokens", "literal")
    assert literal[0]["tokens"] == items[1]["tokens"]


def settings_said_aloud(program):
    """settings that are not implemented are said once each, broken ones refused"""
    demo_tokenizer(program)
    odd = {**LLAMA, "tokenizer_class": "T5Tokenizer", "do_lower_case": True, "strange_rule": 1,
           "keep_accents": False, "chat_template": "x", "model_max_length": 10**30,
           "sp_model_kwargs": {"enable_sampling": True}}
    folder = demo_models.copy(program, "m", {"tokenizer_config.json": odd})
    done = program.run("generate", "--model", folder, "-p", PROMPT, "-p", "a", "--max-new-tokens", 1)
    notes = done.err.splitlines()
    assert done.status == 0 and len(notes) == 4, done.err
    for part in ("T5Tokenizer", "do_lower_case", "strange_rule", "sp_model_kwargs"):
        assert sum(part in n and n.startswith("prepack: note: ") for n in notes) == 1, part
    for content, says in (("[", "malformed JSON"), ("[]", "an object is needed"),
                          ('{"add_bos_token": "no"}', "true or false"),
                          ('{"bos_token": 5}', "a string, an object"),
                          ('{"bos_token": "<nope>"}', "<nope>"),
                          ('{"added_tokens_decoder": {"x": {"content": "a"}}}', "added token")):
        program.file("m/tokenizer_config.json", content)
        program.refuses(1, says, "generate", "--model", folder, "-p", "a")


def unknown_ids(program):
    """an id that the tokenizer does not have leaves the text of the others, and is said once"""
    demo_tokenizer(program)
    folder = demo_models.padded(program, 1088, row=1050, like=967, factor=1.3)
    args = ("generate", "--model", folder, "-p", PROMPT, "-p", PROMPT, "--max-new-tokens", 12)
    items, err = program.json(*args)
    for item in items:
        assert item["text"] == " Berlin" and item["tokens"][:4] == [854, 969, 282, 1050], item
    notes = [line for line in err.splitlines() if line.startswith("prepack: note: ")]
    assert len(notes) == 1 and "token 1050" in notes[0] and "prompt 1" in notes[0], err
    program.file("padded/added_tokens.json", '{"<|dot|>": 1050}')
    items, err = program.json(*args)
    assert items[0]["text"] == " Berlin<|dot|>" and "note" not in err, (items, err)
    special = {"1050": {"content": "<|dot|>", "special": True}}
    program.file("padded/tokenizer_config.json", json.dumps({"added_tokens_decoder": special}))
    items, err = program.json(*args)
    assert items[0]["text"] == " Berlin" and "note" not in err, (items, err)


def library_warnings(program):
    """warnings of the library reach the user, once each"""
    demo_tokenizer(program)
    folder = demo_models.copy(program)
    shard = "model-00001-of-00001.safetensors"
    os.rename(os.path.join(folder, "model.safetensors"), os.path.join(folder, shard))
    index = {"metadata": {"total_size": 1},
             "weight_map": {name: shard for name in demo_models.read_weights()}}
    program.file("model/model.safetensors.index.json", json.dumps(index))
    done = program.run("generate", "--model", folder, "-p", PROMPT, "--max-new-tokens", 1)
    assert done.status == 0, done.err
    assert done.err.startswith("prepack: note: ") and done.err.count("total_size") == 1, done.err
    assert done.err.count("\n") == 1, done.err


def pointers(program):
    """a Git LFS pointer in place of a file is called one"""
    pointer = ("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 +
               "\nsize 4680440\n")
    folder = demo_models.copy(program, weights=False)
    program.file("model/tokenizer.model", pointer)
    prompts = program.file("a.txt", "hello\n")
    program.refuses(1, "git lfs pull", "plan", "--model", folder, "--dataset", prompts)
    program.refuses(1, "git lfs pull", "plan", "--model", "demo", "--dataset",
                    program.file("b.txt", pointer))


CASES = [formats_by_content, format_by_option, other_fields, prompt_numbers, tokenizer_settings,
         special_ids, settings_said_aloud, unknown_ids, library_warnings, pointers]
