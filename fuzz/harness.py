"""Feed every function of ``targets.py`` with inputs that a fuzzer finds, guided by coverage.

python fuzz/harness.py SECONDS [TARGET ...]    each target for so long; benchmarks/results/fuzz.json

It starts from the targets' real inputs. One that fails, hangs or fills the memory ends its target
and is kept as fuzz/crash-TARGET-...; tests/test_hostile.py has those of the past.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
RESULT = HERE.parent / "benchmarks" / "results" / "fuzz.json"
READERS = [
    "tomllib", "targets", "matgen_core", "matgen_data", "matgen_dice", "matgen_gbrt",
    "matgen_networks", "matgen_rnn", "matgen_wgan",
]  # fmt: skip
"""What the fuzzer sees the coverage of."""
MEMORY = 3_000  # MiB, of a process that holds torch
HANG = 40  # seconds; targets.DEADLINE is shorter, and says where
LONGEST = 20_000  # bytes of an input


def fuzz(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=READERS):
        import targets

    targets.warm(name)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a file for every input
    with TemporaryDirectory(dir=memory) as folder:

        def call(data: bytes) -> None:
            try:
                targets.run(name, data, Path(folder))
            except targets.Hang as hang:
                raise AssertionError(f"no end after {targets.DEADLINE} s") from hang

        atheris.Setup([sys.argv[0], *arguments], call)
        atheris.Fuzz()


def campaign(name: str, seconds: int) -> dict[str, int]:
    """Fuzz one target in a process of its own; inputs executed, and crashes."""
    import targets

    with TemporaryDirectory() as corpus:
        for i, seed in enumerate(targets.SEEDS[name]()):
            Path(corpus, f"seed-{i}").write_bytes(seed)
        command = [
            sys.executable, __file__, "--one", name, corpus, f"-max_total_time={seconds}",
            f"-timeout={HANG}", f"-rss_limit_mb={MEMORY}", f"-max_len={LONGEST}",
            f"-artifact_prefix={HERE}/crash-{name}-", "-print_final_stats=1",
        ]  # fmt: skip
        done = subprocess.run(
            command, check=False, stderr=subprocess.PIPE, text=True, errors="replace"
        )
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
    return {
        "inputs": int(executed[1]) if executed else 0,
        "crashes": int(done.returncode != 0),
        "seconds": seconds,
    }


def main() -> None:
    """See above."""
    if sys.argv[1] == "--one":
        fuzz(sys.argv[2], sys.argv[3:])
        return
    os.nice(10)
    os.environ["OMP_NUM_THREADS"] = "1"
    import targets

    names = sys.argv[2:] or list(targets.TARGETS)
    before = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    counts = {name: n for name, n in before.items() if name in targets.TARGETS}
    for name in names:
        counts[name] = campaign(name, int(sys.argv[1]))
        print(name, counts[name], flush=True)
        RESULT.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(counts[name]["crashes"] for name in names))


if __name__ == "__main__":
    main()
