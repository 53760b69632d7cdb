"""torch's causal attention over many prompts: SDPA with its backends (padded where lengths differ),
nested tensors, varlen_attn, and flash-attn where it is installed. TFLOP/s count what the causal mask
leaves of the real tokens, as bench_device_attention does."""
import inspect

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from rival_clock import figure, median_seconds

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None
try:
    from flash_attn import flash_attn_varlen_func
except ImportError:
    flash_attn_varlen_func = None
try:
    from flash_attn_interface import flash_attn_varlen_func as flash3_varlen_func
except ImportError:
    flash3_varlen_func = None

SHAPES = {"mha-d128": (16, 16, 128), "gqa-d128": (32, 8, 128), "gqa-d64": (14, 2, 64)}
GOALS = "gqa-d128"  # the shape for which goals.txt has a goal at each length
LENGTHS = [50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000]
TOKENS = 32768


def causal_varlen(q, k, v, cu, longest):
    """torch's varlen_attn, causal, in the words of the version that is here."""
    names = inspect.signature(varlen_attn).parameters
    causal = {"window_size": (-1, 0)} if "window_size" in names else {"is_causal": True}
    if q.shape[1] != k.shape[1] and "enable_gqa" in names:
        causal["enable_gqa"] = True
    return varlen_attn(q, k, v, cu, cu, longest, longest, **causal)


class Case:
    """Prompts of given lengths, packed [tokens, heads, head_dim] and padded [n, heads, longest, head_dim]."""

    def __init__(self, device, shape, lengths):
        self.heads, self.kv_heads, self.dim = shape
        self.device, self.lengths, self.longest = device, lengths, max(lengths)
        self.cu = torch.tensor([0] + lengths, dtype=torch.int32).cumsum(0, dtype=torch.int32)
        self.cu = self.cu.to(device)
        total = sum(lengths)
        self.q, self.k, self.v = (
            torch.randn(total, heads, self.dim, device=device, dtype=torch.bfloat16)
            for heads in (self.heads, self.kv_heads, self.kv_heads))
        self.padded_qkv = None
        self.flops = sum(2 * n * (n + 1) for n in lengths) * self.heads * self.dim

    def padded(self):
        if self.padded_qkv is None:
            self.padded_qkv = [self.pad(x) for x in (self.q, self.k, self.v)]
        return self.padded_qkv

    def pad(self, x):
        out = x.new_zeros(len(self.lengths), x.shape[1], self.longest, self.dim)
        first = 0
        for i, n in enumerate(self.lengths):
            out[i, :, :n] = x[first:first + n].transpose(0, 1)
            first += n
        return out

    def unpad(self, x):
        return torch.cat([x[i, :, :n].transpose(0, 1) for i, n in enumerate(self.lengths)])

    def sdpa(self, backend):
        q, k, v = self.padded()
        group = self.heads // self.kv_heads

        def work():
            with sdpa_kernel(backend):
                if q.shape[1] == k.shape[1]:
                    return scaled_dot_product_attention(q, k, v, is_causal=True)
                return scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        if group > 1:
            try:
                work()
            except (RuntimeError, TypeError):  # it has no groups: as many kv heads as heads
                k, v = (x.repeat_interleave(group, 1) for x in (k, v))
        return work, self.unpad

    def each(self):
        """One call a prompt, with the backend that torch chooses."""
        ends = self.cu.tolist()
        group = self.heads // self.kv_heads
        prompts = [[x[a:b].transpose(0, 1)[None] for x in (self.q, self.k, self.v)]
                   for a, b in zip(ends, ends[1:])]

        def work():
            return [scaled_dot_product_attention(*qkv, is_causal=True, enable_gqa=group > 1)
                    for qkv in prompts]
        return work, lambda outs: torch.cat([out[0].transpose(0, 1) for out in outs])

    def nested(self):
        group = self.heads // self.kv_heads
        offsets = self.cu.to(torch.int64)
        q, k, v = (torch.nested.nested_tensor_from_jagged(
            x, offsets, min_seqlen=min(self.lengths), max_seqlen=self.longest).transpose(1, 2)
            for x in (self.q, self.k.repeat_interleave(group, 1), self.v.repeat_interleave(group, 1)))
        return (lambda: scaled_dot_product_attention(q, k, v, is_causal=True),
                lambda out: out.transpose(1, 2).values())

    def varlen(self):
        return (lambda: causal_varlen(self.q, self.k, self.v, self.cu, self.longest),
                lambda out: out)

    def flash(self, function):
        def work():
            out = function(self.q, self.k, self.v, self.cu, self.cu, self.longest, self.longest,
                           causal=True)
            return out[0] if isinstance(out, tuple) else out
        return work, lambda out: out

    def methods(self):
        yield "sdpa-flash", lambda: self.sdpa(SDPBackend.FLASH_ATTENTION)
        yield "sdpa-cudnn", lambda: self.sdpa(SDPBackend.CUDNN_ATTENTION)
        yield "sdpa-efficient", lambda: self.sdpa(SDPBackend.EFFICIENT_ATTENTION)
        if self.device == "cpu":
            yield "sdpa-math", lambda: self.sdpa(SDPBackend.MATH)
        if len(set(self.lengths)) > 1:
            yield "sdpa-each", self.each
        yield "nested", self.nested
        if varlen_attn:
            yield "varlen", self.varlen
        if flash_attn_varlen_func:
            yield "flash-attn2", lambda: self.flash(flash_attn_varlen_func)
        if flash3_varlen_func:
            yield "flash-attn3", lambda: self.flash(flash3_varlen_func)

    def expected_last(self):
        """The last prompt, in f32, by the formula."""
        n, group = self.lengths[-1], self.heads // self.kv_heads
        q, k, v = (x[-n:].float().transpose(0, 1) for x in (self.q, self.k, self.v))
        k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
        scores = q @ k.transpose(1, 2) / self.dim ** 0.5
        future = torch.ones(n, n, device=self.device, dtype=torch.bool).triu(1)
        return (scores.masked_fill(future, float("-inf")).softmax(2) @ v).transpose(0, 1)


