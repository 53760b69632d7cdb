"""OpenVINO for rivals.py: the same mathematics as a plain torch module, traced and converted in this process, with
logits of the last token; weights in bf16, or in 8 or 4 bits by nncf, whose products the plugin may compute with
activations quantised in groups. No caches are kept: that spares it work, and packages for export. Prompts one by one,
in one stream of all threads or a stream for each, and padded at their ends in order of length."""
import contextlib
import io
import logging
import os
import time
import warnings
from functools import partial

import nncf
import openvino as ov
import openvino.properties as props
import openvino.properties.hint as hints
import torch
from torch import nn
from torch.nn import functional as F

from rival_world import Way, by_length


class Norm(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(norm.weight.float()), norm.variance_epsilon

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon))


class Layer(nn.Module):
    def __init__(self, layer, config):
        super().__init__()
        self.norms = nn.ModuleList([Norm(layer.input_layernorm), Norm(layer.post_attention_layernorm)])
        attention, mlp = layer.self_attn, layer.mlp
        self.q, self.k, self.v, self.o = attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj
        self.gate, self.up, self.down = mlp.gate_proj, mlp.up_proj, mlp.down_proj
        self.head_dim = config.hidden_size // config.num_attention_heads

    def heads(self, x):
        """[batch, heads, tokens, head_dim]"""
        return x.view(x.shape[0], x.shape[1], -1, self.head_dim).transpose(1, 2)

    def forward(self, x, cos, sin):
        def rotate(y):
            low, high = y.chunk(2, -1)
            return y * cos + torch.cat([-high, low], -1) * sin
        h = self.norms[0](x)
        q, k, v = rotate(self.heads(self.q(h))), rotate(self.heads(self.k(h))), self.heads(self.v(h))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = x + self.o(seen.reshape(x.shape))
        h = self.norms[1](x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Plain(nn.Module):
    """A Llama as many heads on keys as on queries; ids [batch, tokens], the place of each row's last token [batch]."""

    def __init__(self, model):
        super().__init__()
        config = model.config
        self.embed, self.head, self.norm = model.model.embed_tokens, model.lm_head, Norm(model.model.norm)
        self.layers = nn.ModuleList([Layer(layer, config) for layer in model.model.layers])
        half = config.hidden_size // config.num_attention_heads // 2
        theta = config.rope_parameters["rope_theta"]
        self.register_buffer("frequencies", theta ** (-torch.arange(half).float() / half))

    def forward(self, ids, last):
        x = self.embed(ids)
        angles = torch.arange(ids.shape[1]).float()[:, None] * self.frequencies[None, :]
        angles = torch.cat([angles, angles], -1)
        cos, sin = angles.cos(), angles.sin()
        for layer in self.layers:
            x = layer(x, cos, sin)
        rows = torch.gather(x, 1, last.view(-1, 1, 1).expand(-1, 1, x.shape[2]))
        return self.head(self.norm(rows))[:, 0]


def model_file(world, name):
    path = world.path(f"openvino-{name}.xml")
    if os.path.exists(path):
        return path
    plain = Plain(world.model(dtype=torch.float32)).eval()
    example = (torch.zeros(2, 8, dtype=torch.int64), torch.tensor([7, 5]))
    with torch.no_grad():
        model = ov.convert_model(plain, example_input=example, input=[([-1, -1], ov.Type.i64), ([-1], ov.Type.i64)])
    if name != "bf16":
        mode = {"int8": nncf.CompressWeightsMode.INT8_SYM, "int4": nncf.CompressWeightsMode.INT4_SYM}[name]
        few = {"group_size": 32, "all_layers": True} if name == "int4" else {}
        with contextlib.redirect_stdout(io.StringIO()):  # a bar of progress
            model = nncf.compress_weights(model, mode=mode, **few)
    ov.save_model(model, path, compress_to_fp16=name == "bf16")
    return path


class OpenVino:
    def __init__(self, world, name, batch, streams, group):
        self.batch, self.streams = batch, streams
        settings = {hints.inference_precision: ov.Type.bf16, hints.performance_mode: hints.PerformanceMode.LATENCY,
                    props.inference_num_threads: world.threads, props.num_streams: streams}
        if group is not None:
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = str(group)
        self.compiled = ov.Core().compile_model(model_file(world, name), "CPU", settings)
        self.request = self.compiled.create_infer_request()

    def inputs(self, prompts):
        longest = max(map(len, prompts))
        ids = torch.tensor([p + [0] * (longest - len(p)) for p in prompts])
        return [ids.numpy(), torch.tensor([len(p) - 1 for p in prompts]).numpy()]

    def forward(self, prompts):
        inputs = self.inputs(prompts)
        began = time.perf_counter()
        rows = self.request.infer(inputs)[0]
        return time.perf_counter() - began, torch.tensor(rows)

    def side_by_side(self, prompts):
        rows = [None] * len(prompts)
        queue = ov.AsyncInferQueue(self.compiled, self.streams)
        queue.set_callback(lambda request, i: rows.__setitem__(i, torch.tensor(request.get_output_tensor(0).data[0])))
        inputs = [self.inputs([prompt]) for prompt in prompts]
        began = time.perf_counter()
        for i, one in sorted(enumerate(inputs), key=lambda pair: -pair[1][0].shape[1]):
            queue.start_async(one, i)
        queue.wait_all()
        return time.perf_counter() - began, torch.stack(rows)

    def prefill(self, prompts):
        if self.streams > 1:
            return self.side_by_side(prompts)
        return by_length(self.forward, prompts, self.batch)

    def close(self):
        self.request = self.compiled = None


def settings(n_prompts, threads):
    """label, batch, streams."""
    yield "one by one", 1, 1
    if n_prompts > 1:
        if threads > 1:
            yield f"one by one, {threads} streams", 1, threads
        yield "by length, batches of 4", 4, 1


def ways(world):
    nncf.set_log_level(logging.ERROR)
    warnings.filterwarnings("ignore", module="torch.jit")
    for name in ("bf16", "int8", "int4"):
        for label, batch, streams in settings(len(world.prompts), world.threads):
            # Group sizes for quantised activations; None: what the plugin chooses.
            for group in (None,) if name == "bf16" or batch > 1 else (None, 0, 32, 2**64 - 1):
                words = {None: "", 0: ", activations as they are", 32: ", activations in groups of 32"}
                yield Way(f"OpenVINO {name}", label + words.get(group, ", activations by row"),
                          partial(OpenVino, world, name, batch, streams, group))
