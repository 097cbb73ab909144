"""Figures of evaluations and runs, and the page that ``matgen report`` writes.

Nothing else imports this package: plotly, itables and Jinja come with the extra
``report`` and are slow to import.
"""

from __future__ import annotations

from importlib.util import find_spec

from matgen_core.errors import MatgenError

NEEDED = ("itables", "jinja2", "kaleido", "plotly")
"""Modules that the extra ``report`` brings."""


def require_extra(command: str) -> None:
    """Say how to install what a command needs, before it begins.

    Raises:
        MatgenError: some of `NEEDED` is not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MatgenError(
            f"{command} needs {', '.join(missing)}: install it with `pip install matgen[report]`"
        )
