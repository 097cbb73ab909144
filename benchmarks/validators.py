"""How far `charge` and `eneg` agree with SMACT, and how much faster they are.

    python benchmarks/validators.py agree --n 100000
    python benchmarks/validators.py speed

Both write what they found to ``benchmarks/results/validators.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
from common import RESULTS
from numpy.typing import NDArray

from matgen_core import Compositions, Validator, discover
from matgen_rules import RulesOptions
from matgen_rules.validators import Charge, Eneg, smact_tables

SOURCES = ("oqmd", "mp", "icsd")
TESTS = {"charge": (Charge, False), "eneg": (Eneg, True)}
STATES = "smact14"
LIMIT = 20_000.0
"""No formula has more combinations of states than this: a million keep SMACT busy for seconds."""


def smact_verdicts(formulas: list[str], use_pauling_test: bool, label: str = "") -> NDArray[Any]:
    """SMACT's verdict on each formula, one at a time as its users call it, bool [N]."""
    from smact.screening import smact_validity

    verdicts = np.zeros(len(formulas), np.bool_)
    for i, formula in enumerate(formulas):
        try:
            verdicts[i] = smact_validity(
                formula,
                use_pauling_test=use_pauling_test,
                include_alloys=False,
                oxidation_states_set=STATES,
            )
        except KeyError:  # an element beyond SMACT's tables
            verdicts[i] = False
        if label and (i + 1) % 5_000 == 0:
            print(f"  {label}: {i + 1:,} of {len(formulas):,}", flush=True)
    return verdicts


def choices(compositions: Compositions) -> NDArray[np.float64]:
    """How many combinations of states SMACT may have to try, float64 [N]."""
    sizes = np.maximum(smact_tables(STATES, False).sizes, 1).astype(np.float64)
    product: NDArray[np.float64] = sizes[compositions.numbers].prod(axis=1)
    return product


def random_compositions(
    n: int, n_elements: int, limit: float, rng: np.random.Generator
) -> Compositions:
    """Formulas with counts 1 to 8 and at most `limit` choices for SMACT.

    Of the elements without oxidation states only He and Rf (beyond SMACT's tables) take part:
    with all of them, most formulas of seven elements would be refused at a glance.
    """
    elements = np.append(np.flatnonzero(smact_tables(STATES, False).sizes), [2, 104])
    batches: list[Compositions] = []
    while sum(map(len, batches)) < n:
        numbers = elements[np.argsort(rng.random((n, len(elements))), axis=1)[:, :n_elements]]
        counts = rng.integers(1, 9, numbers.shape, np.uint16)
        batch = Compositions(np.sort(numbers, axis=1).astype(np.uint8), counts)
        batches.append(batch[choices(batch) <= limit])
    return Compositions.concatenate(batches)[:n]


