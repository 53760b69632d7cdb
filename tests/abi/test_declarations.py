#!/usr/bin/env python3
"""The declarations that other languages have of the public headers: what the headers say now, with the layout
that the committed dumps of the ABI promise.

usage: test_declarations.py SOURCE_ROOT
Prints TAP."""
import ctypes
import importlib.util
import os
import subprocess
import sys

import dumps

ROOT = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
results = []


def report(name, problems):
    problems = list(problems)
    results.append(not problems)
    print("ok" if not problems else "not ok", len(results), "-", name)
    for problem in problems[:40]:
        print("#", problem)


def written_anew(writer):
    done = subprocess.run([sys.executable, os.path.join(HERE, writer), "--check"], capture_output=True, text=True)
    return done.stderr.splitlines() if done.returncode else []


def python_declarations():
    spec = importlib.util.spec_from_file_location("_abi", os.path.join(ROOT, "examples/python/libprepack/_abi.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def layout(module):
    """What is wrong with the declarations: names, places and sizes, field by field."""
    ours = {name: one for name, one in vars(module).items()
            if isinstance(one, type) and issubclass(one, ctypes.Structure) and one is not ctypes.Structure}
    structs = dumps.promised()
    if not ours:
        yield "there are no declarations"
    for name, one in ours.items():
        fields = [(field[0], getattr(one, field[0]).offset) for field in one._fields_]
        if name not in structs:
            yield f"{name} is in no dump"
        elif (ctypes.sizeof(one), fields) != structs[name]:
            yield f"{name} is {ctypes.sizeof(one)} bytes and {fields}, promised {structs[name]}"


def functions(module):
    for table, file in (("FUNCTIONS", "exports.txt"), ("TOKENIZER_FUNCTIONS", "exports-tokenizer.txt")):
        with open(os.path.join(HERE, file), encoding="utf-8") as lines:
            for name in sorted(set(lines.read().split()) ^ set(getattr(module, table))):
                yield f"{name} is in only one of {table} and {file}"


declarations = python_declarations()
report("Python's declarations are those of the headers", written_anew("python_abi.py"))
report("Python's structs have the layout of C's", layout(declarations))
report("every exported function is declared for Python", functions(declarations))
report("Rust's declarations are those of the headers", written_anew("rust_abi.py"))
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
