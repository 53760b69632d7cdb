"""The checkpoint of rivals.py as a GGUF file in bf16, for llama.cpp and its kin to read and to quantise."""
import os

import gguf
import numpy as np
import torch


ARCHITECTURES = {"llama": "llama", "qwen3_moe": "qwen3moe"}


def write_gguf(model, path):
    """Writes a Llama or a Qwen 3 mixture of transformers as GGUF without a vocabulary."""
    config = model.config
    if config.model_type not in ARCHITECTURES:
        raise RuntimeError(f"no GGUF file of {config.model_type} is written here")
    mixture = config.model_type == "qwen3_moe"
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, ARCHITECTURES[config.model_type])
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_dim)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    if mixture:
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")

    def matrix(name, weight, heads=0):
        if heads and not mixture:  # of Llama llama.cpp pairs neighbours, transformers pairs halves
            rows, columns = weight.shape
            weight = weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(
                rows, columns)
        bits = weight.to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
        writer.add_tensor(name, bits.view(np.uint8).reshape(*weight.shape[:-1], -1),
                          raw_dtype=gguf.GGMLQuantizationType.BF16)

    def vector(name, weight):
        writer.add_tensor(name, weight.float().numpy())

    state = model.state_dict()
    matrix("token_embd.weight", state["model.embed_tokens.weight"])
    matrix("output.weight", state["lm_head.weight"])
    vector("output_norm.weight", state["model.norm.weight"])
    for i in range(config.num_hidden_layers):
        ours, theirs = f"model.layers.{i}.", f"blk.{i}."
        vector(theirs + "attn_norm.weight", state[ours + "input_layernorm.weight"])
        vector(theirs + "ffn_norm.weight", state[ours + "post_attention_layernorm.weight"])
        matrix(theirs + "attn_q.weight", state[ours + "self_attn.q_proj.weight"],
               config.num_attention_heads)
        matrix(theirs + "attn_k.weight", state[ours + "self_attn.k_proj.weight"],
               config.num_key_value_heads)
        matrix(theirs + "attn_v.weight", state[ours + "self_attn.v_proj.weight"])
        matrix(theirs + "attn_output.weight", state[ours + "self_attn.o_proj.weight"])
        if mixture:
            for name in ("q_norm", "k_norm"):
                vector(theirs + f"attn_{name}.weight", state[ours + f"self_attn.{name}.weight"])
            vector(theirs + "ffn_gate_inp.weight", state[ours + "mlp.gate.weight"])
            gate, up = state[ours + "mlp.experts.gate_up_proj"].chunk(2, dim=1)
            matrix(theirs + "ffn_gate_exps.weight", gate)
            matrix(theirs + "ffn_up_exps.weight", up)
            matrix(theirs + "ffn_down_exps.weight", state[ours + "mlp.experts.down_proj"])
            continue
        matrix(theirs + "ffn_gate.weight", state[ours + "mlp.gate_proj.weight"])
        matrix(theirs + "ffn_up.weight", state[ours + "mlp.up_proj.weight"])
        matrix(theirs + "ffn_down.weight", state[ours + "mlp.down_proj.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def bf16_file(world):
    """The checkpoint as GGUF; made once."""
    path = world.path("bf16.gguf")
    if not os.path.exists(path):
        write_gguf(world.model(), path + ".part")
        os.rename(path + ".part", path)
    return path
