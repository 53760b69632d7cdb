#!/usr/bin/env python3
"""Writes a C table of every constant that the fake CUDA header declares. The table is compiled twice, with
the fake and with the real header.

usage: cuda_values.py FAKE_HEADER OUTPUT"""
import re
import sys

header, output = sys.argv[1:]
with open(header, encoding="utf-8") as file:
    text = file.read()
names = re.findall(r"^    (cuda\w+) = \d+", text, re.M) + re.findall(r"^#define (cuda\w+) ", text, re.M)
with open(output, "w", encoding="utf-8") as file:
    file.write('#include <cuda_runtime_api.h>\n#include "cuda_value.h"\n'
               "const struct cuda_value CUDA_VALUES[] = {\n")
    for name in names:
        file.write(f'    {{"{name}", (long long){name}}},\n')
    file.write('    {"sizeof(dim3)", sizeof(dim3)},\n    {0, 0},\n};\n')
