"""ik_llama.cpp for rivals.py, from a build of its own (--ik DIR: the build folder, with bin/llama-quantize, inside the
sources). The GGUF file of llama.cpp's rival, in the formats of this fork; weights repacked as they are loaded or not,
flash attention, several ubatches; prompts as in rival_llamacpp.py."""
import glob
import os
import subprocess
import tempfile
from functools import partial

import numpy as np
import torch

from rival_gguf import bf16_file
from rival_world import Way

FORMATS = ("bf16", "Q8_0", "Q8_K_R8", "Q4_0", "IQ4_NL", "IQ4_XS", "Q4_K_S")


def compile_driver(world, build):
    """rival_ik.c with the library's own header."""
    program = os.path.join(world.folder, "rival_ik")
    source, here = os.path.dirname(os.path.abspath(build)), os.path.dirname(os.path.abspath(__file__))
    folders = {os.path.dirname(found) for name in ("libllama.so", "libggml.so")
               for found in glob.glob(os.path.join(build, "**", name), recursive=True)}
    if not folders:
        raise RuntimeError(f"no libllama.so under {build}")
    subprocess.run(["cc", "-O2", "-o", program, os.path.join(here, "rival_ik.c"),
                    "-I" + os.path.join(source, "include"), "-I" + os.path.join(source, "ggml/include"),
                    *[flag for folder in folders for flag in ("-L" + folder, "-Wl,-rpath," + folder)],
                    "-lllama", "-lggml"], check=True)
    return program


def model_file(world, build, name):
    if name == "bf16":
        return bf16_file(world)
    path, source = world.path(f"ik-{name}.gguf"), bf16_file(world)
    if not os.path.exists(path):
        done = subprocess.run([os.path.join(build, "bin/llama-quantize"), "--pure", source, path + ".part", name,
                               str(world.threads)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"llama-quantize made no {name} file: {done.stderr.strip()[-200:]}")
        os.rename(path + ".part", path)
    return path


class IkLlama:
    def __init__(self, world, build, program, name, how, ubatch, repack):
        self.how, self.vocab = how, world.vocab
        self.files = [os.path.join(world.folder, name) for name in ("ik-prompts.bin", "ik-logits.bin")]
        tokens = -(-sum(world.lengths) // 256) * 256
        command = [program, model_file(world, build, name), world.threads, tokens, len(world.prompts),
                   min(ubatch, tokens), 1, int(repack)]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        if self.answer() != "ready":
            raise RuntimeError(f"ik_llama.cpp did not load {name}")

    def answer(self):
        line = self.process.stdout.readline().strip()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"ik_llama.cpp: {self.errors.read().strip()[-300:]}")
        return line

    def prefill(self, prompts):
        ints = [len(prompts), *map(len, prompts), *(token for prompt in prompts for token in prompt)]
        np.array(ints, dtype=np.int32).tofile(self.files[0])
        self.process.stdin.write(" ".join([self.how, *self.files]) + "\n")
        self.process.stdin.flush()
        seconds = float(self.answer())
        rows = np.fromfile(self.files[1], dtype=np.float32).reshape(len(prompts), self.vocab)
        return seconds, torch.from_numpy(rows)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def settings(n_prompts):
    """label, how, ubatch."""
    yield "one by one", "alone", 512
    if n_prompts == 1:
        yield "one by one, ubatch 1024", "alone", 1024
        yield "one by one, ubatch 256", "alone", 256
    else:
        yield "packs of 512, forgotten", "packs", 512
        yield "together, ubatch 512", "together", 512


def ways(world, build):
    program = compile_driver(world, build)
    for name in FORMATS:
        for label, how, ubatch in settings(len(world.prompts)):
            for repack in (True, False):
                if repack or how == "alone" and ubatch == 512:
                    yield Way(f"ik_llama.cpp {name}", label + (", repacked" if repack else ""),
                              partial(IkLlama, world, build, program, name, how, ubatch, repack))
