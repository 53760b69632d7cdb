"""llama.cpp for rivals.py (llama-cpp-python): the same checkpoint as GGUF, in bf16 and in the formats that the library
quantises to. Prompts are sequences of one llama_decode call (unified and split cache), of a call for each few that
fill a ubatch, or of a call each; logits of last tokens only."""
import os
import time
from functools import partial

import llama_cpp as L
import numpy as np
import torch

from rival_gguf import bf16_file
from rival_world import Way, packs

FORMATS = {"bf16": None, "q8_0": L.LLAMA_FTYPE_MOSTLY_Q8_0, "q4_0": L.LLAMA_FTYPE_MOSTLY_Q4_0,
           "iq4_nl": L.LLAMA_FTYPE_MOSTLY_IQ4_NL, "q4_k": L.LLAMA_FTYPE_MOSTLY_Q4_K_S}


def model_file(world, name):
    path, source = world.path(f"{name}.gguf"), bf16_file(world)
    if not os.path.exists(path):
        params = L.llama_model_quantize_default_params()
        params.ftype, params.nthread, params.pure = FORMATS[name], world.threads, True
        if L.llama_model_quantize(source.encode(), (path + ".part").encode(), params) != 0:
            raise RuntimeError(f"llama.cpp made no {name} file")
        os.rename(path + ".part", path)
    return path


class LlamaCpp:
    """One context: unified or split cache, n_ubatch tokens computed at once."""

    def __init__(self, world, name, unified, n_ubatch, how):
        self.vocab, self.how, self.n_ubatch = world.vocab, how, n_ubatch
        self.model = L.llama_model_load_from_file(model_file(world, name).encode(),
                                                  L.llama_model_default_params())
        params = L.llama_context_default_params()
        longest, total, cell = max(world.lengths), sum(world.lengths), 256
        per_sequence = -(-longest // cell) * cell
        params.n_ctx = -(-total // cell) * cell if unified else per_sequence * len(world.prompts)
        params.n_batch = total
        params.n_ubatch = min(n_ubatch, total)
        params.n_seq_max = len(world.prompts)
        params.kv_unified = unified
        params.n_threads = params.n_threads_batch = world.threads
        self.context = L.llama_init_from_model(self.model, params)
        if not self.context:
            raise RuntimeError("llama.cpp made no context")
        self.batch = L.llama_batch_init(total, 0, 1)

    def decode(self, prompts, first_sequence=0):
        """One llama_decode; returns the rows of the last tokens."""
        n, last = 0, []
        for sequence, prompt in enumerate(prompts, first_sequence):
            for position, token in enumerate(prompt):
                self.batch.token[n] = token
                self.batch.pos[n] = position
                self.batch.n_seq_id[n] = 1
                self.batch.seq_id[n][0] = sequence
                self.batch.logits[n] = position == len(prompt) - 1
                n += 1
            last.append(n - 1)
        self.batch.n_tokens = n
        began = time.perf_counter()
        if L.llama_decode(self.context, self.batch) != 0:
            raise RuntimeError("llama_decode failed")
        L.llama_synchronize(self.context)
        seconds = time.perf_counter() - began
        rows = [np.ctypeslib.as_array(L.llama_get_logits_ith(self.context, i), (self.vocab,))
                for i in last]
        return seconds, torch.tensor(np.stack(rows))

    def clear(self):
        L.llama_memory_clear(L.llama_get_memory(self.context), True)

    def prefill(self, prompts):
        """Together; each alone; or packs that fill a ubatch and forget the one before: no sequence then has keys of
        many others to mask away."""
        self.clear()
        if self.how == "together":
            return self.decode(prompts)
        parts = []
        if self.how == "alone":
            parts = [self.decode([p], i) for i, p in enumerate(prompts)]
        else:
            for pack in packs(prompts, self.n_ubatch):
                self.clear()
                parts.append(self.decode(pack))
        return sum(s for s, _ in parts), torch.cat([rows for _, rows in parts])

    def close(self):
        L.llama_batch_free(self.batch)
        L.llama_free(self.context)
        L.llama_model_free(self.model)


def settings(n_prompts):
    """label, unified cache, ubatch, how."""
    for n_ubatch in (256, 512, 2048):
        yield f"one by one, ubatch {n_ubatch}", True, n_ubatch, "alone"
    if n_prompts > 1:
        yield "packs of 512, forgotten", True, 512, "packs"
        for n_ubatch in (256, 512):
            yield f"unified cache, ubatch {n_ubatch}", True, n_ubatch, "together"
        for n_ubatch in (512, 4096):
            yield f"split cache, ubatch {n_ubatch}", False, n_ubatch, "together"


def ways(world):
    L.llama_log_set(quiet, None)
    L.llama_backend_init()
    longest = max(world.lengths)
    for name in FORMATS:
        for label, unified, n_ubatch, how in settings(len(world.prompts)):
            if how != "alone" or n_ubatch == 512 or longest > 512:  # all the same for short prompts
                yield Way(f"llama.cpp {name}", label, partial(LlamaCpp, world, name, unified, n_ubatch, how))


@L.llama_log_callback
def quiet(_level, _text, _user):
    pass
