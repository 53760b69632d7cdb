"""Writes prompts.jsonl: 256 prompts of very different lengths, with their right answers."""

import json
import os
import random

import sentencepiece

import corpus

N_PROMPTS = 256
SHORTEST, LONGEST = 5, 420  # tokens, the beginning-of-text token included
HERE = os.path.dirname(os.path.abspath(__file__))


def text_of(document):
    sentences, prompt, _ = document
    return " ".join([s for s, _ in sentences] + [prompt])


def make_prompts(tokenizer, seed):
    """One prompt near each of 256 log-evenly spaced lengths, in shuffled order."""
    rng = random.Random(seed)
    rows, seen = [], set()
    for i in range(N_PROMPTS):
        target = SHORTEST * (LONGEST / SHORTEST) ** (i / (N_PROMPTS - 1))
        slack = 0.02 * target + 0.5
        tries = 0
        while True:
            tries += 1
            document = corpus.make_document(rng, target * rng.uniform(0.5, 1.0), "single")
            text = text_of(document)
            n_tokens = 1 + len(tokenizer.encode(text))
            # The few very short sentences may repeat once they run out.
            fits = abs(n_tokens - target) <= slack + tries // 500
            if fits and (text not in seen or tries > 4000):
                break
        seen.add(text)
        rows.append({"prompt": text, "answer": document[2]})
    rng.shuffle(rows)
    return rows


def main(seed=20240415):
    tokenizer = sentencepiece.SentencePieceProcessor(os.path.join(HERE, "tokenizer.model"))
    rows = make_prompts(tokenizer, seed)
    path = os.path.join(HERE, "prompts.jsonl")
    with open(path + ".tmp", "w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")
    os.replace(path + ".tmp", path)
    lengths = [1 + len(tokenizer.encode(r["prompt"])) for r in rows]
    mean = sum(lengths) / len(lengths)
    print(f"{len(rows)} prompts: min {min(lengths)} mean {mean:.1f} max {max(lengths)} "
          f"max/mean {max(lengths) / mean:.2f} tokens")


if __name__ == "__main__":
    main()
