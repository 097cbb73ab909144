"""Generator and critic of Supplementary Table 1, built from their description.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0.
"""

from __future__ import annotations

from matgen_networks.layers import Downsampler, Size, Upsampler
from matgen_networks.tables import Network


def generator(network: Network, grid: tuple[int, int]) -> Upsampler:
    """Latent vectors [B, latent] to cells in (0, 1), [B, *grid]."""
    return Upsampler.of(network, Size(*grid))


def critic(network: Network, grid: tuple[int, int]) -> Downsampler:
    """Grids [B, *grid] to one score each, [B, 1].

    No batch normalisation: it would make a sample's gradient depend on its neighbours, which a
    gradient penalty forbids.
    """
    return Downsampler.of(network, Size(*grid), out=1)
