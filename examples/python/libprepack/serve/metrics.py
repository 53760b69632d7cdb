"""Counters and histograms, and how Prometheus reads them (text format 0.0.4)."""
from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator, Mapping
from typing import Union

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

Number = Union[int, float]
Labels = tuple[tuple[str, str], ...]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def sample(name: str, labels: Labels, value: Number) -> str:
    """A line of a sample."""
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


def head(name: str, kind: str, help: str) -> Iterator[str]:
    """The two lines before the samples of a metric."""
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"


class Counter:
    """Counts up, for each set of labels. Any thread."""

    def __init__(self, name: str, help: str) -> None:
        self._name, self._help = name, help
        self._lock = threading.Lock()
        self._values: dict[Labels, Number] = {}

    def add(self, amount: Number = 1, **labels: str) -> None:
        """Counts `amount` more under these labels."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            self._values[key] = self._values.get(key, 0) + amount

    def value(self, **labels: str) -> Number:
        """The count under these labels."""
        with self._lock:
            return self._values.get(tuple(sorted(labels.items())), 0)

    def lines(self) -> Iterator[str]:
        """Its text."""
        with self._lock:
            values = sorted(self._values.items())
        yield from head(self._name, "counter", self._help)
        for labels, value in values or [((), 0)]:
            yield sample(self._name, labels, value)


class Histogram:
    """Durations by buckets. Any thread."""

    def __init__(self, name: str, help: str, bounds: tuple[float, ...] = SECONDS) -> None:
        self._name, self._help, self._bounds = name, help, bounds
        self._lock = threading.Lock()
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Counts a value."""
        with self._lock:
            self._counts[bisect.bisect_left(self._bounds, value)] += 1
            self._sum += value

    def lines(self) -> Iterator[str]:
        """Its text."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        yield from head(self._name, "histogram", self._help)
        seen = 0
        for bound, count in zip([f"{bound:g}" for bound in self._bounds] + ["+Inf"], counts):
            seen += count
            yield sample(f"{self._name}_bucket", (("le", bound),), seen)
        yield sample(f"{self._name}_sum", (), total)
        yield sample(f"{self._name}_count", (), seen)


class Metrics:
    """What the server counts itself; queue and session are asked when somebody reads."""

    def __init__(self) -> None:
        self.requests = Counter("prepack_requests_total", "Requests that were answered, by endpoint and HTTP status.")
        self.prompt_tokens = Counter("prepack_prompt_tokens_total", "Tokens of prompts that were computed.")
        self.generated_tokens = Counter("prepack_generated_tokens_total", "Tokens that were drawn.")
        self.finished = Counter("prepack_sequences_total", "Sequences that ended, by how.")
        self.step_seconds = Histogram("prepack_step_seconds", "Duration of a step of the engine.")
        self.request_seconds = Histogram("prepack_request_seconds", "Duration of a request.")
        self.first_token_seconds = Histogram("prepack_first_token_seconds",
                                             "From a prompt's arrival to its first token.")

    def text(self, gauges: Mapping[str, tuple[str, str, Number]]) -> str:
        """The page. gauges: by name, a kind ("gauge", "counter"), a help text and a value."""
        lines: list[str] = []
        metrics: tuple[Union[Counter, Histogram], ...] = (
            self.requests, self.prompt_tokens, self.generated_tokens, self.finished, self.step_seconds,
            self.request_seconds, self.first_token_seconds)
        for metric in metrics:
            lines += metric.lines()
        for name, (kind, help, value) in gauges.items():
            lines += head(name, kind, help)
            lines.append(sample(name, (), value))
        return "\n".join(lines) + "\n"
