"""A model's chat template, which transformers applies where it is installed."""
from __future__ import annotations

import inspect
import threading
from typing import Any, Callable, Union, cast

from .._chat import open_template
from ..errors import UnsupportedError
from .api_errors import ApiError, refused

Template = Callable[..., str]


class Templates:
    """The model's chat template, looked for when the first chat comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._template: Union[Template, str, None] = None  # a str says why there is none

    def render(self, path: str, messages: list[dict[str, str]], options: dict[str, Any]) -> str:
        """The text of a conversation, up to where the answer begins. Raises ApiError: 501 where there is no template,
        or no transformers; 400 for what the template refuses."""
        with self._lock:
            if self._template is None:
                self._template = _find(path)
        if isinstance(self._template, str):
            raise no_template(self._template)
        for name in inspect.signature(self._template).parameters.keys() & options:
            raise refused("chat_template_kwargs", f"chat_template_kwargs has {name}, which is the server's to say; allowed: "
                                                  "what the model's own template asks for", "unsupported")
        try:
            return self._template(messages, tokenize=False, add_generation_prompt=True, **options)
        except Exception as error:  # templates raise what they like
            raise refused("messages", f"the model's chat template refuses the messages: {error}") from None


def _find(path: str) -> Union[Template, str]:
    try:
        return cast(Template, open_template(path).apply_chat_template)
    except (ImportError, UnsupportedError) as error:
        return str(error)


def no_template(why: str) -> ApiError:
    """501: there are no chats here."""
    return ApiError(501, f"there are no chats here: {why}; allowed: /v1/completions", code="no_chat_template")
