"""`Pipeline`: counts by hand, repeatable files, interruptions, full disks, broken contracts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import BLANK, FULL, IRON, POOL, Cli

from matgen_core import Component, Compositions, Generator, Pipeline, Registry, Validator, discover
from matgen_core.errors import DataError, InvalidOption, PluginError, UnknownName, WeightsError
from matgen_core.registry import Plugin
from matgen_core.tables import open_table

NACL, FE2O3, MGO, KBR, LIFEPO4, SIC, MG2O2 = range(7)
SUFFIXES = ("csv", "jsonl", "parquet")
TAPE = [NACL, MGO, BLANK, MGO, KBR, MG2O2, FULL, FE2O3, IRON, LIFEPO4, KBR, SIC]


def tape(order: list[int] = TAPE, **settings: Any) -> Pipeline:
    """A pipeline whose samples are known beforehand."""
    settings = {"generator": "tape-salts", "num": len(order)} | settings
    return Pipeline(discover(), options={"tape": {"order": order}}, **settings)


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path)
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_json(path, lines=True)


# --- counting --------------------------------------------------------------------------------


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("batch_size", [1, 2, 5, 12, 100])
def test_counts_by_hand(batch_size: int, tmp_path: Path) -> None:
    pipeline = tape(validators=["oxide", "binary"], batch_size=batch_size)
    report = pipeline.run(tmp_path / "x.csv")
    assert report.generated == 12
    assert report.decodable == 9  # but for the blank grid, the full one, and iron alone
    assert report.unique == 6  # MgO comes three times, KBr twice
    assert report.novel == 7  # of those decodable, NaCl and Fe2O3 are known
    assert report.passed == {"oxide": 5, "binary": 8}
    assert report.valid == 4  # MgO thrice and Fe2O3
    assert report.candidates == report.rows_written == 1
    assert report.finished
    assert (tmp_path / "x.csv").read_text() == (
        "formula,n_elements,oxide,binary,novel\nMgO,2,True,True,True\n"
    )


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_duplicates_are_found_across_batches(batch_size: int) -> None:
    table = tape(batch_size=batch_size).to_frame()
    assert table["formula"].tolist() == ["MgO", "KBr", "LiFePO4", "SiC"]


@pytest.mark.usefixtures("toy")
def test_without_an_index_nothing_is_said_of_novelty() -> None:
    pipeline = tape(generator="tape")
    report = pipeline.run()
    assert report.novel is None
    assert report.candidates == 6
    assert list(tape(generator="tape").to_frame()) == ["formula", "n_elements"]


@pytest.mark.usefixtures("toy")
def test_keep_rejected() -> None:
    table = tape(validators=["oxide"], keep_rejected=True, exclude=["Si"]).to_frame()
    assert table.to_dict("list") == {
        "formula": ["NaCl", "MgO", "KBr", "Fe2O3", "LiFePO4", "SiC"],
        "n_elements": [2, 2, 2, 2, 4, 2],
        "oxide": [False, True, False, True, True, False],
        "novel": [False, True, True, False, True, True],
    }
    assert table.dtypes[["oxide", "novel"]].tolist() == [np.bool_, np.bool_]


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("require", "exclude", "expected"),
    [
        (["O"], [], ["MgO", "LiFePO4"]),
        (["Li", "O"], [], ["LiFePO4"]),
        ([], ["O"], ["KBr", "SiC"]),
        (["O"], ["Fe", "K"], ["MgO"]),
        (["Mg"], ["Mg"], []),
        (["U"], [], []),
    ],
)
def test_require_and_exclude(require: list[str], exclude: list[str], expected: list[str]) -> None:
    table = tape(require=require, exclude=exclude).to_frame()
    assert table["formula"].tolist() == expected


@pytest.mark.usefixtures("toy")
def test_counts_of_random_draws_against_sets(tmp_path: Path) -> None:
    pipeline = Pipeline(
        discover(), generator="pick-salts", validators=["oxide"], num=300, batch_size=70, seed=5
    )
    drawn, sample = [], pipeline.generator.sample

    def recording(n: int, seed: int) -> Any:
        drawn.extend(np.random.default_rng(seed).integers(10, size=n).tolist())
        return sample(n, seed)

    pipeline.generator.sample = recording  # type: ignore[method-assign]
    report = pipeline.run(tmp_path / "x.csv")
    assert len(drawn) == 300
    names = ["MgO" if i == MG2O2 else POOL[i] for i in drawn if i < len(POOL)]
    assert report.decodable == len(names)
    assert report.unique == len(set(names))
    assert report.novel == sum(name not in ("NaCl", "Fe2O3") for name in names)
    assert report.passed["oxide"] == report.valid == sum("O" in name for name in names)
    oxides = [n for n in dict.fromkeys(names) if "O" in n and n != "Fe2O3"]
    assert read(tmp_path / "x.csv")["formula"].tolist() == oxides


# --- repeating -------------------------------------------------------------------------------


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_seed_gives_the_same_file(suffix: str, tmp_path: Path) -> None:
    def write(name: str, seed: int) -> bytes:
        path = tmp_path / f"{name}.{suffix}"
        settings = {"validators": ["oxide"], "num": 8, "batch_size": 3, "keep_rejected": True}
        Pipeline(discover(), generator="pick-salts", seed=seed, **settings).run(path)
        return path.read_bytes()

    assert write("a", 1) == write("b", 1) != write("c", 2)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_holds_the_same_table(suffix: str, tmp_path: Path) -> None:
    # The first batch and the third have no row to write.
    order = [BLANK, FULL, MGO, KBR, IRON, NACL, SIC, BLANK]
    path = tmp_path / f"x.{suffix}"
    report = tape(order, batch_size=2, validators=["binary"]).run(path)
    assert report.rows_written == 3
    assert read(path).to_dict("list") == {
        "formula": ["MgO", "KBr", "SiC"],
        "n_elements": [2, 2, 2],
        "binary": [True, True, True],
        "novel": [True, True, True],
    }


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_rows(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    assert tape([BLANK]).run(path).rows_written == 0
    table = read(path)
    assert len(table) == 0
    if suffix != "jsonl":
        assert list(table) == ["formula", "n_elements", "novel"]


@pytest.mark.usefixtures("toy")
def test_a_run_is_repeated_from_its_run_toml(cli: Cli) -> None:
    first = cli(
        "run", "-g", "tape-salts", "--validators", "oxide,binary", "-n", 40, "--seed", 3,
        "--batch-size", 7, "--exclude", "Pb,K", "--require", "O", "--keep-rejected",
        "--set", "tape.order=[0, 2, 4, 4, 8, 1]", "--set", "onehot.threshold=0.5", "-o", "a.csv",
    )  # fmt: skip
    assert first.code == 0, first.err
    again = cli("run", "--config", "a.csv.run.toml", "-o", "b.csv")
    assert again.code == 0, again.err
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert Path("a.csv.run.toml").read_bytes() == Path("b.csv.run.toml").read_bytes()
    one, two = (json.loads(Path(f"{n}.csv.report.json").read_text()) for n in "ab")
    assert one.pop("seconds").keys() == two.pop("seconds").keys()
    assert one == two
    assert one["config"]["options"]["tape"]["order"] == [0, 2, 4, 4, 8, 1]
    assert one["provenance"]["plugins"]["toy"] == "matgen-toy 3.2"
    assert len(one["provenance"]["weights"]["tape-salts"]["known.safetensors"]) == 64


@pytest.mark.usefixtures("toy")
def test_the_command_line_overrides_the_file(cli: Cli) -> None:
    Path("run.toml").write_text(
        'generator = "tape-salts"\nnum = 5\nseed = 9\n[options.tape]\norder = [0]\npause = 0.0\n'
    )
    answer = cli(
        "run", "-c", "run.toml", "-n", 3, "--set", "tape.order=[2]", "-o", "x.csv", "--json"
    )
    config = json.loads(answer.out)["config"]
    assert (config["num"], config["seed"]) == (3, 9)
    assert config["options"] == {"tape": {"order": [2], "pause": 0.0}}


# --- interrupted -----------------------------------------------------------------------------


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ctrl_c_leaves_a_valid_file(suffix: str, tmp_path: Path) -> None:
    order = [MGO, KBR, LIFEPO4, SIC]
    arguments = ["run", "-g", "tape-salts", "--batch-size", "1", "-n", "1000", "-o", f"x.{suffix}"]
    options = ["--set", f"tape.order={order}", "--set", "tape.pause=0.1"]
    command = [sys.executable, "-c", "from matgen_core.cli import main; main()"]
    process = subprocess.Popen(
        [*command, *arguments, *options],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A background job of a shell ignores SIGINT, and what it starts inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    partial = tmp_path / f".x.{suffix}.{process.pid}.partial"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    report = json.loads((tmp_path / f"x.{suffix}.report.json").read_text())
    assert report["finished"] is False
    assert 1 <= report["generated"] < 1000
    assert f"interrupted after {report['generated']} of 1,000 samples" in err
    assert "Traceback" not in err
    formulas = [POOL[i] for i in order][: report["generated"]]
    assert read(tmp_path / f"x.{suffix}")["formula"].tolist() == formulas
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == [f"x.{suffix}", f"x.{suffix}.report.json", f"x.{suffix}.run.toml"]


@pytest.mark.usefixtures("toy")
def test_an_error_on_the_way_keeps_what_was_written(tmp_path: Path) -> None:
    pipeline = tape([MGO, KBR, SIC], batch_size=1)
    sample = pipeline.generator.sample
    pipeline.generator.sample = (
        lambda n, seed: (  # type: ignore[method-assign]
            sample(n, seed) if pipeline.generator.at < 2 else sample(n, seed)[:0]
        )
    )
    with pytest.raises(PluginError, match="tape-salts"):
        pipeline.run(tmp_path / "x.csv")
    assert read(tmp_path / "x.csv")["formula"].tolist() == ["MgO", "KBr"]


# --- disks -----------------------------------------------------------------------------------


LIMITED = """
import resource, sys
from matgen_core.cli import main
sys.dont_write_bytecode = True  # a file cut short by the limit would outlive the test
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
main()
"""


def limited(limit: int, suffix: str, folder: Path, n: int) -> subprocess.CompletedProcess[str]:
    """A run of `n` samples, two a batch, whose files cannot grow beyond `limit` bytes."""
    arguments = ["run", "-g", "random", "-n", str(n), "--batch-size", "2", "-o", f"x.{suffix}"]
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, install: Any) -> None:
    """The example's generator, whose samples are nearly all different."""
    folder = Path(__file__).parent.parent / "examples" / "matgen-random"
    install("example", "from matgen_random import *", "matgen-random")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_full_disk_keeps_the_rows_written_whole(suffix: str, tmp_path: Path) -> None:
    done = limited(600, suffix, tmp_path, 100)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    table = read(tmp_path / f"x.{suffix}")
    assert len(table) > 5
    assert f"File too large; the {len(table)} rows before that are kept" in done.stderr
    assert (tmp_path / f"x.{suffix}").stat().st_size <= 600
    (tmp_path / "whole").mkdir()
    assert limited(10**6, suffix, tmp_path / "whole", 100).returncode == 0
    whole = (tmp_path / "whole" / f"x.{suffix}").read_bytes()
    assert whole.startswith((tmp_path / f"x.{suffix}").read_bytes())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["whole", f"x.{suffix}"]