def agree(n: int, limit: float, seed: int) -> dict[str, Any]:
    """Compare every verdict on `n` formulas: three quarters real, one quarter random."""
    rng = np.random.default_rng(seed)
    origins: dict[str, Compositions] = {}
    for name in SOURCES:
        data = discover().create("source", name).load().compositions
        data = data[choices(data) <= limit]
        origins[name] = data[rng.permutation(len(data))[: n // 4]]
    left = n - sum(map(len, origins.values()))
    shares = [part.size for part in np.array_split(np.arange(left), 6)]
    origins["random"] = Compositions.concatenate(
        [random_compositions(m, k, limit, rng) for k, m in enumerate(shares, 2)]
    )
    rows = []
    for origin, batch in origins.items():
        formulas = batch.to_formulas()
        for test, (validator, pauling) in TESTS.items():
            ours = validator(RulesOptions()).check(batch)
            theirs = smact_verdicts(formulas, pauling, f"{origin} {test}")
            for k in np.unique(batch.n_elements):
                of_k = batch.n_elements == k
                rows.append(
                    {
                        "origin": origin,
                        "test": test,
                        "elements": int(k),
                        "formulas": int(of_k.sum()),
                        "passed": int(theirs[of_k].sum()),
                        "disagreements": int((ours != theirs)[of_k].sum()),
                    }
                )
            wrong = np.flatnonzero(ours != theirs)
            print(f"{origin} {test}: {len(wrong)} disagreements", *(formulas[i] for i in wrong[:9]))
    return {"formulas": sum(map(len, origins.values())), "limit": limit, "rows": rows}


def first_call() -> dict[str, float]:
    """Seconds to import the validators and for their first verdict, in a new process."""
    code = (
        "import time; a = time.perf_counter()\n"
        "from matgen_core import Compositions\n"
        "b = time.perf_counter()\n"
        "from matgen_rules import RulesOptions\n"
        "from matgen_rules.validators import Eneg\n"
        "c = time.perf_counter()\n"
        "Eneg(RulesOptions()).check(Compositions.from_formulas(['NaCl']))\n"
        "print(c - b, time.perf_counter() - c)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds = [float(word) for word in done.stdout.split()]
    return {"import": seconds[0], "first_call": seconds[1]}


def speed(seconds: float, seed: int) -> dict[str, Any]:
    """Race on OQMD, and on formulas of OQMD, MP and ICSD by their number of elements."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder
        start = {"cold": first_call(), "warm": first_call()}
        del os.environ["NUMBA_CACHE_DIR"]
    rng = np.random.default_rng(seed)
    sources = {name: discover().create("source", name).load().compositions for name in SOURCES}
    oqmd, real = sources["oqmd"], Compositions.concatenate(list(sources.values()))
    workloads = {
        "OQMD as it is": oqmd[rng.permutation(len(oqmd))],
        **{f"{k} elements": real[real.n_elements == k] for k in range(2, 7)},
        # The data sets hold but a few of these.
        **{f"{k} elements, random": random_compositions(2_000, k, LIMIT, rng) for k in (7, 8)},
    }
    rows = []
    for name, batch in workloads.items():
        formulas = batch[rng.permutation(len(batch))[:20_000]].reduced()
        for test, (validator, pauling) in TESTS.items():
            row = race(formulas, validator(RulesOptions()), pauling, seconds)
            rows.append({"workload": name, "test": test, **row})
            print(f"{name} {test}: {row['ratio']:,.0f} times", flush=True)
    return {"start": start, "rows": rows}


def race(
    batch: Compositions, validator: Validator, pauling: bool, seconds: float, rounds: int = 5
) -> dict[str, float]:
    """SMACT and ours in turns, so that whatever else the machine does slows down both.

    In each round SMACT gets formulas for a share of `seconds`; ours gets the same ones, repeated
    to at least 500,000. The ratio is the median of the rounds'.
    """
    formulas = batch.to_formulas()
    validator.check(batch[:10])  # compiled, or loaded, before the clock starts
    smact_verdicts(formulas[:10], pauling)
    rates: list[tuple[float, float]] = []
    done = 0
    for _ in range(rounds):
        first, spent = done, 0.0
        theirs: list[bool] = []
        while spent < seconds / rounds:
            begin = time.perf_counter()
            part = [formulas[(done + i) % len(formulas)] for i in range(5)]
            theirs += smact_verdicts(part, pauling).tolist()
            spent += time.perf_counter() - begin
            done += len(part)
        rows = np.arange(first, done) % len(formulas)
        many = batch[np.tile(rows, math.ceil(500_000 / len(rows)))]
        times = []
        for _ in range(3):
            begin = time.perf_counter()
            ours = validator.check(many)
            times.append(time.perf_counter() - begin)
        assert ours[: len(rows)].tolist() == theirs
        rates.append((len(rows) / spent, len(many) / float(np.median(times))))
    smact, own = np.median(rates, axis=0).tolist()
    return {
        "formulas": min(done, len(formulas)),
        "smact_per_s": smact,
        "ours_per_s": own,
        "ratio": float(np.median([b / a for a, b in rates])),
    }


def markdown(results: dict[str, Any]) -> str:
    """The results as a page."""
    lines = ["# `charge` and `eneg` against SMACT", ""]
    lines += [f"- {key}: {value}" for key, value in results["machine"].items()]
    if "agree" in results:
        found = results["agree"]
        wrong = sum(row["disagreements"] for row in found["rows"])
        lines += [
            "",
            "## Agreement",
            "",
            f"{found['formulas']:,} formulas, each with and without Pauling's test: "
            f"**{wrong} disagreements**. SMACT tries every combination of oxidation states, so "
            f"formulas with more than {found['limit']:,.0f} are left out.",
            "",
            "| origin | elements | test | formulas | passed | disagreements |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r['origin']} | {r['elements']} | `{r['test']}` | {r['formulas']:,} "
            f"| {r['passed']:,} | {r['disagreements']} |"
            for r in found["rows"]
        ]
    if "speed" in results:
        found = results["speed"]
        lines += [
            "",
            "## Speed",
            "",
            "Formulas per second, the same formulas in the same run, in five turns each: SMACT "
            "from strings, ours from arrays (the formulas repeated to at least 500,000), both in "
            "one process; ours uses a thread a core. Medians.",
            "",
            "| formulas | test | different | SMACT per s | ours per s | ratio |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r['workload']} | `{r['test']}` | {r['formulas']:,} | {r['smact_per_s']:,.1f} "
            f"| {r['ours_per_s']:,.0f} | {r['ratio']:,.0f} |"
            for r in found["rows"]
        ]
        lines += ["", "Before the first verdict of a process, not part of the above:", ""]
        for state, meaning in (("cold", "nothing cached"), ("warm", "compiled code cached")):
            took = found["start"][state]
            lines.append(
                f"- {meaning}: import {took['import']:.2f} s, first call {took['first_call']:.2f} s"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    agreeing = commands.add_parser("agree", help="compare the verdicts")
    agreeing.add_argument("--n", type=int, default=100_000, help="formulas")
    agreeing.add_argument(
        "--limit",
        type=float,
        default=LIMIT,
        help="leave out formulas with more combinations of states than this",
    )
    timing = commands.add_parser("speed", help="compare the speeds")
    timing.add_argument(
        "--seconds", type=float, default=5.0, help="time for SMACT, for each workload and test"
    )
    for command in (agreeing, timing):
        command.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # SMACT's own

    path = RESULTS / "validators.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["machine"] = {
        "CPU cores": len(os.sched_getaffinity(0)),
        "Python": platform.python_version(),
        **{name: version(name) for name in ("SMACT", "numba", "numpy")},
        "oxidation states": STATES,
    }
    if arguments.command == "agree":
        results["agree"] = agree(arguments.n, arguments.limit, arguments.seed)
    else:
        results["speed"] = speed(arguments.seconds, arguments.seed)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(results))
    print(f"wrote {path.with_suffix('.md')}")
    return int(any(row["disagreements"] for row in results.get("agree", {}).get("rows", [])))


if __name__ == "__main__":
    sys.exit(main())
