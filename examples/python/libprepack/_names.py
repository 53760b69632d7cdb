"""Words for the constants of the C interface: "bf16" for PP_DTYPE_BF16."""
from __future__ import annotations

from . import _abi
from ._library import core

DTYPES = {"auto": _abi.PP_DTYPE_AUTO, "f32": _abi.PP_DTYPE_F32, "f16": _abi.PP_DTYPE_F16, "bf16": _abi.PP_DTYPE_BF16}
WEIGHTS = {"auto": _abi.PP_WEIGHTS_AUTO, "f32": _abi.PP_WEIGHTS_F32, "bf16": _abi.PP_WEIGHTS_BF16,
           "int8": _abi.PP_WEIGHTS_INT8, "int4": _abi.PP_WEIGHTS_INT4, "nf4": _abi.PP_WEIGHTS_NF4}
OUTPUTS = {"none": _abi.PP_OUTPUT_NONE, "last_logits": _abi.PP_OUTPUT_LAST_LOGITS,
           "all_logits": _abi.PP_OUTPUT_ALL_LOGITS, "token": _abi.PP_OUTPUT_TOKEN, "hidden": _abi.PP_OUTPUT_HIDDEN,
           "pooled": _abi.PP_OUTPUT_POOLED, "labels": _abi.PP_OUTPUT_LABELS}
POOLINGS = {"last": _abi.PP_POOLING_LAST, "mean": _abi.PP_POOLING_MEAN, "first": _abi.PP_POOLING_FIRST}
ROPES = {"none": _abi.PP_ROPE_NONE, "default": _abi.PP_ROPE_DEFAULT, "linear": _abi.PP_ROPE_LINEAR,
         "llama3": _abi.PP_ROPE_LLAMA3, "yarn": _abi.PP_ROPE_YARN, "longrope": _abi.PP_ROPE_LONGROPE,
         "dynamic": _abi.PP_ROPE_DYNAMIC, "proportional": _abi.PP_ROPE_PROPORTIONAL}
LAYERS = {"attention": _abi.PP_LAYER_ATTENTION, "linear": _abi.PP_LAYER_LINEAR}
LINEAR_RULES = {"delta": _abi.PP_LINEAR_DELTA, "mamba2": _abi.PP_LINEAR_MAMBA2}
SPECIALS = {"parse": _abi.PP_SPECIAL_PARSE, "text": _abi.PP_SPECIAL_TEXT}
TOKENIZERS = {"bpe": _abi.PP_TOKENIZER_BPE, "wordpiece": _abi.PP_TOKENIZER_WORDPIECE,
              "unigram": _abi.PP_TOKENIZER_UNIGRAM, "wordlevel": _abi.PP_TOKENIZER_WORDLEVEL}
HALVES = {"keys": _abi.PP_KV_K, "values": _abi.PP_KV_V}


def constant(names: dict[str, int], name: str, what: str) -> int:
    """The constant of a name. Raises ValueError for an unknown one, with the names there are."""
    value = names.get(name)
    if value is None:
        raise ValueError(f"{what} is {name!r}; it is one of {', '.join(map(repr, names))}")
    return value


def name_of(names: dict[str, int], value: int) -> str:
    """The name of a constant; "unknown" for a value that this package does not know."""
    return next((name for name, known in names.items() if known == value), "unknown")


def decoded(text: bytes | None) -> str:
    """Text of the library."""
    return (text or b"").decode("utf-8", "replace")


def version() -> str:
    """The version of libprepack that is loaded."""
    text: bytes = core().pp_version()
    return decoded(text)
