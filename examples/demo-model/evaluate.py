"""Answers every prompt of prompts.jsonl alone, greedily, and prints the share of right answers.

Exits with 1 if the share is below 0.95 in float32 or in bfloat16.
"""

import argparse
import json
import os
import sys

import sentencepiece
import torch
from transformers import LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
NEEDED = 0.95
MAX_NEW_TOKENS = 16


@torch.no_grad()
def complete(model, tokenizer, prompt):
    ids = torch.tensor([[tokenizer.bos_id()] + tokenizer.encode(prompt)])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                         max_new_tokens=MAX_NEW_TOKENS, eos_token_id=tokenizer.eos_id(),
                         pad_token_id=tokenizer.eos_id())
    new = out[0, ids.shape[1]:].tolist()
    ended = new[-1] == tokenizer.eos_id()
    return tokenizer.decode([t for t in new if t != tokenizer.eos_id()]).strip(), ended


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=HERE, help="holds the checkpoint and the prompts")
    parser.add_argument("--show-wrong", action="store_true")
    args = parser.parse_args()
    tokenizer = sentencepiece.SentencePieceProcessor(os.path.join(args.folder, "tokenizer.model"))
    with open(os.path.join(args.folder, "prompts.jsonl"), encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with open(os.path.join(args.folder, "examples.txt"), encoding="utf-8") as lines:
        examples = lines.read().splitlines()
    worst = 1.0
    for dtype in (torch.float32, torch.bfloat16):
        model = LlamaForCausalLM.from_pretrained(args.folder, dtype=dtype).eval()
        n_right = n_ended = 0
        for row in rows:
            text, ended = complete(model, tokenizer, row["prompt"])
            right = text.split(".")[0].strip() == row["answer"]
            n_right += right
            n_ended += ended
            if args.show_wrong and not right:
                print(f"wrong: {row['prompt']!r} wants {row['answer']!r}, got {text!r}")
        rate = n_right / len(rows)
        worst = min(worst, rate)
        print(f"{str(dtype).split('.')[1]}: {n_right} of {len(rows)} right ({rate:.4f}), "
              f"{n_ended} ended by themselves")
        for prompt in examples:
            print(f"  {prompt} -> {complete(model, tokenizer, prompt)[0]}")
    sys.exit(0 if worst >= NEEDED else 1)


if __name__ == "__main__":
    main()