@pytest.mark.usefixtures("example")
def test_a_full_disk_leaves_no_damaged_parquet(tmp_path: Path) -> None:
    done = limited(3_000, "parquet", tmp_path, 100)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert "kept" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("example")
def test_no_room_for_a_single_batch(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("old")
    done = limited(10, "csv", tmp_path, 100)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]
    assert (tmp_path / "x.csv").read_text() == "old"


@pytest.mark.usefixtures("example")
def test_no_room_for_the_report(tmp_path: Path) -> None:
    done = limited(100, "csv", tmp_path, 3)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "File too large" in done.stderr
    assert len(read(tmp_path / "x.csv")) == 3


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("target", "error"),
    [("missing/x.csv", DataError), (".", InvalidOption), ("x.txt", InvalidOption),
     ("x", InvalidOption), ("file/x.csv", DataError), ("folder.csv", DataError)],
)  # fmt: skip
def test_what_cannot_be_written_fails_before_the_work(
    target: str, error: type[Exception], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    pipeline = tape()
    with pytest.raises(error, match="cannot write"):
        pipeline.run(tmp_path / target)
    assert pipeline.generator.at == 0


@pytest.mark.usefixtures("toy")
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write to")
def test_an_unwritable_folder_fails_before_the_work() -> None:
    pipeline = tape()
    with pytest.raises(DataError, match=r"cannot write /proc/x\.csv"):
        pipeline.run(Path("/proc/x.csv"))
    assert pipeline.generator.at == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_replaced_only_by_a_whole_one(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), open_table(path):
        raise ZeroDivisionError
    assert path.read_text() == "old"
    with open_table(path) as table:
        table.write(pd.DataFrame({"formula": ["MgO"]}))
        assert path.read_text() == "old"
    assert read(path)["formula"].tolist() == ["MgO"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


# --- contracts -------------------------------------------------------------------------------


class Misbehaving(Generator):
    encoder = "onehot"
    answer: Any = None

    def sample(self, n: int, seed: int) -> Any:
        return type(self).answer(n)


class Wrong(Validator):
    answer: Any = None

    def check(self, compositions: Compositions) -> Any:
        return type(self).answer(len(compositions))


@pytest.fixture
def registry() -> Registry:
    import matgen_onehot

    class Hooks:
        from matgen_core import hookimpl

        @staticmethod
        @hookimpl
        def matgen_generators() -> Any:
            yield Component("misbehaving", f"{__name__}:Misbehaving")

        @staticmethod
        @hookimpl
        def matgen_validators() -> Any:
            yield Component("wrong", f"{__name__}:Wrong")

    registry = Registry()
    registry.load(Plugin("onehot", "matgen", "0"), lambda: matgen_onehot)
    registry.load(Plugin("hooks", "matgen-hooks", "0"), lambda: Hooks)
    assert not registry.broken
    return registry


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: np.zeros((n + 1, 85, 8)),
        lambda n: np.zeros((n, 8, 85)),
        lambda n: np.zeros((n, 85)),
        lambda n: np.zeros((n, 85, 8), object),
        lambda n: np.zeros((n, 85, 8)).tolist(),
        lambda n: None,
    ],
)
def test_a_generator_that_breaks_its_contract_is_named(
    registry: Registry, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Misbehaving, "answer", answer)
    pipeline = Pipeline(registry, generator="misbehaving", num=3)
    with pytest.raises(PluginError, match="generator 'misbehaving' gave"):
        pipeline.run()


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: np.ones(n + 1, np.bool_),
        lambda n: np.ones((n, 1), np.bool_),
        lambda n: np.ones(n, np.int64),
        np.ones,
        lambda n: [True] * n,
        lambda n: True,
        lambda n: None,
    ],
)
def test_a_validator_that_breaks_its_contract_is_named(
    registry: Registry, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Misbehaving, "answer", lambda n: np.zeros((n, 85, 8)))
    monkeypatch.setattr(Wrong, "answer", answer)
    pipeline = Pipeline(registry, generator="misbehaving", validators=["wrong"], num=3)
    with pytest.raises(PluginError, match="validator 'wrong' gave"):
        pipeline.run()


