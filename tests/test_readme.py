"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
MATGEN = [sys.executable, "-m", "matgen_core.cli"]


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [content for name, content in fenced if name == language]


@pytest.fixture(scope="module")
def main_job(tmp_path_factory):
    """The README's first command, after its installation."""
    folder = tmp_path_factory.mktemp("readme")
    command = blocks("sh")[0].splitlines()[0].partition(" && ")[2]
    assert command.startswith("matgen run")
    done = subprocess.run(
        [*MATGEN, *shlex.split(command)[1:]],
        cwd=folder,
        env=os.environ | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return folder, done


def test_main_job_prints_the_table_shown(main_job):
    """Counts may move by rounding on another processor, by no more than a percent of samples."""
    _, done = main_job
    assert done.returncode == 0, done.stderr

    def counts(text: str) -> dict[str, int]:
        found = re.findall(r"│ ([a-z ]+?) +│ +([\d,]+) │", text)
        return {name: int(number.replace(",", "")) for name, number in found}

    shown, printed = counts(blocks("")[0]), counts(done.stdout)
    assert shown["generated"] == 10_000
    assert shown.keys() == printed.keys()
    for name, number in shown.items():
        assert abs(printed[name] - number) <= 100, name


def test_main_job_writes_table_settings_and_report(main_job):
    folder, _ = main_job
    (table,) = folder.glob("matgen-*.csv")
    assert table.with_name(f"{table.name}.run.toml").exists()
    assert table.with_name(f"{table.name}.report.json").exists()
    header = table.read_text().partition("\n")[0]
    assert header == blocks("")[1].partition("\n")[0]


def test_library_example_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[ True False  True]",
        "['formula', 'n_elements', 'charge', 'eneg', 'novel'] True",
        "['NaCl', 'NaCl2', 'LiFePO4']",
    ]


COMMANDS = [
    line
    for line in blocks("sh")[1].replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_shown_has_the_options_it_uses(line):
    """Each is known to the command line: its help lists every option given."""
    for command in line.partition("#")[0].split(" && "):
        words = shlex.split(command)
        name = words[1:3] if words[1] in ("data", "plugins", "weights") else words[1:2]
        help_text = subprocess.run(
            [*MATGEN, *name, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        ).stdout
        for option in (word for word in words if re.match(r"-{1,2}[a-z]", word)):
            assert option in help_text, option
