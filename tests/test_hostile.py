"""Hostile and damaged input: whatever a file or an argument holds, it is understood or refused.

`fuzz/targets.py` says for each reader what that means; ``nox -s fuzz`` feeds the same functions
for longer, guided by coverage, and ``nox -s kill`` kills the same commands more often.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import kills
import numpy as np
import pandas as pd
import pytest
import runs
import targets
from conftest import Cli, Install
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

import matgen_core
from matgen_core import MatgenError, Pipeline, Registry, discover
from matgen_core.errors import DataError, InvalidOption, UnknownName, WeightsError
from matgen_core.locks import claimed
from matgen_core.report import run as report_of_run
from matgen_core.report.run import Run
from matgen_core.weights import WeightsDir, sha256_of, write_card
from matgen_data import published
from matgen_networks import device, training
from matgen_wgan import train as wgan_train

# --- any bytes, and real files with damage ------------------------------------------------------

EVIL = [
    b"", b"\0", b"\xff\xfe", b"\n", b'"', b"'", b"[", b"{", b"[[", b"]", b"}", b"=", b",", b"..",
    b"../x", b"/etc/passwd", b"-1", b"0", b"1e999", b"9" * 30, b"nan", b"inf", b"null", b"true",
    b"\x1b[2J", "\u202e\u0000é".encode(), b"(" * 60, b"not " * 60, b"\xf0\x28\x8c\xbc", b"\r",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A real input with up to four places cut out, doubled or overwritten."""
    content = bytearray(draw(st.sampled_from(targets.SEEDS[name]())))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.sampled_from((0, 1, 2, 8, 40))))
        put = draw(st.sampled_from(EVIL) | st.binary(max_size=8) | st.just(content[start:stop] * 2))
        content[start:stop] = put
    return bytes(content)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_answer_is_sound_or_a_refusal(name: str, tmp_path: Path) -> None:
    targets.warm(name)

    @settings(max_examples=15, derandomize=True)
    @given(damaged(name) | st.binary(max_size=60))
    def check(data: bytes) -> None:
        targets.run(name, data, tmp_path)

    check()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_real_inputs_are_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else the tests above would be of refusals only."""
    if name != "formulas":  # among them one is no formula
        monkeypatch.setattr(targets, "refusal", nullcontext)
    if name == "card":  # one has the tensors of another
        monkeypatch.setitem(targets.SEEDS, name, lambda: [m.card for m in targets.made()])
    for seed in targets.SEEDS[name]():
        targets.run(name, seed, tmp_path)


# --- what was once not refused -------------------------------------------------------------------

CARD = b"".join(line for line in targets.made()[0].card.splitlines(keepends=True))


def edited(old: bytes, new: bytes) -> bytes:
    """The card of the smallest WGAN with a change."""
    assert old in CARD, CARD
    return CARD.replace(old, new, 1)


def index(**tensors: np.ndarray) -> bytes:
    return save(tensors)


def header(**described: object) -> bytes:
    """A safetensors file of which each tensor is described so, over sixteen zeros."""
    text = json.dumps({name: value for name, value in described.items()}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def checkpoint_with(progress: str | None = None, **changes: np.ndarray) -> bytes:
    [whole] = targets.SEEDS["training_checkpoint"]()
    n = int.from_bytes(whole[:8], "little")
    metadata = json.loads(whole[8 : 8 + n])["__metadata__"]
    if progress is not None:
        metadata = {"progress": progress}
    return save(load(whole) | changes, metadata)


def report_with(**changes: object) -> bytes:
    content = json.loads(targets.SEEDS["report_json"]()[0])
    return json.dumps(content | changes).encode()


def evaluation_with(**changes: object) -> bytes:
    return json.dumps(json.loads(targets.SEEDS["evaluation"]()[0]) | changes).encode()


def tensors_with(kind: int, **changes: np.ndarray) -> bytes:
    return bytes([kind]) + save(load(targets.made()[kind].tensors) | changes)


# fmt: off
TWO = np.zeros(2, np.uint64)
CRASHERS: dict[str, list[bytes]] = {
    "run_toml": [
        b"a = " + b"[" * 5_000,  # the parser's stack
        b"a = " + b"{b = " * 500,
        b"num = " + b"9" * 5_000,  # more digits than Python reads
        b"num = " + b"9" * 400 + b'\ngenerator = "zeros"',  # more than a float or the bar holds
        b'generator = "zeros"\nbatch_size = 9223372036854775807',
        b'generator = "zeros"\nseed = 99999999999999999999999999',
        b'generator = "zeros"\n[options.' + b"a." * 500 + b"b]\nc = 1",  # written back by recursion
        b".".join([b"a"] * 40_000) + b" = 1",  # a parser of quadratic time
        b'generator = "zeros"\nrequire = [' + b'"Li",' * 15_000 + b"]",  # memory by the length
        b'generator = "zeros"\n"a\\nb" = 1',
        b'generator = "zeros"\n[options."a\\nb\\u001b[2J"]\nx = 1',
        b'generator = "' + b"a" * 5_000 + b'"',  # a file name too long to look for
        b'generator = "zeros"\ndevice = "cuda:' + b"9" * 5_000 + b'"',
        b'generator = "zeros"\ndevice = "cuda:\xc2\xb2"',
        b"#" * 200_000,
    ],
    "assignment": [
        b"a.b=" + b"[" * 5_000, b"a.b=1\nc=2", b"a.b=" + b"9" * 5_000, b"a.b=\xff", b"a.b=1#",
        b"a.b=c\nvalue=2",
    ],
    "where": [
        b"(" * 2_000, b"not " * 600, b"band_gap > 1e99999", b"band_gap > " + b"9" * 1_900,
        b"\xff", b"a\x1b[2J", "band_gap > ²".encode(), b"`" + b"x" * 1_900 + b"` == 1",
    ],
    "csv_source": [
        b"formula" + b",a" * 400_000 + b"\nNaCl\n",  # names compared each with each
        b"formula," + b",".join(b"%d" % i for i in range(4_000)) + b"\n" + b"x\n" * 4_000,
        b"formula," + b",".join(b"%d" % i for i in range(20_000)) + b"\nNaCl\n",
        b"a" * 2_000_000,
        b"formula\n" + b"a" * 200_000,
        b'formula,"gap\x1b[2J"\nNaCl,x\n',
    ],
    "screened": [
        b"formula" + b",a" * 400_000 + b"\nNaCl\n",
        b"formula," + b",".join(b"%d" % i for i in range(1_000)) + b"\n" + b"x\n" * 1_000,
        b"a" * 2_000_000,
        b"formula\n" + b"a" * 200_000,
    ],
    "evaluation": [
        b"[" * 100_000, b'{"schema": 1, "name": ' + b"[" * 900, evaluation_with(distances={}),
        evaluation_with(samples=0), evaluation_with(neighbours={}), evaluation_with(recovered={}),
        evaluation_with(shares={}), evaluation_with(curves={}), evaluation_with(samples=10**30),
    ],
    "report_json": [
        b"[" * 100_000, report_with(provenance={"a": "b"}), report_with(units={"formula": "eV"}),
        report_with(passed={"novel": 1, "formula": 2}), report_with(generated=10**40),
    ],
    "jsonl": [
        b"[1]\n", b"1\n", b"null\n", b'{"formula": {}}\n', b'{"formula": [1]}\n', b"[" * 2_000,
    ],
    "parquet": [
        # A text that is no UTF-8 ended the whole process.
        targets.SEEDS["parquet"]()[0].replace(b"NaCl", b"Na\xff\xfe"),
        b"PAR1", b"PAR1" * 3, b"PAR1\x00\x00\x00\x00\xff\xff\xff\x7fPAR1",
    ],
    "card": [
        edited(b"channels = 2", b"channels = 1000000000"),
        edited(b"channels = 2", b"channels = -1"),
        edited(b"latent = 4", b"latent = 10000000000000000000"),
        edited(b"grid = [\n    85,\n    8,\n]", b"grid = [85, 8, 8]"),
        edited(b"grid = [\n    85,\n    8,\n]", b"grid = [1000000000, 1000000000]"),
        edited(b"kernel = 3", b"kernel = 0"),
        edited(b"    2,\n    1,\n", b"    0,\n    0,\n"),  # strides: a division by zero
        edited(b"[sha256]", b'[sha256]\n"a\\nb" = "x"'),
        edited(b"[model]", b"[model]\n" + b"a." * 900 + b"b = 1\n"),
        edited(b'name = "tiny"', b"name = " + b"[" * 3_000),
        edited(b'name = "tiny"', b"format = 2\nname = 'tiny'"),
        edited(b"yield = 0.25", b"yield = " + b"9" * 5_000),
    ],
    "known": [
        index(fingerprints=TWO.astype(np.float32), role=np.zeros(2, np.uint8)),
        index(fingerprints=TWO, role=np.zeros(1, np.uint8)),
        index(fingerprints=TWO.reshape(2, 1), role=np.zeros(2, np.uint8)),
        index(fingerprints=TWO, role=np.full(2, 9, np.uint8)),
        index(fingerprints=TWO, role=np.zeros(2, np.uint8), more=TWO),
        header(fingerprints={"dtype": "BF16", "shape": [8], "data_offsets": [0, 16]}),
        header(fingerprints={"dtype": "F8_E4M3", "shape": [16], "data_offsets": [0, 16]}),
        header(fingerprints={"dtype": "U64", "shape": [2**60], "data_offsets": [0, 16]}),
    ],
    "tensors": [
        *(bytes([kind]) + header(x={"dtype": dtype, "shape": [size], "data_offsets": [0, 16]})
          for kind in range(3) for dtype, size in (("BF16", 8), ("F8_E5M2", 16), ("BOOL", 16))),
        tensors_with(0, **{"linear.bias": np.full(176, np.nan, np.float32)}),
        tensors_with(0, **{"linear.bias": np.zeros(176, np.int32)}),
        tensors_with(1, **{"density.kernel.shares": np.array([-1], np.float32)}),
        tensors_with(1, **{"density.kernel.shares": np.array([0], np.float32)}),
        tensors_with(1, **{"density.kernel.means": np.zeros((1, 3), np.float32)}),
        tensors_with(1, **{"density.kernel.factors": np.zeros((2, 4, 4), np.float32)}),
        tensors_with(2, value=np.full(4, np.inf, np.float32)),
    ],
    "training_checkpoint": [
        checkpoint_with("[" * 3_000), checkpoint_with("null"), checkpoint_with("{}"),
        checkpoint_with('{"identity": {}, "step": "1", "seconds": 0}'),
        checkpoint_with('{"identity": {}, "step": -1, "seconds": 0}'),
        checkpoint_with(generator=np.zeros(3, np.float32)),
        checkpoint_with(generator=np.zeros(8, np.uint8)),
        checkpoint_with(**{"adam/0/step": np.zeros(2, np.float32)}),
        checkpoint_with(**{"adam/7/step": np.zeros((), np.float32)}),
        checkpoint_with(**{"adam/x/step": np.zeros((), np.float32)}),
        checkpoint_with(**{"adam/0/exp_avg": np.zeros(9, np.float32)}),
        checkpoint_with(**{"adam/0/other": np.zeros((1, 2), np.float32)}),
    ],
}
# fmt: on


@pytest.mark.parametrize("name", CRASHERS)
def test_past_crashers(name: str, tmp_path: Path) -> None:
    """Each of these once ended in a traceback, a hang, or more memory than there is."""
    targets.warm(name)
    tracemalloc.start()
    try:
        for data in CRASHERS[name]:
            targets.run(name, data, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 600e6
    finally:
        tracemalloc.stop()


def test_a_small_parquet_of_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One value, said to stand in every row, is a file of a kilobyte."""
    path = tmp_path / "x.parquet"
    pd.DataFrame({"formula": ["NaCl"] * 10**5}).to_parquet(path, index=False)
    assert path.stat().st_size < 10_000
    path.with_name("x.parquet.report.json").write_bytes(targets.SEEDS["report_json"]()[0])
    assert len(Run.read(path).candidates) == 10**5
    monkeypatch.setattr(report_of_run, "MAX_ROWS", 10**4)
    with pytest.raises(DataError, match="100,000 rows, 10,000 at most are read"):
        Run.read(path)


