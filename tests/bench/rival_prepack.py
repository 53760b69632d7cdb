"""libprepack for rivals.py: one session for each format of weights, packed prefill through the Python package."""
import os
import sys
import time
from functools import partial

import numpy as np
import torch

from rival_world import Way

FORMATS = ("bf16", "int8", "int4", "nf4")


def package(path):
    """The package of examples/python, with this library."""
    os.environ["PREPACK_LIBRARY"] = os.path.abspath(path)
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/python"))
    import libprepack
    return libprepack


class Prepack:
    def __init__(self, libprepack, world, weights):
        self.session = libprepack.Session(world.checkpoint, weights=weights, threads=world.threads, log=False)
        self.packer = libprepack.Packer()

    def prefill(self, prompts):
        arrays = [np.array(prompt, np.int32) for prompt in prompts]
        began = time.perf_counter()
        done = self.session.prefill(arrays, plan=self.packer)
        seconds = time.perf_counter() - began
        return seconds, torch.from_numpy(np.stack([each.logits for each in done]))

    def close(self):
        self.packer.close()
        self.session.close()


def ways(world, path, formats):
    libprepack = package(path)
    for name in formats:
        yield Way(f"libprepack {name}", "packed", partial(Prepack, libprepack, world, name))
