#!/usr/bin/env python3
"""Writes build_id.h: what a backend's module and the library must have in common. The id is the version and a
hash of every header through which they see each other's data.

usage: build_id.py OUTPUT VERSION MODULE_DIR HEADER..."""
import hashlib
import os
import sys

output, version, module_dir = sys.argv[1:4]
hashed = hashlib.sha256()
for path in sys.argv[4:]:
    with open(path, "rb") as file:
        content = file.read()
    hashed.update(f"{os.path.basename(path)} {len(content)}\n".encode())
    hashed.update(content)
with open(output, "w", encoding="utf-8") as file:
    file.write(f'#define PPI_BUILD_ID "{version}-{hashed.hexdigest()[:12]}"\n')
    file.write(f'#define PPI_MODULE_DIR "{module_dir}"\n')
