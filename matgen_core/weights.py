"""Trained weights: a directory with a card, tensors, and an index of what is known.

Nothing here can run code from a file: the card is TOML, tensors are safetensors, and every file
is compared with the card's sha256 before it is opened.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from matgen_core.compositions import Compositions
from matgen_core.errors import WeightsError

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

    name: str
    component: str = Field(description="Name of the component that reads the weights.")
    matgen_version: str
    licence: str = Field("MIT", description="Licence of the weights.")
    encoder: str | None = Field(None, description="Encoder whose space a generator samples.")
    data: DataCard
    model: dict[str, Any] = Field(description="What rebuilds the network.")
    training: dict[str, Any] = Field(description="Recipe, seed, hardware, time.")
    metrics: dict[str, float] = Field(
        description="A generator's are shares of all raw samples, a predictor's are of the "
        "held-out compounds."
    )
    sha256: dict[FileName, str] = Field(description="Checksum of each file beside the card.")


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
            self.card = Card(**tomllib.loads((path / self.CARD).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise WeightsError(f"cannot read {path / self.CARD}: {error}") from error
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
        if digest != self.card.sha256[file]:
            raise WeightsError(f"{path} is damaged: its sha256 is not the one on its card")
        return path

    def known(self) -> Known:
        """The index of the compounds in the training data.

        Raises:
            WeightsError: it is absent or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.verified(self.KNOWN)
        try:
            tensors = load_file(path)
            return Known(tensors["fingerprints"], tensors["role"])
        except (SafetensorError, KeyError) as error:
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

    def contains(self, compositions: Compositions) -> NDArray[np.bool_]:
        """Whether each reduced composition is in the data set, bool [N]."""
        return member(compositions.fingerprints(), self.fingerprints)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What is stored in the directory."""
        return {"fingerprints": self.fingerprints, "role": self.role}


def member(values: NDArray[np.uint64], ascending: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values occur in an ascending array, bool [N]."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[at] == values
    return found


def write_weights(
    path: Path, card: Mapping[str, Any], files: Mapping[str, Mapping[str, NDArray[Any]]]
) -> None:
    """Write a directory of weights; whoever opens it meanwhile finds the old or the new one.

    Tensors are written first, under their final names only when complete, and the card last: a
    crash between the two leaves a card whose checksum says so.

    Args:
        path: the directory, made if need be.
        card: the fields of `Card` except ``sha256``.
        files: tensors by file name.
    """
    from safetensors.numpy import save

    path.mkdir(parents=True, exist_ok=True)
    checksums = {}
    for file, tensors in files.items():
        content = save({name: np.ascontiguousarray(t) for name, t in tensors.items()})
        checksums[file] = hashlib.sha256(content).hexdigest()
        write_atomically(path / file, content)
    write_card(path, Card(**card, sha256=checksums))


def write_card(path: Path, card: Card) -> None:
    """Write the card of a directory of weights."""
    import tomli_w

    content = tomli_w.dumps(card.model_dump(exclude_none=True))
    write_atomically(path / WeightsDir.CARD, content.encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step; a failure leaves the old content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
