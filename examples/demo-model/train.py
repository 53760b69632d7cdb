"""Makes the demo model: tokenizer, prompts and a small Llama, all from seeds.

Documents are trained one by one, each at position 0 and padded on the right, so the model never
sees two documents in one context.
"""

import argparse
import json
import math
import os
import random
import time
from dataclasses import dataclass

import sentencepiece
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

import corpus
import make_prompts

HERE = os.path.dirname(os.path.abspath(__file__))
BOS, EOS = 1, 2
LONGEST = 460  # tokens, about, in a training document
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 1024,
    "hidden_size": 192,
    "intermediate_size": 448,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "torch_dtype": "bfloat16",
}


# --- tokenizer --------------------------------------------------------------------------------

def make_tokenizer(seed):
    rng = random.Random(seed)
    path = os.path.join(HERE, "tokenizer.model")
    lines = (make_prompts.text_of(corpus.make_document(rng, 40, "crowded")) for _ in range(20000))
    with open(path + ".tmp", "wb") as out:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines, model_writer=out, model_type="bpe",
            vocab_size=CONFIG["vocab_size"], byte_fallback=True, split_digits=True,
            character_coverage=1.0, normalization_rule_name="identity",
            remove_extra_whitespaces=False, unk_id=0, bos_id=BOS, eos_id=EOS, pad_id=-1,
            num_threads=1, minloglevel=2)
    os.replace(path + ".tmp", path)


class Encoder:
    """Encodes word by word with a cache; pieces never cross a space, so the result is the same."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.words = {}

    def __call__(self, text):
        ids = []
        for word in text.split(" "):
            if word not in self.words:
                self.words[word] = self.tokenizer.encode(word)
            ids += self.words[word]
        return ids


# --- data -------------------------------------------------------------------------------------

def encode_document(encode, document):
    """Returns (ids, weights): weights[i] is how much predicting ids[i] counts.

    What follows a full stop counts only at the end of the document. So the model learns that one
    sentence is to be finished and then the text ends.
    """
    sentences, prompt, answer = document
    ids, weights = [BOS], [0.0]

    def add(text, tail, tail_weight):
        body = encode(text)
        ids.extend(body)
        weights.extend([0.0] + [0.05] * (len(body) - 1))
        if tail is not None:
            end = encode(tail + ".")
            ids.extend(end)
            weights.extend([tail_weight] * len(end))

    for text, tail in sentences:
        if tail is None:
            add(text, None, 0.0)
        else:
            add(text[:-len(tail) - 2], tail, 1.0)
    add(prompt, answer, 1.0)
    return ids + [EOS], weights + [1.0]


def batches(encode, seed, batch_tokens, n_easy, style):
    """Endless batches of documents of similar length, each about batch_tokens with padding.

    The first n_easy batches, about, are of short documents: recall is learnt sooner there.
    """
    rng = random.Random(seed)
    n_made = 0
    while True:
        pool = []
        for _ in range(2048):
            long = n_made >= n_easy and rng.random() < 0.5
            high = LONGEST if long else 64
            n_words = corpus.log_uniform(rng, 4, high) / 1.25
            pool.append(encode_document(encode, corpus.make_document(rng, n_words, style)))
        pool.sort(key=lambda d: len(d[0]))
        cut, rows = [], []
        for document in pool:
            if rows and (len(rows) + 1) * len(document[0]) > batch_tokens:
                cut.append(rows)
                rows = []
            rows.append(document)
        cut.append(rows)
        rng.shuffle(cut)
        n_made += len(cut)
        yield from (to_tensors(rows) for rows in cut)


def to_tensors(rows):
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    weights = torch.zeros(len(rows), width)
    for i, (row, w) in enumerate(rows):
        ids[i, :len(row)] = torch.tensor(row)
        weights[i, :len(row)] = torch.tensor(w)
    return ids, weights


# --- model ------------------------------------------------------------------------------------

class RMSNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, CONFIG["rms_norm_eps"])


def rotate(x, cos, sin):  # x: [batch, heads, tokens, head_dim]
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        hidden, dim = CONFIG["hidden_size"], CONFIG["head_dim"]
        self.n_heads, self.n_kv = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
        self.q_proj = nn.Linear(hidden, self.n_heads * dim, bias=False)
        self.k_proj = nn.Linear(hidden, self.n_kv * dim, bias=False)
        self.v_proj = nn.Linear(hidden, self.n_kv * dim, bias=False)
        self.o_proj = nn.Linear(self.n_heads * dim, hidden, bias=False)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        q = self.q_proj(x).view(b, t, self.n_heads, -1).transpose(1, 2)
        k = self.k_proj(x).view(b, t, self.n_kv, -1).transpose(1, 2)
        v = self.v_proj(x).view(b, t, self.n_kv, -1).transpose(1, 2)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        k = k.repeat_interleave(self.n_heads // self.n_kv, dim=1)
        v = v.repeat_interleave(self.n_heads // self.n_kv, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, -1))


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm = RMSNorm(CONFIG["hidden_size"])
        self.self_attn = Attention()
        self.post_attention_layernorm = RMSNorm(CONFIG["hidden_size"])
        self.mlp = MLP()

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Module names give tensor names as LlamaForCausalLM has them, below the prefix "model."."""

    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], CONFIG["hidden_size"])
        self.layers = nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = RMSNorm(CONFIG["hidden_size"])
        dim = CONFIG["head_dim"]
        frequency = CONFIG["rope_theta"] ** (-torch.arange(0, dim, 2).float() / dim)
        angle = torch.arange(CONFIG["max_position_embeddings"])[:, None] * frequency
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        scale = 1 / math.sqrt(2 * len(self.layers))
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                small = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.05 * (scale if small else 1.0))

    def forward(self, ids):
        x = self.embed_tokens(ids)
        cos, sin = self.cos[:ids.shape[1]], self.sin[:ids.shape[1]]
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)

    def head(self, x):
        return F.linear(x, self.embed_tokens.weight)


