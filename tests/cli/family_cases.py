"""Models of many architectures: shapes from config.json alone, and what checkpoints of others hold."""

import json
import os

import demo_models
from harness import long
from plan_cases import demo_tokenizer

PROMPT = "The capital of Germany is"
SMALL = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
         "max_position_embeddings": 2048, "dtype": "bfloat16", "eos_token_id": [2, 7]}
LONG = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8,
        "original_max_position_embeddings": 256}
FAMILIES = {
    # a window in three of four layers, which rotate otherwise than the fourth
    "gemma3": {**SMALL, "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
               "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "sliding_window": 32,
               "rope_local_base_freq": 10000.0, "rope_theta": 1000000.0},
    # the text of a model that also sees
    "nested": {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
               "text_config": {**SMALL, "model_type": "gemma3_text", "sliding_window": 32,
                               "sliding_window_pattern": 2}},
    # no norm before attention
    "olmo2": {**SMALL, "architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2"},
    # one window in all layers
    "mistral": {**SMALL, "architectures": ["MistralForCausalLM"], "model_type": "mistral",
                "sliding_window": 48},
    # angles by the length of the prompt
    "phi3": {**SMALL, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
             "rope_scaling": LONG, "original_max_position_embeddings": 256, "pad_token_id": 0},
}
LENGTHS = [1 + i * i * 17 % 233 for i in range(40)] + [1900, 300, 1600, 256, 257]


@long
def shapes(program):
    """every command takes the shape of a directory without weights"""
    path = program.file("a.lengths", "".join(f"{n}\n" for n in LENGTHS))
    for name, config in FAMILIES.items():
        model = ("--model", os.path.dirname(program.file(name + "/config.json", json.dumps(config))),
                 "--random-weights", "--threads", 2)
        data = ("--dataset", path)
        run, _ = program.json("profile", *model, *data, "--num-runs", 1)
        dry, _ = program.json("profile", *model, *data, "--dry-run")
        for guess, method in zip(dry["methods"], run["methods"]):
            assert method["passes"] == guess["passes"], (name, guess, method)
            assert method["peak_session_bytes"] <= guess["device_bytes"] + (16 << 20), name
        needed = max(m["device_bytes"] for m in dry["methods"])
        limited, _ = program.json("profile", *model, *data, "--num-runs", 1, "--memory-limit", needed)
        assert all(m["peak_session_bytes"] <= needed for m in limited["methods"]), name
        plan, _ = program.json("plan", *model, *data, "--predict")
        assert plan["prediction"]["passes"] == dry["methods"][0]["passes"], name
        figures, _ = program.json("bench", "all", *model, "--num-runs", 1, "--rows", 3, "--lengths", 40)
        assert len(figures["gemm"]) == 5 and len(figures["attention"]) == 2, name
        assert all(f["flop"] == 2 * f["n"] * f["k"] * f["rows"] for f in figures["gemm"]), name
        cost, _ = program.json("tune", *model, "--seconds", 0.01, "--max-tokens", 64)
        assert cost["per_token"] >= 0, name


def shapes_with_other_heads(program):
    """bench --heads changes the shape of a directory, also where the text's keys are nested"""
    for name in ("gemma3", "nested"):
        folder = os.path.dirname(program.file(name + "/config.json", json.dumps(FAMILIES[name])))
        args = ("bench", "all", "--model", folder, "--num-runs", 1, "--rows", 2, "--lengths", 2500,
                "--heads", "6:3", "--head-dim", 32)
        figures, _ = program.json(*args, "--random-weights")
        qkv, o = figures["gemm"][:2]
        assert (qkv["n"], o["k"]) == (12 * 32, 6 * 32), (name, qkv, o)
        program.refuses(2, "--random-weights", *args)


def shapes_refused(program):
    """--random-weights needs a config.json that can be read"""
    lengths = program.file("a.lengths", "3\n4\n")
    def refuses(says, content, status=1):
        folder = os.path.dirname(program.file("m/config.json", content))
        program.refuses(status, says, "profile", "--model", folder, "--random-weights", "--dataset",
                        lengths)
    refuses("hidden_size", json.dumps({**FAMILIES["olmo2"], "hidden_size": -1}))
    refuses("JSON", "{")
    refuses('"NoSuchModel"', json.dumps({**SMALL, "model_type": "NoSuchModel"}))
    program.refuses(1, "config.json", "profile", "--model", program.folder, "--random-weights",
                    "--dataset", lengths)


def made_up_text(program):
    """a shape with a tokenizer beside it continues the same packed and alone"""
    demo_tokenizer(program)
    folder = demo_models.copy(program, "m", {"config.json": {**FAMILIES["gemma3"], "vocab_size": 1024}},
                              weights=False)
    prompts = [w for text in (PROMPT * 9, "One", PROMPT) for w in ("-p", text)]
    for more in ([], ["--temperature", 2, "--top-k", 50, "--top-p", 0.9, "--min-p", 0.001]):
        text = program.works("generate", "--model", folder, "--random-weights", *prompts, "--compare", *more)
        assert "3 of 3 prompts continue with the same tokens" in text, text


def tokens_of(program, folder, prompt=PROMPT, *args):
    items, err = program.json("generate", "--model", folder, "-p", prompt, "--max-new-tokens", 12, *args)
    return items[0]["tokens"], err


def any_end_token(program):
    """a text ends at any of the end tokens, those of generation_config.json too"""
    demo_tokenizer(program)
    whole, _ = tokens_of(program, "demo")
    assert whole[:3] == [854, 969, 282] and len(whole) > 3, whole
    folder = demo_models.changed(program, "a", eos_token_id=[2, 282])
    assert tokens_of(program, folder)[0] == [854, 969]
    folder = demo_models.changed(program, "b")
    program.file("b/generation_config.json", '{"eos_token_id": [2, 969]}')
    assert tokens_of(program, folder)[0] == [854]


