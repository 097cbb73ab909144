"""Where downloads are kept."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path


def cache_root() -> Path:
    """Where matgen keeps what it downloads: ``MATGEN_HOME``, or the platform's cache directory."""
    home = os.environ.get("MATGEN_HOME")
    return Path(home).expanduser().absolute() if home else user_cache_path("matgen")


def cached_files() -> dict[str, int]:
    """Bytes of each file in the cache, also of downloads that were cut short."""
    folder = cache_root() / "data"
    sizes = {}
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):  # a download ends, or the folder is not ours
            if path.is_file():
                sizes[str(path.relative_to(folder))] = path.stat().st_size
    return sizes
