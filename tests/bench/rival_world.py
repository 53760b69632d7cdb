"""What every rival of rivals.py is given: a random checkpoint of a known shape, the prompts, the threads, and a
folder for files of its own. A way to prefill is a label, the group in which only the fastest counts, and a function
that opens it; what it opens has prefill(prompts), which returns seconds and logits of the last tokens (or None),
and close()."""
import collections
import os
import random

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

SHAPES = {"15m": dict(hidden_size=288, intermediate_size=768, num_hidden_layers=6,
                      num_attention_heads=6, num_key_value_heads=6),
          "110m": dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12,
                       num_attention_heads=12, num_key_value_heads=12),
          # Sheared-LLaMA-1.3B
          "llama1b": dict(hidden_size=2048, intermediate_size=5504, num_hidden_layers=24,
                          num_attention_heads=16, num_key_value_heads=16),
          # layers of a mixture like Qwen3-30B-A3B's, with half the experts
          "moe64": dict(model_type="qwen3_moe", hidden_size=2048, intermediate_size=6144,
                        moe_intermediate_size=768, num_experts=64, num_experts_per_tok=8,
                        norm_topk_prob=True, num_hidden_layers=4, num_attention_heads=32,
                        num_key_value_heads=4, head_dim=128, rms_norm_eps=1e-6),
          # layers of Qwen3.5-0.8B's shape: of four three are linear
          "hybrid": dict(model_type="qwen3_5_text", hidden_size=1024, intermediate_size=3584,
                         num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=2,
                         head_dim=256, linear_num_key_heads=16, linear_num_value_heads=16,
                         linear_key_head_dim=128, linear_value_head_dim=128,
                         linear_conv_kernel_dim=4)}
VOCAB, LONGEST = 32000, 4096

Way = collections.namedtuple("Way", "group label open")


def draw_lengths(args):
    """Of --equal N,LEN; or 64 lines of a file, all where it has fewer."""
    if args.equal:
        n, length = (int(part) for part in args.equal.split(","))
        return [length] * n
    with open(args.lengths, encoding="utf-8") as file:
        lengths = [int(line) for line in file if line.strip().isdigit()]
    return lengths if len(lengths) <= 64 else random.Random(41).sample(lengths, 64)


class World:
    def __init__(self, args, folder):
        logging.disable_progress_bar()
        self.threads, self.folder, self.shape = args.threads, folder, args.shape
        self.vocab = VOCAB
        self.lengths = [min(n, LONGEST) for n in draw_lengths(args)]
        rng = random.Random(41)
        self.prompts = [[rng.randrange(VOCAB) for _ in range(n)] for n in self.lengths]
        # To try a setting, some prompts are enough, as long as the others: every so many of the sorted ones.
        order = sorted(self.prompts, key=len)
        step = max(1, len(order) // args.trial)
        self.trial = order[step // 2::step]
        self.checkpoint = self.path("checkpoint")
        if not os.path.exists(os.path.join(self.checkpoint, "config.json")):
            self.make_checkpoint()

    def path(self, name):
        return os.path.join(self.folder, f"{self.shape}-{name}")

    def make_checkpoint(self):
        torch.manual_seed(41)
        config = AutoConfig.for_model(**dict(
            model_type="llama", vocab_size=VOCAB, max_position_embeddings=LONGEST,
            tie_word_embeddings=False, dtype=torch.bfloat16) | SHAPES[self.shape])
        torch.set_default_dtype(torch.bfloat16)
        AutoModelForCausalLM.from_config(config).save_pretrained(self.checkpoint + ".part")
        torch.set_default_dtype(torch.float32)
        os.rename(self.checkpoint + ".part", self.checkpoint)

    def model(self, dtype=torch.bfloat16, **options):
        return AutoModelForCausalLM.from_pretrained(self.checkpoint, dtype=dtype, **options).eval()

    def config(self):
        return AutoConfig.from_pretrained(self.checkpoint)


def packs(prompts, room):
    """Neighbours together as long as they fit into `room` tokens."""
    pack, held = [], 0
    for prompt in prompts:
        if pack and held + len(prompt) > room:
            yield pack
            pack, held = [], 0
        pack.append(prompt)
        held += len(prompt)
    yield pack


def by_length(run, prompts, size):
    """run(batch) -> seconds, rows, over batches of `size` in order of length; rows in the prompts' order."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    seconds, rows = 0.0, [None] * len(prompts)
    for first in range(0, len(order), size):
        batch = order[first:first + size]
        spent, out = run([prompts[i] for i in batch])
        seconds += spent
        for i, row in zip(batch, out, strict=True):
            rows[i] = row
    return seconds, torch.stack(rows)
