"""Where measured figures go: a Markdown table for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matgen_networks.device import cpu_name

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Processor, cores and the versions that matter."""
    packages = ", ".join(f"{p} {version(p)}" for p in ("matgen", "torch", "numpy", "SMACT"))
    return f"{cpu_name()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}"


def peak(command: Sequence[str]) -> tuple[int, float]:
    """Peak resident memory in MiB and wall seconds of a command, in a process of its own."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return usage.ru_maxrss // 1024, time.perf_counter() - began


def read(name: str) -> Any:
    """What ``results/NAME.json`` holds."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def write(
    name: str,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    notes: Sequence[str] = (),
    **content: Any,
) -> None:
    """Write ``results/NAME.md`` and ``results/NAME.json``, and show the table."""
    RESULTS.mkdir(exist_ok=True)
    lines = [f"# {title}", "", f"Measured on {machine()}.", ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    lines += ["", *notes] if notes else []
    text = "\n".join(lines) + "\n"
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    record: Mapping[str, Any] = {
        "title": title,
        "machine": machine(),
        "columns": columns,
        "rows": rows,
        **content,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(text)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
