"""python -m libprepack.serve MODEL_DIR"""
from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Optional

from .settings import Settings

_HELP = {
    "host": "the address to listen on", "port": "0: any that is free",
    "served_model_name": "what clients call the model (its folder's name)",
    "allowed_hosts": "a further name that requests may be addressed to, where the address is this machine's own; * for any",
    "device": "cpu, cuda, cuda:1", "dtype": "of products and KV: auto, f32, bf16, f16",
    "weights": "auto, f32, bf16, int8, int4, nf4", "threads": "of the CPU; 0: all",
    "max_pass_tokens": "of a forward pass; 0: the device's choice",
    "memory_limit": "bytes that the session may hold; 0: nine tenths of what is free",
    "tokenizer": "its path, where it is not beside the model",
    "step_tokens": "of prompts in a step, between which decoding goes on; 0: what a pass has room for",
    "max_running": "sequences that hold memory at a time", "max_waiting": "prompts in the queue; then 429",
    "max_age": "seconds that a prompt waits for company",
    "min_shared_prefix": "what prompts of a step begin with alike is computed once from so many tokens on; 0: never",
    "max_length": "tokens of a prompt and what follows it; 0: the model's positions",
    "max_tokens": "the most that a request may ask for; 0: max-length", "max_n": "choices of a request",
    "max_prompts": "prompts of a request", "max_body_bytes": "of a request",
    "max_connections": "at a time; then 503", "request_timeout": "seconds; then 504",
    "grace": "seconds that running requests have to finish after SIGTERM",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m libprepack.serve", description="OpenAI's endpoints for one model",
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("model", help="a model's directory, or a GGUF file")
    for field in fields(Settings):
        default: object = field.default
        if field.name == "model":
            continue
        if field.name == "allowed_hosts":
            parser.add_argument("--allowed-host", dest="allowed_hosts", action="append", default=[],
                                help=_HELP[field.name])
        else:
            parser.add_argument("--" + field.name.replace("_", "-"), type=type(default), default=default,
                                help=_HELP[field.name])
    parser.add_argument("--quiet", action="store_true", help="warnings and errors alone")
    return parser


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The program; returns its exit status."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    quiet = given.pop("quiet")
    given["allowed_hosts"] = tuple(given["allowed_hosts"])
    try:
        settings = Settings(**given)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO,
                        format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        from .server import serve
    except ModuleNotFoundError as error:
        print(f"the server needs {error.name}, which is not installed: pip install uvicorn starlette", file=sys.stderr)
        return 1
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
