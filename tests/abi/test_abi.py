#!/usr/bin/env python3
"""The ABI of each library against the dump that is committed, and every public header by itself.

usage: test_abi.py SOURCE_ROOT BUILD_ROOT CC CXX LIBRARY [LIBRARY]   CXX may be empty; compilers may have arguments
       test_abi.py --dump LIBRARY FILE                      writes the dump (refresh.sh calls this)
Prints TAP."""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
# Nothing of the machine that dumped: no paths, no lines, no names of libraries.
DUMP = ["abidw", "--exported-interfaces-only", "--no-corpus-path", "--no-comp-dir-path",
        "--no-show-locs", "--no-elf-needed", "--type-id-style", "hash"]
results = []


def report(name, problems):
    problems = list(problems)
    results.append(not problems)
    print("ok" if not problems else "not ok", len(results), "-", name)
    for problem in problems[:40]:
        print("#", problem)


def skip(name, reason):
    results.append(True)
    print("ok", len(results), "-", name, "# SKIP", reason)


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def has_debug_info(library):
    return ".debug_info" in run("readelf", "--section-headers", "--wide", library)[1]


def handles():
    """The structs that headers declare and do not define: their insides are no part of the ABI."""
    folder = os.path.join(HERE, "../../include/prepack")
    return {handle for name in os.listdir(folder) if name.endswith(".h")
            for handle in re.findall(r"^typedef struct (pp_\w+) \1;", read(os.path.join(folder, name)), re.M)}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def close_handles(corpus):
    """Empties the handles, as they are to programs. (abidiff's suppressions would do that, too, but then
    it does not see a function that takes another handle.) Types that nobody uses any more go away."""
    opaque = handles()
    for struct in corpus.iter("class-decl"):
        if struct.get("name") in opaque:
            tail = struct.tail
            identity = {key: struct.get(key) for key in ("name", "is-struct", "visibility", "id")}
            struct.clear()
            struct.attrib.update(identity, **{"is-declaration-only": "yes"})
            struct.tail = tail
    types = {node.get("id"): node for node in corpus.iter() if node.get("id")}
    used, waiting = set(), [node for kind in ("function-decl", "var-decl")
                            for unit in corpus.iter("abi-instr") for node in unit.findall(kind)]
    while waiting:
        for node in waiting.pop().iter():
            for key in ("type-id", "naming-typedef-id"):
                if node.get(key) in types and node.get(key) not in used:
                    used.add(node.get(key))
                    waiting.append(types[node.get(key)])
    for unit in corpus.iter("abi-instr"):
        for node in list(unit):
            if node.get("id") and not any(part.get("id") in used for part in node.iter()):
                unit.remove(node)
    for unit in list(corpus.findall("abi-instr")):
        if len(unit) == 0:
            corpus.remove(unit)


def dump(library, path):
    """A library without debug information would give a dump without types, which is like any other."""
    if not has_debug_info(library):
        sys.exit(f"{library} has no debug information; build it with meson's -Ddebug=true")
    status, said = run(*DUMP, "--out-file", path, os.path.realpath(library))
    if status != 0:
        sys.exit(f"abidw failed ({status}): {said}")
    tree = ElementTree.parse(path)
    close_handles(tree.getroot())
    tree.write(path)
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n")


if sys.argv[1] == "--dump":
    dump(sys.argv[2], sys.argv[3])
    sys.exit(0)

ROOT, BUILD = sys.argv[1:3]
CC, CXX = shlex.split(sys.argv[3]), shlex.split(sys.argv[4])
LIBRARIES = sys.argv[5:]
INCLUDES = ["-I", os.path.join(ROOT, "include"), "-I", os.path.join(BUILD, "include")]
FOLDERS = [os.path.join(ROOT, "include/prepack"), os.path.join(BUILD, "include/prepack")]
HEADERS = {name: os.path.join(folder, name) for folder in FOLDERS for name in sorted(os.listdir(folder))
           if name.endswith(".h")}
CPP_HEADERS = [name for name in sorted(os.listdir(FOLDERS[0])) if name.endswith(".hpp")]
WHOLE_CPP = ["prepack.hpp", "tokenizer.hpp"]
TEXTS = {name: read(path) for name, path in HEADERS.items()}


# ---- the dump ----

def differences(baseline, library):
    """abidiff's bits: 1 and 2 its own failure, 4 a change (an addition, too), 8 one that breaks programs."""
    return run("abidiff", baseline, library)


def compare(baseline, now):
    status, said = differences(baseline, now)
    if status != 0:
        yield f"abidiff says {status}; if the change is meant: sh tests/abi/refresh.sh BUILD_DIR"
        yield from said.splitlines()