def test_names_are_no_markup(cli: Cli) -> None:
    """Once, a bracket in a file's name ended in a traceback of the table's library."""
    name = "[bold]x[[b].csv"
    Path(name).write_text("formula\nNaCl\n")
    answer = cli("screen", name)
    assert answer.code == 0, answer.err
    assert name in answer.out
    cli("evaluate", "[/b].csv", "--against", name)


@pytest.mark.parametrize("name", ["cuda:²", "cuda:" + "9" * 5_000, "cpu:", "cuda:-1", ""])
def test_devices_that_are_none(name: str) -> None:
    with pytest.raises(InvalidOption, match=r"unknown device|is not there"):
        device.resolve(name)


def test_damaged_metrics_are_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    training.forget_after(path, 1)
    assert path.read_bytes() == b'{"step": 1}\n'
    path.write_bytes(b'{"step": 1}\n\0\0\0\0\n')
    with pytest.raises(WeightsError, match="line 2: delete it"):
        training.forget_after(path, 1)


# --- weights: every shipped kind, damaged in every way ------------------------------------------

SHIPPED = {
    "wgan-mp": "generator",
    "dice-mp": "generator",
    "rnn-mp": "generator",
    "elemnet-oqmd": "predictor",
    "transformer-oqmd": "predictor",
    "gbrt-gap-mp": "predictor",
    "gap-class-mp": "predictor",
}
Tensors = dict[str, np.ndarray]


