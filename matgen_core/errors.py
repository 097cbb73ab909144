"""Everything matgen raises on purpose.

Each message is one line that says what is wrong and what to do next (`WhereError` points at
the place, in two more); the command line prints it to stderr and exits with code 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 30
"""More names than this are not listed in a message."""


class MatgenError(Exception):
    """Base class: a mistake that the user can mend.

    Args:
        message: what is wrong and what to do. Whatever it quotes from a file, it becomes one line
            of at most `LONGEST` characters that cannot move a terminal's cursor.
    """

    LONGEST = 2_000

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
        super().__init__(shown if len(shown) <= self.LONGEST else shown[: self.LONGEST - 1] + "…")


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


class WhereError(InvalidOption):
    """An expression that cannot be understood: what is wrong, the text, a caret under the place.

    Args:
        reason: what is wrong, on one line.
        text: the expression.
        at: index of the character that is wrong, or the length of the text.
    """

    WIDTH = 35
    """Characters shown on either side of the place, so that no terminal breaks the line."""

    def __init__(self, reason: str, text: str, at: int) -> None:
        start = max(at - self.WIDTH, 0)
        # A line break or an escape sequence must not move the caret.
        shown = "".join(c if c.isprintable() else " " for c in text[start : at + self.WIDTH])
        super().__init__(f"where: {reason}")
        self.args = (f"{self}\n{shown}\n{' ' * (at - start)}^",)


class PluginError(MatgenError):
    """A plugin that does not load, clashes with another, or breaks its contract."""


class WeightsError(MatgenError):
    """A weights directory that is missing, damaged or made for something else."""


class DataError(MatgenError):
    """Input data that is missing, damaged or of the wrong form."""
