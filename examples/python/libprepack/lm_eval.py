"""The model "libprepack" of lm-evaluation-harness: log-likelihoods, rolling log-likelihoods and generation.

    python3 -m libprepack.lm_eval run --model libprepack --model_args pretrained=model-dir --tasks mmlu

is the harness's own command line with the model registered; a harness that looks for entry points (`lm_eval.models`)
finds it by itself. In Python importing this module registers it:

    import lm_eval, libprepack.lm_eval
    lm_eval.simple_evaluate(model="libprepack", model_args={"pretrained": "model-dir"}, tasks=["mmlu"])

Results are those of the harness's own model `hf` in f32, but for what docs/evaluation.md names.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

import numpy as np

try:
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import register_model
    from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
    from tqdm import tqdm
except ModuleNotFoundError as missing:
    sentence = f"libprepack.lm_eval needs lm-evaluation-harness: {missing} (pip install lm-eval)"
    if __name__ == "__main__":
        sys.exit(sentence)
    raise ModuleNotFoundError(sentence, name=missing.name) from None

from ._eval_tokens import HarnessTokenizer
from ._eval_world import World
from ._ids import Ids
from .devices import devices
from .session import Session

logger = logging.getLogger("libprepack.lm_eval")

DTYPES = {"float32": "f32", "float": "f32", "bfloat16": "bf16", "float16": "f16", "half": "f16"}

# Requests of one run: enough for prefixes to be found, few enough for the harness's cache of answers to be kept
# now and then.
CHUNK = 4096

# What transformers would be told and what leaves generation as it is; other values would change the text.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,), "num_return_sequences": (1,), "repetition_penalty": (1, None), "length_penalty": (1, None),
    "no_repeat_ngram_size": (0, None), "early_stopping": (False, None), "use_cache": (True, False, None)}

Tokens = Union[Sequence[int], Ids]
Request = tuple[Optional[tuple[str, str]], Tokens, Tokens]
Answer = tuple[float, bool]


class PrepackLM(TemplateLM):  # type: ignore[misc]
    """A model for the harness.

    pretrained: a directory or a GGUF file, as Model takes it. tokenizer: another tokenizer's path.
    dtype, weights, threads, max_pass_tokens: as Session takes them; also "float32", "bfloat16", "float16".
    device: as Session takes it; None, and "cuda" where there is none: "cpu".
    max_length: tokens that the model sees at most; None: as many as it has positions.
    max_gen_toks: tokens that are generated where a task does not say.
    add_bos_token: whether texts begin with BOS (or what stands for it); None: as the tokenizer's files have it.
    prefix_token_id: what stands for an empty context; None: BOS, else the token that ends a text.
    min_shared_prefix: texts that begin alike are computed once where it is so many tokens or more; 0: never.
    seed: of generation that draws. What is drawn for a request depends on it, on the request and on how often it was
        asked before; on nothing else that is asked.
    think_end_token: what ends the thoughts of a model that reasons, as text or id; only what follows is answered.
    enable_thinking, chat_template_args: for the chat template.
    batch_size, max_batch_size: taken and not needed: passes are filled by tokens.
    """

    def __init__(self, pretrained: str, *, tokenizer: str | None = None, device: str | None = None,
                 dtype: str = "auto", weights: str = "auto", threads: int = 0, max_pass_tokens: int = 0,
                 max_length: int | None = None, max_gen_toks: int = 256, add_bos_token: bool | None = None,
                 prefix_token_id: int | None = None, min_shared_prefix: int = 16, seed: int = 0,
                 think_end_token: str | int | None = None, enable_thinking: bool | None = None,
                 chat_template_args: dict[str, Any] | None = None, batch_size: int | str | None = None,
                 max_batch_size: int | None = None) -> None:
        super().__init__()
        self._world = World()
        self._rank, self._world_size = self._world.rank, self._world.size
        self.session = Session(pretrained, device=_device(device), dtype=DTYPES.get(dtype, dtype), weights=weights,
                               threads=threads, max_pass_tokens=max_pass_tokens, tokenizer=tokenizer)
        chat = dict(chat_template_args or {})
        if enable_thinking is not None:
            chat["enable_thinking"] = enable_thinking
        self.pretrained = str(pretrained)
        self.tokenizer = HarnessTokenizer(self.session.tokenizer, self.session.model.config, add_bos_token,
                                          prefix_token_id, chat)
        n_positions = self.session.model.config.max_position
        self._max_length = n_positions if max_length is None else int(max_length)
        if not 1 <= self._max_length <= n_positions:
            raise ValueError(f"max_length is {max_length}; the model has positions for 1 .. {n_positions} tokens")
        self._max_gen_toks, self._min_shared_prefix, self._seed = int(max_gen_toks), int(min_shared_prefix), seed
        self._think_end = think_end_token

    # ---- what the harness asks of a model beside its answers ----

    @property
    def max_length(self) -> int:
        """Tokens that the model sees at most."""
        return self._max_length

    @property
    def max_gen_toks(self) -> int:
        """Tokens that are generated where a task does not say."""
        return self._max_gen_toks

    @property
    def eot_token_id(self) -> Any:
        """The id that ends a text."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """The id that stands for an empty context."""
        return self.tokenizer.prefix

    @property
    def tokenizer_name(self) -> str:
        """What the harness's cache of prompts knows tokenizer and template by."""
        return self.tokenizer.path.replace(os.sep, "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **options: Any) -> list[int]:
        """The ids of a text; add_special_tokens: whether BOS is put before it, None: as configured."""
        ids: list[int] = self.tokenizer.encode([string], add_special_tokens)[0].tolist()
        return ids

    def tok_decode(self, tokens: Tokens, skip_special_tokens: bool = True) -> str:
        """The text of ids."""
        return self.session.tokenizer.decode(tokens, keep_special=not skip_special_tokens)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template of that name, or the only one, which `apply_chat_template` uses from now on."""
        self.tokenizer.template_name = chat_template if isinstance(chat_template, str) else None
        template: str | None = super().chat_template(chat_template)
        return template

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as text. Needs transformers."""
        return self.tokenizer.apply_chat_template(chat_history, add_generation_prompt)

    def get_model_info(self) -> dict[str, Any]:
        """What is written beside results."""
        info = self.session.info
        return {"model_num_parameters": self.session.model.n_parameters, "model_dtype": info.dtype,
                "model_weights": info.weights, "model_device": info.device}

    def all_gather(self, tensor: Any) -> Any:
        """One tensor of those of all processes."""
        return self._world.all_gather(tensor)

    def gather_object(self, obj: Any, dst: int = 0) -> Any:
        """Everybody's object, for process dst."""
        return self._world.gather_object(obj, dst)

    def barrier(self) -> None:
        """Waits for the other processes."""
        self._world.barrier()

    # ---- log-likelihoods ----

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[Answer]:
        """(log-likelihood, whether it is what greedy decoding gives) of each (context, continuation), two texts."""
        texts = [request.args for request in requests]
        pairs = self.tokenizer.encode_pairs(texts)
        return self._loglikelihood_tokens([(text, *pair) for text, pair in zip(texts, pairs)],
                                          disable_tqdm=disable_tqdm)

    def _loglikelihood_tokens(self, requests: Sequence[Request], disable_tqdm: bool = False,
                              **options: Any) -> list[Answer]:
        windows: list[tuple[Ids, int]] = []
        first = [0]
        for i, (texts, context, continuation) in enumerate(requests):
            windows += self._windows(i, texts, context, continuation)
            first.append(len(windows))
        scores = self._score(windows, disable_tqdm)
        answers: list[Answer] = []
        for (texts, _, _), begin, end in zip(requests, first, first[1:]):
            answers.append((sum(logprob for logprob, _ in scores[begin:end]),
                            all(is_greedy for _, is_greedy in scores[begin:end])))
            if texts is not None:
                self.cache_hook.add_partial("loglikelihood", texts, answers[-1])
        return answers

    def _windows(self, i: int, texts: tuple[str, str] | None, context: Tokens,
                 continuation: Tokens) -> list[tuple[Ids, int]]:
        """What is scored for a request: (tokens, those of them that are given). One window of the last tokens, unless
        the continuation alone is longer than what the model sees."""
        shown = "" if texts is None else f" ({texts[0][-40:]!r} and then {texts[1][:40]!r})"
        if len(continuation) < 1:
            raise ValueError(f"request {i}{shown}: no token of the two together is the continuation's alone")
        if len(context) < 1:
            raise ValueError(f"request {i}{shown}: its context has no tokens")
        if len(continuation) > self._max_length:
            logger.warning("request %d: its continuation has %d tokens, of which the model sees %d at a time: it is "
                           "scored in windows, as in rolling log-likelihoods", i, len(continuation), self._max_length)
            return self._rolling(continuation, int(context[-1]))
        tokens = np.concatenate([context, continuation]).astype(np.int32)[-(self._max_length + 1):]
        return [(tokens, tokens.size - len(continuation))]

    def _rolling(self, tokens: Tokens, before: int) -> list[tuple[Ids, int]]:
        windows = get_rolling_token_windows(token_list=list(map(int, tokens)), prefix_token=before,
                                            max_seq_len=self._max_length, context_len=1)
        return [(np.array(context + rest, np.int32), len(context))
                for context, rest in map(make_disjoint_window, windows)]

    def _score(self, windows: Sequence[tuple[Ids, int]], disable_tqdm: bool) -> list[Answer]:
        """Those that begin alike next to each other, so that a chunk's prefixes are computed once."""
        order = sorted(range(len(windows)), key=lambda i: windows[i][0].astype(">i4").tobytes())
        answers: list[Answer] = [(0.0, True)] * len(windows)
        with self._bar(len(order), "log-likelihoods", disable_tqdm) as bar:
            for begin in range(0, len(order), CHUNK):
                chunk = order[begin:begin + CHUNK]
                scores = self.session.score_tokens(
                    [windows[i] for i in chunk], min_shared_prefix=self._min_shared_prefix,
                    progress=lambda done, total: _advance(bar, begin + len(chunk) * done // max(total, 1)))
                for i, score in zip(chunk, scores):
                    answers[i] = (score.logprob, score.is_greedy)
                _advance(bar, begin + len(chunk))
        return answers

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The log-likelihood of each whole text, in windows of max_length tokens; each token counts once."""
        texts = [request.args[0] for request in requests]
        windows: list[tuple[Ids, int]] = []
        first = [0]
        for tokens in self.tokenizer.encode(texts, False):
            if tokens.size and tokens[0] == self.prefix_token_id:  # the text spells out its beginning
                tokens = tokens[1:]
            windows += self._rolling(tokens, self.prefix_token_id)
            first.append(len(windows))
        scores = self._score(windows, disable_tqdm)
        sums: list[float] = []
        for text, begin, end in zip(texts, first, first[1:]):
            sums.append(float(sum(logprob for logprob, _ in scores[begin:end])))
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), sums[-1])
        return sums

    # ---- generation ----

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """How each (context, generation parameters) goes on, up to a text of "until" or the end."""
        groups: dict[str, list[int]] = {}
        asked: dict[str, int] = {}
        seeds: list[int] = []
        for i, request in enumerate(requests):
            parameters = json.dumps(request.args[1], sort_keys=True, default=str)
            groups.setdefault(parameters, []).append(i)
            name = json.dumps([self._seed, request.args[0], parameters])
            asked[name] = asked.get(name, 0) + 1
            digest = hashlib.sha256(f"{asked[name]} {name}".encode("utf-8", "surrogatepass")).digest()
            seeds.append(int.from_bytes(digest[:8], "little"))
        texts = [""] * len(requests)
        with self._bar(len(requests), "generation", disable_tqdm) as bar:
            for group in groups.values():
                arguments = [requests[i].args for i in group]
                for i, text in zip(group, self._generate([context for context, _ in arguments], arguments[0][1],
                                                         [seeds[i] for i in group], bar)):
                    texts[i] = text
                    self.cache_hook.add_partial("generate_until", requests[i].args, text)
        return texts

    def _generate(self, contexts: Sequence[str], parameters: dict[str, Any], seeds: Sequence[int],
                  bar: Any) -> Iterable[str]:
        options: dict[str, Any] = dict(normalize_gen_kwargs(parameters, self._max_gen_toks))
        n_new: int = options.pop("max_gen_toks")
        n_context = self._max_length - n_new
        if n_context < 1:
            raise ValueError(f"max_gen_toks is {n_new}, and the model sees {self._max_length} tokens: no room is left "
                             f"for a context")
        until = [text for text in handle_stop_sequences(options.pop("until", None), None) if text]
        drawing = _drawing(options)
        prompts = self.tokenizer.encode(contexts, None)
        n_cut = sum(prompt.size > n_context for prompt in prompts)
        if n_cut:
            logger.warning("%d of %d contexts are longer than the %d tokens that are left beside %d new ones, and lose "
                           "their beginning", n_cut, len(prompts), n_context, n_new)
        began = bar.n
        done = self.session.generate(
            [prompt[-n_context:] for prompt in prompts], max_new_tokens=n_new, stop=until, seed=seeds,
            min_shared_prefix=self._min_shared_prefix,
            progress=lambda done, total: _advance(bar, began + len(prompts) * done // max(total, 1)), **drawing)
        _advance(bar, began + len(prompts))
        return [self._answer(one.tokens, until) for one in done]

    def _answer(self, tokens: Ids, until: Sequence[str]) -> str:
        """The text of tokens that were drawn, without thoughts and what stopped it."""
        end = self._think_end
        if isinstance(end, int):
            places = np.flatnonzero(tokens == end)
            tokens = tokens[places[-1] + 1:] if places.size else tokens
        text = self.tok_decode(tokens)
        if isinstance(end, str):
            text = text.split(end)[-1]
        text = text.lstrip() if end is not None else text
        return text[:min((text.find(stop) for stop in until if stop in text), default=len(text))]

    def _bar(self, total: int, what: str, disable: bool) -> Any:
        return tqdm(total=total, desc=what, disable=disable or self._rank != 0)


def _device(device: str | None) -> str:
    """The harness's command line says "cuda" where nobody says anything, and means the CPU where there is no GPU."""
    if device is None:
        return "cpu"
    if device.startswith("cuda") and not any(one.device.startswith("cuda") for one in devices()):
        logger.warning("device %r is not here: the CPU is used", device)
        return "cpu"
    return device


def _advance(bar: Any, n: int) -> None:
    if n > bar.n:
        bar.update(n - bar.n)


def _drawing(options: dict[str, Any]) -> dict[str, Any]:
    """What Session.generate is told. Raises ValueError for what would change the text and cannot be done."""
    temperature = float(options.pop("temperature", None) or 0.0)
    draws = bool(options.pop("do_sample", False)) and temperature > 0.0
    drawing: dict[str, Any] = {"temperature": temperature if draws else 0.0}
    for name, kind in (("top_k", int), ("top_p", float), ("min_p", float)):
        value = options.pop(name, None)
        if draws and value is not None:
            drawing[name] = kind(value)
    for name, value in options.items():
        if value not in NEUTRAL.get(name, ()):
            raise ValueError(f"the generation parameter {name} is {value!r}; known are until, max_gen_toks, do_sample, "
                             f"temperature, top_k, top_p and min_p")
    return drawing


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    importlib.import_module("libprepack.lm_eval")  # under its own name, which registers the model
    cli_evaluate()
else:
    register_model("libprepack")(PrepackLM)
