"""/v1/embeddings: a vector for each text."""
from __future__ import annotations

import base64
from typing import Any, Union

import numpy as np

from ..results import Floats
from .answers import Service
from .api_errors import refused
from .engine import Loaded
from .exchange import Exchange
from .jobs import Job, Vector
from .mailbox import Mailbox
from .parameters import Body, Prompt, prompts, shown
from .prompts import tokenize
from .wishes import check_model

ENCODINGS = ("float", "base64")


def read(body: Body, loaded: Loaded, service: Service) -> tuple[list[Prompt], str]:
    """The inputs, and how vectors are written. Raises ApiError."""
    check_model(body, service.settings)
    inputs = prompts(body, "input", service.settings.max_prompts)
    encoding = body.text("encoding_format", "float")
    if encoding not in ENCODINGS:
        raise refused("encoding_format", f"encoding_format is {shown(encoding)}; allowed: "
                                         f"{' and '.join(map(shown, ENCODINGS))}")
    body.only("dimensions", loaded.config.hidden_size, why="vectors are not cut")
    body.finish()
    return inputs, encoding


def written(vector: Floats, encoding: str) -> Union[str, list[float]]:
    """A vector as JSON has it: numbers, or the bytes of little-endian f32 in base64."""
    if encoding == "base64":
        return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
    values: list[float] = vector.tolist()
    return values


async def embeddings(exchange: Exchange, service: Service) -> None:
    """POST /v1/embeddings."""
    loaded = service.engine.check()
    body = await exchange.body(service.settings.max_body_bytes)
    inputs, encoding = read(body, loaded, service)
    patience = exchange.begin(service.settings.request_timeout)
    ids = await tokenize(loaded, inputs, "input", ends=True)
    mailbox = Mailbox(service.engine)
    wanted = (loaded.config.pooling or "last", loaded.config.normalize is not False)
    vectors: dict[int, Floats] = {}
    try:
        mailbox.submit([Job(tokens, mailbox, place, vector=wanted) for place, tokens in enumerate(ids)])
        while mailbox.is_open:
            job, events = await patience.wait(mailbox.next())
            vectors.update({job.place: event.values for event in events if isinstance(event, Vector)})
    finally:
        mailbox.close()
    n_tokens = sum(int(tokens.size) for tokens in ids)
    data: list[dict[str, Any]] = [{"object": "embedding", "index": i, "embedding": written(vectors[i], encoding)}
                                  for i in range(len(ids))]
    await exchange.answer(200, {"object": "list", "data": data, "model": service.settings.name,
                                "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens}})
