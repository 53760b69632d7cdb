"""From options to times: the session of a model, the prompts of a data set, the methods over them."""
from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Generator

import numpy as np

from ..model import Model
from ..results import SessionInfo
from ..session import Session
from . import prompts as data
from .figures import Options, Row
from .shapes import open_model
from .timing import FULL, Engine, Runner, Times, lay_out, measure


def session_on(options: Options, model: Model, memory_limit: int = 0) -> Session:
    """A session with the options' device, formats and threads; those of one model share its weights."""
    return Session(model, device=options.device, dtype=options.dtype, weights=options.weights,
                   threads=options.threads, memory_limit=memory_limit)


@contextmanager
def session_of(options: Options, name: str) -> Generator[Session, None, None]:
    """A session of the model of this name."""
    with open_model(name, options.seed) as model, session_on(options, model) as session:
        yield session


def dataset_of(session: Session, name: str) -> data.Dataset:
    """A data set; the session's tokenizer reads texts."""
    return data.load(name, session.tokenizer if session.has_tokenizer else None)


def prompts_of(options: Options, session: Session, dataset: data.Dataset) -> list[data.Ids]:
    """The chosen prompts' ids, in random order; cut where the model has no more positions."""
    chosen = data.choose(dataset, options.n_prompts, options.seed)
    config = session.model.config
    return data.tokens_of(dataset, chosen, config.vocab_size, options.seed, config.max_position)


def compare(options: Options, session: Session, prompts: list[data.Ids], batch_size: int, metric: str,
            methods: tuple[str, ...]) -> dict[str, Times]:
    """The methods over the same prompts, timed in turns."""
    engine = Engine(session, metric)
    layouts = [lay_out(method, prompts, batch_size, engine.packer) for method in methods]
    runners: dict[str, Runner] = {}
    if "transformers" in options.rivals:
        from .rivals import transformers_methods
        for layout, runner in transformers_methods(session, options.models, metric, layouts):
            layouts.append(layout)
            runners[layout.method] = runner
    return {times.layout.method: times for times in measure(engine, layouts, options.rounds, options.clock, runners)}


def row_of(times: Times, base: Times, info: SessionInfo, **keys: Any) -> Row:
    """A method's numbers. seconds_per_batch_std is over batches, speedup_low and _high are over rounds; what is said
    of processors is None where a GPU computes."""
    steps = np.array(times.steps)
    best, low, high = times.speedup(base)
    on_cpu = info.device.startswith("cpu")
    busy = times.processor_total
    return {**keys, "method": times.layout.method, "batches": len(steps), "prompts": times.n_prompts,
            "seconds_per_batch": times.total / len(steps), "seconds_per_batch_std": float(steps.std()),
            "ms_per_prompt": 1000 * times.total / times.n_prompts, "tokens": times.n_tokens,
            "tokens_computed": times.tokens_computed, "tokens_per_second": times.n_tokens / times.total,
            "speedup": best, "speedup_low": low, "speedup_high": high,
            "processor_seconds_per_batch": busy / len(steps) if on_cpu else None,
            "processor_speedup": times.processor_speedup(base) if on_cpu else None,
            "processor_share": min(1.0, busy / (info.n_threads * sum(min(each) for each in times.seconds))) if on_cpu else None}


def rows_of(all_times: dict[str, Times], info: SessionInfo, **keys: Any) -> list[Row]:
    """Every method against full batching."""
    return [row_of(times, all_times[FULL], info, **keys) for times in all_times.values()]


def device_of(session: Session) -> dict[str, Any]:
    """What computed, for the record."""
    info = session.info
    return {"device": info.device, "device_name": info.device_name, "dtype": info.dtype, "weights": info.weights,
            "attention": info.attention, "threads": info.n_threads, "max_pass_tokens": info.max_pass_tokens}
