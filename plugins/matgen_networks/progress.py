"""The progress bar of a training, with ETA and the last evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Report:
    """What the training loop tells the user."""

    def __init__(self, progress: Progress, name: str, total: int, done: int) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=total, completed=done)

    def advance(self) -> None:
        """One step is done."""
        self._progress.advance(self._task)

    def note(self, text: str) -> None:
        """Print a line above the bar (the only output where there is no terminal)."""
        self._progress.console.print(text, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def training_progress(name: str, total: int, done: int) -> Iterator[Report]:
    """A bar of `total` steps on stderr, of which `done` are done."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Report(progress, name, total, done)
