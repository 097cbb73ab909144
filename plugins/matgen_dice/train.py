"""Training the autoencoder with the Dice loss, top to bottom.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0.

The directory written is usable from the first interval on: it holds the networks as they are,
beside the checkpoint that training goes on from. Nothing is chosen by how it does on held-out
compounds; their share in `matgen_networks.training.METRICS` is there to be looked at.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matgen_core.compositions import Compositions
from matgen_core.reconstruction import exact, reconstruct
from matgen_core.training import GeneratorJob
from matgen_core.weights import Known
from matgen_dice import DiceOptions, DiceRecipe, density
from matgen_dice.model import Coder, dice_loss
from matgen_networks import device as devices
from matgen_networks import training

FITTED = 50_000
"""Training compounds whose codes the shipped densities are fitted to."""
FINAL_SAMPLES = 100_000


def loss_of(coder: Coder, grids: Tensor, mixed_precision: bool) -> Tensor:
    """The loss of a batch, with the networks computed in bfloat16 where that is faster."""
    with torch.autocast(grids.device.type, torch.bfloat16, enabled=mixed_precision):
        cells = coder(grids)
    return dice_loss(grids, cells.float())


def train(job: GeneratorJob) -> None:
    """Train, and leave a directory of weights in ``job.out``.

    Raises:
        InvalidOption: the device is not there, or ``job.out`` holds another training.
        WeightsError: its checkpoint is damaged.
    """
    recipe: DiceRecipe = job.recipe
    device = devices.resolve(job.device)
    mixed_precision = devices.has_bfloat16(device)
    random = torch.Generator(device).manual_seed(job.seed)
    torch.manual_seed(job.seed)  # initial weights

    grids = torch.from_numpy(job.training_grids()).to(device)  # uint8: a cell a byte
    grid = (grids.shape[1], grids.shape[2])
    coder = Coder(recipe.network, grid).to(device, memory_format=torch.channels_last)
    adam = torch.optim.Adam(coder.parameters(), recipe.lr, fused=True)
    modules, optimizers = {"coder": coder}, {"adam": adam}

    batch = recipe.batch_size
    total = max(1, math.ceil(recipe.epochs * len(grids) / batch))
    progress, save = training.resume(job, modules, optimizers, random)

    loss = torch.compile(loss_of) if device.type == "cuda" else loss_of

    def step(number: int) -> dict[str, Tensor]:
        """One update."""
        adam.param_groups[0]["lr"] = recipe.lr * training.falling(number, total, recipe.decay)
        rows = torch.randint(len(grids), (batch,), generator=random, device=device)
        adam.zero_grad()
        of_rows = loss(coder, grids[rows].float(), mixed_precision)
        of_rows.backward()
        adam.step()
        return {"loss": of_rows.detach()}

    def there_and_back(given: NDArray[np.uint8]) -> NDArray[np.float32]:
        return devices.in_batches(coder, torch.from_numpy(given), 1024)

    def reconstructed(role: int, n: int, seed: int) -> float:
        """Share of `n` random compounds of a role that come back exactly."""
        rows = np.random.default_rng(seed).permutation(job.rows(role))[:n]
        compositions: Compositions = job.dataset.compositions[rows]
        back = reconstruct(there_and_back, job.encoder, compositions)
        return float(exact(compositions, back).mean()) if len(rows) else math.nan

    def densities(n: int, seed: int) -> dict[str, density.Density]:
        """Fitted to the codes of `n` random training compounds."""
        rows = np.random.default_rng(seed).permutation(len(grids))[:n]
        return density.fit(devices.in_batches(coder.encoder, grids[rows], 1024), job.seed)

    def measure(fitted: dict[str, density.Density], n: int, n_samples: int) -> dict[str, float]:
        """Reconstruction of `n` compounds of each kind, and quality of `n_samples`."""

        def draw(n: int, seed: int) -> NDArray[Any]:
            codes = fitted[DiceOptions().density].sample(n, torch.Generator().manual_seed(seed))
            return devices.in_batches(coder.decoder, codes, 1024)

        seed = progress["step"]
        return {
            "reconstructed_train": reconstructed(Known.TRAINED, n, seed),
            "reconstructed_held_out": reconstructed(Known.HELD_OUT, n, seed),
            **job.judge(draw, n_samples, seed),
        }

    def write(fitted: dict[str, density.Density], measured: dict[str, float]) -> None:
        tensors = coder.state_dict() | density.stored(fitted)
        job.write(
            {name: training.half(tensor).numpy() for name, tensor in tensors.items()},
            model={"network": recipe.network.model_dump(), "grid": list(grid)},
            training={
                **recipe.model_dump(exclude={"network"}),
                **training.account(
                    progress,
                    batch=batch,
                    of=len(grids),
                    device=device,
                    precision="bfloat16" if mixed_precision else "float32",
                ),
            },
            measured=measured,
        )

    def judge() -> dict[str, float]:
        coder.eval()
        fitted = densities(recipe.evaluate, seed=progress["step"])
        measured = measure(fitted, recipe.evaluate, recipe.evaluate)
        write(fitted, measured)
        coder.train()
        return measured

    rates = ("reconstructed_train", "reconstructed_held_out", "valid", "novel", "yield")
    shown = {"loss": ".4f", **dict.fromkeys(rates, ".1%")}
    training.run(job, progress, total, step, judge, save, batch=batch, shown=shown)

    # What is shipped is measured as it is stored, in half precision, on every held-out compound
    # and as many of the training compounds.
    coder.eval().load_state_dict({k: training.half(v) for k, v in coder.state_dict().items()})
    fitted = densities(FITTED, job.seed)
    write(fitted, measure(fitted, max(job.data.n_held_out, 1), FINAL_SAMPLES))
