"""/v1/chat/completions: messages become a prompt by the model's own template, which transformers applies."""
from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

from .._ids import Ids
from .answers import Reply, Service, Usage, run_jobs, stream_jobs
from .api_errors import refused
from .engine import Loaded
from .exchange import Exchange
from .jobs import Job, Piece, PromptScores, Token
from .mailbox import Mailbox
from .parameters import Body, finite, is_list, is_object, shown
from .prompts import check
from .templates import no_template
from .texts import Spelling
from .wishes import Wish, check_model, read_wish, top_logprobs

_ABSENT: tuple[tuple[str, tuple[object, ...], str], ...] = (
    ("tools", ([],), "calls of tools are not read out of answers"),
    ("tool_choice", ("none",), "calls of tools are not read out of answers"),
    ("functions", ([],), "calls of functions are not read out of answers"),
    ("function_call", ("none",), "calls of functions are not read out of answers"),
    ("modalities", (["text"],), "answers are text"),
    ("audio", (), "answers are text"),
    ("prediction", (), "predicted output is not used"),
    ("reasoning_effort", (), "how long a model thinks is its template's business (chat_template_kwargs)"),
    ("web_search_options", (), "nothing is searched"),
    ("verbosity", (), "how much a model says is its own business"),
)

def messages_of(body: Body) -> list[dict[str, str]]:
    """The messages, their contents as plain texts. Raises ApiError 400."""
    value = body.get("messages")
    if not is_list(value) or not value:
        raise refused("messages", f"messages is {shown(value)}; allowed: a list of at least one message")
    return [_message(one, f"messages, entry {i},") for i, one in enumerate(value)]


def _message(value: object, where: str) -> dict[str, str]:
    message = Body(value) if is_object(value) else Body({})
    if not message.text("role"):
        raise refused("messages", f"{where} is {shown(value)}; allowed: an object with a role and content")
    entry = {"role": message.text("role"), "content": _content(message.get("content"), where)}
    if message.text("name"):
        entry["name"] = message.text("name")
    message.only("refusal", why="it has no place in a template")
    message.finish()
    return entry


def _content(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    texts: list[str] = []
    for part in value if is_list(value) else [None]:
        inside = part if is_object(part) else {}
        if inside.get("type") != "text" or not isinstance(inside.get("text"), str):
            raise refused("messages", f"{where} has the content {shown(value)}; allowed: a string, or a list of parts of "
                                      "the type \"text\"")
        texts.append(inside["text"])
    return "".join(texts)


@dataclass(frozen=True)
class Request:
    """What was asked for, once it has been checked."""

    messages: list[dict[str, str]]
    template_options: dict[str, Any]
    max_tokens: Optional[int]
    logprobs: Optional[int]
    wish: Wish


def read(body: Body, loaded: Loaded, service: Service) -> Request:
    """The parameters of a request. Raises ApiError."""
    check_model(body, service.settings)
    for name, allowed, why in _ABSENT:
        body.only(name, *allowed, why=why)
    body.only("parallel_tool_calls", True, False, why="there are no calls of tools")
    options = body.members("chat_template_kwargs")
    top = top_logprobs(body, "top_logprobs")
    has_logprobs = body.flag("logprobs")
    if top is not None and not has_logprobs:
        raise refused("top_logprobs", "top_logprobs is given without logprobs; allowed: together with logprobs true")
    most = [body.optional_integer(name, 1, loaded.max_tokens) for name in ("max_tokens", "max_completion_tokens")]
    request = Request(messages_of(body), options, min((n for n in most if n is not None), default=None),
                      (top or 0) if has_logprobs else None, read_wish(body, loaded, service.settings))
    body.finish()
    return request


async def tokenize(request: Request, loaded: Loaded, service: Service) -> Ids:
    """The ids of the conversation. Raises ApiError."""
    if loaded.tokenizer is None:
        raise no_template("there is no tokenizer beside the model")
    path = service.settings.tokenizer or service.settings.model
    text = await asyncio.get_running_loop().run_in_executor(
        None, service.templates.render, path, request.messages, request.template_options)
    try:
        ids = loaded.tokenizer.encode(text, edges=False)  # a template writes the beginning itself
    except ValueError as error:
        raise refused("messages", f"messages: {error}") from None
    check(loaded, ids, "messages", 0)
    return ids


def logprob_entries(spelling: Spelling, tokens: Iterable[Token]) -> list[dict[str, Any]]:
    """What OpenAI's chats say of tokens."""
    return [{**_entry(spelling, token.id, token.logprob or 0.0),
             "top_logprobs": [_entry(spelling, id, logprob) for id, logprob in token.top]} for token in tokens]


def _entry(spelling: Spelling, id: int, logprob: float) -> dict[str, Any]:
    text = spelling[id]
    data = spelling.data(id) if text.startswith("bytes:") else text.encode("utf-8", "surrogatepass")
    return {"token": text, "logprob": finite(logprob), "bytes": list(data)}


class Chat:
    """Answers of one request."""

    def __init__(self, request: Request, loaded: Loaded, service: Service) -> None:
        self._request = request
        self._spelling = service.spelling(loaded)
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()),
                      "model": service.settings.name, "system_fingerprint": loaded.fingerprint}
        self._begun: set[int] = set()

    def take_scores(self, job: Job, scores: PromptScores) -> None:
        """There are none: messages are not scored."""

    def choice(self, job: Job, piece: Piece, reason: Optional[str]) -> dict[str, Any]:
        """What a choice goes on with; its role comes with its first piece."""
        said = {"role": "assistant", "content": piece.text}
        if self._request.wish.is_streamed and piece.choice in self._begun:
            said.pop("role")
        self._begun.add(piece.choice)
        logprobs = None if self._request.logprobs is None else {
            "content": logprob_entries(self._spelling, piece.tokens), "refusal": None}
        return {"index": piece.choice, "delta" if self._request.wish.is_streamed else "message": said,
                "logprobs": logprobs, "finish_reason": reason}

    def value(self, choices: list[dict[str, Any]], usage: Optional[Usage]) -> dict[str, Any]:
        """The object of an answer."""
        return {"object": "chat.completion", **self._head, "choices": choices,
                "usage": None if usage is None else usage.value()}

    def chunk(self, choices: list[dict[str, Any]], usage: Optional[Usage]) -> dict[str, Any]:
        """The object of a piece of an answer."""
        return {**self.value(choices, usage), "object": "chat.completion.chunk"}


async def chat(exchange: Exchange, service: Service) -> None:
    """POST /v1/chat/completions."""
    loaded = service.engine.check()
    body = await exchange.body(service.settings.max_body_bytes)
    request = read(body, loaded, service)
    patience = exchange.begin(service.settings.request_timeout)
    ids = await patience.wait(tokenize(request, loaded, service))
    wish = request.wish
    mailbox = Mailbox(service.engine)
    reply: Reply = Chat(request, loaded, service)
    usage = Usage(int(ids.size))
    job = Job(ids, mailbox, 0, wish.n, wish.max_new_tokens(loaded, ids, request.max_tokens, None, "messages", 0), wish.draw, wish.seeds,
              wish.stop, wish.stop_tokens, request.logprobs, is_streamed=wish.is_streamed)
    try:
        mailbox.submit([job])
        if wish.is_streamed:
            await stream_jobs(exchange, patience, mailbox, reply, usage, wish.has_usage)
        else:
            await exchange.answer(200, reply.value(await run_jobs(patience, mailbox, reply, usage), usage))
    finally:
        mailbox.close()
