"""What the tests and campaigns of hostile input, killing and failing have counted so far.

python benchmarks/robustness.py    after `nox -s fuzz` and `nox -s kill`, whose counts it reads
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from common import read, write

ROOT = Path(__file__).parents[1]
N_OF_FUZZ = ("inputs", "crashes")
sys.path.insert(0, str(ROOT / "tests"))
import pages  # noqa: E402


def collected(file: str, test: str) -> int:
    """How many cases a test has."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", f"tests/{file}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return sum(f"::{test}" in line for line in done.stdout.splitlines())


def main() -> None:
    fuzz, kills = read("fuzz"), read("kills")
    modes = collected("test_failing_well.py", "test_failure_mode")
    blocks = sum(n for what, n in pages.counts().items() if what.endswith(" run"))
    rows = [
        *((f"inputs fuzzed: {name}", n["inputs"], n["crashes"]) for name, n in fuzz.items()),
        ("inputs fuzzed in all", *(sum(n[key] for n in fuzz.values()) for key in N_OF_FUZZ)),
        *((f"`kill -9`: {k}", n["kills"], n["kills"] - n["survived"]) for k, n in kills.items()),
        ("failure modes of plugins covered", modes, None),
        ("blocks of docs and README run", blocks, None),
    ]
    seconds = sum(n["seconds"] for n in fuzz.values())
    write(
        "robustness",
        "Hostile input, killed processes, failing plugins",
        ("what", "count", "failed"),
        rows,
        notes=[
            f"`nox -s fuzz`: libFuzzer (atheris) guided by coverage, {seconds:,} s of one core in "
            "all, from real files of each kind; an input fails if it ends in anything but a sound "
            "value or a message of one line. `nox -s kill`: the command is ended at a random "
            "moment; it fails if what was finished before is not there whole, or the next start "
            "does not work.",
        ],
        fuzz=fuzz,
        kills=kills,
    )


if __name__ == "__main__":
    main()
