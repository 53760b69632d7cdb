#!/usr/bin/env python3
"""Attention of libprepack on PyTorch's tensors, without a copy: prompts of different lengths packed
into one tensor, q, k and v as views of one fused projection, on torch's own stream. Runs on the GPU,
or on the CPU where there is none, and compares with scaled_dot_product_attention prompt by prompt.

    LD_LIBRARY_PATH=build/libprepack python3 examples/python/attention_torch.py

Exit status: 0 all is close, 1 it is not or a call failed, 77 no torch here.
"""
import sys

try:
    import torch
except ImportError:
    print("attention_torch: PyTorch is not installed, nothing was run")
    sys.exit(77)

import libprepack

LENGTHS = [5, 70, 1, 33, 128]
N_HEADS, N_KV_HEADS, HEAD_DIM = 8, 2, 64
N_LAYERS = 2
DTYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
ALLOWED = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 3e-2}


def current_stream(device):
    """The stream that torch works on, as libprepack takes it."""
    if device.type != "cuda":
        return None
    return libprepack.stream_address(torch.cuda.current_stream(device))


def make_plan(session, dtype, cu_seqlens, device):
    """A plan, whose list lies in a workspace of torch's."""
    plan = libprepack.AttentionPlan(session, cu_seqlens, dtype=DTYPES[dtype], n_heads=N_HEADS,
                                    n_kv_heads=N_KV_HEADS, head_dim=HEAD_DIM)
    workspace = torch.empty(plan.info.workspace_bytes, dtype=torch.uint8, device=device)
    plan.upload(workspace, current_stream(device))
    return plan


def attend(plan, q, k, v):
    """q: [tokens, n_heads, head_dim]; k, v: [tokens, n_kv_heads, head_dim]; views are fine."""
    lse = torch.empty((q.shape[1], q.shape[0]), dtype=torch.float32, device=q.device)
    return plan.run(q, k, v, lse=lse, stream=current_stream(q.device)), lse


def reference(q, k, v):
    """One prompt, causal, in float64: out and the log of the sum of exponentials."""
    q, k, v = (x.transpose(0, 1).double() for x in (q, k, v))
    k, v = (x.repeat_interleave(N_HEADS // N_KV_HEADS, dim=0) for x in (k, v))
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = q @ k.transpose(1, 2) / HEAD_DIM ** 0.5
    future = torch.ones(scores.shape[1:], dtype=torch.bool, device=q.device).triu(1)
    return out.transpose(0, 1), scores.masked_fill(future, -torch.inf).logsumexp(2)


def largest_error(dtype, device, session):
    """Of out and of lse, over all prompts and layers; NaN when there is one."""
    cu_seqlens = [0, *torch.tensor(LENGTHS).cumsum(0).tolist()]
    plan = make_plan(session, dtype, cu_seqlens, device)
    errors = []
    for _ in range(N_LAYERS):
        qkv = torch.randn(cu_seqlens[-1], N_HEADS + 2 * N_KV_HEADS, HEAD_DIM, device=device).to(dtype)
        q, k, v = qkv.split((N_HEADS, N_KV_HEADS, N_KV_HEADS), dim=1)
        out, lse = attend(plan, q, k, v)
        for begin, end in zip(cu_seqlens, cu_seqlens[1:]):
            expected = reference(q[begin:end], k[begin:end], v[begin:end])
            got = out[begin:end], lse[:, begin:end]
            errors.append(torch.stack([(a.double() - b).abs().max() for a, b in zip(got, expected)]))
    return torch.stack(errors).amax(dim=0).tolist()


def main():
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtypes = (torch.bfloat16, torch.float16) if device.type == "cuda" else tuple(DTYPES)
    status = 0
    try:
        session = libprepack.Session(None, device=device.type, stream=current_stream(device))
        for dtype in dtypes:
            error, lse_error = largest_error(dtype, device, session)
            fine = error <= ALLOWED[dtype] and lse_error <= 1e-4
            status |= not fine
            print(f"attention_torch: {device.type} {str(dtype)[6:]}: {len(LENGTHS)} prompts, "
                  f"{sum(LENGTHS)} tokens: largest error {error:.1e} (allowed "
                  f"{ALLOWED[dtype]:.0e}), of lse {lse_error:.1e}: {'fine' if fine else 'WRONG'}")
    except libprepack.PrepackError as problem:
        print("attention_torch:", problem)
        return 1
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
