"""The build backend of pyproject.toml: meson-python, whose wheels are then marked as good for every Python 3.

The libraries are called through ctypes and know nothing of Python. meson-python takes every library inside a
package for an extension module of the Python that builds it. Where meson fails, a sentence says what it needs.
"""
import base64
import contextlib
import hashlib
import os
import re
import sys
import zipfile

import mesonpy
from mesonpy import *  # noqa: F401,F403 (the other hooks)

NEEDS = """
libprepack could not be built: meson's words are above. Its libraries are compiled here, which needs a C and a C++
compiler and the headers of PCRE2, utf8proc and SentencePiece (pkg-config: libpcre2-8, libutf8proc, sentencepiece).
On Debian and Ubuntu `sh examples/install-packages.sh` installs them. Without a tokenizer, for token ids alone, a C
compiler is enough: pip install . --config-settings=setup-args=-Dtokenizer=disabled
"""


@contextlib.contextmanager
def explained():
    """Says what a build needs behind the words of one that failed."""
    try:
        yield
    except (Exception, SystemExit):
        print(NEEDS, file=sys.stderr, flush=True)
        raise


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Makes a wheel and returns its file name."""
    with explained():
        name = mesonpy.build_wheel(wheel_directory, config_settings, metadata_directory)
    path = os.path.join(wheel_directory, name)
    distribution, version, *_, platform = name[:-len(".whl")].split("-")
    tag = f"py3-none-{platform}"
    marked = os.path.join(wheel_directory, f"{distribution}-{version}-{tag}.whl")
    if marked != path:
        mark(path, marked, tag)
        os.remove(path)
    return os.path.basename(marked)


def mark(path, marked, tag):
    """Copies a wheel and gives the copy another tag."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(marked, "w", zipfile.ZIP_DEFLATED) as new:
        members = {info: old.read(info) for info in old.infolist()}
        wheel = next(info for info in members if info.filename.endswith(".dist-info/WHEEL"))
        text = re.sub(rb"^Tag: .*$", b"Tag: " + tag.encode(), members[wheel], flags=re.M)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        record = next(info for info in members if info.filename.endswith(".dist-info/RECORD"))
        lines = [line if not line.startswith(wheel.filename + ",") else f"{wheel.filename},sha256={digest},{len(text)}"
                 for line in members[record].decode().splitlines()]
        members[wheel], members[record] = text, "\n".join(lines).encode() + b"\n"
        for info, content in members.items():
            new.writestr(info, content)
