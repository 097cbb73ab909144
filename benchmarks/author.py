"""A plugin author's path in an empty environment, step by step: from nothing to a run with it.

python benchmarks/author.py
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from common import write
from fresh_install import ROOT, timed

NEW = "matgen plugins new matgen-mine --kind generator"


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
        bin_folder = folder / "env" / "bin"
        constraints = shlex.quote(str(ROOT / "constraints.txt"))
        install = f"pip install -q -c {constraints} {shlex.quote(str(ROOT))}"
        timed(install, bin_folder, folder)

        seconds, printed = timed(NEW, bin_folder, folder)
        rows.append((f"`{NEW}`", round(seconds, 2)))
        # The other commands are the ones that the first tells its user to type.
        change, *commands = [line.strip() for line in printed.splitlines()[1:] if line]
        rows.append((f"`{change}`", 0.0))
        for command in commands:
            seconds, printed = timed(command, bin_folder, folder / change.removeprefix("cd "))
            rows.append((f"`{command}`", round(seconds, 2)))
    assert len(rows) <= 5
    total = sum(seconds for _, seconds in rows)
    write(
        "author",
        "From nothing to a run with one's own generator",
        ("command", "seconds"),
        rows,
        notes=[
            f"{len(rows)} commands, {total:.0f} s, where matgen is installed. The last printed:",
            "",
            "```",
            printed.rstrip(),
            "```",
        ],
        total=round(total, 2),
    )


if __name__ == "__main__":
    main()
