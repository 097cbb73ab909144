"""What reads input that may come from anybody: a function a reader, called with any bytes.

Each of them gets bytes and an empty folder, hands the bytes to the reader as a user's file or
argument, and fails unless what comes back is sound or refused by a `MatgenError` of one line. The
tests feed them by hypothesis, ``fuzz/harness.py`` by a fuzzer that is guided by coverage.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
import torch
from pymatgen.core import Composition

from matgen_core import Component, Compositions, Generator, Pipeline, Registry, hookimpl
from matgen_core.config import RunConfig, parse_assignments
from matgen_core.errors import InvalidFormula, MatgenError, WhereError
from matgen_core.formulas import parse_one
from matgen_core.registry import Plugin, validate
from matgen_core.report.run import Run, read_evaluations
from matgen_core.screening import screen
from matgen_core.tabulate import tables
from matgen_core.textfiles import parse_toml, read_toml
from matgen_core.weights import Card, Known, WeightsDir, sha256_of, write_card, write_weights
from matgen_core.where import Where
from matgen_data import CsvOptions
from matgen_data.csv_file import CsvFile
from matgen_networks import checkpoint

DEADLINE = 10.0
"""Seconds of computing after which an input counts as a hang."""
FORMULAS = ("NaCl", "Ca(OH)2", "Li0.5CoO2", "LiFePO4", "[Fe(CN)6]K4", "Fe2O3", "Xx2", "NaN")

Target = Callable[[bytes, Path], None]
TARGETS: dict[str, Target] = {}
SEEDS: dict[str, Callable[[], list[bytes]]] = {}
"""Real inputs of each target."""


def target(seeds: Callable[[], list[bytes]]) -> Callable[[Target], Target]:
    """Note a target and its seeds under its name."""

    def note(function: Target) -> Target:
        TARGETS[function.__name__] = function
        SEEDS[function.__name__] = cache(seeds)
        return function

    return note


class Hang(BaseException):
    """An input took longer than `DEADLINE`; nothing may catch it on the way."""


@contextmanager
def deadline() -> Iterator[None]:
    """Raise `Hang` where an input takes too long (where the system has such a timer)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, DEADLINE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def refusal() -> Iterator[None]:
    """The reader may refuse, in one line without control characters (`WhereError` in three)."""
    refused: MatgenError | None = None
    try:
        yield
    except MatgenError as error:
        refused = error
    lines = str(refused or "").split("\n")
    assert len(lines) == (3 if isinstance(refused, WhereError) else 1), lines
    assert all(line.isprintable() for line in lines), lines
    assert len(lines[0]) <= MatgenError.LONGEST


def warm(name: str) -> None:
    """Import and compile what a target needs, which is slow once, by its real inputs."""
    for seed in SEEDS[name]():
        with TemporaryDirectory() as folder:
            TARGETS[name](seed, Path(folder))


def run(name: str, data: bytes, outside: Path) -> None:
    """Call a target in a folder of its own, within the deadline; nothing may appear beside it."""
    folder = outside / "inside"
    folder.mkdir()
    try:
        with deadline():
            TARGETS[name](data, folder)
        assert os.listdir(outside) == ["inside"]
    finally:
        shutil.rmtree(folder)


# --- formulas and expressions -------------------------------------------------------------------


@target(lambda: ["\n".join(FORMULAS).encode(), *(f.encode() for f in FORMULAS)])
def formulas(data: bytes, folder: Path) -> None:
    """Formulas of a table, one a line: all at once as one by one as pymatgen."""
    given = data.decode("utf-8", "surrogateescape").split("\n")
    read, reasons = Compositions.parse(given)
    assert len(read) == len(given)
    assert (read.n_elements == 0).nonzero()[0].tolist() == sorted(reasons)
    for i, formula in enumerate(given):
        there = read.numbers[i] > 0
        atoms = list(zip(read.numbers[i, there], read.counts[i, there], strict=True))
        alone: Any = None
        with refusal():
            try:
                alone = parse_one(formula)
            except InvalidFormula as reason:
                alone = str(reason)
                raise
        assert alone == reasons.get(i, [(int(z), int(n)) for z, n in atoms])
        if atoms and i < 4 and len(formula) < 100:
            same_as_pymatgen(formula, atoms)
    again, _ = Compositions.parse(read.to_formulas())
    assert (again.fingerprints() == read.fingerprints()).all()


