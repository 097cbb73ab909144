"""Sampling from trained WGAN weights."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from pydantic import Field

from matgen_core.errors import InvalidOption, WeightsError
from matgen_core.interfaces import Generator
from matgen_core.weights import WeightsDir
from matgen_networks import device as devices
from matgen_networks import stored
from matgen_networks.tables import Stack, Width
from matgen_wgan import WganOptions, model


class WganStack(Stack):
    """What a card says of the generator that its tensors belong to."""

    generator: tuple[Width, ...] = Field((), max_length=16)


class Wgan(Generator):
    """The generator half of a trained WGAN."""

    options: WganOptions

    def __init__(
        self, options: WganOptions, weights: WeightsDir | None = None, device: str = "auto"
    ) -> None:
        super().__init__(options, weights, device)
        if weights is None or weights.card.encoder is None:
            raise WeightsError("wgan needs the weights of a generator")
        self.encoder = weights.card.encoder
        self.torch_device = devices.resolve(device)
        try:
            stack = WganStack(**weights.card.model)
            self.latent = stack.network.latent
            with torch.device("meta"):  # no memory before the tensors are known to fit
                self.network = model.generator(stack.network, stack.grid, stack.generator)
            stored.fill(self.network, stored.read(weights))
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"{weights.path} holds no WGAN: {error}") from error
        if options.exact:
            if not isinstance(self.network, model.DenseGenerator):
                raise InvalidOption(
                    f"{weights.card.name} is no generator of dense layers: leave out wgan.exact"
                )
            self.network.exact = True
        self.network.eval().to(self.torch_device, memory_format=torch.channels_last)

    def sample(self, n: int, seed: int) -> NDArray[Any]:
        """float32 [n, 85, 8] in [0, 1]."""
        return sample(self.network, self.latent, n, seed, self.options.batch_size)


def sample(
    network: model.Generator, latent: int, n: int, seed: int, batch_size: int
) -> NDArray[Any]:
    """Draw `n` grids, float32 [n, rows, columns], `batch_size` at a time.

    Latent vectors come from the CPU, so that a seed means the same samples on every device, but for
    rounding: in bfloat16 where that is faster.
    """
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(n, latent, generator=random)
    bfloat16 = devices.has_bfloat16(
        next(network.parameters()).device,
        convolutions=not isinstance(network, model.DenseGenerator),
    )
    return devices.in_batches(network, vectors, batch_size, bfloat16=bfloat16)
