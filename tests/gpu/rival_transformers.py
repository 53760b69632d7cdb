"""transformers on a random Llama: full batching, length-ordered batches, the dense-mask prepacking of
the paper (arXiv 2404.09529) and, where torch has varlen_attn, packing without a mask; and whether
libprepack's logits are as close to f32 as its own bf16 logits are.

The paper's script asks for the logits of every position; the methods with "last" in their name
compute those of last tokens only. A batch is timed from ids on the host to next tokens on the host."""
import os
import statistics

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rival_attention import causal_varlen, varlen_attn
from rival_clock import figure, once

# Sheared-LLaMA-1.3B, the preset "llama1b"; and something for a CPU.
LLAMA1B = dict(vocab_size=32000, hidden_size=2048, intermediate_size=5504, num_hidden_layers=24,
               num_attention_heads=16, num_key_value_heads=16, max_position_embeddings=4096,
               rms_norm_eps=1e-5)
TINY = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
            rms_norm_eps=1e-5)
BATCH = 64


def checkpoint(directory, device, lengths, tiny):
    """A random model in directory/model, prompts of random ids in directory/prompts.txt."""
    torch.manual_seed(41)
    config = LlamaConfig(**(TINY if tiny else LLAMA1B))
    if tiny:  # unit gain, as a large model has by itself
        config.initializer_range = 0.15
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    model.save_pretrained(os.path.join(directory, "model"))
    with open(os.path.join(directory, "prompts.txt"), "w", encoding="ascii") as file:
        for n in lengths:
            file.write(" ".join(map(str, torch.randint(config.vocab_size, (n,)).tolist())) + "\n")


def read_prompts(directory):
    with open(os.path.join(directory, "prompts.txt"), encoding="ascii") as file:
        return [list(map(int, line.split())) for line in file]


def best_fit(prompts):
    """Bins of indices, best-fit decreasing, capacity of the longest: what the paper's packer does."""
    capacity = max(map(len, prompts))
    bins, room = [], []
    for i in sorted(range(len(prompts)), key=lambda i: -len(prompts[i])):
        fits = [b for b in range(len(bins)) if room[b] >= len(prompts[i])]
        b = min(fits, key=lambda b: room[b]) if fits else len(bins)
        if not fits:
            bins.append([])
            room.append(capacity)
        bins[b].append(i)
        room[b] -= len(prompts[i])
    return bins