def save(model):
    """Writes the checkpoint under a temporary name first: a reader never sees half of one."""
    path = os.path.join(HERE, "model.safetensors")
    state = {"model." + k: v.detach().to(torch.bfloat16).contiguous()
             for k, v in model.state_dict().items()}
    save_file(state, path + ".tmp", metadata={"format": "pt"})
    os.replace(path + ".tmp", path)


def load(model):
    state = load_file(os.path.join(HERE, "model.safetensors"))
    model.load_state_dict({k.removeprefix("model."): v.float() for k, v in state.items()})


# --- training ---------------------------------------------------------------------------------

@dataclass
class Stage:
    """One run of the optimizer. It goes on from the saved checkpoint where resumes is set."""
    n_steps: int
    cosine_steps: int  # the learning rate would reach its end here
    lr: float
    n_warmup: int
    n_easy: int
    batch_tokens: int
    check_every: int
    seed: int
    style: str
    resumes: bool


STAGES = {
    1: Stage(n_steps=2000, cosine_steps=6500, lr=2e-3, n_warmup=200, n_easy=1000,
             batch_tokens=2560, check_every=250, seed=2, style="crowded", resumes=False),
    2: Stage(n_steps=1300, cosine_steps=1600, lr=1.2e-3, n_warmup=50, n_easy=0,
             batch_tokens=2560, check_every=100, seed=3, style="drill", resumes=True),
}


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def loss_of(model, ids, weights):
    with autocast():
        x = model(ids[:, :-1])
        target, weight = ids[:, 1:], weights[:, 1:]
        chosen = weight > 0
        logits = model.head(x[chosen])
    each = F.cross_entropy(logits.float(), target[chosen], reduction="none")
    return (each * weight[chosen]).sum() / weight.sum()


@torch.no_grad()
def rate(model, encode, rows):
    """Share of rows whose whole answer, full stop and end are the model's first choice."""
    right = 0
    for row in rows:
        prompt, tail = encode(row["prompt"]), encode(row["answer"] + ".") + [EOS]
        with autocast():
            ids = torch.tensor([[BOS] + prompt + tail[:-1]])
            best = model.head(model(ids)[0, len(prompt):]).argmax(-1).tolist()
        right += best == tail
    return right / len(rows)


def train(args, stage):
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    tokenizer = sentencepiece.SentencePieceProcessor(os.path.join(HERE, "tokenizer.model"))
    encode = Encoder(tokenizer)
    check = make_prompts.make_prompts(tokenizer, args.seed + 1)  # not those of prompts.jsonl
    for row in check:
        assert encode(row["prompt"]) == tokenizer.encode(row["prompt"])
    model = Llama()
    if stage.resumes:
        load(model)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05},
                                   {"params": others, "weight_decay": 0.0}],
                                  betas=(0.9, 0.98), fused=True)
    source = batches(encode, args.seed + stage.seed, stage.batch_tokens, stage.n_easy,
                     stage.style)
    began, n_tokens, running = time.time(), 0, 0.0
    for step in range(1, stage.n_steps + 1):
        warm = min(1.0, step / stage.n_warmup)
        cosine = 0.5 + 0.5 * math.cos(math.pi * step / stage.cosine_steps)
        for group in optimizer.param_groups:
            group["lr"] = stage.lr * warm * (0.01 + 0.99 * cosine)
        ids, weights = next(source)
        loss = loss_of(model, ids, weights)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        n_tokens += ids.numel()
        running += loss.item()
        if step % 50 == 0:
            spent = time.time() - began
            print(f"step {step} loss {running / 50:.4f} {n_tokens / spent:.0f} tokens/s "
                  f"{spent:.0f} s", flush=True)
            running = 0.0
        if step % stage.check_every == 0 or step == stage.n_steps:
            print(f"step {step} right {rate(model, encode, check):.4f}", flush=True)
            save(model)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", type=int, choices=(1, 2), help="only this one, not both")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    began = time.time()
    if args.stage != 2:
        make_tokenizer(args.seed)
        with open(os.path.join(HERE, "config.json"), "w", encoding="utf-8") as out:
            json.dump(CONFIG, out, indent=2)
            out.write("\n")
    make_prompts.main()
    for number in (1, 2) if args.stage is None else (args.stage,):
        train(args, STAGES[number])
    print(f"done in {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
