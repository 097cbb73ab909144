"""Training a Wasserstein GAN, top to bottom.

Arjovsky et al. (arXiv:1701.07875), Gulrajani et al. (arXiv:1704.00028); the paper's use of it:
npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0. After that, if asked for, rounds in
which the new candidates among its own samples stand for the known compounds (a form of
self-training; Gulcehre et al., arXiv:2308.08998).

The directory written is usable from the first interval on: it holds the best generator so far,
by its yield (new valid candidates per sample, see `matgen_core.metrics`), beside the checkpoint
that training goes on from.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from matgen_core.training import GeneratorJob
from matgen_core.weights import WeightsDir
from matgen_networks import device as devices
from matgen_networks import training
from matgen_wgan import WganOptions, WganRecipe, model
from matgen_wgan.generator import sample
from matgen_wgan.model import Critic, Generator

FINAL_SAMPLES = 100_000
EUCLIDEAN, MANHATTAN = 2.0, math.inf
"""The norm of a gradient that bounds how much scores differ over a distance of each kind."""


@dataclass(frozen=True)
class Losses:
    """What generator and critic minimise.

    The gradient penalty needs no double backward (see `input_gradient` of the critics), so both
    losses compile whole.

    Args:
        generator: latent vectors to grids.
        critic: grids to scores.
        recipe: chooses the critic's loss.
        mixed_precision: multiply matrices and convolve in bfloat16.
    """

    generator: Generator
    critic: Critic
    recipe: WganRecipe
    mixed_precision: bool

    def of_critic(
        self, real: Tensor, z: Tensor, mix: Tensor, order: float = EUCLIDEAN
    ) -> tuple[Tensor, Tensor]:
        """The critic's loss, and the estimate of the Wasserstein distance in it.

        Args:
            real: known compounds, [B, rows, columns].
            z: latent vectors, [B, latent].
            mix: where between real and generated the penalty looks, in [0, 1), [B, 1, 1].
            order: of the norm of the gradient that the penalty draws to 1.
        """
        with self._autocast(real):
            with torch.no_grad():
                fake = self.generator(z)
            scores = self.critic(torch.cat([real, fake])).float()
            wasserstein = scores[: len(real)].mean() - scores[len(real) :].mean()
            if self.recipe.loss == "weight-clipping":
                return -wasserstein, wasserstein
            gradient = self.critic.input_gradient(real + mix * (fake - real)).float()
        norm = torch.linalg.vector_norm(gradient.flatten(1), order, dim=1)
        return self.recipe.penalty * ((norm - 1) ** 2).mean() - wasserstein, wasserstein

    def of_generator(self, z: Tensor) -> Tensor:
        """The generator's loss for latent vectors [B, latent]."""
        with self._autocast(z):
            return -self.critic(self.generator(z).float()).float().mean()

    def _autocast(self, like: Tensor) -> torch.autocast:
        return torch.autocast(like.device.type, torch.bfloat16, enabled=self.mixed_precision)


