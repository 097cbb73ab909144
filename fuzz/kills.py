"""End a command by `kill -9` at a random moment, over and over: what was finished is still there.

python fuzz/kills.py KILLS [TARGET ...]    benchmarks/results/kills.json

Every command is the real one, in a process that is forked from this one, so that it need not
import everything anew and the moments fall into its work. After each kill the files are looked
at, then the same command runs to its end, or, a training, goes on until the next kill.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import torch
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

import matgen_dice.train
import matgen_rnn.train
import matgen_wgan.train
from matgen_core.cli import main as matgen
from matgen_core.errors import MatgenError
from matgen_core.weights import WeightsDir
from matgen_data import published

RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "kills.json"
RESUMED = 5  # kills of one training, at most
SALTS = [
    f"{cation}{anion}{n}"
    for cation in "Li Na K Rb Cs Mg Ca Sr Ba Zn".split()
    for anion in "F Cl Br I O S Se Te".split()
    for n in ("", 2, 3)
]
NETWORK = (
    "{channels = 4, latent = 4, deconvolutions = [{filters = 4}, {filters = 1}], "
    "convolutions = [{filters = 4}, {filters = 4}]}"
)
TINY = (f"network={NETWORK}", "batch_size=8", "interval=2", "evaluate=32")


@dataclass(frozen=True)
class Killed:
    """A command that is killed.

    Attributes:
        command: its arguments.
        result: file or folder that it writes, in the folder it runs in.
        check: what must hold of `result` at any moment, finished or not.
        resumes: the next start takes up the work; else it begins anew.
    """

    command: list[str]
    result: str
    check: Callable[[Path], None]
    resumes: bool = False

    def named(self, n: int) -> list[str]:
        """The command, for the training of a number."""
        command = [word.replace("NET", f"net{n}") for word in self.command]
        return [*command, "--force"] if "fetch" in command else command


# --- what must hold -----------------------------------------------------------------------------


def training_is_whole(out: Path) -> None:
    """Whole lines, weights that their card vouches for, a checkpoint that can be read."""
    if (out / "metrics.jsonl").exists():
        lines = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
        steps = [json.loads(line)["step"] for line in lines if line.endswith("\n")]
        assert all(line.endswith("\n") for line in lines[:-1])
        assert steps == sorted(set(steps)), steps
    if (out / WeightsDir.CARD).exists():
        weights = WeightsDir(out)
        for file in weights.card.sha256:
            weights.verified(file)
        weights.known()
    if (out / "checkpoint.safetensors").exists():
        load_file(out / "checkpoint.safetensors")
        assert (out / WeightsDir.CARD).exists()  # it is the weights that were finished first


def table_is_whole(path: Path) -> None:
    """As many cells in every row, and the last line ended."""
    text = path.read_bytes().decode()
    assert text.endswith("\n")
    rows = list(csv.reader(text.splitlines()))
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}


def json_is_whole(path: Path) -> None:
    """It can be read."""
    assert json.loads(path.read_bytes())


def wheel_is_whole(path: Path) -> None:
    """It is the one asked for."""
    assert hashlib.sha256(path.read_bytes()).hexdigest() == published.WHEEL.sha256


# --- commands -----------------------------------------------------------------------------------


def _train(component: str, preset: str, *recipe: str) -> Killed:
    settings = [word for setting in recipe for word in ("--set", f"{component}.{setting}")]
    command = [
        "train",
        component,
        "--preset",
        preset,
        "--data",
        "salts.csv",
        "--out",
        "NET",
        "--resume",
    ]
    return Killed([*command, *settings], "NET", training_is_whole, resumes=True)


TARGETS = {
    "fetch": Killed(
        ["data", "fetch", "oqmd"], "home/data/fake-1-py3-none-any.whl", wheel_is_whole
    ),
    "train wgan": _train(
        "wgan", "dense", *TINY, "generator=[8]", "critic=[8]", "critic_steps=3", "epochs=0.5"
    ),
    "train dice": _train("dice", "compact", *TINY, "epochs=0.7"),
    "train rnn": _train(
        "rnn", "default", "width=8", "batch_size=4", "interval=3", "evaluate=20", "epochs=0.4"
    ),
    "train elemnet": _train("elemnet", "default", "batch_size=8", "interval=2", "epochs=0.4"),
    "train transformer": _train(
        "transformer", "default", "width=8", "layers=1", "batch_size=8", "interval=2", "epochs=0.4"
    ),
    "train gbrt-gap": _train("gbrt-gap", "default", "iterations=6", "leaves=4", "interval=2"),
    "run": Killed(
        ["run", "-g", "wgan-mp", "--validators", "charge,eneg", "-n", "600", "--batch-size", "100",
         "--keep-rejected", "-o", "x.csv"],
        "x.csv", table_is_whole,
    ),
    "screen": Killed(["screen", "salts.csv", "-o", "y.csv"], "y.csv", table_is_whole),
    "evaluate": Killed(
        ["evaluate", "salts.csv", "--against", "salts.csv", "-o", "e.json"], "e.json", json_is_whole
    ),
}  # fmt: skip
PIP = """
import shutil, sys, time
from pathlib import Path
content = Path({wheel!r}).read_bytes()
with Path(sys.argv[sys.argv.index("--dest") + 1], {name!r}).open("wb", buffering=0) as file:
    for start in range(0, len(content), 1000):
        file.write(content[start : start + 1000])
        time.sleep(0.002)