def same_as_pymatgen(formula: str, atoms: list[tuple[Any, Any]]) -> None:
    """The proportions are pymatgen's, where it reads the formula."""
    try:
        theirs = Composition(formula)
    except Exception:  # it refuses in its own ways
        return
    amounts = {el.Z: n for el, n in theirs.items() if n > 1e-6}
    if sum(amounts.values()) < 1e-3 or any(n < 1e-4 for n in amounts.values()):
        return  # it rounds
    ours = {int(z): float(n) for z, n in atoms}
    assert amounts.keys() == ours.keys(), (formula, theirs)
    scale = sum(ours.values()) / sum(amounts.values())
    for z, n in amounts.items():
        assert math.isclose(n * scale, ours[z], rel_tol=1e-4), (formula, theirs)


TABLE = pd.DataFrame(
    {
        "formula": ["NaCl", "MgO", ""],
        "charge": [True, False, True],
        "band_gap": [5.0, np.nan, -np.inf],
        "my column": ["a", "", "c"],
    }
)
TYPES: dict[str, type] = {"formula": str, "charge": bool, "band_gap": float, "my column": str}


@target(
    lambda: [
        b"band_gap > 1.5 and not charge",
        b"(formula == 'NaCl' or `my column` != \"x\") and band_gap <= -1e-3",
        b"not (true == charge) and .5 < band_gap",
    ]
)
def where(data: bytes, folder: Path) -> None:
    """The expression of ``--where``."""
    with refusal():
        passed = Where(data.decode("utf-8", "surrogateescape"), TYPES)(TABLE)
        assert passed.shape == (len(TABLE),)
        assert passed.dtype == np.bool_


# --- settings -----------------------------------------------------------------------------------


class Zeros(Generator):
    """Samples that do not decode."""

    encoder = "onehot"

    def sample(self, n: int, seed: int) -> np.ndarray:
        """float32 [n, 85, 8]."""
        return np.zeros((n, 85, 8), np.float32)


class Hooks:
    """A plugin of one generator, and the parts that a run needs."""

    @hookimpl
    def matgen_generators(self):  # noqa: D102
        yield Component("zeros", "targets:Zeros")

    @hookimpl
    def matgen_encoders(self):  # noqa: D102
        from matgen_onehot import OneHotOptions

        yield Component("onehot", "matgen_onehot.encoder:OneHot", options=OneHotOptions)


@cache
def registry() -> Registry:
    """One generator and one encoder."""
    made = Registry()
    made.load(Plugin("zeros", "targets", "0"), Hooks)
    assert not made.broken, made.broken
    return made


def _settings() -> list[bytes]:
    full = RunConfig(
        generator="zeros",
        where="n_elements > 2",
        sort="-n_elements",
        top=3,
        num=20,
        require=["Li"],
        exclude=["Pb", "Hg"],
        options={"onehot": {"threshold": 0.5}},
    )
    return [full.to_toml().encode(), b'generator = "zeros"\nnum = 3\n']


@target(_settings)
def run_toml(data: bytes, folder: Path) -> None:
    """A ``run.toml``: what is accepted runs, and repeats itself."""
    path = folder / "run.toml"
    path.write_bytes(data)
    with refusal():
        settings = read_toml(path)
        config = validate(RunConfig, settings, "run")
        text = config.to_toml()
        assert RunConfig(**parse_toml(text)) == config
        settings["num"] = min(config.num, 20)
        frame = Pipeline(registry(), **settings).to_frame()
        assert len(frame) <= 20


@target(lambda: [b"wgan.batch_size=64", b"a.b=[1, 2.5]", b"a.b={c = true}", b"rules.x=icsd24"])
def assignment(data: bytes, folder: Path) -> None:
    """An argument of ``--set``."""
    with refusal():
        [options] = parse_assignments([data.decode("utf-8", "surrogateescape")]).values()
        assert len(options) == 1


# --- tables -------------------------------------------------------------------------------------


