"""The convolutional stacks of the paper's Supplementary Tables 1 and 2.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0. A stack is described from the
85×8 grid inwards; sizes follow from it, so that a generator's transposed convolutions undo a
critic's convolutions size by size (85×8, 43×8, 22×8, 11×8, 6×4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from matgen_networks.tables import Layer, Network


class Size(NamedTuple):
    """Rows (elements) and columns (counts) of a feature map."""

    rows: int
    columns: int


class Conv(NamedTuple):
    """One (transposed) convolution of a table.

    Attributes:
        filters: output channels.
        kernel: side of the square kernel.
        stride: steps along rows and columns.
        padding: zeros added along rows and columns.
    """

    filters: int
    kernel: int
    stride: tuple[int, int]
    padding: tuple[int, int]

    def shrink(self, size: Size) -> Size:
        """The size that a convolution makes of `size`."""
        return Size(
            *(
                (n + 2 * margin - self.kernel) // step + 1
                for n, margin, step in zip(size, self.padding, self.stride, strict=True)
            )
        )

    def output_padding(self, small: Size, large: Size) -> tuple[int, int]:
        """What makes the transposed convolution of `small` exactly `large`."""
        rows, columns = (
            n_large - ((n_small - 1) * step - 2 * margin + self.kernel)
            for n_small, n_large, margin, step in zip(
                small, large, self.padding, self.stride, strict=True
            )
        )
        return rows, columns


def sizes(grid: Size, convolutions: tuple[Conv, ...]) -> list[Size]:
    """The grid, and the size after each convolution."""
    result = [grid]
    for conv in convolutions:
        result.append(conv.shrink(result[-1]))
    return result


def convolutions(layers: tuple[Layer, ...]) -> tuple[Conv, ...]:
    """The layers of a recipe as this module describes them."""
    return tuple(
        Conv(
            layer.filters,
            layer.kernel,
            layer.stride,
            (layer.kernel // 2,) * 2 if layer.padding == "half" else layer.padding,
        )
        for layer in layers
    )


class Upsampler(nn.Module):
    """Latent vectors to grids: a linear layer, then transposed convolutions.

    BatchNorm and ReLU stand before every transposed convolution, a sigmoid at the end (the
    authors' released code; the tables name layers only).

    Args:
        latent: width of the latent vector.
        channels: channels of the first feature map.
        deconvolutions: layers in the order of the table.
        grid: size of the output.
        sigmoid: the last nonlinearity.
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        deconvolutions: tuple[Conv, ...],
        grid: Size,
        *,
        sigmoid: Callable[[Tensor], Tensor] = torch.sigmoid,
    ) -> None:
        super().__init__()
        self.sigmoid = sigmoid
        ladder = sizes(grid, deconvolutions[::-1])[::-1]
        self.first = (channels, *ladder[0])
        self.linear = nn.Linear(latent, channels * ladder[0].rows * ladder[0].columns)
        self.norms = nn.ModuleList()
        self.deconvolutions = nn.ModuleList()
        for conv, small, large in zip(deconvolutions, ladder, ladder[1:], strict=False):
            self.norms.append(nn.BatchNorm2d(channels))
            self.deconvolutions.append(
                nn.ConvTranspose2d(
                    channels,
                    conv.filters,
                    conv.kernel,
                    conv.stride,
                    conv.padding,
                    conv.output_padding(small, large),
                )
            )
            channels = conv.filters

    def forward(self, z: Tensor) -> Tensor:
        """Z [B, latent] to cells in (0, 1), [B, rows, columns]."""
        x = self.linear(z).unflatten(1, self.first)
        x = x.contiguous(memory_format=torch.channels_last)
        for norm, deconvolution in zip(self.norms, self.deconvolutions, strict=True):
            x = deconvolution(functional.relu(norm(x)))
        return self.sigmoid(x).squeeze(1)

    @classmethod
    def of(
        cls,
        network: Network,
        grid: Size,
        *,
        sigmoid: Callable[[Tensor], Tensor] = torch.sigmoid,
    ) -> Upsampler:
        """The widening stack of a table."""
        layers = convolutions(network.deconvolutions)
        return cls(network.latent, network.channels, layers, grid, sigmoid=sigmoid)


class Downsampler(nn.Module):
    """Grids to vectors: convolutions with LeakyReLU, then a linear layer.

    With `norm`, BatchNorm stands before every LeakyReLU.

    Args:
        convolutions: layers in the order of the table.
        grid: size of the input.
        out: width of the output.
        norm: normalise feature maps over the batch.
        slope: of the LeakyReLU for negative values.
    """

    def __init__(
        self,
        convolutions: tuple[Conv, ...],
        grid: Size,
        out: int,
        *,
        norm: bool = False,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.slope = slope
        self.ladder = sizes(grid, convolutions)
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        channels = 1
        for conv in convolutions:
            self.convolutions.append(
                nn.Conv2d(channels, conv.filters, conv.kernel, conv.stride, conv.padding)
            )
            channels = conv.filters
            self.norms.append(nn.BatchNorm2d(channels) if norm else nn.Identity())
        self.last = (channels, *self.ladder[-1])
        self.linear = nn.Linear(channels * self.ladder[-1].rows * self.ladder[-1].columns, out)

    def forward(self, grids: Tensor) -> Tensor:
        """Grids [B, rows, columns] to [B, out]."""
        return self._forward(grids)

    @classmethod
    def of(cls, network: Network, grid: Size, out: int, *, norm: bool = False) -> Downsampler:
        """The narrowing stack of a table."""
        return cls(convolutions(network.convolutions), grid, out, norm=norm)

    def input_gradient(self, grids: Tensor) -> Tensor:
        """Gradient of the (single) output with respect to the input, [B, rows, columns].

        LeakyReLU is piecewise linear, so the gradient is a chain of transposed convolutions
        with the slopes seen on the way in, as long as there is no norm. Written as a forward
        computation, a gradient penalty needs one ordinary backward pass instead of a double one,
        and the step can be compiled.
        """
        slopes: list[Tensor] = []
        self._forward(grids, slopes)
        gradient = self.linear.weight.unflatten(1, self.last).to(slopes[-1].dtype)
        for i in reversed(range(len(slopes))):
            conv = self.convolutions[i]
            described = Conv(conv.out_channels, conv.kernel_size[0], conv.stride, conv.padding)
            gradient = functional.conv_transpose2d(
                gradient * slopes[i],
                conv.weight,
                None,
                conv.stride,
                conv.padding,
                described.output_padding(self.ladder[i + 1], self.ladder[i]),
            )
        return gradient.squeeze(1)

    def _forward(self, grids: Tensor, slopes: list[Tensor] | None = None) -> Tensor:
        x = grids.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        for conv, norm in zip(self.convolutions, self.norms, strict=True):
            x = leaky_relu(norm(conv(x)), self.slope, slopes)
        return self.linear(x.flatten(1))


def leaky_relu(x: Tensor, slope: float, slopes: list[Tensor] | None = None) -> Tensor:
    """LeakyReLU; the slope that each value was taken at is appended to `slopes`, if given."""
    if slopes is None:
        return functional.leaky_relu(x, slope)
    slopes.append(torch.where(x > 0, 1.0, slope).to(x.dtype))
    return x * slopes[-1]
