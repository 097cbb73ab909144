"""A wheel fetched into it through pip, whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from matgen_core.cache import cache_root
from matgen_core.errors import DataError

_log = logging.getLogger(__name__)

_STAGING = "fetch-"
_STALE_AFTER = 86_400  # seconds; no download of 35 MB that still runs is older
_MARGIN = 3  # pip holds the download twice for a moment
_NO_NETWORK = ("connection broken", "Max retries exceeded", "timed out")


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package index, wanted for the files in it.

    Attributes:
        requirement: what pip is asked for.
        filename: the name pip gives the file, and its name in the cache.
        size: bytes.
        sha256: of the file, in hexadecimal.
    """

    requirement: str
    filename: str
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where the cache keeps it."""
        return cache_root() / "data" / self.filename

    @contextmanager
    def open(self, source: str) -> Iterator[BufferedReader]:
        """The cached file, verified and opened for reading; `source` is named in messages.

        Raises:
            DataError: it is absent, damaged or cannot be read.
        """
        command = f"run `matgen data fetch {source}`"
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise DataError(f"{source} is not downloaded yet ({self.path}): {command}") from None
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror}") from None
        with file:
            fault = self._fault(file)
            if fault:
                raise DataError(f"{self.path} is damaged ({fault}): {command} to replace it")
            file.seek(0)
            yield file

    def fetch(self, *, force: bool = False) -> Path:
        """Download it unless a good copy is cached; a file in the cache is always a whole one.

        Raises:
            DataError: no network, no pip, no space, a wrong file, or a cache that refuses.
        """
        try:
            if not force and self._cached():
                return self.path
            folder = self.path.parent
            folder.mkdir(parents=True, exist_ok=True)
            _remove_stale(folder)
            free = shutil.disk_usage(folder).free
            if free < _MARGIN * self.size:
                raise DataError(
                    f"{folder} has {free / 1e6:.0f} MB free, {_MARGIN * self.size / 1e6:.0f} MB "
                    "are needed: free some, or set MATGEN_HOME to a directory with more space"
                )
            with TemporaryDirectory(
                prefix=_STAGING, dir=folder, ignore_cleanup_errors=True
            ) as staging:
                downloaded = self._download(Path(staging))
                with downloaded.open("rb") as file:
                    fault = self._fault(file)
                if fault:
                    raise DataError(
                        f"pip delivered a wrong {self.filename} ({fault}): try again; if it stays "
                        "so, your package index serves another file than the public one"
                    )
                os.replace(downloaded, self.path)
        except OSError as error:
            raise DataError(
                f"cannot use the cache {self.path.parent}: {error.strerror or error}; "
                "set MATGEN_HOME to a directory that can be written"
            ) from None
        return self.path

    def _cached(self) -> bool:
        try:
            with self.path.open("rb") as file:
                fault = self._fault(file)
        except FileNotFoundError:
            return False
        if fault:
            _log.warning("%s is damaged (%s): fetching it anew", self.path, fault)
        return not fault

    def _fault(self, file: BufferedReader) -> str:
        """What is wrong with the open file; "" if nothing is."""
        size = os.fstat(file.fileno()).st_size
        if size != self.size:
            return f"{size:,} bytes instead of {self.size:,}"
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return "" if digest == self.sha256 else f"sha256 {digest[:12]}… is not {self.sha256[:12]}…"

    def _download(self, staging: Path) -> Path:
        """Have pip download into `staging`, with a progress bar on a terminal."""
        command = [sys.executable, "-m", "pip", "download", self.requirement, "--dest", "."]
        # It is data to us: its own claims about Python versions and dependencies do not matter.
        command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
        command += ["--no-cache-dir", "--no-input", "--no-color", "--progress-bar=off"]
        command += ["--disable-pip-version-check"]
        # pip downloads to its temporary directory first: there, the file can be watched growing.
        here = {name: str(staging) for name in ("TMPDIR", "TEMP", "TMP")}
        messages = staging / "pip.log"
        with messages.open("wb") as log:
            pip = subprocess.Popen(
                command,
                cwd=staging,
                env=os.environ | here,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            try:
                self._watch(pip, staging)
            finally:
                pip.kill()  # does nothing to one that has ended
                pip.wait()
        if pip.returncode:
            raise DataError(self._explain(messages.read_text("utf-8", "replace")))
        return staging / self.filename

    def _watch(self, pip: subprocess.Popen[bytes], staging: Path) -> None:
        console = Console(stderr=True)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress:
            task = progress.add_task("asking the package index", total=None)
            while True:
                with suppress(subprocess.TimeoutExpired):
                    pip.wait(timeout=0.1)
                    return
                if grown := _largest(staging, ".whl"):
                    progress.update(
                        task,
                        description=f"downloading {self.requirement}",
                        completed=grown,
                        total=self.size,
                    )

    def _explain(self, messages: str) -> str:
        """One line about pip's failure, and what to do."""
        by_hand = f"or get {self.filename} elsewhere and save it as {self.path}"
        if "No module named pip" in messages:
            return f"pip is not installed here: run `{sys.executable} -m ensurepip`, {by_hand}"
        if any(sign in messages for sign in _NO_NETWORK):
            return f"pip cannot reach the package index: check the network or proxy, {by_hand}"
        errors = [line for line in messages.splitlines() if line.startswith("ERROR:")]
        reason = (errors or messages.splitlines() or ["no message"])[0].removeprefix("ERROR: ")
        return f"pip could not download {self.requirement}: {reason}; try again, {by_hand}"


def _largest(folder: Path, suffix: str) -> int:
    """Bytes of the largest file with that suffix; 0 if there is none."""
    with suppress(OSError):  # pip moves files while we look
        return max((p.stat().st_size for p in folder.rglob(f"*{suffix}")), default=0)
    return 0


def _remove_stale(folder: Path) -> None:
    """Remove what killed downloads left behind, but nothing of one that may still run."""
    for left in folder.glob(f"{_STAGING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_AFTER:
                shutil.rmtree(left, ignore_errors=True)
