"""What plugins with a loop of their own share: numba's compiler, and a thread a core."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numpy as np
from numba import config, njit

ROWS_PER_THREAD = 20_000
"""Fewer rows than this take less time than starting a thread."""

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile at the first call, or load what an earlier process compiled.

    Numba keeps the machine code beside the function's file if it may, else in the user's cache
    directory (or in NUMBA_CACHE_DIR); where none can be written, each process compiles for itself.
    """
    try:
        return cast(F, njit(function, cache=True, nogil=True))
    except RuntimeError:
        return cast(F, njit(function, nogil=True))


def in_threads(work: Callable[[slice], None], n: int) -> None:
    """Do `work` on the rows 0..n, cut into one slice a thread.

    Args:
        work: called with a slice of the rows; must release the lock, as compiled functions do.
        n: how many rows there are.
    """
    cores = cast(int, config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    threads = min(cores, 1 + n // ROWS_PER_THREAD)
    cuts = np.linspace(0, n, threads + 1, dtype=np.intp)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, map(slice, cuts[:-1], cuts[1:])))
