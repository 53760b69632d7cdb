"""Batch inference with Ray Data: a class for `map_batches`, one session in each actor.

    import ray, libprepack.ray
    ds = ray.data.read_parquet("prompts.parquet")
    ds = ds.map_batches(libprepack.ray.Prefill, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=8, batch_size=1024,
                        fn_constructor_kwargs=dict(model="model-dir", output="embed", column="text"))

A batch is one run: its prompts are packed into forward passes together, and what they begin with alike is computed
once. What a row gets is bitwise the same whatever shares its batch, whichever actor takes it, and when it is computed
again because an actor died. Needs Ray only around it: a Prefill may be called with a dict of arrays anywhere.
"""
from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ._ids import Ids, to_ids
from ._score import split
from .errors import ArgumentError, NotFiniteError, PrepackError, TooLongError
from .results import Item
from .session import Session

Columns = dict[str, Any]

# What `output` may be, and the options that belong to it.
OPTIONS: dict[str, tuple[str, ...]] = {
    "logits": (), "logprobs": (), "score": (), "classify": (), "caches": (),
    "embed": ("pooling", "normalize"),
    "generate": ("max_new_tokens", "temperature", "top_k", "top_p", "min_p", "stop", "stop_tokens", "ignore_eos")}

# Caches that are alive at a time, before they are saved, in tokens.
CACHE_TOKENS = 1 << 16


def keep_order(dataset: Any) -> Any:
    """Makes a dataset give its rows in their order; returns it. Ray looks at the dataset's own context, which is
    copied when the dataset is made: what is set in DataContext.get_current() after that does nothing."""
    dataset.context.execution_options.preserve_order = True
    return dataset


