#!/usr/bin/env python3
"""Writes the declarations of the public headers for Rust, examples/rust/prepack-sys/src/bindings.rs, and the test
of their layout, examples/rust/prepack-sys/tests/layout.rs: what the committed dumps of the ABI promise.

usage: rust_abi.py [--check]      --check: compares with the files that are there, and fails where they differ"""
import os
import sys

import dumps
import headers

CRATE = os.path.join(headers.HEADERS, "../../examples/rust/prepack-sys")
WIDTH = 100 # of rustfmt
TYPES = {"int32_t": "i32", "uint32_t": "u32", "int64_t": "i64", "uint64_t": "u64", "size_t": "usize",
         "float": "f32", "double": "f64", "char": "c_char", "void": "c_void"}
TOP = """//! The declarations of libprepack's public headers, field for field and word for word: their comments say
//! what everything means. Written by tests/abi/rust_abi.py; not to be edited.
#![allow(missing_docs, non_camel_case_types)]

use std::marker::{PhantomData, PhantomPinned};
use std::os::raw::{c_char, c_void};

/// Outcome of a call: negative is an error (prepack/common.h).
pub type pp_status = i32;
"""
LAYOUT_TOP = """//! Sizes and places of fields, as the C library has them. Written by tests/abi/rust_abi.py from the dumps of
//! the library's ABI; not to be edited.
#![cfg(target_pointer_width = "64")]

use prepack_sys::*;
use std::mem::{size_of, MaybeUninit};
use std::ptr::addr_of;

macro_rules! offset {
    ($type:ty, $field:ident) => {{
        let place = MaybeUninit::<$type>::uninit();
        let start = place.as_ptr();
        unsafe { addr_of!((*start).$field) as usize - start as usize }
    }};
}
"""


def rust_type(c_type):
    """`const float **` is `*mut *const f32`: a star points to what stands before it."""
    words = c_type.replace("*", " * ").split()
    stars = [i for i, word in enumerate(words) if word == "*"]
    end = stars[0] if stars else len(words)
    base = [word for word in words[:end] if word != "const"]
    rust = TYPES.get(base[0], base[0])
    is_const = "const" in words[:end]
    for i, star in enumerate(stars):
        rust = ("*const " if is_const else "*mut ") + rust
        behind = words[star + 1:stars[i + 1] if i + 1 < len(stars) else len(words)]
        is_const = "const" in behind
    return rust


def result_of(c_type):
    return "" if c_type == "void" else " -> " + rust_type(c_type)


def wrapped(before, parts, after, indent):
    """One line where it fits, else a line for each part, as rustfmt has it."""
    line = " " * indent + before + "(" + ", ".join(parts) + ")" + after
    if len(line) <= WIDTH:
        return [line]
    inner = " " * (indent + 4)
    return [" " * indent + before + "(", *(f"{inner}{part}," for part in parts), " " * indent + ")" + after]


def parameter(variable):
    """`name: type` on one line."""
    if variable.type != "function":
        return f"{variable.name}: {rust_type(variable.type)}"
    result, parameters = variable.function
    inner = ", ".join(parameter(p) for p in parameters)
    return f'{variable.name}: Option<unsafe extern "C" fn({inner}){result_of(result)}>'


def pointer_lines(result, parameters, before, after, indent):
    """A pointer to a function that may be NULL, as rustfmt has it."""
    parts = [parameter(p) for p in parameters]
    whole = f'unsafe extern "C" fn({", ".join(parts)}){result_of(result)}'
    start, inner = " " * indent, " " * (indent + 4)
    if len(f"{start}{before} Option<{whole}>{after}") <= WIDTH:
        return [f"{start}{before} Option<{whole}>{after}"]
    if before.endswith("=") and len(f"{inner}Option<{whole}>{after}") <= WIDTH:
        return [start + before, f"{inner}Option<{whole}>{after}"]
    if len(f"{inner}{whole},") <= WIDTH:
        return [f"{start}{before} Option<", f"{inner}{whole},", f"{start}>{after}"]
    return [f"{start}{before} Option<",
            *wrapped('unsafe extern "C" fn', parts, result_of(result) + ",", indent + 4), f"{start}>{after}"]


def field_lines(field):
    before = f"pub {field.name}:"
    if field.type == "function":
        return pointer_lines(*field.function, before, ",", 4)
    rust = rust_type(field.type)
    return [f"    {before} " + (f"[{rust}; {field.n}]" if field.n else rust) + ","]


def handle_lines(name):
    yield f"\n/// A handle: only the library knows what is inside, and which threads may use it.\n#[repr(C)]"
    yield f"pub struct {name} {{"
    yield "    private: [u8; 0],"
    yield "    marker: PhantomData<(*mut u8, PhantomPinned)>,"
    yield "}"


def struct_lines(struct):
    yield f"\n/// Of prepack/{struct.header}.\n#[repr(C)]\n#[derive(Clone, Copy, Debug)]"
    yield f"pub struct {struct.name} {{"
    for field in struct.fields:
        yield from field_lines(field)
    yield "}"


def function_lines(functions):
    yield 'extern "C" {'
    for function in functions:
        parts = [parameter(p) for p in function.parameters]
        yield from wrapped(f"pub fn {function.name}", parts, result_of(function.result) + ";", 4)
    yield "}"


def binding_lines():
    interface = headers.read_all()
    yield TOP
    for constant in interface.constants:
        yield f"pub const {constant.name}: i32 = {constant.value};"
    for name in interface.handles:
        yield from handle_lines(name)
    for callback in interface.callbacks:
        yield f"\n/// Of prepack/{callback.header}; None is NULL."
        yield from pointer_lines(callback.result, callback.parameters, f"pub type {callback.name} =", ";", 0)
    for struct in interface.structs:
        yield from struct_lines(struct)
    tokenizer = [f for f in interface.functions if f.header == headers.TOKENIZER_HEADER]
    yield "\n// Of libprepack."
    yield from function_lines(f for f in interface.functions if f not in tokenizer)
    yield '\n// Of libprepack-tokenizer.\n#[cfg(feature = "tokenizer")]'
    yield from function_lines(tokenizer)


def layout_lines():
    promised = dumps.promised()
    yield LAYOUT_TOP
    yield "#[test]\nfn structs_lie_as_in_c() {"
    for struct in headers.read_all().structs:
        size, fields = promised[struct.name]
        yield f"    assert_eq!(size_of::<{struct.name}>(), {size});"
        for name, offset in fields:
            yield f"    assert_eq!(offset!({struct.name}, {name}), {offset});"
    yield "}"


def main():
    for path, lines in (("src/bindings.rs", binding_lines()), ("tests/layout.rs", layout_lines())):
        text = "\n".join(lines) + "\n"
        file_name = os.path.join(CRATE, path)
        if "--check" in sys.argv:
            with open(file_name, encoding="utf-8") as file:
                if file.read() != text:
                    sys.exit(f"prepack-sys/{path} is not what the headers say: run tests/abi/refresh.sh")
            continue
        with open(file_name, "w", encoding="utf-8") as file:
            file.write(text)


main()
