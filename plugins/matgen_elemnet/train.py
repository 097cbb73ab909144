"""Training an ElemNet, top to bottom.

Jha et al., Sci. Rep. 8:17593 (2018), doi:10.1038/s41598-018-35934-y.

The directory written is usable from the first interval on: it holds the network that is best on
the validation compounds so far, beside the checkpoint that training goes on from. The held-out
compounds are looked at once, at the end.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from matgen_core import metrics
from matgen_core.training import PredictorJob
from matgen_core.weights import Known, WeightsDir
from matgen_elemnet import ElemNetOptions, ElemNetRecipe, model
from matgen_elemnet.predictor import predict
from matgen_networks import checkpoint, training
from matgen_networks import device as devices
from matgen_networks.progress import training_progress

BATCH = ElemNetOptions().batch_size


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

    rows = job.rows(Known.TRAINED)
    x = model.fractions(job.dataset.compositions[rows]).to(device)
    y = torch.from_numpy(job.target[rows]).float().unsqueeze(1).to(device)
    network = model.Network().to(device)
    shipped = copy.deepcopy(network).eval()
    averages, averaged = training.floats(shipped), training.floats(network)
    adam = torch.optim.Adam(network.parameters(), recipe.lr, fused=True)

    total = max(1, math.ceil(recipe.epochs * len(x) / recipe.batch_size))
    modules, optimizers = {"network": network, "shipped": shipped}, {"adam": adam}
    progress = training.resume(job, modules, optimizers, random, best=math.inf)
    compiled = torch.compile(network) if device.type == "cuda" else network

    def step(number: int) -> Tensor:
        """One update; the batch's mean absolute error."""
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
        loss = (values.float() - y[batch]).abs().mean()
        loss.backward()
        adam.step()
        training.average(averages, averaged, recipe.averaging, number)
        return loss.detach()

    def judge(role: int) -> dict[str, float]:
        of_role = job.rows(role)
        if not len(of_role):  # of a small table
            return {}
        values = predict(shipped, job.dataset.compositions[of_role], BATCH)
        return metrics.regression(values, job.target[of_role])

    def write(measured: dict[str, float]) -> None:
        job.write(
            {key: training.half(value).numpy() for key, value in shipped.state_dict().items()},
            model={"elements": list(model.ELEMENTS), "blocks": [list(b) for b in model.BLOCKS]},
            training={
                **recipe.model_dump(),
                **training.account(
                    progress,
                    seen=progress["step"] * recipe.batch_size,
                    of=len(x),
                    device=device,
                    precision="bfloat16",
                ),
            },
            measured=measured,
        )

    with training_progress(job.name, total, progress["step"]) as report:
        while progress["step"] < total:
            steps = min(recipe.interval, total - progress["step"])
            started = time.perf_counter()
            network.train()
            loss = torch.zeros((), device=device)
            for number in range(progress["step"] + 1, progress["step"] + steps + 1):
                loss += step(number)
                report.advance()
            progress["step"] += steps
            progress["seconds"] += time.perf_counter() - started
            measured = {f"validation_{key}": v for key, v in judge(Known.VALIDATION).items()}
            line: dict[str, Any] = {
                "step": progress["step"],
                "samples_seen": progress["step"] * recipe.batch_size,
                "seconds": round(progress["seconds"], 1),
                "loss": loss.item() / steps,
                **measured,
            }
            training.log(job.out / training.METRICS, line)
            error = measured.get("validation_mae", math.nan)
            if not error >= progress["best"]:  # nor is NaN: unvalidated, the last is best
                progress["best"] = error
                write(measured)
            checkpoint.write(job.out, modules, optimizers, random, progress)
            report.note(
                f"step {progress['step']:,}/{total:,}  loss {line['loss']:.4f}  "
                f"validation MAE {error:.4f}, "
                f"best {progress['best']:.4f}"
            )

    best = load_file(job.out / WeightsDir.TENSORS)
    shipped.load_state_dict({key: value.float() for key, value in best.items()})
    measured = {f"validation_{key}": value for key, value in judge(Known.VALIDATION).items()}
    job.remeasure(judge(Known.HELD_OUT) | measured)