class Prefill:
    """What is called with batches (`batch_format="numpy"`, Ray's default).

    model: the path of a model, which every node can read. tokenizer: of another tokenizer.
    column: holds the prompts: texts, or arrays of token ids.
    output, which is also the name of the column that is added unless `into` gives another:
        "logits": for the token after the last, f32 [vocab_size].
        "logprobs": of each token after all before it, natural, f64 [n_tokens]; nan for the first.
        "score": of the text or ids of the column `continuation` after the prompt, f64, with "is_greedy" beside it.
        "embed": f32 [hidden_size]; options pooling, normalize. "classify": f32 [n_labels].
        "caches": the name of a file in `folder` that Session.load_cache reads. Equal prompts share a file.
        "generate": text, with "finish_reason" beside it; the options of Session.generate.
    error: the column that says what is wrong with a row: "" where nothing is. A row that fails (no text and no ids,
        empty, too long, an id that the model does not have) has nan, "" or no elements for a result, and the others
        of its batch have theirs.
    min_shared_prefix: what prompts of a batch begin with alike is computed once where it is so many tokens or more.
    seed: with temperature, what is drawn for a prompt is a function of it and this.
    threads: 0: as many as the CPUs that Ray gave the actor; outside Ray as of Session.
    device, dtype, weights, max_pass_tokens, memory_limit: as of Session.

    Columns that come in are kept, and never written to. Raises ValueError for an unknown output or option.
    """

    def __init__(self, model: str, output: str = "logits", *, column: str = "prompt", into: str | None = None,
                 continuation: str = "continuation", error: str = "error", folder: str | None = None, seed: int = 0,
                 tokenizer: str | None = None, device: str = "cpu", dtype: str = "auto", weights: str = "auto",
                 threads: int = 0, max_pass_tokens: int = 0, memory_limit: int = 0, min_shared_prefix: int = 16,
                 **options: Any) -> None:
        if output not in OPTIONS:
            raise ValueError(f"output is {output!r}; it is one of {', '.join(OPTIONS)}")
        for name in options:
            if name not in OPTIONS[output]:
                known = ", ".join(OPTIONS[output]) or "none"
                raise ValueError(f"the output {output!r} has no option {name!r}; it has {known}")
        if (output == "caches") != (folder is not None):
            raise ValueError("caches are saved in a folder, and nothing else is: give `folder` with output='caches'")
        if folder is not None:
            os.makedirs(folder, exist_ok=True)
        self._session = Session(model, device=device, dtype=dtype, weights=weights, threads=threads or _n_cpus(),
                                max_pass_tokens=max_pass_tokens, memory_limit=memory_limit, tokenizer=tokenizer)
        self._output, self._column, self._into = output, column, into or output
        self._continuation, self._error, self._folder, self._seed = continuation, error, folder, seed
        self._shared, self._options = min_shared_prefix, options
        self._work: Callable[[Sequence[Any]], Columns] = getattr(self, "_" + output)

    @property
    def session(self) -> Session:
        """The session that computes."""
        return self._session

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> Columns:
        """The batch's columns and those that are added. Raises KeyError where a column is missing, and what is no
        row's fault: OutOfMemoryError, DeviceError."""
        rows, errors = self._prepare(batch)
        results: Columns = {}
        while True:
            good = [i for i, error in enumerate(errors) if not error]
            try:
                results = self._work([rows[i] for i in good])
                break
            except (ArgumentError, TooLongError, NotFiniteError) as failure:  # a row's; the others are run again
                if failure.index is None:
                    raise
                errors[good[failure.index]] = str(failure)
        missing = np.zeros(0) if self._output == "logprobs" else ""
        added = {name: _spread(column, good, len(rows), missing) for name, column in results.items()}
        return {**batch, **added, self._error: np.array(errors, dtype=object)}

    # ---- rows ----

    def _prepare(self, batch: Mapping[str, NDArray[Any]]) -> tuple[list[Any], list[str]]:
        """The ids of each row, for scores (ids, how many are the context's), and what is wrong with it, else ""."""
        given = [_column(batch, name) for name in (self._column, self._continuation)[:1 + (self._output == "score")]]
        rows: list[Any] = []
        errors: list[str] = []
        for values in zip(*given):
            try:
                rows.append(self._pair(*values) if len(values) == 2 else self._ids(*values))
                errors.append("")
            except (PrepackError, TypeError, ValueError) as failure:
                rows.append(None)
                errors.append(str(failure))
        return rows, errors

    def _ids(self, prompt: Any) -> Ids:
        if isinstance(prompt, str):
            if not prompt:
                raise ValueError("the prompt is an empty text")
            tokenizer = self._session.tokenizer
            ids = tokenizer.encode(prompt)
            if self._output not in ("embed", "classify"):  # whose models want to see the end
                ids = ids[:ids.size - tokenizer.edges[1].size]
        else:
            ids = to_ids(prompt, "the prompt")
        n_most = self._session.model.config.max_position
        if not ids.size:
            raise ValueError("the prompt has no tokens; at least one is needed")
        if ids.size > n_most:
            raise ValueError(f"the prompt has {ids.size} tokens; the model has positions for {n_most}")
        return self._known(ids)

    def _pair(self, context: Any, continuation: Any) -> tuple[Ids, int]:
        if isinstance(context, str) != isinstance(continuation, str):
            raise TypeError(f"the prompt is a {type(context).__name__}, its continuation a "
                            f"{type(continuation).__name__}; they are two texts, or ids twice")
        if not isinstance(context, str):
            context, continuation = to_ids(context, "the prompt"), to_ids(continuation, "the continuation")
        try:
            ids, n_context = split(self._session, [context], [continuation])[0]
        except ArgumentError as failure:
            raise ValueError(str(failure).replace(" 0 ", " ", 1)) from None  # a row knows no numbers
        return self._known(ids), n_context

    def _known(self, ids: Ids) -> Ids:
        n = self._session.model.config.vocab_size
        wrong = np.flatnonzero((ids < 0) | (ids >= n))
        if wrong.size:
            raise ValueError(f"token {ids[wrong[0]]} at {wrong[0]} is outside [0, {n})")
        return ids

    # ---- outputs: a column of results for rows that are right ----

    def _logits(self, rows: Sequence[Ids]) -> Columns:
        done = self._session.run([Item(ids, output="last_logits", discard_cache=True) for ids in rows],
                                 min_shared_prefix=self._shared)
        logits = np.empty((len(rows), self._session.model.config.vocab_size), np.float32)
        for row, one in zip(logits, done):
            row[:] = one.logits
        return {self._into: logits}

    def _logprobs(self, rows: Sequence[Ids]) -> Columns:
        done = self._session.logprobs(rows, min_shared_prefix=self._shared)
        return {self._into: [one.logprobs for one in done]}

    def _score(self, rows: Sequence[tuple[Ids, int]]) -> Columns:
        done = self._session.score_tokens(rows, min_shared_prefix=self._shared)
        return {self._into: np.array([one.logprob for one in done], np.float64),
                "is_greedy": np.array([one.is_greedy for one in done], np.bool_)}

    def _embed(self, rows: Sequence[Ids]) -> Columns:
        return {self._into: self._session.embed(rows, min_shared_prefix=self._shared, **self._options)}

    def _classify(self, rows: Sequence[Ids]) -> Columns:
        return {self._into: self._session.classify(rows, min_shared_prefix=self._shared)}

    def _caches(self, rows: Sequence[Ids]) -> Columns:
        paths: list[str] = []
        for first, group in _groups(rows):
            try:
                done = self._session.prefill(group, logits="none", min_shared_prefix=self._shared)
            except PrepackError as failure:
                failure.index = None if failure.index is None else failure.index + first
                raise
            for one in done:
                name = hashlib.sha256(one.tokens.tobytes()).hexdigest()[:32]
                path = os.path.join(self._folder or "", f"{self._session.model.identity:016x}-{name}.safetensors")
                one.cache.save(path, tokens=one.tokens)  # another in its place is the same, from another try
                one.cache.close()
                paths.append(path)
        return {self._into: paths}

    def _generate(self, rows: Sequence[Ids]) -> Columns:
        seeds = [int.from_bytes(hashlib.sha256(f"{self._seed} ".encode() + ids.tobytes()).digest()[:8], "little")
                 for ids in rows]
        done = self._session.generate(rows, seed=seeds, min_shared_prefix=self._shared, **self._options)
        return {self._into: [one.text for one in done], "finish_reason": [one.finish_reason for one in done]}