def not_finite(program):
    """logits that are no numbers end the run with the prompt's name, however tokens are drawn"""
    demo_tokenizer(program)
    weights = demo_models.read_weights()
    dtype, (n, width), values = weights[demo_models.EMBEDDINGS]
    nan = b"\xc0\x7f" * width
    weights["lm_head.weight"] = [dtype, [n, width], values]
    weights[demo_models.EMBEDDINGS] = [dtype, [n, width],
                                       values[:282 * width * 2] + nan + values[283 * width * 2:]]
    folder = demo_models.changed(program, "nan", weights, tie_word_embeddings=False)
    path = program.file("p.txt", f"3 + 4 =\n\n{PROMPT}\n")
    after = program.file("q.txt", f"3 + 4 =\n\n{PROMPT} Berlin.\n")
    for prompts in (path, after):  # 282 is drawn third; it is in the second file's prompt
        for more in ((), ("--temperature", 0.1), ("--temperature", 0.1, "--top-p", 0.9),
                     ("--batch-size", 1), ("--temperature", 0.1, "--top-k", 3, "--compare")):
            program.refuses(1, f"prompt 2 (line 3 of {prompts}): the logits after its token", "generate",
                            "--model", folder, "--prompts", prompts, "--max-new-tokens", 8, *more)


def layer_types(program):
    """a Mistral whose layers are all full attention sees its whole prompt"""
    demo_tokenizer(program)
    text = "The letter is in the suitcase. Rosa works as a judge. Rosa works as a"
    want, _ = tokens_of(program, "demo", text)
    keys = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 4}
    windowed, _ = tokens_of(program, demo_models.changed(program, "window", **keys), text)
    n = demo_models.read_config()["num_hidden_layers"]
    full = demo_models.changed(program, "full", layer_types=["full_attention"] * n, **keys)
    assert tokens_of(program, full, text)[0] == want != windowed


def tied_but_stored(program):
    """two tensors that are stored and differ are both used, whatever the config says of tying"""
    demo_tokenizer(program)
    weights = demo_models.read_weights()
    dtype, shape, values = weights[demo_models.EMBEDDINGS]
    row = shape[1] * 2
    rows = [values[i * row:(i + 1) * row] for i in range(shape[0])]
    rows[854], rows[371] = rows[371], rows[854]
    weights["lm_head.weight"] = [dtype, shape, b"".join(rows)]
    tokens, err = tokens_of(program, demo_models.changed(program, "tied", weights, tie_word_embeddings=True))
    assert tokens[:3] == [371, 973, 967], tokens
    assert "prepack: note: " in err and '"lm_head.weight"' in err, err


def unused_tensors(program):
    """stored tensors that the architecture does not use are named in a note"""
    demo_tokenizer(program)
    want, _ = tokens_of(program, "demo")
    weights = demo_models.read_weights()
    dtype, (n, _), _ = weights["model.layers.0.self_attn.q_proj.weight"]
    weights["model.layers.0.self_attn.q_proj.bias"] = [dtype, [n], b"\x80\x3f" * n]
    tokens, err = tokens_of(program, demo_models.changed(program, "bias", weights))
    assert tokens == want
    notes = [line for line in err.splitlines() if line.startswith("prepack: note: ")]
    assert len(notes) == 1 and '"model.layers.0.self_attn.q_proj.bias"' in notes[0], err


def index_of_more(program):
    """an index may list a tensor that no shard has where the model does not need it"""
    demo_tokenizer(program)
    folder = demo_models.copy(program)
    shard = "model-00001-of-00001.safetensors"
    os.rename(os.path.join(folder, "model.safetensors"), os.path.join(folder, shard))
    names = [*demo_models.read_weights(), "lm_head.weight"]
    index = {"weight_map": {name: shard for name in names}}
    program.file("model/model.safetensors.index.json", json.dumps(index))
    assert tokens_of(program, folder)[0] == tokens_of(program, "demo")[0]
    del index["weight_map"]["model.norm.weight"]
    program.file("model/model.safetensors.index.json", json.dumps(index))
    program.refuses(1, "model.norm.weight", "generate", "--model", folder, "-p", PROMPT)


def odd_numbers(program):
    """numbers that Python writes and JSON does not have may stand in keys that do not matter"""
    demo_tokenizer(program)
    want, _ = tokens_of(program, "demo")
    for number in ("Infinity", "-Infinity", "NaN", "1e999", "1" * 40):
        folder = demo_models.changed(program, "m")
        text = json.dumps(demo_models.read_config())
        program.file("m/config.json", '{"not_used": ' + number + ", " + text[1:])
        assert tokens_of(program, folder)[0] == want, number


def pointer_of_weights(program):
    """a Git LFS pointer in place of the weights is called one"""
    folder = demo_models.copy(program, weights=False)
    program.file("model/model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:" +
                 "0" * 64 + "\nsize 4680440\n")
    lengths = program.file("a.lengths", "3\n4\n")
    program.refuses(1, "Git LFS pointer", "profile", "--model", folder, "--dataset", lengths)
    program.refuses(1, "git lfs pull", "generate", "--model", folder, "-p", PROMPT)


CASES = [shapes, shapes_with_other_heads, shapes_refused, made_up_text, any_end_token, not_finite,
         layer_types, tied_but_stored, unused_tensors, index_of_more, odd_numbers, pointer_of_weights]
