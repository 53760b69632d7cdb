#!/usr/bin/env python3
"""examples/python: the ctypes declarations have the layout that tests/abi/libprepack.abi promises, a call
works without PyTorch, and the examples with PyTorch agree with PyTorch.

usage: test_python_example.py SOURCE_ROOT LIBRARY
PREPACK_TEST_PYTHON of the environment names a Python that has torch, should this one not. Prints
TAP."""
import ctypes
import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

ROOT, LIBRARY = sys.argv[1], sys.argv[2]
EXAMPLES = os.path.join(ROOT, "examples/python")
sys.dont_write_bytecode = True
sys.path.insert(0, EXAMPLES)
os.environ["PREPACK_LIBRARY"] = LIBRARY
import prepack_ctypes as prepack  # noqa: E402 (the path is set above)

results = []


def report(name, problem="", skip=""):
    results.append(not problem)
    print("not ok" if problem else "ok", len(results), "-", name, f"# SKIP {skip}" if skip else "")
    for line in problem.splitlines():
        print("#", line)


def layout():
    """What is wrong with the declarations: names, places and sizes, field by field."""
    corpus = ElementTree.parse(os.path.join(ROOT, "tests/abi/libprepack.abi"))
    promised = {struct.get("name"): struct for struct in corpus.iter("class-decl")}
    structs = {s.C_NAME: s for s in vars(prepack).values() if hasattr(s, "C_NAME")}
    problems = []
    for name, declared in structs.items():
        fields = [(member.find("var-decl").get("name"), int(member.get("layout-offset-in-bits")) // 8)
                  for member in promised[name].findall("data-member")]
        ours = [(field[0], getattr(declared, field[0]).offset) for field in declared._fields_]
        problems += [f"{name}: {field} is not as in C" for field in sorted(set(fields) ^ set(ours))]
        if ctypes.sizeof(declared) * 8 != int(promised[name].get("size-in-bits")):
            problems.append(f"{name} has {ctypes.sizeof(declared)} bytes, not as in C")
    return "\n".join(problems) if structs else "there are no declarations"


def call_without_torch():
    """Two prompts of one token each: out is v."""
    session = prepack.Session()
    plan = prepack.Plan(session, cu_seqlens_q=[0, 1, 2], dtype=prepack.F32, n_heads=2, n_kv_heads=1,
                        head_dim=8)
    plan.upload()
    memory = ctypes.create_string_buffer(64 * 6)
    start = (ctypes.addressof(memory) + 63) // 64 * 64
    values = [float(i) for i in range(16)]
    ctypes.memset(start, 0, 64)
    ctypes.memmove(start, struct.pack("16f", *values), 64)
    plan.run(q=start, k=start, v=start, out=start + 64)
    got = struct.unpack("32f", ctypes.string_at(start + 64, 128))
    expected = values[:8] * 2 + values[8:] * 2
    if list(got) != expected:
        return f"out is {got}, expected {expected}"
    try:
        plan.run(q=start + 4, k=start, v=start, out=start + 64)
    except prepack.PrepackError as problem:
        return "" if "pp_attention_params.q" in str(problem) else f"other sentence: {problem}"
    return "a wrong pointer was taken"


def packing_without_torch():
    """Bins, arrays and masks of five prompts."""
    prompts = [[1, 2, 3, 4, 5, 6], [7], [8, 9], [10, 11, 12], [13, 14, 15, 16]]
    packing = prepack.Packing([len(p) for p in prompts], capacity=8, policy=prepack.POLICY_FFD)
    if (packing.info.n_bins, packing.info.tokens, packing.info.proven_optimal) != (2, 16, 1):
        return f"{packing.info.n_bins} bins of {packing.info.tokens} tokens"
    bins = list(packing.bins(prompts))
    if [b.prompts for b in bins] != [[0, 2], [4, 3, 1]]:
        return f"the bins are {[b.prompts for b in bins]}"
    second = bins[1]
    got = second.tokens, second.positions, second.cu_seqlens, second.last_rows, second.max_seqlen
    expected = ([13, 14, 15, 16, 10, 11, 12, 7], [0, 1, 2, 3, 0, 1, 2, 0], [0, 4, 7, 8], [3, 6, 7], 4)
    if got != expected:
        return f"arrays are {got}"
    seen = [[(0 if i < 4 else 4 if i < 7 else 7) <= j <= i for j in range(8)] for i in range(8)]
    if list(second.mask()) != [int(cell) for row in seen for cell in row]:
        return f"the mask is {list(second.mask())}"
    try:
        prepack.Packing([3, 9], capacity=8)
    except prepack.PrepackError as problem:
        return "" if "prompt 1 has 9 tokens" in str(problem) else f"other sentence: {problem}"
    return "a prompt longer than a bin was taken"


def running_without_torch():
    """What follows prompts, packed and alone, as the demo model has it."""
    session = prepack.Session(model=prepack.Model(os.path.join(ROOT, "examples/demo-model")))
    prompts = [[1, 15, 27, 8, 301, 44], [1, 9], [1, 77, 12, 5]]
    packing = prepack.Packing([len(p) for p in prompts], capacity=8)
    for drawing in ({}, {"temperature": 2.0, "top_k": 40, "seed": 7}):
        packed = session.next_tokens(prompts, packing, **drawing)
        alone = [session.next_tokens([p], **drawing)[0] for p in prompts]
        if packed != alone or min(packed) < 0:
            return f"packed {packed}, alone {alone}"
    try:
        session.next_tokens([[1], [1 << 30]])
    except prepack.PrepackError as problem:
        return "" if "item 1" in str(problem) else f"other sentence: {problem}"
    return "a token beyond the vocabulary was taken"


def scoring_without_torch():
    """Log-probabilities and vectors: packed as alone; what follows is what is most likely."""
    session = prepack.Session(model=prepack.Model(os.path.join(ROOT, "examples/demo-model")))
    prompts = [[1, 15, 27, 8, 301, 44], [1, 9], [1, 77, 12, 5], [1, 15, 27]]
    prompts = [prompt + [token] for prompt, token in zip(prompts, session.next_tokens(prompts))]
    packing = prepack.Packing([len(p) for p in prompts], capacity=16)
    packed = session.scores(prompts, packing, n_top=3)
    if packed != [session.scores([p], n_top=3)[0] for p in prompts]:
        return "scores differ packed and alone"
    for prompt, scores in zip(prompts, packed):
        logprob, rank, top = scores[-1]
        if len(scores) != len(prompt) - 1 or rank != 0 or top[0] != (prompt[-1], logprob) or not logprob < 0:
            return f"the last of {len(scores)} scores of {prompt} is {scores[-1]}"
    if packed != session.scores(prompts, 2, n_top=3):
        return "scores differ where the beginnings of prompts are computed once"
    last = session.pooled(prompts, prepack.POOLING_LAST, packing=packing)
    if last != [states[-1] for states in session.hidden(prompts)]:
        return "the last state of all is not the one pooled as last"
    norms = [sum(x * x for x in v) for v in session.pooled(prompts, prepack.POOLING_MEAN, normalize=1)]
    if max(abs(norm - 1) for norm in norms) > 1e-5:
        return f"norms are {norms}"
    try:
        session.labels(prompts)
    except prepack.PrepackError as problem:
        return "" if "no classification head" in str(problem) else f"other sentence: {problem}"
    return "labels of a model without them were given"


def example(name, n_fine):
    """The problem and the reason for skipping of an example with PyTorch."""
    python = os.environ.get("PREPACK_TEST_PYTHON", sys.executable)
    run = subprocess.run([python, os.path.join(EXAMPLES, name)], check=False,
                         capture_output=True, text=True, timeout=200,
                         env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    if run.returncode == 77:
        return "", run.stdout.strip()
    if run.returncode != 0 or run.stdout.count(": fine") < n_fine:
        return f"exit status {run.returncode}\n{run.stdout}{run.stderr}", ""
    return "", ""


sanitized = "asan" in subprocess.run(["nm", "-D", LIBRARY], check=True, capture_output=True,
                                     text=True).stdout
WHY = "a sanitized library cannot be loaded into Python" if sanitized else ""
report("declarations have the layout of the ABI", layout())
report("a call without torch", "" if WHY else call_without_torch(), WHY)
report("running without torch", "" if WHY else running_without_torch(), WHY)
report("scoring without torch", "" if WHY else scoring_without_torch(), WHY)
report("packing without torch", "" if WHY else packing_without_torch(), WHY)
for script, results_wanted in (("attention_torch.py", 2), ("pack_transformers.py", 1)):
    report(script, *(("", WHY) if WHY else example(script, results_wanted)))
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