def _csv() -> list[bytes]:
    return [
        b"id,formula,gap\nx,NaCl,5.0\ny,MgO,\nz,Xx,1e-3\n",
        b'\xef\xbb\xbfformula;note\r\nCa(OH)2;"a;b"\r\nMgO;"two\nlines"\r\n',
        ("formula,n\n" + "\n".join(f"{f},{i}" for i, f in enumerate(FORMULAS)) + "\n").encode(),
    ]


@target(_csv)
def csv_source(data: bytes, folder: Path) -> None:
    """A file to train on or compare with; its first byte says what separates the cells."""
    path = folder / "mine.csv"
    path.write_bytes(data)
    delimiter = ";" if b";" in data[:20] else ","
    with refusal():
        data_set = CsvFile(CsvOptions(path=path, delimiter=delimiter)).load()
        n = len(data_set.compositions)
        assert n > 0
        assert (data_set.compositions.n_elements > 0).all()
        assert data_set.compositions.first_occurrence().all()
        assert data_set.rows is not None
        assert len(data_set.rows) == n
        for values in data_set.properties.values():
            assert values.shape == (n,)
            assert not np.isinf(values).any()


@target(lambda: [*_csv(), "\n".join(FORMULAS).encode()])
def screened(data: bytes, folder: Path) -> None:
    """A table to be screened; every row comes out."""
    path = folder / ("in.csv" if data[:40].count(b",") else "in.txt")
    path.write_bytes(data)
    with refusal():
        report = screen(str(path), {}, folder / "out.csv")
        with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == report.rows
        assert sum(not row["error"] for row in rows) == report.readable
    assert {p.name for p in folder.iterdir()} <= {path.name, "out.csv"}


@cache
def _run_files() -> dict[str, bytes]:
    """What a run writes, by suffix."""
    found = {}
    with TemporaryDirectory() as folder:
        for suffix in ("csv", "jsonl", "parquet"):
            pipeline = Pipeline(registry(), generator="zeros", num=5)
            report = pipeline.run(Path(folder, f"x.{suffix}"))
            found["json"] = json.dumps(report.to_dict()).encode()
        frame = pd.DataFrame(
            {
                "formula": ["NaCl", "MgO", "NaN"],
                "n_elements": [2, 2, 2],
                "novel": [True, False, True],
                "formation_energy": [-1.5, np.nan, 0.25],
            }
        )
        frame.to_parquet(Path(folder, "x.parquet"), index=False)
        found["parquet"] = Path(folder, "x.parquet").read_bytes()
        found["csv"] = frame.to_csv(index=False).encode()
        found["jsonl"] = frame.to_json(orient="records", lines=True).encode()
    return found


def _read_run(folder: Path, suffix: str, data: bytes, report: bytes) -> None:
    path = folder / f"x.{suffix}"
    path.write_bytes(data)
    path.with_name(f"{path.name}.report.json").write_bytes(report)
    with refusal():
        found = Run.read(path)
        assert len(found.compositions) == len(found.candidates)
        for values in found.predicted.values():
            assert values.dtype == np.float64
            assert not np.isinf(values).any()


def _report() -> bytes:
    """A report of a run that kept rejected rows and predicted something."""
    content = json.loads(_run_files()["json"])
    content["units"] = {"formation_energy": "eV/atom"}
    content["config"]["keep_rejected"] = True
    return json.dumps(content).encode()


@target(lambda: [_run_files()["parquet"]])
def parquet(data: bytes, folder: Path) -> None:
    """A Parquet table that ``matgen report`` is given."""
    _read_run(folder, "parquet", data, _report())


@target(lambda: [_run_files()["jsonl"], b""])
def jsonl(data: bytes, folder: Path) -> None:
    """A table of JSON lines that ``matgen report`` is given."""
    _read_run(folder, "jsonl", data, _report())


@target(lambda: [_run_files()["csv"]])
def csv_table(data: bytes, folder: Path) -> None:
    """A CSV that ``matgen report`` is given."""
    _read_run(folder, "csv", data, _report())


@target(lambda: [_run_files()["json"], _report()])
def report_json(data: bytes, folder: Path) -> None:
    """The report beside a table."""
    _read_run(folder, "csv", _run_files()["csv"], data)


