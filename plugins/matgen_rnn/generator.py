"""Sampling from trained weights of the recurrent network."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matgen_core.errors import WeightsError
from matgen_core.interfaces import Generator
from matgen_core.weights import WeightsDir
from matgen_networks import device as devices
from matgen_networks import stored
from matgen_rnn import RnnOptions
from matgen_rnn.model import Shape, Writer


class Rnn(Generator):
    """A trained recurrent network."""

    options: RnnOptions

    def __init__(
        self, options: RnnOptions, weights: WeightsDir | None = None, device: str = "auto"
    ) -> None:
        super().__init__(options, weights, device)
        if weights is None or weights.card.encoder is None:
            raise WeightsError("rnn needs the weights of a recurrent network")
        self.encoder = weights.card.encoder
        torch_device = devices.resolve(device)
        try:
            self.shape = Shape(**weights.card.model)
            with torch.device("meta"):  # no memory before the tensors are known to fit
                self.network = Writer(self.shape, torch.empty(self.shape.grid[0]).long())
            stored.fill(self.network, stored.read(weights))
            rows = torch.arange(self.shape.grid[0])
            if not torch.equal(self.network.order.sort().values, rows):
                raise ValueError("its order names rows twice, or none of the grid's")
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"{weights.path} holds no recurrent network: {error}") from error
        self.network.eval().to(torch_device)

    def sample(self, n: int, seed: int) -> NDArray[np.uint8]:
        """uint8 [n, 85, 8] of zeros and ones."""
        return sample(self.network, self.shape.longest, n, seed, self.options)


def sample(
    network: Writer, longest: int, n: int, seed: int, options: RnnOptions
) -> NDArray[np.uint8]:
    """Draw `n` grids of zeros and ones, uint8 [n, rows, columns].

    Random numbers come from the CPU, so that a seed means the same samples on every device, but for
    rounding: in bfloat16 where that is faster.
    """
    random = torch.Generator().manual_seed(seed)
    uniform = torch.rand(n, longest, 2, generator=random)
    device = network.start.device

    def write(part: Tensor) -> NDArray[np.uint8]:
        return network.write(part.to(device), options.temperature)

    parts = uniform.split(options.batch_size)
    bfloat16 = devices.has_bfloat16(device)
    return np.concatenate(devices.infer(write, parts, device, bfloat16=bfloat16))