def _column(batch: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in batch:
        raise KeyError(f"there is no column {name!r}; the batch has {', '.join(map(repr, batch))}")
    return batch[name]


def _groups(rows: Sequence[Ids]) -> Iterator[tuple[int, list[Ids]]]:
    """Neighbours of CACHE_TOKENS tokens together, or one alone, with the place of the first."""
    first, n = 0, 0
    for i, ids in enumerate(rows):
        if i > first and n + ids.size > CACHE_TOKENS:
            yield first, list(rows[first:i])
            first, n = i, 0
        n += ids.size
    if rows:
        yield first, list(rows[first:])


def _spread(column: Any, good: Sequence[int], n: int, missing: Any) -> NDArray[Any]:
    """A column of n rows from that of the good ones. The others have nan or False of an array, `missing` of a list."""
    if isinstance(column, np.ndarray):
        array = cast("NDArray[Any]", column)
        whole: NDArray[Any] = np.full((n, *array.shape[1:]), np.nan if array.dtype.kind == "f" else False, array.dtype)
        whole[list(good)] = array
        return whole
    whole = np.empty(n, object)
    for i in range(n):
        whole[i] = missing
    for i, value in zip(good, column):
        whole[i] = value
    return whole


def _n_cpus() -> int:
    """The CPUs that Ray gave this actor; 0 outside Ray."""
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return 0
    return max(1, int(ray.get_runtime_context().get_assigned_resources().get("CPU", 0)))
