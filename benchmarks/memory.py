"""Peak memory of ``matgen run`` at 200,000 and two million samples, each a process of its own.

python benchmarks/memory.py [--generator wgan-oqmd]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from common import peak, write


def run(generator: str, n: int, folder: Path) -> tuple[int, float, dict]:
    """Peak resident memory in MiB, wall seconds, and the report."""
    output = folder / f"{n}.parquet"
    command = [sys.executable, "-m", "matgen_core.cli", "run", "-g", generator]
    command += ["--validators", "charge,eneg", "-n", str(n), "-o", str(output)]
    memory, wall = peak(command)
    return memory, wall, json.loads(output.with_name(f"{output.name}.report.json").read_text())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--generator", default="wgan-oqmd")
    generator = parser.parse_args().generator
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in (200_000, 2_000_000):
            memory, wall, report = run(generator, n, Path(folder))
            spent = report["seconds"]
            stages = (spent[s] for s in ("generate", "decode", "validate", "compare", "write"))
            rows.append((n, report["rows_written"], memory, wall, *stages))
    write(
        "memory",
        f"`matgen run -g {generator} --validators charge,eneg`: peak memory and time by stage",
        ("samples", "candidates", "peak MiB", "wall s", "generate s", "decode s", "validate s",
         "compare s", "write s"),
        rows,
    )  # fmt: skip
    print(f"ratio of peaks: {rows[1][2] / rows[0][2]:.3f}; limit 2,000 MiB: {rows[1][2] < 2000}")


if __name__ == "__main__":
    main()
