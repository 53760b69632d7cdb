#!/usr/bin/env python3
"""Rules about the tree that a compiler does not check: who may include whom, what the library may call,
what it exports, file sizes and names, and that the prose tells the truth where a program can tell.

usage: test_rules.py SOURCE_ROOT LIBRARY [TOKENIZER_LIBRARY]
Prints TAP."""
import collections
import os
import re
import subprocess
import sys
import tempfile

ROOT, LIBRARY = sys.argv[1], sys.argv[2]
TOKENIZER = sys.argv[3] if len(sys.argv) > 3 else None
results = []


def check(name, problems):
    problems = list(problems)
    results.append(not problems)
    print(("ok" if not problems else "not ok"), len(results), "-", name)
    for problem in problems[:20]:
        print("#", problem)


def files(folder, *endings):
    for base, dirs, names in os.walk(os.path.join(ROOT, folder)):
        dirs[:] = [d for d in dirs if not d.startswith((".", "build"))]
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(base, name), ROOT)


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def includes(path):
    return re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', text(path), re.M)


# The folders of libprepack in their order, lowest first. A file may include its own folder, the
# folders of lines above and the files at the top of libprepack; folders of one line do not know
# one another. Joined by "+" are folders that do: they count as one.
ORDER = (
    ("json",),
    ("plan",),
    ("queue", "batch"),
    ("checkpoint",),
    ("model", "tokenizer"),
    ("kv",),
    ("run",),
    ("attention", "measure"),
)
# A device sees the seam and these files, nothing else of the library.
SEAM = {"backend.h", "dtype.h", "draw.h", "experts.h", "gumbel.h", "internal.h", "linear.h",
        "module.h", "score.h", "packed/formats.h"}

OUR_SOURCES = [p for folder in ("include", "libprepack", "cuda", "examples", "tests")
               for p in files(folder, ".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".cuh")]
# Crates and module for other languages, but for what tests/abi writes from the headers.
OTHER_SOURCES = [p for p in files("examples", ".rs", ".go")
                 if not p.startswith("examples/rust/target/") and "not to be edited" not in text(p)[:400]]


def include_rules():
    for path in files("include", ".h", ".hpp"):
        for name in includes(path):
            is_cpp = path.endswith(".hpp")
            if name.endswith(".hpp") and not is_cpp:
                yield f"{path} is C and includes {name}"
            if name.startswith("std") or is_cpp and "." not in name:
                continue
            if os.path.basename(name) not in os.listdir(os.path.join(ROOT, "include/prepack")) \
                    and name != "prepack/version.h":
                yield f"{path} includes {name}"
    for path in ("libprepack/run/forward.c",):
        for name in includes(path):
            if name.startswith(("cpu/", "cuda/")):
                yield f"{path} includes {name}"
    internal = {os.path.basename(p) for p in files("libprepack", ".h")}
    internal -= {os.path.basename(p) for p in files("include", ".h")}
    for folder in ("examples", "tests/api"):
        own = {os.path.basename(p) for p in files(folder, ".h")}
        for path in files(folder, ".c", ".cc", ".cpp", ".h"):
            for name in includes(path):
                if os.path.basename(name) in internal - own:
                    yield f"{path} includes the internal {name}"


def program_folders():
    """The program's folders: common < text < commands, which do not know one another; main knows all."""
    home = "examples/prepack"
    folders = {d for d in os.listdir(os.path.join(ROOT, home)) if os.path.isdir(os.path.join(ROOT, home, d))}
    owner = {os.path.basename(p): p.split("/")[2] for d in folders for p in files(f"{home}/{d}", ".h")}
    for folder in sorted(folders):
        below = {"common": {"common"}, "text": {"common", "text"}}.get(folder, {"common", "text", folder})
        for path in files(f"{home}/{folder}", ".c", ".cc", ".h"):
            for name in includes(path):
                where = owner.get(os.path.basename(name))
                if where and where not in below:
                    yield f"{path} includes {name} of {where}/"


def included_file(path, name):
    """The file of libprepack or cuda that an #include names, or None."""
    for folder in (os.path.dirname(path), "libprepack"):
        file = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(ROOT, file)):
            return file
    return None


def build_id(headers):
    """What build_id.py makes of the headers."""
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "build_id.h")
        script = os.path.join(ROOT, "libprepack/build_id.py")
        subprocess.run([sys.executable, script, output, "1.2.3", "/lib/prepack", *headers], check=True)
        with open(output, encoding="utf-8") as file:
            return re.search(r'PPI_BUILD_ID "(1\.2\.3-\w+)"', file.read())[1]