def run_case(device, name, shape, what, lengths, repeats):
    """Figures of every method that works here; returns how many did."""
    case = Case(device, shape, lengths)
    expected = case.expected_last() if lengths[-1] <= 2048 else None
    best, said = 0, []
    for method, prepare in case.methods():
        try:
            work, flat = prepare()
            out = flat(work())[-lengths[-1]:].float()
            if expected is not None:
                error = ((out - expected).norm() / expected.norm()).item()
                if not error < 2e-2:
                    raise RuntimeError(f"wrong by {error:.2g}")
            rate = case.flops / median_seconds(device, work, repeats) * 1e-12
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as problem:
            said.append(f"{method} -")
            print(f"# {name} {what} {method}: {str(problem).splitlines()[0][:120]}")
            continue
        figure(f"torch.{name}.{what}.{method}.tflops", rate)
        said.append(f"{method} {rate:.1f}")
        best = max(best, rate)
    if best:
        figure(f"torch.{name}.{what}.tflops", best)
    print(f"{name} {what}, TFLOP/s: {', '.join(said)}", flush=True)
    return best > 0


def run(device, mixed, tiny, quick):
    repeats = 3 if quick or tiny else 7
    shapes = {"tiny": (4, 2, 16)} if tiny else SHAPES
    worked = True
    for name, shape in shapes.items():
        lengths = LENGTHS
        if tiny:
            lengths = [5, 17]
        elif quick and name != GOALS:
            lengths = [100, 200, 500, 2000, 16000]
        for n in lengths:
            worked &= run_case(device, name, shape, f"l{n}", [n] * max(1, (64 if tiny else TOKENS) // n),
                               repeats)
        worked &= run_case(device, name, shape, "mixed", mixed, repeats)
    return worked
