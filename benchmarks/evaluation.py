"""Time by stage and peak memory of ``matgen evaluate``, at 200,000 and at 2,000,000 samples.

python benchmarks/evaluation.py [--generator wgan-mp] [--samples 200000 2000000]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from common import peak, write


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--generator", default="wgan-mp")
    parser.add_argument("--samples", type=int, nargs="+", default=[200_000, 2_000_000])
    arguments = parser.parse_args()
    rows, stages = [], []
    with tempfile.TemporaryDirectory() as folder:
        for n in arguments.samples:
            output = Path(folder) / f"{n}.json"
            command = [sys.executable, "-m", "matgen_core.cli", "evaluate", arguments.generator]
            memory, wall = peak([*command, "-n", str(n), "-o", str(output)])
            result = json.loads(output.read_text())
            stages = list(result["seconds"])
            unique, novel = result["shares"]["unique"], result["shares"]["novel"]
            rows.append((n, memory, wall, *result["seconds"].values(), unique, novel))
    write(
        "evaluation",
        f"`matgen evaluate {arguments.generator}`: peak memory, and time by stage",
        ("samples", "peak MiB", "wall s", *(f"{stage} s" for stage in stages), "unique", "novel"),
        rows,
        notes=["`samples` is generating and decoding."],
    )


if __name__ == "__main__":
    main()
