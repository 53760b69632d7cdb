#!/usr/bin/env python3
"""The types of the Python package agree, as mypy --strict sees it.

usage: test_python_types.py SOURCE_ROOT
Prints TAP."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = sys.argv[1]
if shutil.which("mypy") is None:
    print("1..0 # SKIP mypy is not installed")
    sys.exit(0)
with tempfile.TemporaryDirectory() as cache:
    run = subprocess.run(["mypy", "--config-file", "../../pyproject.toml", "--cache-dir", cache, "libprepack"], check=False,
                         capture_output=True, text=True, cwd=os.path.join(ROOT, "examples/python"))
print("ok" if run.returncode == 0 else "not ok", "1 - mypy --strict of the Python package")
for line in run.stdout.splitlines() + run.stderr.splitlines():
    print("#", line)
print("1..1")
sys.exit(run.returncode)
