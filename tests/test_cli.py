"""The command line: each mistake is one line on stderr and exit code 2."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Cli, Install

from matgen_core import discover

Mistake = Callable[..., str]
COMMANDS = ["run", "screen", "evaluate", "compare", "reconstruct", "report", "train", "doctor",
            "data fetch", "data show", "plugins list", "plugins show", "plugins new",
            "weights list", "weights show"]  # fmt: skip


@pytest.fixture
def files(toy: Path, wgan_weights: Path, tmp_path: Path) -> Path:
    """A folder with damaged things in it."""
    for name in ("damaged", "truncated", "cardless"):
        shutil.copytree(wgan_weights, tmp_path / name)
    tensors = tmp_path / "damaged" / "weights.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4])
    card = tmp_path / "truncated" / "card.toml"
    card.write_bytes(card.read_bytes()[:200])
    (tmp_path / "cardless" / "card.toml").unlink()
    (tmp_path / "wgan").symlink_to(wgan_weights)
    (tmp_path / "bad.toml").write_text("generator = \n")
    (tmp_path / "colour.toml").write_text('generator = "tape"\ncolour = 1\n')
    (tmp_path / "number.toml").write_text('generator = "tape"\noptions = 3\n')
    (tmp_path / "option.toml").write_text('generator = "tape"\noptions.tape = 3\n')
    (tmp_path / "latin.toml").write_bytes(b'generator = "\xff"')
    (tmp_path / "x.csv").write_text("formula\nMgO\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("formula\n")
    return tmp_path


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        # generators and weights
        ("run", "run.generator is required"),
        ("run -g tapee", "unknown generator 'tapee': did you mean 'tape'?"),
        ("run -g pick-slats", "did you mean 'pick-salts'?"),
        ("run -g wgan/../nothing", "unknown generator"),
        ("run -g wgan/card.toml", "unknown generator"),
        ("run -g charge", "unknown generator 'charge'"),
        ("run -g " + "x" * 5000, "x"),
        ("run -g damaged", "damaged"),
        ("run -g truncated", "truncated/card.toml"),
        ("run -g cardless", "unknown generator 'cardless'"),
        ("weights show nothing", "unknown weights 'nothing'"),
        ("weights show tape", "unknown weights 'tape'"),
        ("weights show damaged", "damaged"),
        ("weights show truncated", "truncated/card.toml"),
        # validators, options, values
        ("run -g tape --validators oxid", "unknown validator 'oxid': did you mean 'oxide'?"),
        ("run -g tape --validators wgan", "unknown validator 'wgan'"),
        ("run -g tape --set tape.ordr=1", "unknown option of tape 'ordr': did you mean 'order'?"),
        ("run -g tape --set tape.order=abc", "tape.order = 'abc'"),
        ("run -g tape --set tape.order=[1,x]", "tape.order"),
        ("run -g tape --set tpe.order=[1]", "unknown component in this run 'tpe'"),
        ("run -g tape --set charge.x=1", "unknown component in this run 'charge'"),
        ("run -g tape --set order=[1]", "write component.option=value"),
        ("run -g tape --set tape.order", "write component.option=value"),
        ("run -g tape --set =", "write component.option=value"),
        ("run -g tape --set onehot.threshold=0", "onehot.threshold = 0"),
        ("run -g tape -n 0", "run.num = 0"),
        ("run -g tape -n many", "'--num' / '-n'"),
        ("run -g tape -n 1.5", "'--num' / '-n'"),
        ("run -g tape --seed -1", "run.seed = -1"),
        ("run -g tape --batch-size 0", "run.batch_size = 0"),
        ("run -g tape --nmu 3", "--nmu"),
        ("run -g", "-g"),
        ("run tape", "tape"),
        ("rnu", "rnu"),
        ("plugins lst", "lst"),
        ("plugins show oxid", "did you mean 'oxide'?"),
        ("plugins show", "'name'"),
        # elements
        ("run -g tape --require Xx", "unknown element 'Xx'"),
        ("run -g tape --exclude pb", "unknown element 'pb': did you mean 'Pb'?"),
        ("run -g tape --require Li,,Oo", "unknown element 'Oo'"),
        # devices
        ("run -g wgan --device gpu0", "run.device = 'gpu0': use auto, cpu, cuda or cuda:N"),
        ("run -g wgan --device cuda:x", "run.device = 'cuda:x'"),
        ("run -g wgan --device CUDA", "run.device = 'CUDA'"),
        ("run -g ./wgan --device cuda:99", "CUDA devices; use --device cpu"),
        ("run -g tape --device gpu0", "run.device = 'gpu0'"),
        # files
        ("run -g tape -c missing.toml", "cannot read missing.toml"),
        ("run -g tape -c .", "cannot read ."),
        ("run -c bad.toml", "cannot read bad.toml"),
        ("run -c latin.toml", "cannot read latin.toml"),
        ("run -c colour.toml", "unknown option of run 'colour'"),
        ("run -c number.toml", "run.options = 3"),
        ("run -c number.toml --set tape.order=[1]", "options = 3: write a table"),
        ("run -c option.toml --set tape.order=[1]", "write a table [options.COMPONENT]"),
        ("run -g tape -o x.txt", "the suffix must be .csv or .jsonl or .parquet"),
        ("run -g tape -o x", "the suffix must be"),
        ("run -g tape -o nowhere/x.csv", "cannot write nowhere/x.csv"),
        ("run -g tape -o .", "cannot write ."),
        ("run -g tape -o /proc/x.csv", "cannot write /proc/x.csv"),
        ("screen missing.csv", "cannot read missing.csv"),
        ("screen .", "cannot read ."),
        ("screen x.csv --validators chareg", "did you mean 'charge'?"),
        ("screen x.csv --validators oxide -o x.txt", "the suffix must be"),
        ("screen x.csv --validators oxide -o no/x.csv", "cannot write no/x.csv"),
        ("screen x.csv --validators oxide --column f", "no column 'f'"),
        ("screen x.csv --validators oxide --set oxid.x=1", "did you mean 'oxide'?"),
        ("screen - --validators oxide --json", "name a file with --output"),
        ("screen x.csv --validators oxide --set oxide.x=1", "unknown option of oxide 'x'"),
        ("screen x.csv --validators charge --set charge.oxidation_states=x", "smact14"),
        # training and data
        ("train wgna --data csv --out o", "unknown trainable component 'wgna'"),
        ("train tape --data csv --out o", "unknown trainable component 'tape'"),
        ("train wgan --data csv --out o --preset smll", "unknown preset of wgan 'smll'"),
        ("train wgan --data csv --out o --preset mp", "csv.path"),
        ("train wgan --data oqdm --out o --preset mp", "did you mean 'oqmd'?"),
        ("train wgan --data csv --out o --preset mp --set mp.x=1", "unknown component"),
        ("train wgan --data csv --out o --preset mp --set wgan.epohcs=1", "'epochs'?"),
        ("train wgan --data csv --out o --preset mp --set wgan.epochs=0", "wgan.epochs = 0"),
        ("train wgan --data csv --out o --preset mp --set csv.path=no.csv", "no.csv"),
        ("train wgan --data csv --out x.csv --preset mp --set csv.path=x.csv", "x.csv is a file"),
        ("train wgan --data csv --out o --preset mp --set csv.path=x.csv --screen xyz", "xyz"),
        ("train wgan --data x.csv --out o", "wgan has no preset for csv: choose one of oqmd, mp"),
        ("train elemnet --data no.csv --out o", "no.csv"),
        ("train elemnet --data x.csv --out o", "no column of numbers 'formation_energy'"),
        # evaluation
        ("evaluate wagn-mp", "unknown generator 'wagn-mp': did you mean 'wgan-mp'"),
        ("evaluate x.csv", "x.csv says nothing of known compounds"),
        ("evaluate tape", "tape says nothing of known compounds"),
        ("evaluate x.csv --against oqdm", "did you mean 'oqmd'?"),
        ("evaluate x.csv --against y.csv", "cannot read y.csv"),
        ("evaluate empty.csv --against x.csv", "empty.csv is empty"),
        ("evaluate header.csv --against x.csv", "header.csv holds no samples"),
        ("evaluate x.csv --against header.csv", "header.csv has a header, but no rows"),
        ("evaluate x.csv --against x.csv --column f", "no column 'f'"),
        ("evaluate x.csv --against x.csv -o x.txt", "the suffix must be .json or .md"),
        ("evaluate x.csv --against x.csv --validators oxid", "did you mean 'oxide'?"),
        ("evaluate x.csv --against x.csv --set oxid.x=1", "in this evaluation 'oxid'"),
        ("evaluate tape --against x.csv --set tap.x=1", "did you mean 'tape'?"),
        ("evaluate tape --against x.csv -n 0", "'--num' / '-n'"),
        ("compare", "'NAME|FILE"),
        ("compare x.csv nobody --against x.csv", "unknown generator 'nobody'"),
        ("data show oqdm", "unknown source 'oqdm': did you mean 'oqmd'?"),
        ("data fetch oqdm", "unknown source 'oqdm': did you mean 'oqmd'?"),
        ("data show csv", "csv.path is required"),
        ("data show csv --set csv.path=missing.csv", "missing.csv"),
        ("data show csv --set cvs.path=x.csv", "did you mean 'csv'?"),
    ],
)  # fmt: skip
def test_mistakes(command: str, words: str, mistake: Mistake) -> None:
    before = sorted(Path().iterdir())
    assert words in mistake(*command.split())
    assert sorted(Path().iterdir()) == before, "a refused command left something behind"


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("argument", ["", "\n", "a\nb", "\x1b[31m", "\0", "é", "'", "%s", "[bold]"])
def test_odd_names_make_one_line(argument: str, mistake: Mistake) -> None:
    assert "\x1b" not in mistake("run", "-g", argument)
    mistake("run", "-g", "tape", "--validators", argument.strip() or "x")
    mistake("plugins", "show", argument)
    mistake("weights", "show", argument)
    mistake("run", "-g", "tape", "--set", f"{argument}.x=1")


# --- what is said where nothing is wrong -----------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, cli: Cli) -> None:
    answer = cli(*command.split(), "--help")
    assert answer.code == 0
    assert answer.err == ""
    assert "Usage:" in answer.out


def test_every_command_is_tested_here() -> None:
    from matgen_core.cli import app

    names = [command.name for command in app.registered_commands]
    for group in app.registered_groups:
        names += [
            f"{group.name} {c.name or c.callback.__name__}"
            for c in group.typer_instance.registered_commands
        ]
    assert sorted(names) == sorted(COMMANDS)


def test_version(cli: Cli) -> None:
    from matgen_core import __version__

    assert cli("--version") == (0, f"matgen {__version__}\n", "")


@pytest.mark.usefixtures("toy")
def test_run_prints_a_table(cli: Cli) -> None:
    answer = cli("run", "-g", "tape-salts", "--validators", "oxide,binary", "-n", 10, "-o", "x.csv")
    assert answer.code == 0
    assert answer.err == ""
    cells = {
        name.strip(): count.strip()
        for name, count, *_ in (
            line.strip("│").split("│") for line in answer.out.splitlines() if line.startswith("│")
        )
    }
    # The pool in order: MgO comes twice; a blank, a full and a one-element grid do not decode.
    assert cells == {
        "generated": "10", "decodable": "7", "unique": "6", "novel": "5", "passed oxide": "4",
        "passed binary": "6", "passed all": "3", "candidates": "1",
    }  # fmt: skip
    assert "1 candidates in x.csv" in answer.out
    assert sorted(p.name for p in Path().iterdir()) == [
        "x.csv", "x.csv.report.json", "x.csv.run.toml"
    ]  # fmt: skip


@pytest.mark.usefixtures("toy")
def test_run_without_an_output_dates_the_file(cli: Cli) -> None:
    assert cli("run", "-g", "tape", "-n", 5).code == 0
    (table,) = Path().glob("matgen-*.csv")
    assert table.read_text().startswith("formula,n_elements\nNaCl,2\n")


def test_run_with_a_network(cli: Cli, wgan_weights: Path) -> None:
    arguments = [
        "run",
        "-g",
        wgan_weights,
        "-n",
        20,
        "--batch-size",
        8,
        "--device",
        "cpu",
        "--json",
    ]
    one, two = cli(*arguments, "-o", "a.csv"), cli(*arguments, "-o", "b.csv")
    assert (one.code, two.code) == (0, 0), one.err
    report = json.loads(one.out)
    assert report["generated"] == 20
    checksums = report["provenance"]["weights"][str(wgan_weights)]
    assert checksums.keys() == {"weights.safetensors"}
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


@pytest.mark.usefixtures("toy")
def test_json(cli: Cli) -> None:
    report = json.loads(cli("run", "-g", "tape", "-n", 3, "-o", "x.csv", "--json").out)
    assert report == json.loads(Path("x.csv.report.json").read_text())
    assert json.loads(cli("plugins", "list", "--json").out)["broken"] == []
    shown = json.loads(cli("plugins", "show", "tape", "--json").out)
    assert shown["kind"] == "generator"
    assert shown["plugin"] == "toy (matgen-toy 3.2)"
    assert shown["options"]["properties"].keys() == {"order", "pause"}
    cards = json.loads(cli("weights", "list", "--json").out)
    assert {"tape-salts", "pick-salts"} <= {card["name"] for card in cards}
    card = json.loads(cli("weights", "show", "pick-salts", "--json").out)
    assert card["metrics"] == {"valid": 0.7, "yield": 0.25}
    Path("x.csv").write_text("formula\nNaCl\nMgO\nNaCl\n")
    shown = json.loads(cli("data", "show", "csv", "--set", "csv.path=x.csv", "--json").out)
    assert (shown["rows_in"], shown["rows_out"]) == (3, 2)


@pytest.mark.usefixtures("toy")
def test_evaluate_and_compare(cli: Cli) -> None:
    """A file of what the generator draws is judged as the generator is."""
    Path("known.csv").write_text("formula\nNaCl\nFe2O3\nKCl\nMgO\n")
    rows = ["NaCl", "Fe2O3", "MgO", "KBr", "LiFePO4", "SiC", "MgO", "", "x", "?"]
    Path("drawn.csv").write_text("n,formula\n" + "".join(f"{i},{f}\n" for i, f in enumerate(rows)))
    arguments = ("--against", "known.csv", "-n", 10, "--validators", "oxide")
    answer = cli("evaluate", "tape", *arguments, "--json", "-o", "tape.json")
    assert answer.code == 0, answer.err
    tape = json.loads(answer.out)
    assert tape == json.loads(Path("tape.json").read_text())
    assert tape["samples"] == 10
    assert tape["shares"] == {
        "decodable": 0.7, "oxide": 0.4, "valid": 0.4, "unique": 0.6, "novel": 0.3, "yield": 0.1
    }  # fmt: skip
    compared = json.loads(cli("compare", "tape", "drawn.csv", *arguments, "--json").out)
    assert [c["name"] for c in compared] == ["tape", "drawn.csv"]
    ours, theirs = ({k: v for k, v in c.items() if k not in ("name", "seconds")} for c in compared)
    assert ours == theirs

    assert cli("compare", "tape", "drawn.csv", *arguments, "-o", "both.md").code == 0
    text = Path("both.md").read_text()
    assert "| decodable | 70.0% (39.7–89.2) | 70.0% (39.7–89.2) |" in text
    shown = cli("compare", "tape", "drawn.csv", *arguments).out
    assert "70.0% (39.7–89.2)" in shown
    assert "drawn.csv" in shown


def test_evaluate_rows_that_nobody_can_read(cli: Cli) -> None:
    Path("known.csv").write_text("formula\nNaCl\nKCl\n")
    Path("noise.txt").write_text("??\n" * 100_000)
    answer = cli("evaluate", "noise.txt", "--against", "known.csv", "--json")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    assert result["samples"] == 100_000
    assert set(result["shares"].values()) == {0}
    assert set(result["distances"].values()) == {1}


def test_plugins_show_a_network(cli: Cli) -> None:
    from matgen_wgan import PRESETS, WganRecipe

    text = cli("plugins", "show", "wgan").out
    for name in [*WganRecipe.model_fields, *PRESETS]:
        assert name in text
    shown = json.loads(cli("plugins", "show", "wgan", "--json").out)
    assert shown["presets"].keys() == PRESETS.keys()
    assert shown["recipe"]["properties"].keys() == WganRecipe.model_fields.keys()


@pytest.mark.usefixtures("toy")
def test_plugins_show_what_there_is(cli: Cli) -> None:
    text = cli("plugins", "show", "pick").out
    for word in ("generator", "a random order", "toy (matgen-toy 3.2)", "nobody"):
        assert word in text
    listed = cli("plugins", "list").out
    for name in ("onehot", "charge", "oxide", "tape", "pick-salts", "matgen-toy 3.2"):
        assert name in listed


def test_weights_list_and_show(cli: Cli, toy: Path) -> None:
    text = cli("weights", "list").out
    assert "pick-salts" in text
    assert "70.0%" in text
    error = discover().weights("elemnet-oqmd").card.metrics["mae"]
    assert f"mae {error:.4f}" in text
    assert cli("weights", "show", "tape-salts").out == (toy / "tape" / "card.toml").read_text()
    assert cli("weights", "show", toy / "tape").out == (toy / "tape" / "card.toml").read_text()


def test_doctor(cli: Cli, toy: Path, install: Install) -> None:
    found = json.loads(cli("doctor", "--json").out)
    assert found["packages"]["torch"]
    assert found["weights"]["tape-salts"] == "whole"
    assert "toy (matgen-toy 3.2)" in found["plugins"]
    assert cli("doctor").code == 0

    known = toy / "tape" / "known.safetensors"
    known.write_bytes(known.read_bytes()[:-1])
    install("broken", "import nowhere_at_all")
    answer = cli("doctor")
    assert answer.code == 1
    assert "not loaded    broken (broken 1.0): ModuleNotFoundError: No module" in answer.out
    assert "damaged       tape-salts: " in answer.out
    assert "its sha256 is not the one on its card" in answer.out


def test_only_some_plugins(cli: Cli, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATGEN_PLUGINS", "toy, onehot")
    names = {n["name"] for n in json.loads(cli("plugins", "list", "--json").out)["names"]}
    assert names == {"tape", "pick", "oxide", "binary", "tape-salts", "pick-salts", "onehot"}
    monkeypatch.setenv("MATGEN_PLUGINS", "toi")
    answer = cli("plugins", "list")
    assert answer.code == 2
    assert "unknown plugin in MATGEN_PLUGINS 'toi': did you mean 'toy'?" in answer.err


@pytest.mark.skipif(os.name == "nt", reason="needs a shell's pipes")
def test_a_reader_that_goes_away_makes_no_noise() -> None:
    code = "from matgen_core.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "plugins", "show", "wgan", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()
    err = process.stderr.read()
    process.wait()
    process.stderr.close()
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_the_installed_command() -> None:
    command = Path(sys.executable).with_name("matgen")
    done = subprocess.run([command, "run", "-g", "x"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("matgen: unknown generator 'x'")
