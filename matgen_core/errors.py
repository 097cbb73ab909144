"""Everything matgen raises on purpose.

Each message is one line that says what is wrong and what to do next; the command
line prints it to stderr and exits with code 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 30
"""More names than this are not listed in a message."""


class MatgenError(Exception):
    """Base class: a mistake that the user can mend."""


class InvalidFormula(MatgenError):
    """A chemical formula that cannot be read."""


class UnknownName(MatgenError):
    """A component, weights, data set or option that does not exist."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownName:
        """Build the message: "did you mean" for a near miss, the list otherwise."""
        names = sorted(known)
        alike = [known for known in names if known.casefold() == name.casefold()]
        near = alike or get_close_matches(name, names, n=1)
        if near:
            answer = f"did you mean {near[0]!r}?"
        elif len(names) > MANY:
            answer = "no name is like it"
        elif names:
            answer = f"known: {', '.join(names)}"
        else:
            answer = "none is installed"
        return cls(f"unknown {kind} {name!r}: {answer}{' ' + hint if hint else ''}")


class InvalidOption(MatgenError):
    """An option value that its component refuses."""


class PluginError(MatgenError):
    """A plugin that does not load, clashes with another, or breaks its contract."""


class WeightsError(MatgenError):
    """A weights directory that is missing, damaged or made for something else."""


class DataError(MatgenError):
    """Input data that is missing, damaged or of the wrong form."""
