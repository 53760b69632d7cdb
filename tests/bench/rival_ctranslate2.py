"""CTranslate2 for rivals.py: the checkpoint converted in this process, in int8 and float32 (on this kind of machine it
has no bf16). Work of a prefill only: a generation of one token with include_prompt_in_result=False, which forwards all
tokens but the last in one piece and the last one alone. In a batch only as many tokens as the shortest prompt has are
forwarded in one piece, so ragged prompts go one by one, by all threads or by one thread each, and equal ones in
batches. forward_batch, which computes logits of every token, is tried too."""
import os
import time
from functools import partial

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import transformers as converters

from rival_world import Way, by_length


class Loader(converters.LlamaLoader):
    """A model without a tokenizer: tokens are named by their ids."""

    def get_vocabulary(self, model, tokenizer):
        return [f"<{i}>" for i in range(model.config.vocab_size)]

    def set_config(self, config, model, tokenizer):
        config.bos_token = config.eos_token = config.unk_token = "<0>"
        config.layer_norm_epsilon = model.config.rms_norm_eps


def model_folder(world, compute):
    path = world.path(f"ctranslate2-{compute}")
    if not os.path.exists(os.path.join(path, "model.bin")):
        spec = Loader()(world.model(dtype=torch.float32), None)
        spec.validate()
        spec.optimize(quantization=compute)
        os.makedirs(path, exist_ok=True)
        spec.save(path)
    return path


class CTranslate2:
    def __init__(self, world, compute, how, batch, replicas):
        self.how, self.batch, self.replicas = how, batch, replicas
        self.generator = ctranslate2.Generator(
            model_folder(world, compute), device="cpu", compute_type=compute, inter_threads=replicas,
            intra_threads=max(1, world.threads // replicas))

    def generate(self, prompts):
        tokens = [[f"<{i}>" for i in prompt] for prompt in prompts]
        began = time.perf_counter()
        results = self.generator.generate_batch(
            tokens, max_batch_size=self.batch, max_length=1, beam_size=1, sampling_topk=1,
            include_prompt_in_result=False, return_logits_vocab=True)
        seconds = time.perf_counter() - began
        return seconds, torch.stack([torch.tensor(np.array(r.logits[0][0])) for r in results])

    def forward(self, prompts):
        longest = max(map(len, prompts))
        ids = np.zeros((len(prompts), longest), dtype=np.int32)
        for row, prompt in zip(ids, prompts):
            row[:len(prompt)] = prompt
        lengths = np.array([len(p) for p in prompts], dtype=np.int32)
        began = time.perf_counter()
        logits = np.array(self.generator.forward_batch(ctranslate2.StorageView.from_array(ids),
                                                       ctranslate2.StorageView.from_array(lengths)))
        seconds = time.perf_counter() - began
        return seconds, torch.tensor(logits[np.arange(len(prompts)), lengths - 1])

    def prefill(self, prompts):
        if self.how == "generate":
            return self.generate(prompts)
        return by_length(self.forward, prompts, self.batch)

    def close(self):
        self.generator.unload_model()


def settings(lengths, threads):
    """label, how, batch, replicas."""
    yield "generate, one by one", "generate", 1, 1
    yield "forward_batch, one by one", "forward", 1, 1
    if len(lengths) > 1:
        if threads > 1:
            yield f"generate, one by one, {threads} replicas", "generate", 1, threads
        yield "forward_batch, by length, batches of 4", "forward", 4, 1
        yield "forward_batch, by length, batches of 16", "forward", 16, 1
        if len(set(lengths)) == 1:
            yield "generate, batches of 4", "generate", 4, 1
            yield "generate, batches of 16", "generate", 16, 1


def ways(world):
    ctranslate2.set_log_level(40)
    known = ctranslate2.get_supported_compute_types("cpu")
    for compute in ("float32", "int8", "int8_bfloat16", "bfloat16"):
        if compute in known:
            for label, *setting in settings(world.lengths, world.threads):
                yield Way(f"CTranslate2 {compute}", label, partial(CTranslate2, world, compute, *setting))