def _first(tensors: Tensors, kind: str = "f") -> str:
    return next(name for name, t in tensors.items() if t.dtype.kind == kind and t.size > 1)


def _with_nan(tensors: Tensors) -> Tensors:
    spoilt = tensors[_first(tensors)].copy()
    spoilt.flat[0] = np.nan
    return tensors | {_first(tensors): spoilt}


TENSORS: dict[str, Callable[[Tensors], Tensors]] = {
    "extra key": lambda t: t | {"surplus": np.zeros(1, np.float32)},
    "missing key": lambda t: {k: v for k, v in t.items() if k != _first(t)},
    "wrong shape": lambda t: t | {_first(t): t[_first(t)].ravel()[:-1].copy()},
    "wrong dtype": lambda t: t | {_first(t): t[_first(t)].astype(np.int32)},
    "NaN": _with_nan,
    "nothing": lambda t: {},
}


def _signed(folder: Path, **changes: object) -> None:
    """A card that vouches for the files beside it."""
    card = WeightsDir(folder).card
    sha256 = {name: sha256_of(folder / name) for name in card.sha256}
    write_card(folder, card.model_copy(update={"sha256": sha256, **changes}))


@pytest.fixture(params=SHIPPED)
def shipped(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Registry, str, Path]:
    """The registry, the kind, and a copy of shipped weights."""
    registry = targets.installed()
    copy = tmp_path / "weights"
    shutil.copytree(registry.weights(request.param).path, copy)
    return registry, SHIPPED[request.param], copy


