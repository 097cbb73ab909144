"""Encoding, decoding and sampling with trained weights of the autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from matgen_core.errors import WeightsError
from matgen_core.interfaces import Autoencoder
from matgen_core.weights import WeightsDir
from matgen_dice import DiceOptions, density
from matgen_dice.model import Coder
from matgen_networks import device as devices
from matgen_networks import stored
from matgen_networks.tables import Stack


class Dice(Autoencoder):
    """Both halves of a trained autoencoder, and a density of its codes."""

    options: DiceOptions

    def __init__(
        self, options: DiceOptions, weights: WeightsDir | None = None, device: str = "auto"
    ) -> None:
        super().__init__(options, weights, device)
        if weights is None or weights.card.encoder is None:
            raise WeightsError("dice needs the weights of an autoencoder")
        self.encoder = weights.card.encoder
        torch_device = devices.resolve(device)
        try:
            stack = Stack(**weights.card.model)
            with torch.device("meta"):  # no memory before the tensors are known to fit
                self.coder = Coder(stack.network, stack.grid)
            tensors = stored.read(weights)
            of_density = {k: t for k, t in tensors.items() if k.startswith(density.PREFIX)}
            of_coder = {k: t for k, t in tensors.items() if k not in of_density}
            self.density = density.load(of_density, stack.network.latent)[options.density]
            stored.fill(self.coder, of_coder)
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"{weights.path} holds no autoencoder: {error}") from error
        self.coder.eval().to(torch_device, memory_format=torch.channels_last)

    def encode(self, grids: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Codes, float32 [N, 128], of grids [N, 85, 8]."""
        return self._run(self.coder.encoder, torch.from_numpy(grids))

    def decode(self, codes: NDArray[np.float32]) -> NDArray[Any]:
        """Cells in (0, 1), float32 [N, 85, 8], of codes [N, 128]."""
        return self._run(self.coder.decoder, torch.from_numpy(codes))

    def sample(self, n: int, seed: int) -> NDArray[Any]:
        """float32 [n, 85, 8] in (0, 1), decoded from codes of the density that was chosen."""
        # Codes come from the CPU, so that a seed means the same samples on every device.
        codes = self.density.sample(n, torch.Generator().manual_seed(seed))
        return self._run(self.coder.decoder, codes)

    def _run(self, network: torch.nn.Module, inputs: torch.Tensor) -> NDArray[np.float32]:
        return devices.in_batches(network, inputs, self.options.batch_size)