def build_ids():
    """The headers of the build id are those that cuda/ includes, and each of them shows in it."""
    listed = re.search(r"^seam_headers = files\((.*?)\)", text("libprepack/meson.build"), re.M | re.S)[1]
    listed = {os.path.normpath("libprepack/" + name) for name in re.findall(r"'([^']+)'", listed)}
    seen, left = set(), list(files("cuda", ".c", ".h", ".cu", ".cuh"))
    while left:
        path = left.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in includes(path):
            public = "include/" + name
            found = public if os.path.isfile(os.path.join(ROOT, public)) else included_file(path, name)
            left += [found] if found else []
    for name in sorted({p for p in seen if not p.startswith("cuda/")} ^ listed):
        yield f"{name} is in only one of seam_headers and what cuda/ includes"
    paths = [os.path.join(ROOT, name) for name in sorted(listed)]
    ids = {build_id(paths)}
    for i, path in enumerate(paths):
        with tempfile.TemporaryDirectory() as folder:
            changed = os.path.join(folder, os.path.basename(path))
            with open(changed, "w", encoding="utf-8") as file:
                file.write(text(path).replace(";", " ;", 1))
            ids.add(build_id(paths[:i] + [changed] + paths[i + 1:]))
    if len(ids) != len(paths) + 1:
        yield f"{len(paths)} headers, each changed once, have {len(ids)} build ids with the first"