def test_damaged_weights_are_refused_with_the_reason(
    shipped: tuple[Registry, str, Path],
) -> None:
    registry, kind, folder = shipped
    file = folder / WeightsDir.TENSORS
    whole = file.read_bytes()
    registry.create(kind, str(folder), device="cpu")

    def refused(reason: str) -> None:
        with pytest.raises(WeightsError, match=reason) as error:
            registry.create(kind, str(folder), device="cpu")
        assert str(folder) in str(error.value)
        assert "\n" not in str(error.value)

    for damaged_bytes in (whole[:-1], whole[:100], whole + b"\0", b""):
        file.write_bytes(damaged_bytes)
        refused("is damaged: its sha256 is not the one on its card")
        _signed(folder)
        refused(r"holds no (WGAN|autoencoder|recurrent network|ElemNet|transformer|trees): ")
    for change in TENSORS.values():
        file.write_bytes(save(change(load(whole))))
        _signed(folder)
        refused(r"holds no (WGAN|autoencoder|recurrent network|ElemNet|transformer|trees): ")
    file.unlink()
    refused("No such file")


def test_weights_of_something_else_are_refused_with_the_reason(
    shipped: tuple[Registry, str, Path],
) -> None:
    registry, kind, folder = shipped
    card = (folder / "card.toml").read_text().removeprefix("format = 1\n")
    own = WeightsDir(folder).card.component
    for other in ("wgan", "dice"):
        if kind == "generator" and other != own:
            _signed(folder, component=other)
            with pytest.raises(WeightsError, match="holds no"):
                registry.create(kind, str(folder), device="cpu")
    _signed(folder, component="nobody")
    with pytest.raises(UnknownName, match=f"unknown {kind} 'nobody'"):
        registry.create(kind, str(folder))
    with pytest.raises(UnknownName, match="unknown validator"):
        registry.create("validator", str(folder))
    (folder / "card.toml").write_text(f"format = 2\n{card}")
    with pytest.raises(WeightsError, match=r"has format 2, and matgen \S+ wrote it: .*upgrade"):
        registry.create(kind, str(folder))
    (folder / "card.toml").write_text(f"colour = 'red'\n{card}")
    with pytest.raises(WeightsError, match="colour: Extra inputs are not permitted"):
        registry.create(kind, str(folder))


