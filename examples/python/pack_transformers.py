#!/usr/bin/env python3
"""A transformers model on packed prompts: libprepack's planner puts prompts of different lengths into
bins, each bin runs as one row without padding, and the logits of every prompt's last token are compared
with those of the prompt alone. The model is a tiny Llama with random weights; nothing is downloaded.

On a GPU with flash-attn the row runs with cu_seqlens (FlashAttentionKwargs); elsewhere with the dense
block-diagonal mask that libprepack makes. Positions restart at each prompt either way.

    LD_LIBRARY_PATH=build/libprepack python3 examples/python/pack_transformers.py

Exit status: 0 all logits agree, 1 they do not or a call failed, 77 no torch or transformers here.
"""
import random
import sys

try:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import is_flash_attn_2_available
except ImportError as missing:
    print(f"pack_transformers: {missing.name or missing} is not installed, nothing was run")
    sys.exit(77)

import libprepack

N_PROMPTS, LONGEST, VOCABULARY = 32, 160, 512


def make_model(device, flash):
    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=128, intermediate_size=256,
                         num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=2 * LONGEST)
    config._attn_implementation = "flash_attention_2" if flash else "sdpa"
    model = LlamaForCausalLM(config).to(device, torch.bfloat16 if flash else torch.float32)
    return model.eval()


def packed_logits(model, arrays, device, flash):
    """[prompts of the bin, vocabulary]: logits of each prompt's last token, from one row."""
    inputs = {"input_ids": torch.tensor(arrays.tokens[None], dtype=torch.int64, device=device),
              "position_ids": torch.tensor(arrays.positions[None], dtype=torch.int64, device=device)}
    if flash:
        cu_seqlens = torch.tensor(arrays.cu_seqlens, device=device)
        inputs |= {"cu_seq_lens_q": cu_seqlens, "cu_seq_lens_k": cu_seqlens,
                   "max_length_q": arrays.max_seqlen, "max_length_k": arrays.max_seqlen}
    else:
        visible = torch.from_numpy(arrays.mask()).to(device)  # [1, tokens, tokens]
        inputs["attention_mask"] = torch.zeros(visible.shape, device=device).masked_fill(
            ~visible, torch.finfo(torch.float32).min)[None]
    return model(**inputs, use_cache=False).logits[0, arrays.last_rows.tolist()].float()


def largest_difference(model, prompts, plan, device, flash):
    largest, seen = 0.0, []
    for arrays in plan.batches(prompts):
        packed = packed_logits(model, arrays, device, flash)
        for row, prompt in zip(packed, arrays.prompts.tolist()):
            alone = model(input_ids=torch.tensor([prompts[prompt]], device=device), use_cache=False)
            largest = max(largest, (row - alone.logits[0, -1].float()).abs().max().item())
        seen += arrays.prompts.tolist()
    if sorted(seen) != list(range(len(prompts))):
        raise libprepack.PrepackError(f"the bins hold the prompts {sorted(seen)}")
    return largest


def main():
    numbers = random.Random(1)
    lengths = [min(LONGEST, 3 + int(numbers.expovariate(1 / 25))) for _ in range(N_PROMPTS)]
    prompts = [[numbers.randrange(VOCABULARY) for _ in range(length)] for length in lengths]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    flash = device.type == "cuda" and is_flash_attn_2_available()
    try:
        plan = libprepack.Packer().plan(lengths)
        info = plan.info
        padded, computed = N_PROMPTS * max(lengths), sum(lengths)
        print(f"pack_transformers: {N_PROMPTS} prompts, {info.n_bins} bins of {info.capacity} tokens "
              f"(at least {info.lower_bound}), {100 * info.waste:.1f} % unused")
        print(f"pack_transformers: tokens computed: {padded} padded, {computed} packed, "
              f"{padded / computed:.2f} times fewer")
        allowed = 0.1 if flash else 1e-4
        with torch.inference_mode():
            error = largest_difference(make_model(device, flash), prompts, plan, device, flash)
    except libprepack.PrepackError as problem:
        print("pack_transformers:", problem)
        return 1
    fine = error <= allowed
    print(f"pack_transformers: {device.type}, {'cu_seqlens' if flash else 'dense mask'}: largest "
          f"difference of logits {error:.1e} (allowed {allowed:.0e}): {'fine' if fine else 'WRONG'}")
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