def folder_of(path):
    """The folder of libprepack that a file belongs to; "" for those at its top."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


def folder_order():
    level, unit = {"": 0, "packed": 0}, {"": "", "packed": ""} # formats belong to the seam
    for i, line in enumerate(ORDER, 1):
        for names in line:
            for name in names.split("+"):
                level[name], unit[name] = i, names
    for path in files("libprepack", ".c", ".h"):
        folder = folder_of(path)
        if folder == "cpu":
            continue
        if folder not in level:
            yield f"{path}: the folder has no place in ORDER"
            continue
        for name in includes(path):
            target = included_file(path, name)
            other = folder_of(target) if target else folder
            if unit[folder] != unit.get(other) and level.get(other, len(ORDER)) >= level[folder]:
                yield f"{path} includes {target}, which is not below it"


def device_seam():
    for folder in ("libprepack/cpu", "cuda"):
        for path in files(folder, ".c", ".h", ".cu", ".cuh"):
            for name in includes(path):
                target = included_file(path, name)
                if target and not target.startswith(folder + "/") \
                        and os.path.relpath(target, "libprepack") not in SEAM:
                    yield f"{path} knows {target}"


def long_files():
    for path in OUR_SOURCES + OTHER_SOURCES:
        lines = text(path).count("\n")
        limit = 250 if path.startswith("include/") else 600
        if lines > limit:
            yield f"{path} has {lines} lines, allowed {limit}"


def repeated_names():
    names = collections.Counter(os.path.basename(p) for p in OUR_SOURCES)
    for name, count in names.items():
        if count > 1:
            yield f"{name} stands {count} times"


def left_open():
    for path in OUR_SOURCES + OTHER_SOURCES:
        for i, line in enumerate(text(path).splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"{path}:{i}: {line.strip()}"


def library_is_quiet(library, unwanted="cuda|^_ZN"):
    """unwanted: what else it must not need."""
    undefined = subprocess.run(["nm", "-D", "--undefined-only", library], check=True,
                               capture_output=True, text=True).stdout
    names = {line.split()[-1].split("@")[0] for line in undefined.splitlines()}
    banned = {"abort", "exit", "_exit", "_Exit", "printf", "puts", "putchar", "perror", "signal",
              "sigaction", "setlocale", "chdir", "system", "popen", "fork", "getenv", "setenv",
              "__assert_fail", "__printf_chk", "atexit"}
    for name in sorted(names & banned):
        yield f"the library calls {name}"
    for name in sorted(n for n in names if re.search(unwanted, n)):
        yield f"the library needs {name}"


def exports(library, version_map, list_file, headers):
    defined = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                             capture_output=True, text=True).stdout
    names = {line.split()[-1].split("@")[0] for line in defined.splitlines()}
    names -= {"PREPACK_0.1", "PREPACK_TOKENIZER_0.1"}
    expected = set(text(list_file).split())
    for name in sorted(names - expected):
        yield f"{name} is exported and not in {list_file}"
    for name in sorted(expected - names):
        yield f"{name} is in {list_file} and not exported"
    listed = set(re.findall(r"^\s+([\w*?]+);", text(version_map), re.M)) - {"*"}
    for name in sorted(listed ^ expected):
        yield f"{name} is in only one of {version_map} and {list_file}"
    declared = set()
    for path in headers:
        declared |= set(re.findall(r"^PP_API[^;(]*?(pp_\w+)\(", text(path), re.M))
    for name in sorted(declared ^ expected):
        yield f"{name} is in only one of the headers and {list_file}"


def prose():
    docs = [p for p in files(".", ".md") if not p.startswith(("./build", "build"))]
    for path in docs:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text(path)):
            base = os.path.join(ROOT, os.path.dirname(path), target)
            if not os.path.exists(base):
                yield f"{path} points to {target}, which is not there"
        for target in re.findall(r"`((?:libprepack|include|tests|examples|docs|cuda)/[\w./-]+)`",
                                 text(path)):
            if not os.path.exists(os.path.join(ROOT, target)):
                yield f"{path} names {target}, which is not there"


def readme():
    if text("examples/pack_and_prefill.c").rstrip() not in text("README.md"):
        yield "README.md shows another program than examples/pack_and_prefill.c"
    for command in ("sh examples/quickstart.sh", "sh tests/run.sh"):
        if command not in text("README.md"):
            yield f"README.md does not name the command {command}"


def package_version():
    """The Debian packages have the version of meson.build."""
    ours = re.search(r"^  version: '([^']+)'", text("meson.build"), re.M)[1]
    theirs = re.match(r"prepack \(([^)]+)\)", text("debian/changelog"))[1]
    if ours != theirs:
        yield f"meson.build says {ours}, debian/changelog {theirs}"


check("include rules", include_rules())
check("the program's folders form an order", program_folders())
check("folders of libprepack form an order", folder_order())
check("devices know the seam alone", device_seam())
check("the build id knows the seam", build_ids())
check("no file is too long", long_files())
check("file names are unique", repeated_names())
check("nothing is left open", left_open())
sanitized = "asan" in subprocess.run(["nm", "-D", LIBRARY], check=True, capture_output=True,
                                     text=True).stdout
if sanitized:
    print("# a sanitized library: its symbols are not checked")
else:
    check("the library prints, aborts and exits nowhere", library_is_quiet(LIBRARY))
    if TOKENIZER:
        check("nor does libprepack-tokenizer", library_is_quiet(TOKENIZER, "cuda"))
    tokenizer_header = "include/prepack/tokenizer.h"
    check("exports are the committed list and the headers'",
          exports(LIBRARY, "libprepack/prepack.map", "tests/abi/exports.txt",
                  [p for p in files("include", ".h", ".in") if p != tokenizer_header]))
    if TOKENIZER:
        check("exports of libprepack-tokenizer are the committed list and the header's",
              exports(TOKENIZER, "libprepack/tokenizer/tokenizer.map", "tests/abi/exports-tokenizer.txt",
                      [tokenizer_header]))
check("files that the prose names exist", prose())
check("the README shows what is in the tree", readme())
check("the packages have the version of the library", package_version())
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