def _evaluation() -> list[bytes]:
    from matgen_core.evaluation import Reference, evaluate

    salts = Compositions.from_formulas(["NaCl", "KBr", "MgO", "Fe2O3", "LiFePO4"] * 4)
    role = np.array([Known.TRAINED] * 4 + [Known.HELD_OUT], np.uint8)
    reference = Reference("salts", salts[:5], role)
    result = evaluate("mine", [salts], reference, {}, predictors={}, seed=0)
    return [json.dumps(result.to_dict()).encode(), json.dumps([result.to_dict()] * 2).encode()]


@target(_evaluation)
def evaluation(data: bytes, folder: Path) -> None:
    """The JSON of ``matgen evaluate`` that a report is to show."""
    path = folder / "e.json"
    path.write_bytes(data)
    with refusal():
        for table in tables(read_evaluations(path)):
            assert all(len(row) == len(table.columns) for row in table.rows)


# --- weights ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """Weights as a training would write them."""

    kind: str
    card: bytes
    tensors: bytes


NETWORK = {
    "latent": 4,
    "channels": 2,
    "deconvolutions": [{"filters": 1, "kernel": 3}],
    "convolutions": [{"filters": 1, "kernel": 3}],
}


@cache
def made() -> tuple[Made, ...]:
    """The smallest weights of every kind whose size the card decides, and of trees."""
    from matgen_dice import density
    from matgen_dice.model import Coder
    from matgen_gbrt import descriptors
    from matgen_gbrt.forest import Forest
    from matgen_networks.tables import Network
    from matgen_rnn.model import Shape, Writer
    from matgen_wgan import model

    torch.manual_seed(0)
    network = Network(**NETWORK)
    coder = Coder(network, (85, 8)).state_dict()
    one = density.Density(torch.ones(1), torch.zeros(1, 4), torch.eye(4)[None])
    coder |= density.stored(dict.fromkeys(("gaussian", "mixture", "kernel"), one))
    forest = Forest(
        baseline=np.array([0.5]),
        starts=np.array([0, 3, 4], np.uint32),
        feature=np.array([7, 0, 0, 0], np.uint8),
        value=np.array([1.5, -1.0, 1.0, 0.25], np.float32),
        right=np.array([2, 0, 0, 0], np.uint16),
    )
    generator = model.generator(network, (85, 8)).state_dict()
    described = {"network": network.model_dump(mode="json"), "grid": [85, 8]}
    sizes = Shape(width=4, layers=1, grid=(85, 8), longest=3)
    writer = Writer(sizes, torch.arange(85)).state_dict()
    trees = {"trees": 2, "descriptors": descriptors.identity()}
    contents: list[tuple[str, str, dict[str, Any], dict[str, np.ndarray]]] = [
        ("generator", "wgan", described, {k: v.numpy() for k, v in generator.items()}),
        ("generator", "dice", described, {k: v.numpy() for k, v in coder.items()}),
        (
            "generator", "rnn", sizes.model_dump(mode="json"),
            {k: v.numpy() for k, v in writer.items()},
        ),
        ("predictor", "gbrt-gap", trees, forest.tensors()),
    ]  # fmt: skip
    found = []
    for kind, component, model_, tensors in contents:
        card = {
            "name": "tiny",
            "component": component,
            "matgen_version": "0",
            "encoder": "onehot" if kind == "generator" else None,
            "data": {
                "source": "salts", "attribution": "nobody", "n_clean": 2, "n_train": 1,
                "n_held_out": 1, "held_out_fraction": 0.1, "held_out_seed": 0,
            },
            "model": model_,
            "training": {"preset": "none"},
            "metrics": {"yield": 0.25},
        }  # fmt: skip
        with TemporaryDirectory() as folder:
            path = Path(folder)
            write_weights(path, card, {WeightsDir.TENSORS: tensors})
            found.append(
                Made(
                    kind,
                    (path / "card.toml").read_bytes(),
                    (path / WeightsDir.TENSORS).read_bytes(),
                )
            )
    return tuple(found)


@cache
def installed() -> Registry:
    """Everything that is built in."""
    from matgen_core import discover

    return discover()


def _use(kind: str, path: Path) -> None:
    component = installed().create(kind, str(path), device="cpu")
    if kind == "generator":
        samples = component.sample(3, 0)
        assert samples.ndim == 3
        assert np.isfinite(samples).all()
    else:
        salts = Compositions.from_formulas(["NaCl", "Fe2O3"])
        assert np.isfinite(component.predict(salts)).all()


