"""Put the measured tables on one page, docs/results.md.

python benchmarks/page.py
"""

from __future__ import annotations

from pathlib import Path

from common import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
ORDER = ("networks", "validators", "round_trip", "memory", "fresh_install")
INTRODUCTION = """\
# Results

Everything on this page was measured by `nox -s bench`, which anybody can repeat; the page is put
together by `benchmarks/page.py` and not edited by hand. The same figures for programs are in
`benchmarks/results/*.json`.

## Beside the paper and its successors

Published figures, none of them comparable at face value: training sets, their screening and the
number of samples differ.

| generator | charge neutral | balanced | novel |
|---|---|---|---|
| MatGAN, trained on screened ICSD (npj Comput. Mater. 2020) | 84.5 % both | | 92.53 % (of 2 M) |
| BLMM Crystal Transformer (Adv. Sci. 2024) | 89.7 % | 84.8 % | |
| Material transformers, best of seven (MLST 4:015001, 2023) | 97.61 % | 91.22 % | |

The tables below are of the networks shipped in this package: the paper's smaller architecture,
trained on one CPU core each, for half an hour to little over an hour. The paper's larger OQMD
architecture is implemented (preset `oqmd`) and not trained yet: it needs a GPU. ICSD here is
AFLOW's open catalogue of ICSD compounds, since the ICSD is licensed. A network's own data limit
what it can learn of validity: the row of its training compounds shows how many pass the tests.
"""


def main() -> None:
    parts = [INTRODUCTION]
    for name in ORDER:
        text = (RESULTS / f"{name}.md").read_text(encoding="utf-8").strip()
        deeper = (f"#{line}" if line.startswith("#") else line for line in text.splitlines())
        parts.append("\n".join(deeper))
    PAGE.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
