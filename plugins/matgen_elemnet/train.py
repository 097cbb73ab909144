"""Training an ElemNet: what one step of it is.

Jha et al., Sci. Rep. 8:17593 (2018), doi:10.1038/s41598-018-35934-y.
"""

from __future__ import annotations

import torch
from torch import Tensor

from matgen_core.training import PredictorJob
from matgen_core.weights import Known
from matgen_elemnet import ElemNetRecipe, model
from matgen_networks import device as devices
from matgen_networks import regression, training


def train(job: PredictorJob) -> None:
    """Train, and leave a directory of weights in ``job.out``.

    Raises:
        InvalidOption: the device is not there, or ``job.out`` holds another training.
        WeightsError: its checkpoint is damaged.
    """
    recipe: ElemNetRecipe = job.recipe
    device = devices.resolve(job.device)
    random = torch.Generator(device).manual_seed(job.seed)
    torch.manual_seed(job.seed)  # initial weights

    trained = job.rows(Known.TRAINED)
    x = model.inputs(job.dataset.compositions[trained])[0].to(device)
    y = torch.from_numpy(job.target[trained]).float().unsqueeze(1).to(device)
    network = model.Network().to(device)
    compiled = torch.compile(network) if device.type == "cuda" else network
    adam = torch.optim.Adam(network.parameters(), recipe.lr, fused=True)

    def step(number: int, total: int) -> Tensor:
        """One update; the batch's mean absolute error in eV/atom."""
        slowed = training.falling(number, total, recipe.decay)
        adam.param_groups[0]["lr"] = recipe.lr * slowed
        # Dropout falls with the rate: in use there is none, and a network that learned its last
        # corrections with it is wrong without it.
        for dropout, share in zip(network.dropouts, recipe.dropout, strict=True):
            dropout.share.fill_(share * slowed)
        torch.manual_seed(job.seed + number)  # dropout's: seeded by the step, it resumes exactly
        batch = torch.randint(len(x), (recipe.batch_size,), generator=random, device=device)
        adam.zero_grad()
        # bfloat16 matrix products are twice as fast, on processors too.
        with torch.autocast(device.type, torch.bfloat16):
            values = compiled(x[batch])
        loss: Tensor = (values.float() - y[batch]).abs().mean()
        loss.backward()
        adam.step()
        return loss.detach()

    regression.train(
        job,
        network,
        model.inputs,
        adam,
        step,
        random=random,
        batch=recipe.batch_size,
        model={"blocks": [list(block) for block in model.BLOCKS]},
    )
