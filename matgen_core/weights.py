"""Trained weights: a directory with a card, tensors, and an index of what is known.

Nothing here can run code from a file: the card is TOML, tensors are safetensors, and every file
is compared with the card's sha256 before it is opened.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from matgen_core.compositions import Compositions
from matgen_core.errors import DataError, WeightsError
from matgen_core.textfiles import read_toml

FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
"""A file's own name: a card cannot reach out of its directory."""


class DataCard(BaseModel):
    """What was learned from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(description="Name of the data source.")
    attribution: str = Field(description="Whom to credit, and the licence of the data.")
    n_clean: int = Field(description="Compounds after cleaning that can be represented.")
    n_train: int = Field(description="Compounds trained on.")
    n_validation: int = Field(0, description="Compounds that chose the best of the training.")
    n_held_out: int = Field(description="Compounds kept from training and from choosing.")
    held_out_fraction: float | None = Field(None, description="None for a published split.")
    held_out_seed: int | None = Field(None, description="None for a published split.")
    screen: list[str] = Field([], description="Validators that every training compound passed.")


class Card(BaseModel):
    """The card of a directory of weights: ``card.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = Field(1, description="Version of the form of the directory.")
    name: str = Field(description="What the weights are called.")
    component: str = Field(description="Name of the component that reads the weights.")
    matgen_version: str = Field(description="Version that trained them.")
    licence: str = Field("MIT", description="Licence of the weights.")
    encoder: str | None = Field(None, description="Encoder whose space a generator samples.")
    data: DataCard = Field(description="What was learned from.")
    model: dict[str, Any] = Field(description="What rebuilds the network.")
    training: dict[str, Any] = Field(description="Recipe, seed, hardware, time.")
    metrics: dict[str, float] = Field(
        description="A generator's are shares of all raw samples, a predictor's are of the "
        "held-out compounds."
    )
    sha256: dict[FileName, str] = Field(description="Checksum of each file beside the card.")
    replaced: dict[FileName, str] | None = Field(
        None,
        description="Only while files are being replaced: checksums of those that were there.",
    )

    def vouches(self, file: str, digest: str) -> bool:
        """Whether a file with this checksum belongs to the card."""
        return digest in (self.sha256.get(file), (self.replaced or {}).get(file))


