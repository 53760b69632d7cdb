"""Makes gguf_blocks.bin: random blocks of every type that the library decodes, and their numbers as the Python
package gguf (0.19, with numpy) has them.

usage: make_blocks.py

For each type: its number and that of its blocks (two u32), the blocks, the numbers as f32. Among the scales are
infinite ones and NaN."""
import os

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

TYPES = (T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL, T.IQ4_XS,
         T.MXFP4)
# Where the f16 scales of a block stand.
SCALES = {T.Q4_1: (0, 2), T.Q5_1: (0, 2), T.Q2_K: (80, 82), T.Q3_K: (108,), T.Q4_K: (0, 2), T.Q5_K: (0, 2),
          T.Q6_K: (208,), T.MXFP4: ()}
SPECIAL = (0x0000, 0x8000, 0x0001, 0x03ff, 0x7bff, 0x7c00, 0xfc00, 0x7e00)


def main():
    rng = np.random.default_rng(20)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gguf_blocks.bin")
    with open(path, "wb") as file:
        for kind in TYPES:
            length, size = GGML_QUANT_SIZES[kind]
            n = 24 if length == 32 else 6
            blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
            places = SCALES.get(kind, (0,))
            for i in range(n):
                for j, at in enumerate(places):
                    # small scales for most blocks, then the special ones in turn
                    bits = int(rng.integers(0x1000, 0x3c00)) if i % 3 else SPECIAL[(i // 3 + j) % len(SPECIAL)]
                    blocks[i, at:at + 2] = bits & 255, bits >> 8
            if kind == T.MXFP4:
                blocks[:6, 0] = 0, 1, 2, 254, 255, 127
            with np.errstate(all="ignore"):
                numbers = dequantize(blocks, kind)
            file.write(np.array([int(kind), n], dtype="<u4").tobytes() + blocks.tobytes()
                       + numbers.astype("<f4").tobytes())


if __name__ == "__main__":
    main()
