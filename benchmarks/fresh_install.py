"""Both README commands in empty environments: wall time, and what the first one prints.

python benchmarks/fresh_install.py [--skip-tests]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import write

ROOT = Path(__file__).parents[1]


def commands() -> list[str]:
    """The commands of the README's first two code blocks: the main job, and the tests."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.M)
    return [line for block in blocks[:2] for line in block.replace("\\\n", "").splitlines()]


def timed(command: str, bin_folder: Path, cwd: Path) -> tuple[float, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    environment["PATH"] = f"{bin_folder}:{environment['PATH']}"
    began = time.perf_counter()
    done = subprocess.run(
        command,
        shell=True,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{command!r} failed with {done.returncode}")
    return time.perf_counter() - began, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--skip-tests", action="store_true", help="time the first command only")
    skip = parser.parse_args().skip_tests
    rows, printed = [], ""
    for line in commands()[: 1 if skip else 2]:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)  # a test lets another user run what is installed here
            # A copy of what is under version control, so that nothing built before can help.
            source = Path(folder, "matgen")
            subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
            subprocess.run([sys.executable, "-m", "venv", str(Path(folder, "env"))], check=True)
            for command in line.split(" && "):
                seconds, out = timed(command, Path(folder, "env", "bin"), source)
                rows.append((f"`{command.partition('#')[0].strip()}`", round(seconds, 1)))
                printed = out if command.startswith("matgen run") else printed
    write(
        "fresh_install",
        "The README's commands in an empty environment",
        ("command", "seconds"),
        rows,
        notes=["What `matgen run` printed:", "", "```", printed.rstrip(), "```"],
    )


if __name__ == "__main__":
    main()
