"""Generator and critic of Supplementary Table 1, built from their description.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0.
"""

from __future__ import annotations

from matgen_networks.layers import Conv, Downsampler, Size, Upsampler
from matgen_wgan import Layer, Network


def generator(network: Network, grid: tuple[int, int]) -> Upsampler:
    """Latent vectors [B, latent] to cells in (0, 1), [B, *grid]."""
    layers = _convolutions(network.deconvolutions)
    return Upsampler(network.latent, network.channels, layers, Size(*grid))


def critic(network: Network, grid: tuple[int, int]) -> Downsampler:
    """Grids [B, *grid] to one score each, [B, 1].

    No batch normalisation: it would make a sample's gradient depend on its neighbours, which a
    gradient penalty forbids.
    """
    return Downsampler(_convolutions(network.convolutions), Size(*grid), out=1)


def _convolutions(layers: tuple[Layer, ...]) -> tuple[Conv, ...]:
    return tuple(Conv(layer.filters, layer.kernel, layer.stride) for layer in layers)