"""
"""In pip's place: a download from a file, not too fast."""


def prepare(folder: Path) -> None:
    """The user's data, and a package index of one small wheel."""
    lines = [f"{f},{-0.1 * (i % 30)},{i % 5}" for i, f in enumerate(SALTS)]
    table = "\n".join(["formula,formation_energy,band_gap", *lines, ""])
    (folder / "salts.csv").write_text(table)
    path = folder / "fake-1-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for member in published.Oqmd.about.members:
            archive.writestr(member, "formula,target\n" + "NaCl,-1.0\n" * 2000)
    content = path.read_bytes()
    published.WHEEL = published.Wheel(
        "crabnet==2.0.8", path.name, len(content), hashlib.sha256(content).hexdigest()
    )
    pip = folder / "pip"
    pip.mkdir()
    (pip / "pip.py").write_text(PIP.format(wheel=str(path), name=path.name))
    os.environ["MATGEN_HOME"] = str(folder / "home")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(pip), *filter(None, sys.path)])


def start(command: list[str], folder: Path, user: int | None = None) -> int:
    """Begin a command in a process group of its own, as another user if need be; the process."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")  # a test's own would do else
        if user is not None:
            os.setuid(user)
        # The threads of the process forked from are not in this one, and OpenMP waits for them.
        torch.set_num_threads(1)
        threadpool_limits(1)
        sys.argv = ["matgen", *command]
        for module in (matgen_dice.train, matgen_rnn.train, matgen_wgan.train):
            module.FINAL_SAMPLES = 100
        try:
            matgen()
        except SystemExit as end:
            code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def finish(command: list[str], folder: Path) -> float:
    """Run a command to its end, which must be a good one; seconds."""
    began = time.monotonic()
    _, status = os.waitpid(start(command, folder), 0)
    assert status == 0, (command, (folder / "log").read_text())
    return time.monotonic() - began


def kill(command: list[str], folder: Path, after: float, *, group: bool) -> bool:
    """Begin a command and end it `after` so many seconds; False where it was faster."""
    process = start(command, folder)
    time.sleep(after)
    (os.killpg if group else os.kill)(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or status == 0, (command, (folder / "log").read_text())
    return os.WIFSIGNALED(status)


def campaign(name: str, kills: int, seed: int = 0) -> dict[str, int]:
    """Kill a command so often; how often it was, and after how many kills nothing was amiss."""
    target, moments = TARGETS[name], random.Random(seed)
    counts = {"kills": 0, "survived": 0}
    with TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        prepare(folder)
        longest = finish(target.named(0), folder)
        n = int(target.resumes)  # of the training; a result that is only replaced stays one
        while counts["kills"] < kills:
            command, result = target.named(n), folder / target.result.replace("NET", f"net{n}")
            # With its children or without them: a pip that lives on must do no harm.
            killed = kill(
                command, folder, moments.uniform(0, longest), group=moments.random() < 0.5
            )
            counts["kills"] += killed
            try:
                if result.exists() or not target.resumes:
                    target.check(result)
                if killed and target.resumes and counts["kills"] % RESUMED:
                    counts["survived"] += killed
                    continue
                finish(command, folder)
                target.check(result)
                around = [*folder.iterdir(), *(result.iterdir() if result.is_dir() else ())]
                half = [p.name for p in around if p.suffix in (".partial", ".tmp")]
                assert not half, half
                counts["survived"] += killed
            except (AssertionError, MatgenError) as error:
                print(f"{name}: {error}", file=sys.stderr)
            n += target.resumes
    return counts


def main() -> None:
    """See above."""
    os.nice(10)
    RESULT.parent.mkdir(exist_ok=True)
    counts = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    for name in sys.argv[2:] or TARGETS:
        counts[name] = campaign(name, int(sys.argv[1]), seed=int(time.time()))
        print(name, counts[name], flush=True)
        RESULT.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
