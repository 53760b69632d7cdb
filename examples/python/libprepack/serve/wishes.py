"""How a continuation is to be made: the parameters that completions and chats have in common."""
from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Optional

from .._abi import PP_MAX_TOP
from .._ids import Ids
from .api_errors import ApiError, refused
from .engine import Loaded
from .jobs import Draw
from .parameters import Body, is_id, is_list, sampling_seed, shown
from .prompts import too_long
from .settings import Settings

MAX_STOPS = 16
# What would change an answer, and is not there.
_ABSENT: tuple[tuple[str, tuple[object, ...], str], ...] = (
    ("presence_penalty", (0,), "tokens are drawn by the model's own probabilities"),
    ("frequency_penalty", (0,), "tokens are drawn by the model's own probabilities"),
    ("repetition_penalty", (1,), "tokens are drawn by the model's own probabilities"),
    ("logit_bias", ({},), "tokens are drawn by the model's own probabilities"),
    ("response_format", ({"type": "text"},), "answers are not bound to a form"),
    ("best_of", (1,), "each choice is drawn once"),
)


@dataclass(frozen=True)
class Wish:
    """n choices by `draw`, each with a seed of its own; what ends them; and how the answer comes."""

    n: int
    draw: Draw
    seeds: tuple[int, ...]
    stop: tuple[str, ...]
    stop_tokens: frozenset[int]
    is_streamed: bool
    has_usage: bool

    def max_new_tokens(self, loaded: Loaded, ids: Ids, wanted: Optional[int], default: Optional[int], name: str,
                       place: int) -> int:
        """How many tokens may be drawn after a prompt (entry `place` of the parameter `name`), for the last of which
        no position is needed.

        wanted: by the client; None: the default, or all that the model has positions for."""
        room = loaded.max_length - int(ids.size) + 1
        if wanted is None:
            return min(room, loaded.max_tokens if default is None else default)
        if wanted > room:
            raise too_long(loaded, name, place, int(ids.size), wanted)
        return wanted


def check_model(body: Body, settings: Settings) -> None:
    """Raises ApiError 404 for another model than the one that is served. Its name may be left away."""
    name = body.text("model", settings.name)
    if name != settings.name:
        raise ApiError(404, f"the model {shown(name)} is not served here; allowed: {shown(settings.name)}",
                       param="model", code="model_not_found")


def read_wish(body: Body, loaded: Loaded, settings: Settings) -> Wish:
    """The parameters that completions and chats have in common. Raises ApiError 400."""
    for name, allowed, why in _ABSENT:
        body.only(name, *allowed, why=why)
    n = body.integer("n", 1, 1, min(settings.max_n, settings.max_running))
    top_p = body.number("top_p", 1.0, 0.0, 1.0)
    top_k = max(body.integer("top_k", 0, -1, loaded.config.vocab_size), 0)
    if top_p == 0:  # a share of nothing keeps the first token; the library's 0 is no limit
        top_p, top_k = 1.0, 1
    draw = Draw(body.number("temperature", 1.0, 0.0, 2.0), top_k, top_p, body.number("min_p", 0.0, 0.0, 1.0))
    seed = sampling_seed(body)
    if seed is None:
        seed = secrets.randbits(64)
    stop = body.texts("stop", MAX_STOPS)
    if stop and loaded.tokenizer is None:
        raise refused("stop", "stop is given, and there is no tokenizer beside the model; allowed: stop_token_ids")
    stop_tokens = frozenset(_ids(body, "stop_token_ids", loaded))
    if not body.flag("ignore_eos"):
        stop_tokens |= loaded.eos_tokens
    is_streamed = body.flag("stream")
    return Wish(n, draw, tuple((seed + i) % (1 << 64) for i in range(n)), stop, stop_tokens, is_streamed,
                _has_usage(body, is_streamed))


def _ids(body: Body, name: str, loaded: Loaded) -> list[int]:
    value = body.get(name)
    if value is None:
        return []
    vocab_size = loaded.config.vocab_size
    if not is_list(value) or not all(is_id(id) and 0 <= id < vocab_size for id in value):
        raise refused(name, f"{name} is {shown(value)}; allowed: a list of ids from 0 to {vocab_size - 1}")
    return value


def _has_usage(body: Body, is_streamed: bool) -> bool:
    if body.get("stream_options") is None:
        return False
    if not is_streamed:
        raise refused("stream_options", "stream_options is given without stream; allowed: to leave it away")
    inside = Body(body.members("stream_options"))
    has_usage = inside.flag("include_usage")
    inside.flag("include_obfuscation")  # padding against listeners; there is none
    inside.finish()
    return has_usage


def top_logprobs(body: Body, name: str) -> Optional[int]:
    """How many alternatives are wanted beside log-probabilities; None: no log-probabilities."""
    return body.optional_integer(name, 0, PP_MAX_TOP)
