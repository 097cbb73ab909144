"""One writer at a time: locks of the operating system, which end with their process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from matgen_core.errors import DataError


@contextmanager
def claimed(place: Path) -> Iterator[None]:
    """Keep other processes of matgen from writing a file, or into a folder, meanwhile.

    What a killed process left half written there is removed.

    Args:
        place: the file to be written, or a folder that exists.

    Raises:
        DataError: another process is writing there, or nobody can.
    """
    from filelock import FileLock, Timeout

    path = place / ".lock" if place.is_dir() else place.with_name(f".{place.name}.lock")
    lock = FileLock(path, blocking=False)
    try:
        path.parent.stat()  # some versions of filelock would make the folder
        lock.acquire()
    except Timeout:
        if not path.exists():  # nobody holds it: it could not be made
            raise DataError(f"cannot write {place}: its folder takes no new files") from None
        raise DataError(
            f"another process is writing {place}: wait until it ends, or choose another place"
        ) from None
    except OSError as error:
        raise DataError(f"cannot write {place}: {error.strerror or error}") from error
    try:
        for half in _left_behind(place):
            with suppress(OSError):
                half.unlink()
        yield
    finally:
        with suppress(OSError):  # before it is released, or another process would own the name
            path.unlink()
        lock.release()


def _left_behind(place: Path) -> list[Path]:
    """What `matgen_core.tables` and `write_atomically` began in processes that are gone."""
    folder, name = (place, "") if place.is_dir() else (place.parent, f"{re.escape(place.name)}\\.")
    half = re.compile(rf"\.{name}(?:.+\.)?([0-9]+)\.(?:partial|tmp)")
    found = ((path, half.fullmatch(path.name)) for path in folder.iterdir())
    return [path for path, match in found if match and not _runs(int(match[1]))]


def _runs(process: int) -> bool:
    if os.name == "nt":
        return False  # a file that is in use cannot be removed there
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
