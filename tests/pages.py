"""Runs the code blocks of a page of Markdown and compares what they print with what it shows.

The blocks of a page are run in their order, in one empty folder. By its language a block is

- ``sh``: run by bash; ``python``: run in one process a page;
- with ``title="FILE"``: a file, written for what comes after it;
- ``text``, ``csv``, ``json``, ``toml`` without a title: what the block before it printed. ``...``
  stands for any text on a line, and alone on a line for any lines; of dates, times and speeds only
  the form is compared.

A comment on the line above a block says what else holds:

- ``<!-- not run: REASON -->``, one of `REASONS`; its commands are held against the command line;
- ``<!-- exit code 2 -->`` of a command that is refused;
- ``<!-- numbers within 3 % -->``: of what is printed, which other processors may round otherwise;
- ``<!-- begins FILE -->``: not what was printed but how a file begins; a pattern may name it.

``python tests/pages.py PAGE ...`` puts into pages what is printed now; then, and without a page,
it counts the blocks.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    # The results are what `nox -s bench` measured; they show no block to run.
    *(path for path in sorted(DOCS.rglob("*.md")) if path.name != "results.md"),
]
REASONS = ("installs packages", "downloads data", "takes hours", "needs a GPU", "runs all tests")
"""Why a block is not run."""
RUN, SHOWN = ("sh", "python"), ("text", "csv", "json", "toml")

BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n)?(?P<fence>`{3,}) ?(?P<language>\w*)"
    r'(?: title="(?P<title>[^"\n]+)")?\n(?P<text>.*?)^(?P=fence)$',
    re.DOTALL | re.MULTILINE,
)
NOTE = re.compile(
    r"not run: (?P<reason>.+)|exit code (?P<code>\d)"
    r"|(?:begins (?P<file>\S+?))?(?:(?:; )?numbers within (?P<within>\d+) %)?"
)
SNIPPET = re.compile(r"^--8<--\n(\S+)\n--8<--$", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w.]*\w)")
CHANGING = (
    (re.compile(r"\d{8}-\d{6}"), "DATE"),
    (re.compile(r"[\d.,]+ samples/s"), "SPEED"),
    (re.compile(r"\b[\d.]+ ?s\b"), "TIME"),
)
"""What is different each time."""
WORKER = r"""
import json, sys
scope = {"__name__": "__main__"}
for line in sys.stdin:
    exec(compile(json.loads(line), "the page", "exec"), scope)
    print("\0", flush=True)
"""
PIP = f"""#!{sys.executable}
import pathlib, subprocess, sys
# What is tested is installed already; a plugin's folder is installed beside the page.
for folder in (pathlib.Path(word.partition("[")[0]).resolve() for word in sys.argv[2:]):
    if (folder / "pyproject.toml").is_file():
        how = "--quiet --no-deps --no-index --no-build-isolation --disable-pip-version-check"
        where = ["--target", pathlib.Path(__file__).parent / "site", folder]
        done = subprocess.run([sys.executable, "-m", "pip", "install", *how.split(), *where])
        sys.exit(done.returncode)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: after the fence.
        title: the file that it is, or nothing.
        text: what it holds, files included.
        reason: why it is not run, or nothing.
        code: exit code of its commands.
        file: the file that begins like this, or nothing.
        within: per cent by which numbers may differ; None if not at all.
    """

    language: str
    title: str
    text: str
    reason: str = ""
    code: int = 0
    file: str = ""
    within: float | None = None


def blocks(path: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    for found in BLOCK.finditer(path.read_text(encoding="utf-8")):
        note = NOTE.fullmatch(found["note"] or "")
        assert note, f"{path.name}: what does <!-- {found['note']} --> mean?"
        yield Block(
            found["language"],
            found["title"] or "",
            SNIPPET.sub(
                lambda m: (ROOT / m[1]).read_text(encoding="utf-8").rstrip(), found["text"]
            ),
            note["reason"] or "",
            int(note["code"] or 0),
            note["file"] or "",
            float(note["within"]) if note["within"] else None,
        )


def run(path: Path, folder: Path, check: Callable[[Block, str], None] | None = None) -> None:
    """Run a page in an empty folder.

    Args:
        path: the page.
        folder: where it is run.
        check: what is done with a block of output, and what was printed; without it, `compare`.

    Raises:
        AssertionError: something does not do what the page says.
    """
    check = check or compare
    tools, place = folder / "tools", folder / "page"
    (tools / "site").mkdir(parents=True)
    place.mkdir()
    (tools / "pip").write_text(PIP)
    (tools / "pip").chmod(0o755)
    own = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": os.pathsep.join(map(str, (tools, own, os.environ["PATH"]))),
        "PYTHONPATH": str(tools / "site"),
        "MATGEN_HOME": str(tools / "home"),  # nothing is fetched yet
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    with Python(place, environment) as python:
        printed = ""
        for block in blocks(path):
            if block.title:
                file = place / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            elif block.reason:
                printed = ""
            elif block.language == "sh":
                printed = shell(block, place, environment)
            elif block.language == "python":
                printed = python.run(block)
            elif block.file:
                [file] = place.glob(block.file)
                text = file.read_text(encoding="utf-8")
                check(block, "\n".join(text.split("\n")[: block.text.count("\n")]))
            else:
                check(block, printed)


def shell(block: Block, folder: Path, environment: dict[str, str]) -> str:
    """What a block of commands prints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == block.code, f"{block.text}\n{done.stdout}"
    return done.stdout


