"""Training steps of the WGAN with gradient penalty, beside the way they are usually written.

python benchmarks/training_speed.py [--device cpu] [--presets mp oqmd dense]

The usual way: plain modules in float32, Adam, and the penalty by differentiating twice. Rows of
other hardware, and of other presets, stay as they are.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from common import read, write
from torch import Tensor

from matgen_networks import device as devices
from matgen_wgan import PRESETS, WganRecipe, model
from matgen_wgan.train import Losses

ROUNDS = 7
"""Every way is timed in each of them, one after the other; the median counts."""
TURN = 1.0
"""Seconds that a way is timed for in a round, at least, or one step."""
WAYS = {
    "as usually written": {"own": False, "half": False, "compiled": False},
    "float32": {"own": True, "half": False, "compiled": False},
    "float32, compiled": {"own": True, "half": False, "compiled": True},
    "bfloat16": {"own": True, "half": True, "compiled": False},
    "bfloat16, compiled": {"own": True, "half": True, "compiled": True},
}


def usual(losses: Losses, real: Tensor, z: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
    """The critic's loss with `torch.autograd.grad`."""
    fake = losses.generator(z).detach()
    between = (real + mix * (fake - real)).requires_grad_()
    (gradient,) = torch.autograd.grad(losses.critic(between).sum(), between, create_graph=True)
    wasserstein = losses.critic(real).mean() - losses.critic(fake).mean()
    penalty = ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return losses.recipe.penalty * penalty - wasserstein, wasserstein


def steps(
    recipe: WganRecipe, device: torch.device, *, own: bool, half: bool, compiled: bool
) -> Callable[[int], None]:
    """A function that does so many generator steps, and the critic's before each."""
    torch.manual_seed(0)
    layout = torch.channels_last if own else torch.contiguous_format
    generator = model.generator(recipe.network, (85, 8), recipe.generator)
    generator = generator.to(device, memory_format=layout)
    critic = model.critic(recipe.network, (85, 8), recipe.critic).to(device, memory_format=layout)
    adams = [torch.optim.Adam(m.parameters(), 3e-4, fused=own) for m in (critic, generator)]
    losses = Losses(generator, critic, recipe, half)
    of_critic = losses.of_critic if own else lambda *inputs: usual(losses, *inputs)
    of_generator = losses.of_generator
    if compiled:
        of_critic, of_generator = torch.compile(of_critic), torch.compile(of_generator)
    batch, latent = recipe.batch_size, recipe.network.latent
    real = (torch.rand(batch, 85, 8, device=device) < 0.005).float()

    def run(n: int) -> None:
        for _ in range(n):
            for _ in range(recipe.critic_steps):
                z = torch.randn(batch, latent, device=device)
                adams[0].zero_grad()
                of_critic(real, z, torch.rand(batch, 1, 1, device=device))[0].backward()
                adams[0].step()
            critic.requires_grad_(False)
            adams[1].zero_grad()
            of_generator(torch.randn(batch, latent, device=device)).backward()
            adams[1].step()
            critic.requires_grad_(True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def seconds(run: Callable[[int], None], n: int) -> float:
    """How long `n` steps take, each."""
    began = time.perf_counter()
    run(n)
    return (time.perf_counter() - began) / n


def timed(preset: str, device: torch.device) -> Iterator[list[Any]]:
    """Hardware, preset, way, samples a second, and how many times as many as usually."""
    torch.compiler.reset()  # it compiles one function only so often
    recipe = PRESETS[preset]
    runs = [steps(recipe, device, **settings) for settings in WAYS.values()]
    for run in runs:
        run(2)  # compiles, and chooses algorithms
    numbers = [max(1, math.ceil(TURN / seconds(run, 1))) for run in runs]
    each = np.array(
        [[seconds(run, n) for run, n in zip(runs, numbers, strict=True)] for _ in range(ROUNDS)]
    )
    rates = recipe.critic_steps * recipe.batch_size / np.median(each, axis=0)
    ratios = np.median(each[:, :1] / each, axis=0)
    for way, rate, ratio in zip(WAYS, rates, ratios, strict=True):
        yield [devices.describe(device), preset, way, round(rate), float(ratio)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="auto")
    parser.add_argument("--presets", nargs="+", default=["mp", "oqmd", "dense"], choices=PRESETS)
    arguments = parser.parse_args()
    device = devices.resolve(arguments.device)
    rows = [row for preset in arguments.presets for row in timed(preset, device)]
    measured = {tuple(row[:2]) for row in rows}
    earlier = read("training_speed")["rows"]
    write(
        "training_speed",
        "Training the WGAN",
        ("hardware", "preset", "", "samples/s", "times as usually written"),
        [row for row in earlier if tuple(row[:2]) not in measured] + rows,
        notes=[
            "Samples of the critic's steps; the generator's are part of the time. The machine",
            "named above is the newest rows'. The Xeon has AMX, the EPYC has not.",
        ],
    )


if __name__ == "__main__":
    main()