class WeightsDir:
    """An opened directory of weights.

    Attributes:
        path: the directory.
        card: its card.

    Raises:
        WeightsError: the card is absent or cannot be read.
    """

    CARD: ClassVar[str] = "card.toml"
    TENSORS: ClassVar[str] = "weights.safetensors"
    KNOWN: ClassVar[str] = "known.safetensors"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = read_toml(path / self.CARD)
        except DataError as error:
            raise WeightsError(str(error)) from error
        if content.get("format", 1) != 1:
            raise WeightsError(
                f"{path / self.CARD} has format {content['format']!r}, and matgen "
                f"{content.get('matgen_version')} wrote it: this version reads format 1, upgrade it"
            )
        try:
            self.card = Card(**content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise WeightsError(f"{path / self.CARD}: {where}: {first['msg']}") from None

    def verified(self, file: str) -> Path:
        """The path of a file of the directory, its checksum compared with the card.

        Raises:
            WeightsError: the file is absent, not on the card, or not the one on the card.
        """
        path = self.path / file
        if file not in self.card.sha256:
            raise WeightsError(f"{self.path / self.CARD} lists no {file}")
        try:
            digest = sha256_of(path)
        except OSError as error:
            raise WeightsError(f"cannot read {path}: {error.strerror}") from error
        # A training that goes on may have replaced both since the card was read.
        if self.card.vouches(file, digest) or WeightsDir(self.path).card.vouches(file, digest):
            return path
        raise WeightsError(f"{path} is damaged: its sha256 is not the one on its card")

    def known(self) -> Known | None:
        """The index of the compounds in the training data; None where the card lists none.

        Raises:
            WeightsError: it is lost or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if self.KNOWN not in self.card.sha256:
            return None
        path = self.verified(self.KNOWN)
        try:
            return Known.from_tensors(load_file(path))
        # KeyError, TypeError and AttributeError: of a type that numpy does not have.
        except (SafetensorError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise WeightsError(f"{path} is no index of known compounds: {error}") from error


class Known:
    """Which compounds a data set has, by fingerprint: novelty without the data.

    Args:
        fingerprints: of reduced compositions, uint64 [M], any order.
        role: uint8 [M]: `TRAINED`, `HELD_OUT`, `UNUSED` where the training screen refused it,
            or `VALIDATION` where it chose the best of a training.
    """

    TRAINED, HELD_OUT, UNUSED, VALIDATION = 0, 1, 2, 3

    def __init__(self, fingerprints: NDArray[np.uint64], role: NDArray[np.uint8]) -> None:
        order = np.argsort(fingerprints)
        self.fingerprints = fingerprints[order]
        self.role = role[order]

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Known:
        """From what `tensors` gave.

        Raises:
            ValueError: an array is absent, superfluous, or of another type or length.
        """
        if tensors.keys() != _INDEX.keys():
            raise ValueError(f"the arrays are {sorted(tensors)}, not {sorted(_INDEX)}")
        for name, dtype in _INDEX.items():
            array = tensors[name]
            if array.dtype != dtype or array.ndim != 1:
                raise ValueError(f"{name} is {array.dtype} [{array.ndim} axes], not {dtype} [1]")
        fingerprints, role = tensors["fingerprints"], tensors["role"]
        if len(fingerprints) != len(role):
            raise ValueError("the arrays are not of one length")
        if role.max(initial=0) > cls.VALIDATION:
            raise ValueError(f"{role.max()} is no role")
        return cls(fingerprints, role)

    def contains(self, compositions: Compositions) -> NDArray[np.bool_]:
        """Whether each reduced composition is in the data set, bool [N]."""
        return member(compositions.fingerprints(), self.fingerprints)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What is stored in the directory."""
        return {"fingerprints": self.fingerprints, "role": self.role}


_INDEX = {"fingerprints": np.dtype(np.uint64), "role": np.dtype(np.uint8)}


def member(values: NDArray[np.uint64], ascending: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values occur in an ascending array, bool [N]."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    order = values.argsort()  # ascending values are looked up some four times as fast
    wanted = values[order]
    at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    found = np.empty(len(values), np.bool_)
    found[order] = ascending[at] == wanted
    return found


def write_weights(
    path: Path, card: Mapping[str, Any], files: Mapping[str, Mapping[str, NDArray[Any]]]
) -> None:
    """Write a directory of weights; a crash, or whoever opens it meanwhile, finds whole files.

    All files are written under other names before the first is put in place. While they are,
    the card vouches for those that are replaced as well.

    Args:
        path: the directory, made if need be.
        card: the fields of `Card` except ``sha256``.
        files: tensors by file name.
    """
    from safetensors.numpy import save

    path.mkdir(parents=True, exist_ok=True)
    contents = {
        file: save({name: np.ascontiguousarray(t) for name, t in tensors.items()})
        for file, tensors in files.items()
    }
    sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    new = Card(**card, sha256=sha256)
    with ExitStack() as stack:
        places = [
            stack.enter_context(_beside(path / file, content)) for file, content in contents.items()
        ]
        with suppress(WeightsError):  # there is none yet
            replaced = WeightsDir(path).card.sha256
            write_card(path, new.model_copy(update={"replaced": replaced}))
        for put_in_place in places:
            put_in_place()
        write_card(path, new)


def write_card(path: Path, card: Card) -> None:
    """Write the card of a directory of weights."""
    write_atomically(path / WeightsDir.CARD, _as_toml(card))


def _as_toml(card: Card) -> bytes:
    import tomli_w

    return tomli_w.dumps(card.model_dump(exclude_none=True)).encode()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step; a failure leaves the old content.

    Raises:
        DataError: the disk is full, or the folder not writable.
    """
    with _beside(path, content) as put_in_place:
        put_in_place()


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Callable[[], object]]:
    """Write a file under another name; yields what renames it, and removes what was not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield partial(temporary.replace, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