class Python:
    """One interpreter for all blocks of a page; it starts with the first."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.how: dict[str, Any] = {"cwd": folder, "env": environment}
        self.process: subprocess.Popen[str] | None = None

    def run(self, block: Block) -> str:
        """What a block prints."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                **self.how,
            )
        given, answers = self.process.stdin, self.process.stdout
        assert given
        assert answers
        with suppress(BrokenPipeError):  # it says why on stdout
            print(json.dumps(block.text), file=given, flush=True)
        printed = ""
        for line in answers:
            if line == "\0\n":
                return printed
            printed += line
        raise AssertionError(f"{block.text}\n{printed}")

    def __enter__(self) -> Python:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


def compare(block: Block, printed: str) -> None:
    """Hold what was printed against what a page shows.

    Raises:
        AssertionError: they differ.
    """
    difference = f"the page shows\n{block.text}\nbut this was printed\n{printed}"
    loose = block.within is not None
    shown_lines, printed_lines = plain(block.text, loose), plain(printed, loose)
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else f"{'.*'.join(map(re.escape, line.split('...')))}\n"
        for line in shown_lines
    )
    assert re.fullmatch(pattern, "".join(f"{line}\n" for line in printed_lines)), difference
    if block.within is not None:
        assert "..." not in block.text, "numbers are compared where nothing is left out"
        for a, b in zip(numbers(block.text), numbers(printed), strict=True):
            last_digit = 1.001 * 10.0 ** -len(a.partition(".")[2])
            x, y = float(a.replace(",", "")), float(b.replace(",", ""))
            allowed = block.within / 100 * abs(x) + last_digit
            assert abs(x - y) <= allowed, f"{a} became {b}: {difference}"


def plain(text: str, loose: bool) -> list[str]:
    """The lines of a text without what changes each time; if `loose`, without its numbers."""
    text = without_changing(text)
    if loose:
        text = NUMBER.sub("0", text)
        text = re.sub(r"([ ─━═-])\1+", r"\1", text)  # a longer number widens its column
    return [line.rstrip() for line in text.strip().splitlines()]


def numbers(text: str) -> list[str]:
    """All numbers of a text but those that change each time."""
    return NUMBER.findall(without_changing(text))


def without_changing(text: str) -> str:
    """A text without dates, times and speeds."""
    for pattern, word in CHANGING:
        text = pattern.sub(word, text)
    return text


def rewrite(path: Path) -> None:
    """Run a page and put in what is printed, wherever the page shows something else."""
    text = path.read_text(encoding="utf-8")
    places = [
        found.span("text")
        for found in BLOCK.finditer(text)
        if not found["title"] and found["language"] not in RUN
    ]
    now: list[str] = []

    def note(block: Block, printed: str) -> None:
        try:
            compare(block, printed)
            now.append(block.text)
        except AssertionError:
            now.append("".join(f"{line.rstrip()}\n" for line in printed.strip().splitlines()))

    with tempfile.TemporaryDirectory() as folder:
        run(path, Path(folder), note)
    for (start, end), output in reversed(list(zip(places, now, strict=True))):
        text = text[:start] + output + text[end:]
    path.write_text(text, encoding="utf-8")


def counts() -> Counter[str]:
    """How many blocks are run, shown, files, or not run for which reason."""
    counted: Counter[str] = Counter()
    for path in PAGES:
        for block in blocks(path):
            if block.title:
                counted["files"] += 1
            elif block.language in RUN:
                counted[
                    f"not run: {block.reason}" if block.reason else f"{block.language} run"
                ] += 1
            else:
                counted["outputs compared"] += 1
    return counted


if __name__ == "__main__":
    for page in sys.argv[1:]:
        rewrite(Path(page))
    for what, count in sorted(counts().items()):
        print(f"{count:4} {what}")
