"""Asking components: what they raise names them, what they answer is held to its contract.

Whatever the framework wants of a component goes through this module, so that the code of others
fails in one way everywhere: with a `PluginError` that names the plugin, its version and what to
do. A component that a registry made says which one it is in `owner`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.datasets import Dataset
from matgen_core.errors import InvalidFormula, MatgenError, PluginError
from matgen_core.interfaces import (
    NUMBERS,
    Autoencoder,
    Encoder,
    Generator,
    Predictor,
    Source,
    Validator,
    checked,
)

ADVICE = "leave it out, or tell its authors"
DEBUG = "MATGEN_DEBUG"
"""The environment variable that has the command line print the traceback of an error."""
LONGEST = 300
"""Characters quoted of what a stranger's exception says."""


# --- guarding ---------------------------------------------------------------------------------


def said(error: BaseException) -> str:
    """What an exception says, on one printable line: its class too if it `is_fault`."""
    try:
        message = str(error)
    except Exception:  # a stranger's class can fail at this too
        message = ""
    if isinstance(error, MatgenError) and not is_fault(error):
        return message
    name = type(error).__name__
    message = message if len(message) <= LONGEST else message[:LONGEST] + "…"
    return str(MatgenError(f"{name}: {message}" if message.strip() else name))


def is_fault(error: BaseException) -> bool:
    """Whether an exception is its plugin's fault: neither Ctrl-C nor a message to the user.

    A formula that cannot be read is a message where the user wrote it; those of users go
    through `Compositions.parse`, which raises nothing, so one that is raised is the plugin's.
    `GeneratorExit` comes of Ctrl-C too, where a plugin was about to be asked.
    """
    if isinstance(error, InvalidFormula):
        return True
    return not isinstance(error, MatgenError | KeyboardInterrupt | GeneratorExit)


@contextmanager
def guarded(owner: str) -> Iterator[None]:
    """Run the code of a plugin; what it prints goes to stderr, stdout is for results.

    Args:
        owner: whose code it is, for the message.

    Raises:
        PluginError: it raised anything that `is_fault`, be it `SystemExit`.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except BaseException as error:
        if not is_fault(error):
            raise
        # The system has its reasons, e.g. a full disk; the rest is for the authors.
        advice = "mend that, or leave it out" if isinstance(error, OSError) else ADVICE
        hint = f"{DEBUG}=1 prints the traceback"
        raise PluginError(f"{owner} raised {said(error)}: {advice} ({hint})") from error


# --- asking -----------------------------------------------------------------------------------


def samples(generator: Generator, n: int, seed: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Samples [n, *shape] of any real dtype, all of them finite.

    Raises:
        PluginError: the generator failed, or gave something else.
    """
    with guarded(generator.owner):
        answer = generator.sample(n, seed)
    return _finite(
        generator.owner, _array(generator.owner, answer, (n, *shape), "numbers", NUMBERS)
    )


def reconstructed(autoencoder: Autoencoder, grids: NDArray[np.uint8]) -> NDArray[Any]:
    """What an autoencoder makes of encoded compositions, both [N, *shape].

    Raises:
        PluginError: the autoencoder failed, or gave something else.
    """
    owner = autoencoder.owner
    with guarded(owner):
        answer = autoencoder.decode(autoencoder.encode(grids))
    return _finite(owner, _array(owner, answer, grids.shape, "numbers", NUMBERS))


def choice(
    owner: str, choose: Callable[[Compositions], Any], compositions: Compositions
) -> NDArray[np.bool_]:
    """Some rows out of N, bool [N].

    Args:
        owner: whose function it is, for messages.
        choose: what says of each row whether it is one.
        compositions: N rows.

    Raises:
        PluginError: the function failed, or gave something else.
    """
    with guarded(owner):
        answer = choose(compositions)
    return _array(owner, answer, (len(compositions),), "bool", "?")


def encodable(encoder: Encoder, compositions: Compositions) -> NDArray[np.bool_]:
    """Which rows an encoder can represent, bool [N].

    Raises:
        PluginError: the encoder failed, or gave something else.
    """
    return choice(encoder.owner, encoder.encodable, compositions)


def encoded(encoder: Encoder, compositions: Compositions) -> NDArray[np.uint8]:
    """Encoded rows, uint8 [N, *shape].

    Raises:
        PluginError: the encoder failed, or gave something else.
    """
    with guarded(encoder.owner):
        answer = encoder.encode(compositions)
    return _array(encoder.owner, answer, (len(compositions), *encoder.shape), "uint8", "B")


def decoded(encoder: Encoder, samples: NDArray[Any]) -> Compositions:
    """Reduced compositions of samples [N, *shape], N rows.

    Raises:
        PluginError: the encoder failed, or gave something else.
    """
    with guarded(encoder.owner):
        answer: Any = encoder.decode(samples)
    if not isinstance(answer, Compositions):
        given = f"a {type(answer).__name__}"
    elif len(answer) != len(samples):
        given = f"{len(answer)} rows"
    else:
        return answer
    raise PluginError(
        f"{encoder.owner} gave {given}, not Compositions of {len(samples)} rows: {ADVICE}"
    )


def verdicts(validator: Validator, compositions: Compositions) -> NDArray[np.bool_]:
    """A validator's verdict on each row, bool [N].

    Raises:
        PluginError: the validator failed, or gave something else.
    """
    return choice(validator.owner, validator.check, compositions)


def predictions(predictor: Predictor, compositions: Compositions) -> NDArray[np.float64]:
    """Predicted values, float64 [N]: finite, or NaN where the model does not apply.

    Raises:
        PluginError: the predictor failed, or gave something else.
    """
    owner = predictor.owner
    with guarded(owner):
        answer = predictor.predict(compositions)
    values = _array(owner, answer, (len(compositions),), "float64", "d")
    if endless := int(np.isinf(values).sum()):
        raise PluginError(
            f"{owner} gave infinity for {endless:,} of {len(values):,} rows: {ADVICE}"
        )
    return values


def dataset(source: Source) -> Dataset:
    """The data of a source.

    Raises:
        DataError: they are absent or damaged.
        PluginError: the source failed, or gave something else.
    """
    with guarded(source.owner):
        answer: Any = source.load()
    if not isinstance(answer, Dataset):
        raise PluginError(f"{source.owner} gave a {type(answer).__name__}, not a Dataset: {ADVICE}")
    return answer


def fetched(source: Source, *, force: bool = False) -> Path | None:
    """Where the raw data of a source lie once they are fetched; None if nothing is fetched.

    Raises:
        DataError: they cannot be fetched.
        PluginError: the source failed.
    """
    with guarded(source.owner):
        return source.fetch(force=force)


def _array(owner: str, answer: Any, shape: tuple[int, ...], what: str, codes: str) -> NDArray[Any]:
    try:
        return checked(owner, answer, shape, what, codes)
    except PluginError as error:
        raise PluginError(f"{error}: {ADVICE}") from None


def _finite(owner: str, answer: NDArray[Any]) -> NDArray[Any]:
    """Samples, unless one holds NaN or infinity: an encoder would read it as anything."""
    if answer.dtype.kind == "f" and not (finite := np.isfinite(answer)).all():
        bad = len(answer) - int(finite.reshape(len(answer), -1).all(axis=1).sum())
        raise PluginError(
            f"{owner} gave NaN or infinity in {bad:,} of {len(answer):,} samples: {ADVICE}"
        )
    return answer
