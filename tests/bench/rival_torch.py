"""transformers for rivals.py: padded batches with an attention mask as its users run them, batches sorted by length,
and one prompt after another; in bf16, and in the 8 and 4 bits of bitsandbytes where that is installed."""
import importlib.util
import logging
import time
import warnings
from functools import partial

import torch

from rival_world import Way, by_length


class Transformers:
    def __init__(self, world, batch, **options):
        self.model = world.model(**options)
        self.batch = batch  # prompts padded together, in order of length; 0: all at once

    def padded(self, prompts):
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        began = time.perf_counter()
        with torch.inference_mode():
            out = self.model(ids, attention_mask=mask, position_ids=positions, use_cache=True,
                             logits_to_keep=1)
        return time.perf_counter() - began, out.logits[:, -1].float()

    def prefill(self, prompts):
        return by_length(self.padded, prompts, self.batch or len(prompts))

    def close(self):
        self.model = None


def precisions():
    yield "bf16", {}
    if importlib.util.find_spec("bitsandbytes"):
        from transformers import BitsAndBytesConfig
        yield "int8 (bitsandbytes)", {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
        yield "nf4 (bitsandbytes)", {"quantization_config": BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)}


def ways(world):
    torch.set_num_threads(world.threads)
    warnings.filterwarnings("ignore", module="bitsandbytes")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    alike = min(world.lengths) > max(world.lengths) / 2
    batches = {"one by one": 1, "by length, batches of 4": 4, "by length, batches of 16": 16, "all padded": 0}
    for name, options in precisions():
        for label, batch in batches.items():
            # All in one batch is the slowest by far where lengths differ, and takes the most memory.
            if batch == 1 or len(world.prompts) > 1 and (batch or alike or world.shape == "15m"):
                yield Way(f"transformers {name}", label, partial(Transformers, world, batch, **options))