OTHER_ENCODER = """
from matgen_core import Component, Compositions, Encoder, hookimpl

class Wide(Encoder):
    shape = (118, 20)
    def encodable(self, compositions): ...
    def encode(self, compositions): ...
    def decode(self, samples): return Compositions.empty(len(samples))

@hookimpl
def matgen_encoders():
    yield Component("wide", "wide:Wide")
"""


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [("nonesuch", "unknown encoder 'nonesuch'"), ("wide", r"85, 8.*118, 20|118, 20.*85, 8")],
)
def test_another_encoder_is_refused(
    encoder: str, reason: str, install: Install, tmp_path: Path
) -> None:
    install("wide", OTHER_ENCODER)
    registry = discover()
    shutil.copytree(registry.weights("wgan-mp").path, tmp_path / "weights")
    _signed(tmp_path / "weights", encoder=encoder)
    with pytest.raises(MatgenError, match=reason):
        Pipeline(registry, generator=str(tmp_path / "weights"), num=3, device="cpu").to_frame()


# --- two at once, and killed ones ----------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `kills.prepare`: data, and a package index of one wheel."""
    monkeypatch.setattr(published, "WHEEL", published.WHEEL)  # put back at the end
    for name in ("MATGEN_HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, "")
    place = tmp_path / "place"
    place.mkdir()
    kills.prepare(place)
    return place


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")


@forks
@pytest.mark.parametrize("name", ["fetch", "train wgan", "run", "screen", "evaluate"])
def test_killed_at_random_moments(name: str, folder: Path) -> None:
    """``nox -s kill`` does it hundreds of times, and for every training."""
    assert kills.campaign(name, 2) == {"kills": 2, "survived": 2}


@forks
@pytest.mark.parametrize("name", ["train wgan", "run", "screen"])
def test_two_at_the_same_place(name: str, folder: Path) -> None:
    """One of them does the work, the other says that it is being done."""
    target = kills.TARGETS[name]
    both = [kills.start(target.named(0), folder) for _ in range(2)]
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in both)
    target.check(folder / target.result.replace("NET", "net0"))
    # Where they did not meet, each of them did its work.
    assert codes in ([0, 2], [0, 0])
    assert not [p.name for p in folder.rglob(".*") if p.is_file()]


