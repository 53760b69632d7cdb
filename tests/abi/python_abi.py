#!/usr/bin/env python3
"""Writes examples/python/libprepack/_abi.py: the declarations of the public headers for ctypes.

usage: python_abi.py [--check]      --check: compares with the file that is there, and fails where it differs"""
import os
import sys

import headers

FILE = os.path.join(headers.HEADERS, "../../examples/python/libprepack/_abi.py")
SCALARS = {"int32_t": "c_int32", "pp_status": "c_int32", "uint32_t": "c_uint32", "int64_t": "c_int64",
           "uint64_t": "c_uint64", "size_t": "c_size_t", "float": "c_float", "double": "c_double",
           "char": "c_char"}
HINTS = {"c_float": "float", "c_double": "float", "c_char": "Bytes", "c_char_p": "Bytes | None",
         "c_void_p": "int | None"}
TOP = '''"""The declarations of libprepack's public headers for ctypes, field for field and word for word: their
comments say what everything means. Written by tests/abi/python_abi.py; not to be edited."""
from __future__ import annotations

from ctypes import (CFUNCTYPE, Structure, c_char, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t,
                    c_uint32, c_uint64, c_void_p)
from typing import Any

Bytes = bytes  # in classes that have a field of that name
'''


def ctypes_name(variable, callbacks):
    """The type of a field or parameter: every pointer but one to text is an address."""
    if variable.type == "function":
        return "c_void_p"
    if variable.type in callbacks:
        return variable.type
    if variable.type in ("const char *",):
        return "c_char_p"
    if variable.type.endswith("*"):
        return "c_void_p"
    return SCALARS[variable.type.replace("const ", "")]


def function_type(function, callbacks):
    """Result and parameters, as CFUNCTYPE takes them. A text that a callback gets is one that ends with NUL."""
    result = "None" if function.result == "void" else ctypes_name(headers.Variable("", function.result, None, None),
                                                                   callbacks)
    return [result, *(ctypes_name(p, callbacks) for p in function.parameters)]


def lines():
    interface = headers.read_all()
    callbacks = {c.name for c in interface.callbacks}
    yield TOP
    for constant in interface.constants:
        yield f"{constant.name} = {constant.value}"
    yield ""
    for callback in interface.callbacks:
        yield f"{callback.name} = CFUNCTYPE({', '.join(function_type(callback, callbacks))})"
    for struct in interface.structs:
        fields = [(f.name, ctypes_name(f, callbacks), f.n) for f in struct.fields]
        yield f"\n\nclass {struct.name}(Structure):"
        for name, kind, n in fields:
            hint = HINTS.get(kind, "Any" if kind in callbacks else "int")
            if n:
                hint = "Bytes" if kind == "c_char" else "Any"
            yield f"    {name}: {hint}"
        yield "    _fields_ = ["
        for name, kind, n in fields:
            yield f'        ("{name}", {kind}{f" * {n}" if n else ""}),'
        yield "    ]"
    for table, own in (("FUNCTIONS", False), ("TOKENIZER_FUNCTIONS", True)):
        yield f"\n\n{table}: dict[str, tuple[Any, ...]] = {{  # result, then parameters"
        for function in interface.functions:
            if (function.header == headers.TOKENIZER_HEADER) == own:
                yield f'    "{function.name}": ({", ".join(function_type(function, callbacks))},),'
        yield "}"


def main():
    text = "\n".join(lines()) + "\n"
    if "--check" in sys.argv:
        with open(FILE, encoding="utf-8") as file:
            sys.exit(0 if file.read() == text else "_abi.py is not what the headers say: run tests/abi/refresh.sh")
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(text)


main()
