"""What two million samples of a generator find.

matgen evaluate NAME -n 2000000 -o NAME.json
python benchmarks/millions.py NAME.json ...
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common import write

SHARES = ("decodable", "valid", "unique", "novel", "yield")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("evaluations", type=Path, nargs="+")
    rows, columns = [], ()
    for path in parser.parse_args().evaluations:
        evaluation = json.loads(path.read_text(encoding="utf-8"))
        found = evaluation["recovered"]["held_out"]
        columns = ("", "samples", *SHARES, *(f"held out, {size} elements" for size in found))
        shares = (evaluation["shares"][share] for share in SHARES)
        recovered = (f"{row['found']:,} of {row['compounds']:,}" for row in found.values())
        rows.append((evaluation["name"], evaluation["samples"], *shares, *recovered))
    write("millions", "What two million samples find", columns, rows)


if __name__ == "__main__":
    main()
