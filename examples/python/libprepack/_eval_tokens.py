"""Texts to tokens as lm-evaluation-harness makes them, BOS but once, and chat templates."""
from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._ids import Ids
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    from .model import ModelConfig

THREADS = min(8, os.cpu_count() or 1)


class HarnessTokenizer:
    """What the harness wants to know of a tokenizer, under the names by which it asks.

    add_bos: whether texts begin with BOS; None: with what the tokenizer puts there. prefix: what stands for an empty
    context. A text that spells out its BOS gets no other, and none gets what the tokenizer would put behind it.
    """

    def __init__(self, tokenizer: Tokenizer, config: ModelConfig, add_bos: bool | None, prefix: int | None,
                 chat: dict[str, Any]) -> None:
        bos, eos = tokenizer.bos_token, tokenizer.eos_token
        bos = config.bos_token if bos is None else bos
        eos = next(iter(config.eos_tokens), None) if eos is None else eos
        first = prefix if prefix is not None else bos if bos is not None else eos
        if first is None:
            raise ValueError("neither model nor tokenizer names a token that begins or ends a text: give "
                             "prefix_token_id, which stands for an empty context")
        if not 0 <= first < config.vocab_size:
            raise ValueError(f"prefix_token_id is {first}; the model has ids 0 .. {config.vocab_size - 1}")
        self.prefix = first
        self.path = tokenizer.path
        self.template_name: str | None = None
        self.bos_token_id, self.eos_token_id, self.pad_token_id = bos, eos, tokenizer.pad_token
        self._tokenizer, self._chat, self._speaker = tokenizer, chat, None
        self._before = self._beginning(add_bos)
        self._spelled = tokenizer.decode([first], keep_special=True)

    def _beginning(self, add_bos: bool | None) -> Ids:
        before = self._tokenizer.edges[0]
        if add_bos is None or (add_bos and before.size):
            return before
        if not add_bos:
            return np.zeros(0, np.int32)
        if self.bos_token_id is None:
            raise ValueError("add_bos_token is true; neither model nor tokenizer names such a token")
        return np.array([self.bos_token_id], np.int32)

    def _name(self, token: int | None) -> str | None:
        return None if token is None else self._tokenizer.decode([token], keep_special=True)

    @property
    def bos_token(self) -> str | None:
        """The token that begins a text."""
        return self._name(self.bos_token_id)

    @property
    def eos_token(self) -> str | None:
        """The one that ends it."""
        return self._name(self.eos_token_id)

    @property
    def pad_token(self) -> str | None:
        """The one that fills rows."""
        return self._name(self.pad_token_id)

    # ---- tokens ----

    def encode(self, texts: Sequence[str], add_bos: bool | None) -> list[Ids]:
        """The ids of texts; add_bos: whether they get their beginning, None: unless they spell it out."""
        encoded = self._tokenizer.encode(list(texts), edges=False, threads=THREADS)
        return [np.concatenate([self._before, ids]) if self._begins(text, add_bos) else ids
                for text, ids in zip(texts, encoded)]

    def _begins(self, text: str, add_bos: bool | None) -> bool:
        if not self._before.size or add_bos is False:
            return False
        return add_bos is True or not (self._spelled and text.startswith(self._spelled))

    def encode_pairs(self, texts: Sequence[tuple[str, str]]) -> list[tuple[Ids, Ids]]:
        """Context and continuation of each pair of texts: the tokens of the context, and those of both together from
        that place on. White space at the context's end belongs to the continuation."""
        pairs: list[tuple[str, str]] = []
        for context, continuation in texts:
            stripped = context.rstrip()
            pairs.append((stripped, context[len(stripped):] + continuation))
        contexts = sorted({context for context, _ in pairs if context})
        known = dict(zip(contexts, self.encode(contexts, None)))
        wholes = self._encode_wholes(pairs)
        split: list[tuple[Ids, Ids]] = []
        for (context, _), whole in zip(pairs, wholes):
            if context:
                split.append((known[context], whole[known[context].size:]))
            elif whole.size and whole[0] == self.prefix:  # the continuation spells out what stands for an empty context
                split.append((whole[:1], whole[1:]))
            else:
                split.append((np.array([self.prefix], np.int32), whole))
        return split

    def _encode_wholes(self, pairs: Sequence[tuple[str, str]]) -> list[Ids]:
        encoded = self._tokenizer.encode([a + b for a, b in pairs], edges=False, threads=THREADS)
        return [np.concatenate([self._before, ids]) if context and self._begins(context, None) else ids
                for (context, _), ids in zip(pairs, encoded)]

    # ---- chat ----

    @property
    def speaker(self) -> Any:
        """The tokenizer of transformers, which knows templates. Raises ImportError without transformers."""
        if self._speaker is None:
            try:
                transformers = importlib.import_module("transformers")
            except ImportError:
                raise ImportError("chat templates are applied by transformers, which is not installed") from None
            folder, options = self.path, {}
            if os.path.isfile(folder):
                folder, name = os.path.split(os.path.abspath(folder))
                options = {"gguf_file": name} if name.endswith(".gguf") else {}
            self._speaker = transformers.AutoTokenizer.from_pretrained(folder, **options)
        return self._speaker

    @property
    def chat_template(self) -> Any:
        """The template, or a dict of several; None where there is none."""
        return self.speaker.chat_template

    def apply_chat_template(self, chat: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """A conversation as text, without its system message where the template has no place for one."""
        jinja2 = importlib.import_module("jinja2")
        try:
            return self._apply(chat, add_generation_prompt)
        except jinja2.exceptions.TemplateError:
            rest = [message for message in chat if message["role"] != "system"]
            if len(rest) == len(chat):
                raise
            return self._apply(rest, add_generation_prompt)

    def _apply(self, chat: list[dict[str, str]], add_generation_prompt: bool) -> str:
        options = dict(self._chat)
        if self.template_name is not None and isinstance(self.chat_template, dict):
            options["chat_template"] = self.template_name
        text: str = self.speaker.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt, **options)
        return text
