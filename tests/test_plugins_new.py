"""``matgen plugins new``: what it writes installs, passes its tests and is used by name."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Cli, Environment

from matgen_core import discover
from matgen_core.errors import DataError
from matgen_core.registry import KINDS
from matgen_core.template import STARTERS, TEMPLATES, write_package

Mistake = Callable[..., str]
USES = """
from matgen_core import Component, Generator, hookimpl

class Ones(Generator):
    encoder = "my-encoder"
    def sample(self, n, seed):
        import numpy as np
        samples = np.zeros((n, 118))
        samples[:, 10] = samples[:, 16] = 1  # NaCl
        return samples

@hookimpl
def matgen_generators():
    yield Component("ones", "uses:Ones")
"""


def test_every_kind_has_a_starter() -> None:
    assert STARTERS.keys() == set(KINDS)
    assert {path.name for path in TEMPLATES.iterdir() if path.is_dir()} - {"__pycache__"} == set(
        KINDS
    )


# --- as its author uses it -------------------------------------------------------------------


class Author:
    """An author's environment, with a package of every kind in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = Environment(folder / "env", matgen=True)
        self.next: dict[str, list[str]] = {}
        for kind in KINDS:
            done = self.matgen("plugins", "new", f"matgen-my-{kind}", "--kind", kind)
            lines = done.splitlines()
            assert lines[0] == (f"matgen-my-{kind} holds the {kind} 'my-{kind}' in 6 files. Next:")
            self.next[kind] = [line.strip() for line in lines[1:] if line]
        packages = (word for kind in KINDS for word in ("-e", folder / f"matgen-my-{kind}"))
        self.environment.pip_install(*packages)

    def matgen(self, *arguments: object) -> str:
        python = self.environment.python
        done = self.environment.run(python, "-m", "matgen_core.cli", *arguments, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Author:
    return Author(tmp_path_factory.mktemp("author"))


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass(kind: str, author: Author) -> None:
    folder = author.folder / f"matgen-my-{kind}"
    done = author.environment.run(author.environment.python, "-m", "pytest", "-q", cwd=folder)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


SHOWN = {
    "source": "│   20 │", "encoder": "encoder", "generator": "my-generator, seed 0",
    "validator": "passed my-validator", "predictor": "candidates in",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_it_names(kind: str, author: Author) -> None:
    change, install, test, use = author.next[kind]
    assert (change, install, test) == (
        f"cd matgen-my-{kind}",
        "pip install -e '.[test]'",
        "pytest",
    )
    program, *arguments = shlex.split(use)
    assert program == "matgen"
    if "run" in arguments:
        arguments += ["--num", "200", "--output", f"{kind}.csv"]
    assert SHOWN[kind] in author.matgen(*arguments)
    if kind == "predictor":
        header = (author.folder / "predictor.csv").read_text().partition("\n")[0]
        assert header == "formula,n_elements,novel,mean_atomic_number"


def test_a_run_in_the_new_encoders_space(author: Author) -> None:
    """No command names an encoder: a generator does."""
    site = next((author.folder / "env").glob("lib/python*/site-packages"))
    (site / "uses.py").write_text(USES)
    (site / "uses-1.dist-info").mkdir()
    (site / "uses-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: uses\nVersion: 1\n"
    )
    (site / "uses-1.dist-info" / "entry_points.txt").write_text("[matgen]\nuses = uses\n")
    author.matgen("run", "-g", "ones", "-n", "3", "--output", "ones.csv")
    assert (author.folder / "ones.csv").read_text() == "formula,n_elements\nNaCl,2\n"


# --- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("mine", "generater", "unknown kind 'generater': did you mean 'generator'?"),
        ("Mine", "generator", "'Mine' cannot name a package: use lower-case letters"),
        ("my_plugin", "generator", "'my_plugin' cannot name a package"),
        ("../mine", "generator", "'../mine' cannot name a package"),
        ("", "generator", "'' cannot name a package"),
        ("matgen-", "generator", "'matgen-' cannot name a package"),
        ("matgen-2d", "generator", "'matgen-2d' cannot name a package"),
        ("a\nb", "generator", "cannot name a package"),
        ("wgan", "generator", "the name 'wgan' is taken by wgan (matgen "),
        ("matgen-charge", "predictor", "the name 'charge' is taken by rules (matgen "),
        ("random", "generator", "Python knows a package 'random' already"),
        ("lambda", "validator", "Python knows a package 'lambda' already"),
        ("matgen-core", "validator", "Python knows a package 'matgen_core' already"),
        ("scikit-learn", "validator", "Python knows a package 'scikit_learn' already"),
        ("there", "source", "there exists: choose another name, or move it away"),
        ("dangling", "source", "dangling exists"),
        ("x" * 300, "source", "File name too long"),
    ],
)
def test_refused(name: str, kind: str, words: str, mistake: Mistake) -> None:
    Path("there").mkdir()
    Path("dangling").symlink_to("nowhere")
    assert words in mistake("plugins", "new", name, "--kind", kind)
    assert sorted(os.listdir()) == ["dangling", "there"]


def test_a_kind_must_be_named(mistake: Mistake) -> None:
    assert "'--kind'" in mistake("plugins", "new", "mine")


def test_all_or_nothing(cli: Cli, mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(path: Path, content: str, **options: str) -> int:
        if path.name == "conftest.py":
            raise OSError(28, "No space left on device")
        return write(path, content, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert "cannot write mine: No space left" in mistake(
            "plugins", "new", "mine", "--kind", "source"
        )
    assert os.listdir() == []
    assert cli("plugins", "new", "mine", "--kind", "source").code == 0
    assert os.listdir() == ["mine"]


def test_somebody_else_was_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that appears meanwhile stays as it is."""
    rename = Path.rename

    def late(path: Path, target: Path) -> Path:
        target.mkdir()
        (target / "theirs").touch()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(DataError, match=r"cannot write .*mine: "):
        write_package("mine", "source", tmp_path, discover())
    assert os.listdir(tmp_path) == ["mine"]
    assert os.listdir(tmp_path / "mine") == ["theirs"]
    shutil.rmtree(tmp_path / "mine")