def _cards() -> list[bytes]:
    shipped = files("matgen_wgan").joinpath("weights/wgan-mp/card.toml").read_bytes()
    return [shipped, *(weights.card for weights in made())]


@target(_cards)
def card(data: bytes, folder: Path) -> None:
    """A card: it names no file elsewhere, repeats itself, and opens only tensors that fit."""
    (folder / "card.toml").write_bytes(data)
    tensors = next((m for m in made() if m.card == data or _component(m) in data), made()[0])
    (folder / WeightsDir.TENSORS).write_bytes(tensors.tensors)
    with refusal():
        weights = WeightsDir(folder)
        for file in weights.card.sha256:
            assert (folder / file).parent.resolve() == folder.resolve()
        copy = folder / "copy"
        copy.mkdir()
        write_card(copy, weights.card)
        once = (copy / "card.toml").read_bytes()
        write_card(copy, WeightsDir(copy).card)
        assert (copy / "card.toml").read_bytes() == once
        _use(tensors.kind, folder)


def _component(weights: Made) -> bytes:
    return next(line for line in weights.card.splitlines() if line.startswith(b"component"))


def _write_tensors(folder: Path, kind: int, data: bytes) -> Made:
    chosen = made()[kind % len(made())]
    (folder / WeightsDir.TENSORS).write_bytes(data)
    content = parse_toml(chosen.card.decode())
    content["sha256"] = {WeightsDir.TENSORS: sha256_of(folder / WeightsDir.TENSORS)}
    (folder / "card.toml").write_text(tomli_w.dumps(content))
    return chosen


@target(lambda: [bytes([i]) + weights.tensors for i, weights in enumerate(made())])
def tensors(data: bytes, folder: Path) -> None:
    """Tensors with a card that vouches for them; the first byte says of which component."""
    if data:
        chosen = _write_tensors(folder, data[0], data[1:])
        with refusal():
            _use(chosen.kind, folder)


def _known() -> list[bytes]:
    from safetensors.numpy import save

    salts = Compositions.from_formulas(["NaCl", "Fe2O3", "MgO"])
    return [save(Known(salts.fingerprints(), np.array([0, 1, 2], np.uint8)).tensors())]


@target(_known)
def known(data: bytes, folder: Path) -> None:
    """The index of known compounds, with a card that vouches for it."""
    (folder / WeightsDir.KNOWN).write_bytes(data)
    content = parse_toml(made()[0].card.decode())
    fields = Card(**content | {"sha256": {WeightsDir.KNOWN: sha256_of(folder / WeightsDir.KNOWN)}})
    write_card(folder, fields)
    with refusal():
        index = WeightsDir(folder).known()
        assert index.fingerprints.shape == index.role.shape
        assert (np.diff(index.fingerprints.astype(object)) >= 0).all()
        assert index.role.max(initial=0) <= Known.VALIDATION
        index.contains(Compositions.from_formulas(["NaCl"]))


def _trainee() -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.Generator]:
    torch.manual_seed(0)
    network = torch.nn.Linear(2, 1)
    return network, torch.optim.Adam(network.parameters()), torch.Generator().manual_seed(0)


def _step(network: torch.nn.Module, adam: torch.optim.Optimizer) -> None:
    adam.zero_grad()
    network(torch.ones(3, 2)).sum().backward()
    adam.step()


IDENTITY = {"seed": 0}
"""Of the training."""


def _checkpoint() -> list[bytes]:
    network, adam, random = _trainee()
    _step(network, adam)
    progress = {"identity": IDENTITY, "step": 1, "seconds": 0.5, "best": -1.0}
    with TemporaryDirectory() as folder:
        checkpoint.write(Path(folder), {"n": network}, {"adam": adam}, random, progress)
        return [Path(folder, checkpoint.FILE).read_bytes()]


@target(_checkpoint)
def training_checkpoint(data: bytes, folder: Path) -> None:
    """A checkpoint: what is accepted can be trained on."""
    (folder / checkpoint.FILE).write_bytes(data)
    network, adam, random = _trainee()
    with refusal():
        progress = checkpoint.read(folder, {"n": network}, {"adam": adam}, random, IDENTITY)
        assert progress["step"] >= 0
        _step(network, adam)
        torch.randn(3, generator=random)