def test_a_claim_is_refused_and_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path\n"
        "from matgen_core.locks import claimed\n"
        "with claimed(Path(sys.argv[1])):\n"
        "    Path(f'.x.csv.{os.getpid()}.partial').touch()\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    path = tmp_path / "x.csv"
    other = subprocess.Popen(
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DataError, match=r"another process is writing .*x\.csv: wait"):
            claimed(path).__enter__()
        with claimed(tmp_path / "y.csv"):
            pass
        [half] = tmp_path.glob("*.partial")
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert half.exists()
    with claimed(path):
        assert not half.exists()
        assert sorted(p.name for p in tmp_path.iterdir()) == [".x.csv.lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_claim_leaves_alone_what_is_not_its_own(tmp_path: Path) -> None:
    others = [f".x.csv.{os.getpid()}.partial", ".y.csv.999999999.partial", ".x.csv.tmp", ".x.csv"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".x.csv.report.json.999999999.tmp").touch()
    with claimed(tmp_path / "x.csv"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


# --- full disks and read-only folders -------------------------------------------------------------


@pytest.fixture
def full(folder: Path) -> Iterator[Callable[[], None]]:
    """``disk`` in `folder` is a disk of its own; calling the fixture fills it up."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a small disk")

    def fill() -> None:
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    yield fill
    # Lazily: tensors that were mapped from its files may be waiting for the garbage collector.
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _writes(name: str, there: str) -> list[str]:
    """A command that writes into the folder `there`."""
    if name == "report":
        return ["report", "x.csv", "-o", f"{there}/x.html", "--against", "salts.csv"]
    command = [word.replace("NET", f"{there}/net") for word in kills.TARGETS[name].command]
    last = command[-1]
    return [*command[:-1], f"{there}/{last}"] if "-o" in command else command


WRITERS = ["run", "screen", "evaluate", "report", "train wgan", "fetch"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(
    name: str,
    folder: Path,
    full: Callable[[], None],
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line that says so, exit code 2, and what was there before is there still."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(wgan_train, "FINAL_SAMPLES", 100)
    if name == "fetch":
        monkeypatch.setenv("MATGEN_HOME", str(folder / "disk"))
    if name == "report":
        runs.write_run(folder / "x.csv")
        (folder / "disk" / "x.html").write_text("the page of yesterday")
    else:
        assert cli(*_writes(name, "disk")).code == 0
    before = {p: p.read_bytes() for p in (folder / "disk").rglob("*") if p.is_file()}
    assert before
    full()
    again = _writes(name, "disk")
    again += {"train wgan": ["--set", "wgan.epochs=0.6"], "fetch": ["--force"]}.get(name, [])
    answer = cli(*again)
    assert answer.code == 2
    last = answer.err.splitlines()[-1]
    assert last.startswith("matgen: ")
    assert re.search(r"disk\b.*(No space left on device|MB free)", last), answer.err
    assert "Traceback" not in answer.err
    (folder / "disk" / "filler").unlink()
    after = {p: p.read_bytes() for p in (folder / "disk").rglob("*") if p.is_file()}
    if name == "train wgan":  # a line of the metrics may be there, and half of one
        metrics = folder / "disk" / "net" / "metrics.jsonl"
        assert after.pop(metrics).startswith(before.pop(metrics))
        kills.training_is_whole(folder / "disk" / "net")
    assert after == before
    if name != "report":  # slow, and nothing it would meet
        assert cli(*again).code == 0


@forks
@pytest.mark.parametrize("name", [name for name in WRITERS if name != "report"])
def test_a_read_only_folder(
    name: str, folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Path(matgen_core.__file__).parents
    if not os.getuid() and not all(place.stat().st_mode & stat.S_IXOTH for place in installed):
        pytest.skip("root may write anywhere, and nobody else can read this installation")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(wgan_train, "FINAL_SAMPLES", 100)
    # Everything is imported once: the other user may not read where Python is installed.
    (folder / "elsewhere").mkdir()
    assert cli(*_writes(name, "elsewhere")).code == 0
    there = folder / "disk"
    (there / "net").mkdir(parents=True)
    for path in (there / "x.csv", there / "e.json", there / "net" / "file"):
        path.write_text("of yesterday")
    monkeypatch.setenv("MATGEN_HOME", "disk/net")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o777)  # the command's output is caught in a file here
    try:
        process = kills.start(_writes(name, "disk"), folder, None if os.getuid() else 65_534)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    finally:
        for path in (there, there / "net"):
            path.chmod(0o755)
    said = (folder / "log").read_text().splitlines()
    assert code == 2, said
    assert said[-1].startswith("matgen: ")
    assert re.search(r"disk.*Permission denied", said[-1])
    assert {p.read_text() for p in there.rglob("*") if p.is_file()} == {"of yesterday"}
