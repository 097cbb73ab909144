"""The paper's layer tables as options that a recipe or a card can hold. Imports no network.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0, Supplementary Tables 1 and 2.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from matgen_core import Options

# Bounds that leave room for any network over grids, and none for one that fills the memory.
Width = Annotated[int, Field(ge=1, le=65_536)]
Step = Annotated[int, Field(ge=1, le=16)]
Margin = Annotated[int, Field(ge=0, le=16)]
Side = Annotated[int, Field(ge=1, le=1_024)]


class Layer(Options):
    """One convolution of the paper's tables."""

    filters: Width = Field(description="Channels that come out.")
    kernel: Annotated[int, Field(ge=1, le=33)] = Field(3, description="Side of the kernel.")
    stride: tuple[Step, Step] = Field((2, 1), description="Along the elements, along the counts.")
    padding: tuple[Margin, Margin] | Literal["half"] = Field(
        "half",
        description="Zeros added at each end of rows and columns; half the kernel keeps sizes at "
        "stride 1.",
    )


class Network(Options):
    """A stack that widens latent vectors to grids, and one that narrows grids."""

    latent: Width = Field(128, description="Width of the vector a sample is made from.")
    channels: Width = Field(description="Channels of the first feature map made of it.")
    deconvolutions: tuple[Layer, ...] = Field(
        min_length=1, max_length=32, description="Layers of the generator or decoder."
    )
    convolutions: tuple[Layer, ...] = Field(
        min_length=1, max_length=32, description="Layers of the critic or encoder."
    )


class Stack(Options):
    """What a card says of the network that its tensors belong to."""

    network: Network
    grid: tuple[Side, Side]


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