def sees_changes(now):
    """A dump in which something is altered must not be like the other."""
    def widen(text):  # a struct that was longer
        return re.sub(r"(<class-decl name='pp_segment' size-in-bits=')\d+", r"\g<1>512", text)

    def drop_field(text):
        return re.sub(r"(?s)<data-member [^>]*>\s*<var-decl name='waste' .*?</data-member>", "", text)

    def move_field(text):
        return re.sub(r"(?s)(layout-offset-in-bits=')\d+('>\s*<var-decl name='waste')", r"\g<1>8\2", text)

    def drop_function(text):
        text = re.sub(r"<elf-symbol name='pp_queue_add' [^>]*/>", "", text)
        return re.sub(r"(?s)<function-decl name='pp_queue_add' .*?</function-decl>", "", text)

    def other_handle(text):  # a function that took another handle
        pointers = {function: re.search(rf"(?s)<function-decl name='{function}' .*?<parameter type-id='(\w+)'",
                                        text).group(1) for function in ("pp_plan_destroy", "pp_queue_destroy")}
        return re.sub(rf"(?s)(<function-decl name='pp_plan_destroy' .*?<parameter type-id=')\w+",
                      rf"\g<1>{pointers['pp_queue_destroy']}", text)

    text = read(now).replace('"', "'")
    for change in (widen, drop_field, move_field, drop_function, other_handle):
        other = change(text)
        assert other != text, change.__name__
        with tempfile.NamedTemporaryFile("w", suffix=".abi") as file:
            file.write(other)
            file.flush()
            if differences(file.name, now)[0] & 12 == 0:
                yield f"abidiff does not see {change.__name__}"


def check_library(library):
    name = os.path.basename(library).split(".")[0]
    title = f"the ABI of {name} is the committed one"
    if not shutil.which("abidiff"):
        skip(title, "abidiff (abigail-tools) is not installed")
    elif os.uname().machine != "x86_64":
        skip(title, f"the dump is of x86_64, this is {os.uname().machine}")
    elif not has_debug_info(library):
        skip(title, "the library was built without debug information")
    else:
        with tempfile.TemporaryDirectory() as folder:
            now = os.path.join(folder, "now.abi")
            dump(library, now)
            report(title, compare(os.path.join(HERE, name + ".abi"), now))
            if name == "libprepack":
                report("abidiff sees what it shall see", sees_changes(now))


for each in LIBRARIES:
    check_library(each)


# ---- the headers ----

def compiles(headers, compiler, language, *options):
    for name in headers:
        source = f"#include <prepack/{name}>\n#include <prepack/{name}>\nextern int not_empty;\n"
        status, said = run(*compiler, *options, "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror",
                           "-pedantic-errors", "-fsyntax-only", *INCLUDES, "-x", language, "-", text=source)
        if status != 0:
            yield name
            yield from said.splitlines()[:5]


def code_of(text):
    return re.sub(r"(?s)/\*.*?\*/", "", text)


def signed_constants():
    """Each constant is an enumerator of an enum whose type is int32_t."""
    names = []
    for name, text in TEXTS.items():
        for macro in re.findall(r"^#define (PP_\w+)\s+\(?-?\d", text, re.M):
            if not macro.startswith("PP_VERSION_"):
                yield f"{name}: {macro} is a macro"
        for body in re.findall(r"(?s)\benum\b[^{;]*\{(.*?)\}", code_of(text)):
            entries = [entry.strip() for entry in body.split(",") if entry.strip()]
            names += [entry.split()[0] for entry in entries]
            yield from (f"{name}: {entry} has no value written out" for entry in entries if "=" not in entry)
    assert "PP_POLICY_AUTO" in names
    if not CXX:
        return
    lines = ["#include <prepack/prepack.h>", "#include <prepack/tokenizer.h>", "#include <type_traits>"]
    lines += [f"static_assert(std::is_same<std::underlying_type<decltype({name})>::type, int32_t>::value, "
              f"\"{name}\");" for name in names]
    status, said = run(*CXX, "-std=c++11", "-fsyntax-only", *INCLUDES, "-x", "c++", "-", text="\n".join(lines))
    if status != 0:
        yield from re.findall(r"static assertion failed.*|error:.*", said)[:20]


def plain_types():
    """Counts are int64_t, and struct_size is the one way in which structs grow."""
    for name, text in TEXTS.items():
        for line in code_of(text).splitlines():
            if re.search(r"\breserved|\bsize_t n(_\w+)?[,;)]", line) \
                    and "n_bytes" not in line:
                yield f"{name}: {line.strip()}"


def cpp_defaults():
    """Every struct that has a function for its defaults gets them by that function in C++."""
    cpp = "".join(read(os.path.join(FOLDERS[0], name)) for name in CPP_HEADERS)
    names = [found for text in TEXTS.values() for found in re.findall(r"^PP_API void (pp_\w+_init)\(", text, re.M)]
    assert "pp_batch_params_init" in names
    yield from (f"no Defaults of the C++ headers use {name}" for name in names if not re.search(rf"\b{name}>", cpp))


for title, headers, compiler, language, *options in (
        ("every header compiles as C99", HEADERS, CC, "c", "-std=c99"),
        ("every header compiles as C11", HEADERS, CC, "c", "-std=c11"),
        ("every header compiles as C++11", HEADERS, CXX, "c++", "-std=c++11"),
        ("every C++ header compiles as C++17", CPP_HEADERS, CXX, "c++", "-std=c++17"),
        ("the C++ headers compile as C++20", WHOLE_CPP, CXX, "c++", "-std=c++20")):
    assert headers
    if compiler:
        report(title, compiles(headers, compiler, language, *options))
    else:
        skip(title, "there is no C++ compiler")
report("constants are int32_t to bindings", signed_constants())
report("counts are int64_t, nothing is reserved", plain_types())
report("C++ has the defaults of C", cpp_defaults())

print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
