"""Numbers to files: CSV for tables, JSON with all that one needs to know to believe them or to make them again."""
from __future__ import annotations

import csv
import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from .figures import Figure, Options, Result, Row

LIBRARIES = ("numpy", "matplotlib", "torch", "transformers")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _library_version() -> str:
    from .._library import core
    version: bytes = core().pp_version()
    return version.decode()


def machine() -> dict[str, Any]:
    """Where the numbers come from."""
    return {"processor": _processor(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform(),
            "load": round(os.getloadavg()[0], 2)}


def versions() -> dict[str, str | None]:
    """Of all that took part."""
    found = {name: _version(name) for name in LIBRARIES}
    return {"libprepack": _library_version(), "python": platform.python_version(), **found}


def _options(options: Options) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options) if field.name != "say"}


def write_csv(path: str, rows: list[Row]) -> None:
    """All rows have the names of the first."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
                         for row in rows)


def write_json(path: str, figure: Figure, options: Options, result: Result, command: Sequence[str]) -> None:
    """The rows, and what they were made with. command: the words after `python -m libprepack.paper`."""
    document = {"figure": figure.name, "title": figure.title, "source": figure.source,
                "made": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "machine": machine(),
                "versions": versions(), "command": list(command), "options": _options(options), **result.summary,
                "rows": result.rows}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")


def show(table: list[list[str]]) -> str:
    """Lines of a table; its first line is the head."""
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
