#!/usr/bin/env python3
"""examples/python: the examples with PyTorch agree with PyTorch.

usage: test_python_example.py SOURCE_ROOT LIBRARY
PREPACK_TEST_PYTHON of the environment names a Python that has torch, should this one not. Prints
TAP."""
import os
import subprocess
import sys

ROOT, LIBRARY = sys.argv[1], sys.argv[2]
results = []


def report(name, problem="", skip=""):
    results.append(not problem)
    print("not ok" if problem else "ok", len(results), "-", name, f"# SKIP {skip}" if skip else "")
    for line in problem.splitlines():
        print("#", line)


def example(name, n_fine):
    """The problem and the reason for skipping of an example with PyTorch."""
    python = os.environ.get("PREPACK_TEST_PYTHON", sys.executable)
    run = subprocess.run([python, os.path.join(ROOT, "examples/python", name)], check=False,
                         capture_output=True, text=True, timeout=200,
                         env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PREPACK_LIBRARY": LIBRARY})
    if run.returncode == 77:
        return "", run.stdout.strip()
    if run.returncode != 0 or run.stdout.count(": fine") < n_fine:
        return f"exit status {run.returncode}\n{run.stdout}{run.stderr}", ""
    return "", ""


for script, results_wanted in (("attention_torch.py", 2), ("pack_transformers.py", 1)):
    report(script, *example(script, results_wanted))
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
