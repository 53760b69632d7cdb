"""Conversations as prompts: by the chat template of the model's files, which transformers knows to fill in."""
from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._ids import Ids, to_list
from .errors import UnsupportedError

if TYPE_CHECKING:
    from .session import Session

Conversation = Sequence[Mapping[str, Any]]


def open_template(path: str | None) -> Any:
    """The tokenizer of transformers beside the model of this path, whose template is used. Raises ImportError without
    transformers, UnsupportedError where the files have no template."""
    if path is None or not os.path.isdir(path):
        raise UnsupportedError("a chat template needs a model directory with tokenizer_config.json: fill it in "
                               "yourself, and pass texts to generate")
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise ImportError(f"chat templates are filled in by the package transformers: {error}. Without it fill them "
                          "in yourself, and pass texts to generate") from None
    try:
        template = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:  # it raises what the many libraries below it raise
        raise UnsupportedError(f"transformers, which fills in chat templates, cannot read the tokenizer of {path}: "
                               f"{error}") from error
    if not template.chat_template:
        raise UnsupportedError(f"{path} has no chat template: fill one in yourself, and pass texts to generate")
    return template


def conversations_of(given: Any) -> list[Conversation]:
    """A list of lists of messages. Raises TypeError for what is none."""
    conversations: list[Conversation] = to_list(given, "conversations")
    for i, conversation in enumerate(conversations):
        if isinstance(conversation, (str, bytes)) or hasattr(conversation, "keys"):
            raise TypeError(f"conversation {i} is a {type(conversation).__name__}; conversations are a list of lists "
                            f"of messages: [[{{'role': 'user', 'content': ...}}]]")
    return conversations


def chat_tokens(session: Session, template: Any, conversations: Sequence[Conversation],
                options: Mapping[str, Any]) -> list[Ids]:
    """The ids of conversations. The template has all that begins a text: the tokenizer adds nothing."""
    texts: list[str] = [template.apply_chat_template(list(conversation), tokenize=False,
                                                     **{"add_generation_prompt": True, **options})
                        for conversation in conversations]
    return session.tokenizer.encode(texts, edges=False)