def test_a_validator_cannot_make_an_empty_row_valid(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Misbehaving, "answer", lambda n: np.zeros((n, 85, 8)))
    monkeypatch.setattr(Wrong, "answer", lambda n: np.ones(n, np.bool_))
    pipeline = Pipeline(registry, generator="misbehaving", validators=["wrong"], num=3)
    report = pipeline.run()
    assert (report.valid, report.candidates) == (0, 0)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"generator": "tapee"}, UnknownName),
        ({"validators": ["oxid"]}, UnknownName),
        ({"validators": "oxide"}, InvalidOption),
        ({"num": 0}, InvalidOption),
        ({"seed": -1}, InvalidOption),
        ({"batch_size": 0}, InvalidOption),
        ({"require": ["Xx"]}, InvalidOption),
        ({"exclude": ["fe"]}, InvalidOption),
        ({"options": {"charge": {}}}, UnknownName),
        ({"options": {"tape": {"ordr": []}}}, UnknownName),
        ({"options": {"onehot": {"threshold": -1}}}, InvalidOption),
        ({"colour": "red"}, UnknownName),
    ],
)
def test_wrong_settings(settings: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Pipeline(discover(), **({"generator": "tape"} | settings))


def test_damaged_known_compounds_stop_the_run(toy: Path) -> None:
    file = toy / "tape" / "known.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="damaged"):
        tape()
