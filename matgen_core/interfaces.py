"""The five kinds of component a plugin can provide.

Every component is constructed as ``Class(options, weights=..., device=...)``: its own options
model, the weights it was asked for by name (or None), and the device the user chose. A stage
works on a whole batch at once; none loops over formulas.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from matgen_core.compositions import Compositions
from matgen_core.datasets import Dataset
from matgen_core.errors import PluginError

if TYPE_CHECKING:
    from matgen_core.weights import WeightsDir


class Options(BaseModel):
    """Base class of every component's options: unknown keys are refused, values never change.

    Example:
        >>> class MyOptions(Options):
        ...     scale: float = Field(1.0, gt=0, description="What it scales.")
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class _Component(ABC):
    owner: str
    """Which one it is, for messages: its class, or of one that a registry made
    ``plugin (distribution version): kind 'name'``."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.owner = f"{cls.__module__}:{cls.__qualname__}"

    def __init__(
        self, options: Options, weights: WeightsDir | None = None, device: str = "auto"
    ) -> None:
        self.options: Any = options
        self.weights = weights
        self.device = device


class Source(_Component):
    """Where known compositions come from.

    Example:
        >>> class Salts(Source):
        ...     def load(self):
        ...         salts = Compositions.from_formulas(["NaCl", "KBr"])
        ...         return Dataset("salts", salts, rows_in=2, attribution="nobody in particular")
    """

    def fetch(self, *, force: bool = False) -> Path | None:
        """Bring the raw data into the cache; returns where it lies, None if nothing is fetched."""
        return None

    @abstractmethod
    def load(self) -> Dataset:
        """Read and clean the data.

        Raises:
            DataError: the data are absent or damaged; the message says how to get them.
        """


class Encoder(_Component):
    """Compositions to arrays that a network learns from, and back.

    Attributes:
        shape: shape of one encoded composition.

    Example:
        >>> class CountVector(Encoder):
        ...     shape = (118,)
        ...     def encodable(self, compositions):
        ...         return (compositions.counts <= 255).all(axis=1)
        ...     def encode(self, compositions):
        ...         rows, columns = np.nonzero(compositions.numbers)
        ...         grid = np.zeros((len(compositions), 118), np.uint8)
        ...         grid[rows, compositions.numbers[rows, columns] - 1] = (
        ...             compositions.counts[rows, columns])
        ...         return grid
        ...     def decode(self, samples): ...
    """

    shape: ClassVar[tuple[int, ...]]

    @abstractmethod
    def encodable(self, compositions: Compositions) -> NDArray[np.bool_]:
        """Which rows `encode` can represent exactly, bool [N]."""

    @abstractmethod
    def encode(self, compositions: Compositions) -> NDArray[np.uint8]:
        """Encoded rows, uint8 [N, *shape].

        Raises:
            ValueError: a row is not encodable.
        """

    @abstractmethod
    def decode(self, samples: NDArray[Any]) -> Compositions:
        """Reduced compositions of samples [N, *shape] of any real dtype.

        A sample that stands for no composition becomes an empty row, so N is kept.
        """


class Generator(_Component):
    """Draws new samples in the space of an encoder.

    Attributes:
        encoder: name of the encoder whose space it samples.

    Example:
        >>> class Coin(Generator):
        ...     encoder = "onehot"
        ...     def sample(self, n, seed):
        ...         return np.random.default_rng(seed).random((n, 85, 8), np.float32) ** 300
    """

    encoder: str

    @abstractmethod
    def sample(self, n: int, seed: int) -> NDArray[Any]:
        """`n` samples, [n, *encoder.shape], all finite; the same `n` and `seed` give the same."""


class Autoencoder(Generator):
    """A generator that also finds the code behind a given composition.

    Example:
        >>> class Lookup(Autoencoder):
        ...     encoder = "onehot"
        ...     def encode(self, grids):
        ...         return grids.reshape(-1, 680).astype(np.float32)
        ...     def decode(self, codes):
        ...         return codes.reshape(-1, 85, 8)
        ...     def sample(self, n, seed):
        ...         return self.decode(np.random.default_rng(seed).random((n, 680), np.float32))
    """

    @abstractmethod
    def encode(self, grids: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Codes, float32 [N, width], of encoded compositions [N, *encoder.shape]."""

    @abstractmethod
    def decode(self, codes: NDArray[np.float32]) -> NDArray[Any]:
        """Samples [N, *encoder.shape] from codes [N, width]."""


class Validator(_Component):
    """Decides which compositions make chemical sense.

    Example:
        >>> class Binary(Validator):
        ...     def check(self, compositions):
        ...         return compositions.n_elements == 2
    """

    @abstractmethod
    def check(self, compositions: Compositions) -> NDArray[np.bool_]:
        """Verdict on each row, bool [N]; False for an empty row."""


class Predictor(_Component):
    """Predicts one property of each composition.

    Attributes:
        property: column name in the output, e.g. ``formation_energy``.
        unit: its unit, e.g. ``eV/atom``.

    Example:
        >>> class MeanNumber(Predictor):
        ...     property, unit = "mean_atomic_number", ""
        ...     def predict(self, compositions):
        ...         counts = compositions.counts.astype(float)
        ...         total = (compositions.numbers * counts).sum(axis=1)
        ...         atoms = np.where(compositions.n_elements > 0, counts.sum(axis=1), np.nan)
        ...         return total / atoms
    """

    property: ClassVar[str]
    unit: ClassVar[str]

    @abstractmethod
    def predict(self, compositions: Compositions) -> NDArray[np.float64]:
        """Predicted values, float64 [N]: finite, or NaN where the model does not apply."""


NUMBERS = "?" + np.typecodes["AllInteger"] + np.typecodes["Float"]
"""Numpy's type codes of the real numbers."""


def checked(owner: str, answer: Any, shape: tuple[int, ...], what: str, codes: str) -> NDArray[Any]:
    """A component's answer, held to its contract.

    Args:
        owner: who gave it, for the message.
        answer: what it gave.
        shape: the shape it must have.
        what: what it must be an array of, in words.
        codes: the same as type codes of numpy.

    Raises:
        PluginError: it is something else.
    """
    if isinstance(answer, np.ndarray):
        if answer.shape == shape and answer.dtype.char in codes:
            return answer
        given = f"an array of {answer.dtype} {answer.shape}"
    else:
        given = f"a {type(answer).__name__}"
    raise PluginError(f"{owner} gave {given}, not an array of {what} {shape}")
