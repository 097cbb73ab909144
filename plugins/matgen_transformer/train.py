"""Training a transformer: what one step of it is."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from matgen_core.training import PredictorJob
from matgen_core.weights import Known
from matgen_networks import device as devices
from matgen_networks import regression, training
from matgen_transformer import Shape, TransformerRecipe, model

WARM_UP = 300
"""Steps over which the rate rises from zero, or a tenth of a training if that is less."""
SORTED = 16
"""Batches that are sorted by number of elements together."""
BETAS = (0.9, 0.99)
LARGEST_GRADIENT = 1.0
"""Norm that the gradient of a step is cut to."""
LEAST_DEVIATION = 1e-3
"""In eV/atom, of energies that hardly differ."""


def batches(n_elements: Tensor, size: int, random: torch.Generator) -> Tensor:
    """The rows of each batch of one pass over N compounds, int64 [N // size, size].

    What fills no batch is left out of this pass.

    Args:
        n_elements: of each compound, int64 [N].
        size: rows of a batch, N or fewer.
        random: decides the order.
    """
    n_batches = len(n_elements) // size
    rows = torch.randperm(len(n_elements), generator=random)[: n_batches * size]
    # Compounds of as many elements stand together, so that little is padded.
    together = torch.arange(len(rows)) // (SORTED * size) * (1 + n_elements.max())
    rows = rows[(together + n_elements[rows]).argsort(stable=True)].view(n_batches, size)
    return rows[torch.randperm(n_batches, generator=random)]


def train(job: PredictorJob) -> None:
    """Train, and leave a directory of weights in ``job.out``.

    Raises:
        InvalidOption: the device is not there, or ``job.out`` holds another training.
        WeightsError: its checkpoint is damaged.
    """
    recipe: TransformerRecipe = job.recipe
    device = devices.resolve(job.device)
    random = torch.Generator()
    torch.manual_seed(job.seed)  # initial weights

    trained = job.rows(Known.TRAINED)
    compounds = job.dataset.compositions[trained]
    n_elements = torch.from_numpy(compounds.n_elements)
    y = torch.from_numpy(job.target[trained]).float().to(device)
    shape = Shape(**recipe.model_dump(include=set(Shape.model_fields)))
    network = model.Network(shape).to(device)
    network.mean.copy_(y.mean())
    network.deviation.copy_(y.std(correction=0).clamp(min=LEAST_DEVIATION))
    compiled = torch.compile(network) if device.type == "cuda" else network
    adam = torch.optim.AdamW(
        network.parameters(), recipe.lr, BETAS, weight_decay=recipe.weight_decay, fused=True
    )
    size = min(recipe.batch_size, len(y))
    per_pass = len(y) // size

    @lru_cache(maxsize=1)
    def order(number: int) -> Tensor:
        """Rows of the batches of a pass, int64 [per_pass, size]."""
        # Seeded by the pass, a training that is resumed in its midst finds the same.
        return batches(n_elements, size, random.manual_seed(job.seed + number))

    def step(number: int, total: int) -> Tensor:
        """One update; the batch's mean absolute error in eV/atom."""
        risen = min(1.0, number / min(WARM_UP, total / 10))
        adam.param_groups[0]["lr"] = recipe.lr * risen * training.falling(number, total, 1.0)
        passes, place = divmod(number - 1, per_pass)
        rows = order(passes)[place]
        read = (tensor.to(device) for tensor in model.inputs(compounds[rows.numpy()]))
        adam.zero_grad()
        # bfloat16 matrix products are twice as fast, on processors too.
        with torch.autocast(device.type, torch.bfloat16):
            values = compiled(*read)
        error: Tensor = (values - y[rows.to(device)]).abs().mean()
        (error / network.deviation).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        adam.step()
        return error.detach()

    regression.train(
        job,
        network,
        model.inputs,
        adam,
        step,
        random=random,
        batch=size,
        model=shape.model_dump(),
    )