class Rival:
    """A model and the ways to prefill a batch of prompts; each returns the last tokens' logits."""

    def __init__(self, directory, device, dtype):
        self.device = device
        self.model = LlamaForCausalLM.from_pretrained(
            os.path.join(directory, "model"), dtype=dtype, attn_implementation="sdpa")
        self.model.to(device).eval()

    def put(self, rows):
        return torch.tensor(rows).to(self.device)

    def head(self, hidden, rows, columns):
        return self.model.lm_head(hidden[rows, columns])

    def full(self, prompts, **options):
        """Padded on the left, with a mask."""
        longest = max(map(len, prompts))
        ids = self.put([[0] * (longest - len(p)) + p for p in prompts])
        mask = self.put([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        return self.model(ids, attention_mask=mask, position_ids=positions, use_cache=True,
                          **options).logits[:, -1]

    def full_last(self, prompts):
        return self.full(prompts, logits_to_keep=1)

    def right(self, prompts):
        """Padded on the right: a causal model needs no mask then."""
        longest = max(map(len, prompts))
        ids = self.put([p + [0] * (longest - len(p)) for p in prompts])
        hidden = self.model.model(ids, use_cache=True).last_hidden_state
        return self.head(hidden, self.put(list(range(len(prompts)))),
                         self.put([len(p) - 1 for p in prompts]))

    def packed_rows(self, prompts):
        """ids, positions, mask [rows, 1, length, length], and where each prompt's last token is."""
        bins, length = best_fit(prompts), max(map(len, prompts))
        ids = [sum((prompts[i] for i in members), []) for members in bins]
        positions = [sum((list(range(len(prompts[i]))) for i in members), []) for members in bins]
        segments = [sum(([i] * len(prompts[i]) for i in members), []) for members in bins]
        last = [None] * len(prompts)
        for row, members in enumerate(bins):
            end = 0
            for i in members:
                end += len(prompts[i])
                last[i] = (row, end - 1)
        def pad(rows, value):
            return self.put([r + [value] * (length - len(r)) for r in rows])
        segments = pad(segments, -1)
        mask = segments[:, None, :, None] == segments[:, None, None, :]
        mask &= torch.ones(length, length, dtype=torch.bool, device=self.device).tril()
        return pad(ids, 0), pad(positions, 0), mask, last

    def dense(self, prompts, last_only=False):
        ids, positions, mask, last = self.packed_rows(prompts)
        dtype = self.model.dtype
        mask = torch.zeros(mask.shape, dtype=dtype, device=self.device).masked_fill(
            ~mask, torch.finfo(dtype).min)
        rows, columns = (self.put([place[axis] for place in last]) for axis in (0, 1))
        options = dict(attention_mask=mask, position_ids=positions, use_cache=True)
        if last_only:
            return self.head(self.model.model(ids, **options).last_hidden_state, rows, columns)
        return self.model(ids, **options).logits[rows, columns]

    def dense_last(self, prompts):
        return self.dense(prompts, last_only=True)

    def varlen(self, prompts):
        """All prompts in one row without padding and mask; attention by torch's varlen_attn."""
        from transformers import AttentionInterface
        lengths = [len(p) for p in prompts]
        ends = torch.tensor([0] + lengths, dtype=torch.int32).cumsum(0, dtype=torch.int32)
        cu, longest = ends.to(self.device), max(lengths)

        def attend(module, q, k, v, *args, **options):
            q, k, v = (x[0].transpose(0, 1) for x in (q, k, v))
            return one_by_one_or_varlen(q, k, v, cu, longest)[None], None
        AttentionInterface.register("packed_varlen", attend)
        self.model.set_attn_implementation("packed_varlen")
        try:
            hidden = self.model.model(
                self.put([sum(prompts, [])]), use_cache=True,
                position_ids=self.put([sum((list(range(n)) for n in lengths), [])])).last_hidden_state
        finally:
            self.model.set_attn_implementation("sdpa")
        return self.model.lm_head(hidden[0, ends[1:].to(self.device) - 1])


def one_by_one_or_varlen(q, k, v, cu, longest):
    """varlen_attn; on a CPU, which lacks it, SDPA over one prompt after another."""
    if q.is_cuda:
        return causal_varlen(q, k, v, cu, longest)
    ends = cu.tolist()
    parts = [torch.nn.functional.scaled_dot_product_attention(
        *(x[a:b].transpose(0, 1)[None] for x in (q, k, v)), is_causal=True,
        enable_gqa=True)[0].transpose(0, 1) for a, b in zip(ends, ends[1:])]
    return torch.cat(parts)


def batches(prompts):
    return [prompts[i:i + BATCH] for i in range(0, len(prompts), BATCH)]


def all_logits(method, prompts):
    with torch.inference_mode():
        return torch.cat([method(batch).float() for batch in batches(prompts)])


def errors(logits, truth):
    """Relative root mean square: of all prompts together, of the worst prompt."""
    each = (logits - truth).norm(dim=1) / truth.norm(dim=1)
    return ((logits - truth).norm() / truth.norm()).item(), each.max().item()


def compare(directory, device, prompts, rival, path):
    """FlashAttention's rule: libprepack may err twice as much as transformers in bf16, and a rounding."""
    exact = Rival(directory, device, torch.float32)
    truth = all_logits(exact.right, prompts)
    del exact
    theirs = all_logits(rival.full_last, prompts)
    with open(path, "rb") as file:
        ours = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).view(truth.shape)
    ours = ours.to(device)
    good = True
    for what, a, b in zip(("all", "worst prompt"), errors(ours, truth), errors(theirs, truth)):
        close = a <= 2 * b + 2 ** -9
        good &= close
        print(f"logits against f32, {what}: libprepack {a:.2e}, transformers {b:.2e}"
              f"{'' if close else ': TOO FAR'}")
    same = (ours.argmax(1) == theirs.argmax(1)).float().mean().item()
    print(f"same next token in {100 * same:.1f} % of prompts")
    return good


def run(directory, device, logits_path, tiny, quick):
    prompts = read_prompts(directory)
    ordered = sorted(prompts, key=len)
    rival = Rival(directory, device, torch.bfloat16)
    methods = {"full": (rival.full, prompts), "full_last": (rival.full_last, prompts),
               "right": (rival.right, prompts), "ordered": (rival.full, ordered),
               "dense": (rival.dense, prompts), "dense_last": (rival.dense_last, prompts)}
    if varlen_attn or tiny:
        methods["varlen"] = (rival.varlen, prompts)
    good = compare(directory, device, prompts, rival, logits_path) if logits_path else True
    reference = all_logits(rival.full_last, prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for name, (method, some) in methods.items():
        try:
            logits = all_logits(method, some)
            expected = reference[order] if some is ordered else reference
            far = errors(logits, expected)[0]
            if not far < 0.2:
                raise RuntimeError(f"its logits are off by {far:.2g}")
            times = []
            for _ in range(2 if tiny else 3 if quick else 5):
                def everything():
                    with torch.inference_mode():
                        for batch in batches(some):
                            method(batch).argmax(1).cpu()
                times.append(once(device, everything))
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as problem:
            print(f"{name}: {str(problem).splitlines()[0][:150]}")
            good &= name == "varlen"  # the others are known to work
            continue
        seconds = statistics.median(times) / len(batches(some))
        figure(f"transformers.{name}.seconds", seconds)
        print(f"transformers {name:10s} {seconds * 1e3:9.2f} ms a batch, "
              f"{sum(map(len, some)) / len(batches(some)) / seconds:9.0f} tokens/s", flush=True)
    return good
