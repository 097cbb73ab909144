"""The paper's layer tables as options that a recipe or a card can hold. Imports no network.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0, Supplementary Tables 1 and 2.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from matgen_core import Options


class Layer(Options):
    """One convolution of the paper's tables."""

    filters: int
    kernel: int = 3
    stride: tuple[int, int] = (2, 1)
    padding: tuple[int, int] | Literal["half"] = "half"
    """Zeros added at each end of rows and columns; half the kernel keeps sizes at stride 1."""


class Network(Options):
    """A stack that widens latent vectors to grids, and one that narrows grids."""

    latent: int = Field(128, description="Width of the vector a sample is made from.")
    channels: int = Field(description="Channels of the first feature map made of it.")
    deconvolutions: tuple[Layer, ...] = Field(description="Layers of the generator or decoder.")
    convolutions: tuple[Layer, ...] = Field(description="Layers of the critic or encoder.")


LARGE = Network(
    channels=256,
    deconvolutions=(
        Layer(filters=128, kernel=5, stride=(2, 2)),
        Layer(filters=128),
        Layer(filters=64, stride=(1, 1)),
        Layer(filters=64),
        Layer(filters=32, stride=(1, 1)),
        Layer(filters=32),
        Layer(filters=1, stride=(1, 1)),
    ),
    convolutions=(
        Layer(filters=32, stride=(1, 1)),
        Layer(filters=32),
        Layer(filters=64, stride=(1, 1)),
        Layer(filters=64),
        Layer(filters=128, stride=(1, 1)),
        Layer(filters=128),
        Layer(filters=256, kernel=5, stride=(2, 2)),
    ),
)
"""GAN-OQMD of Supplementary Table 1."""
COMPACT = Network(
    channels=128,
    deconvolutions=(
        Layer(filters=64, kernel=5, stride=(2, 2)),
        Layer(filters=32),
        Layer(filters=16),
        Layer(filters=1),
    ),
    convolutions=(
        Layer(filters=16),
        Layer(filters=32),
        Layer(filters=64),
        Layer(filters=128, kernel=5, stride=(2, 2)),
    ),
)
"""GAN-MP and GAN-ICSD of Supplementary Table 1."""
