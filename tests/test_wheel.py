"""The wheel: what is in it, and that it works alone, away from the repository."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import Environment

from matgen_core import __version__

ROOT = Path(__file__).parents[1]
INFO = f"matgen-{__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def sources() -> set[str]:
    """Files of the packages that are under version control, or would be, as a wheel names them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "matgen_core", "plugins"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    there = (name for name in listed.stdout.splitlines() if (ROOT / name).exists())
    return {name.removeprefix("plugins/") for name in there}


@pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git repository"
)
def test_it_holds_the_packages_and_nothing_else(names: set[str]) -> None:
    metadata = {"METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD"}
    assert names == sources() | {f"{INFO}/{name}" for name in metadata}


def test_it_holds_what_is_no_python(names: set[str]) -> None:
    assert "matgen_core/py.typed" in names
    for asset in ("page.css", "page.html.jinja", "page.js"):
        assert f"matgen_core/report/{asset}" in names
    for kind in ("source", "encoder", "generator", "validator", "predictor"):
        for template in ("component", "test"):
            assert f"matgen_core/template/{kind}/{template}.py.in" in names
    tensors = {name for name in names if name.endswith("/weights.safetensors")}
    assert len(tensors) >= 9
    for name in tensors:
        folder = name.rpartition("/")[0]
        assert {f"{folder}/card.toml", f"{folder}/known.safetensors"} <= names


def test_no_rubbish_in_it(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names} - {INFO}
    assert all(top.startswith("matgen_") for top in tops)
    assert not [n for n in names if "__pycache__" in n or n.endswith((".pyc", ".orig", ".tmp"))]


def test_what_it_says_of_itself(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{INFO}/METADATA").decode())
        points = ConfigParser()
        points.read_string(archive.read(f"{INFO}/entry_points.txt").decode())
    assert (metadata["Name"], metadata["Version"]) == ("matgen", __version__)
    assert metadata["License-Expression"] == "MIT"
    assert "wgan-oqmd" in str(metadata.get_payload())  # the README
    assert points["console_scripts"]["matgen"] == "matgen_core.cli:main"
    plugins = {
        path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()
    }
    shared = {"matgen_kernels", "matgen_magpie", "matgen_networks"}
    assert set(points["matgen"].values()) == plugins - shared


def test_alone_it_does_the_main_job(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env", matgen=False)
    absent = environment.run(environment.python, "-c", "import matgen_core", cwd=tmp_path)
    assert "No module named 'matgen_core'" in absent.stderr
    environment.pip_install(wheel)
    found = environment.run(
        environment.python, "-c", "import matgen_core, matgen_wgan; print(matgen_wgan.__file__)",
        cwd=tmp_path,
    )  # fmt: skip
    assert Path(found.stdout.strip()).is_relative_to(tmp_path)

    command = "run --generator wgan-oqmd --validators charge,eneg --num 500 --json -o table.csv"
    done = environment.run(environment.bin / "matgen", *command.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["generated"] == 500
    assert report["provenance"]["matgen"] == __version__
    assert 0 < report["candidates"] < report["valid"] < report["decodable"]
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert rows[0] == "formula,n_elements,charge,eneg,novel"
    assert len(rows) - 1 == report["candidates"]