def train(job: GeneratorJob) -> None:
    """Train, and leave a directory of weights in ``job.out``.

    Raises:
        InvalidOption: the device is not there, ``job.out`` holds another training, or there is
            nothing to learn from in a round.
        WeightsError: its checkpoint is damaged.
    """
    recipe: WganRecipe = job.recipe
    device = devices.resolve(job.device)
    random = torch.Generator(device).manual_seed(job.seed)
    torch.manual_seed(job.seed)  # initial weights

    known = job.training_grids()
    grid = (known.shape[1], known.shape[2])
    generator = model.generator(recipe.network, grid, recipe.generator).to(
        device, memory_format=torch.channels_last
    )
    critic = model.critic(recipe.network, grid, recipe.critic).to(
        device, memory_format=torch.channels_last
    )
    if isinstance(generator, model.DenseGenerator):
        generator.draw_numbers_of(torch.from_numpy(known).to(device))
    # What is shipped: a running average of the generator, statistics of its norms included.
    shipped = copy.deepcopy(generator).eval()
    teacher = copy.deepcopy(shipped)  # whose samples a round's candidates are
    averages, averaged = training.floats(shipped), training.floats(generator)

    adam: dict[str, Any] = {"betas": recipe.betas, "fused": True}
    generator_adam = torch.optim.Adam(generator.parameters(), recipe.lr_generator, **adam)
    critic_adam = torch.optim.Adam(critic.parameters(), recipe.lr_critic, **adam)
    modules = {"generator": generator, "critic": critic, "shipped": shipped, "teacher": teacher}
    optimizers = {"generator_adam": generator_adam, "critic_adam": critic_adam}

    batch = recipe.batch_size
    rounds = training.Rounds.of(recipe, len(known), batch * recipe.critic_steps)
    progress, save = training.resume(job, modules, optimizers, random, best=-1.0)

    mixed_precision = devices.has_bfloat16(device)
    losses = Losses(generator, critic, recipe, mixed_precision)
    critic_loss, generator_loss = losses.of_critic, losses.of_generator
    if device.type == "cuda":  # on a CPU compilation gained nothing
        critic_loss, generator_loss = torch.compile(critic_loss), torch.compile(generator_loss)

    def latent() -> Tensor:
        return torch.randn(batch, recipe.network.latent, generator=random, device=device)

    def drawing(network: Generator) -> Callable[[int, int], NDArray[Any]]:
        """A network's ``sample(n, seed)``."""
        return partial(sample, network, recipe.network.latent, batch_size=WganOptions().batch_size)

    @lru_cache(maxsize=1)
    def lesson(number: int) -> Tensor:
        """What the critic takes for real in a round, uint8 [N, *grid]: a cell a byte.

        In round 0 the known compounds; then new candidates among the teacher's samples.
        """
        if number == 0:
            return torch.from_numpy(known).to(device)
        chosen = job.lesson(drawing(teacher), recipe.drawn, seed=number)
        return torch.from_numpy(chosen).to(device)

    def step(number: int) -> dict[str, Tensor]:
        """`critic_steps` critic updates and one of the generator."""
        current, done = rounds.place(number)
        if current and done == 0:
            teacher.load_state_dict(shipped.state_dict())
        grids = lesson(current)
        # Candidates differ from other samples by a cell or two, which takes a critic whose slope
        # along one cell takes nothing from that along another (Adler & Lunz, arXiv:1806.06621).
        order = MANHATTAN if current else EUCLIDEAN
        rate = rounds.rate(number, recipe.decay)
        generator_adam.param_groups[0]["lr"] = recipe.lr_generator * rate
        critic_adam.param_groups[0]["lr"] = recipe.lr_critic * rate
        for _ in range(recipe.critic_steps):
            rows = torch.randint(len(grids), (batch,), generator=random, device=device)
            mix = torch.rand(batch, 1, 1, generator=random, device=device)
            critic_adam.zero_grad()
            of_critic, wasserstein = critic_loss(grids[rows].float(), latent(), mix, order)
            of_critic.backward()
            critic_adam.step()
            if recipe.loss == "weight-clipping":
                with torch.no_grad():
                    for parameter in critic.parameters():
                        parameter.clamp_(-recipe.clip, recipe.clip)
        critic.requires_grad_(False)
        generator_adam.zero_grad()
        of_generator = generator_loss(latent())
        of_generator.backward()
        generator_adam.step()
        critic.requires_grad_(True)
        training.average(averages, averaged, recipe.averaging, number)
        return {
            "critic_loss": of_critic.detach(),
            "generator_loss": of_generator.detach(),
            "wasserstein": wasserstein.detach(),
        }

    def write(measured: dict[str, float]) -> None:
        job.write(
            {key: training.half(value).numpy() for key, value in shipped.state_dict().items()},
            model={
                "network": recipe.network.model_dump(),
                "generator": list(recipe.generator),
                "grid": list(grid),
            },
            training={
                **recipe.model_dump(exclude={"network", "generator"}),
                **training.account(
                    progress,
                    batch=batch * recipe.critic_steps,
                    before=rounds.before,
                    of=len(known),
                    device=device,
                    precision="bfloat16" if mixed_precision else "float32",
                ),
            },
            measured=measured,
        )

    def judge() -> dict[str, float]:
        """Quality of some samples; the weights are written if none so far yielded more."""
        measured = job.judge(drawing(shipped), recipe.evaluate, seed=progress["step"])
        if measured["yield"] > progress["best"]:
            progress["best"] = measured["yield"]
            write(measured)
        return measured

    shares = dict.fromkeys(("decodable", "valid", "unique", "novel", "yield"), ".1%")
    training.run(
        job,
        progress,
        rounds.total,
        step,
        judge,
        save,
        batch=batch * recipe.critic_steps,
        shown={"wasserstein": ".3f", **shares},
    )

    # The best generator was chosen by its yield among many evaluations; a fresh and larger draw
    # from the weights as they are stored says what it is worth.
    best = load_file(job.out / WeightsDir.TENSORS)
    shipped.load_state_dict({key: value.float() for key, value in best.items()})
    job.remeasure(job.judge(drawing(shipped), FINAL_SAMPLES, seed=rounds.total))
