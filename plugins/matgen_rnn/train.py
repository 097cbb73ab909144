"""Training the recurrent network by maximum likelihood, top to bottom.

First of the known compounds; then, in rounds, of the new candidates among its own samples (a form
of self-training; Gulcehre et al., arXiv:2308.08998).

The directory written is usable from the first interval on: it holds the network as it is, beside
the checkpoint that training goes on from. The likelihood of held-out compounds is there to be
looked at; nothing is chosen by it.
"""

from __future__ import annotations

import copy
import math
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matgen_core import asking
from matgen_core.errors import InvalidOption
from matgen_core.training import GeneratorJob
from matgen_core.weights import Known
from matgen_networks import device as devices
from matgen_networks import training
from matgen_onehot.encoder import ALPHABET, OneHot
from matgen_rnn import RnnOptions, RnnRecipe
from matgen_rnn.generator import sample
from matgen_rnn.model import Shape, Writer, sequences

LARGEST_GRADIENT = 1.0
"""Norm that the gradient of a step is cut to."""
FINAL_SAMPLES = 100_000


def by_electronegativity() -> NDArray[np.int64]:
    """Rows of the one-hot grid from the least electronegative element to the most, int64 [85].

    As formulas are written: anions, whose counts balance all others, come last. Pauling's scale;
    elements without a value come after all others.
    """
    from pymatgen.core import Element  # slow to import, and not needed to sample

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of each element without a value
        values = [Element(symbol).X for symbol in ALPHABET]
    return np.argsort(np.nan_to_num(values, nan=np.inf), kind="stable")


def train(job: GeneratorJob) -> None:
    """Train, and leave a directory of weights in ``job.out``.

    Raises:
        InvalidOption: the device is not there, the encoder is another, ``job.out`` holds
            another training, or there is nothing to learn from in a round.
        WeightsError: its checkpoint is damaged.
    """
    recipe: RnnRecipe = job.recipe
    device = devices.resolve(job.device)
    random = torch.Generator(device).manual_seed(job.seed)
    torch.manual_seed(job.seed)  # initial weights, dropout

    if not isinstance(job.encoder, OneHot):
        raise InvalidOption(f"rnn learns compositions encoded by onehot, not {job.encoder_name}")
    grids, order = job.training_grids(), by_electronegativity()
    known = sequences(grids, order)
    shape = Shape(
        width=recipe.width,
        layers=recipe.layers,
        grid=(grids.shape[1], grids.shape[2]),
        longest=known[1].shape[1],
    )
    network = Writer(shape, torch.from_numpy(order), recipe.dropout).to(device)
    adam = torch.optim.AdamW(
        network.parameters(), recipe.lr, weight_decay=recipe.weight_decay, fused=True
    )
    # Whose samples a round's candidates are.
    teacher = copy.deepcopy(network).eval().to(device)  # a copy lies scattered until it is moved
    modules, optimizers = {"network": network, "teacher": teacher}, {"adam": adam}

    # Longer ones than any trained on have no likelihood.
    unseen = job.dataset.compositions[job.rows(Known.HELD_OUT)]
    unseen = unseen[unseen.n_elements <= shape.longest]
    held_out = sequences(asking.encoded(job.encoder, unseen), order) if len(unseen) else None

    batch = recipe.batch_size
    rounds = training.Rounds.of(recipe, len(grids), batch)
    progress, save = training.resume(job, modules, optimizers, random)

    @lru_cache(maxsize=1)
    def lesson(number: int) -> tuple[Tensor, Tensor]:
        """What is learned from in a round; in round 0, the known compounds."""
        if number == 0:
            elements, counts = known
        else:
            chosen = job.lesson(warmer, recipe.drawn, seed=number)
            elements, counts = sequences(chosen, order)
        return elements.to(device), counts.to(device)

    def warmer(n: int, seed: int) -> NDArray[Any]:
        """Samples that a round's candidates are among."""
        options = RnnOptions(temperature=recipe.temperature)
        return sample(teacher, shape.longest, n, seed, options)

    def step(number: int) -> dict[str, Tensor]:
        """One update."""
        current, done = rounds.place(number)
        rate = recipe.lr * rounds.rate(number, recipe.decay)
        if current:
            rate /= 2  # what it knows is to be changed, not learned anew
            if done == 0:
                teacher.load_state_dict(network.state_dict())
        elements, counts = lesson(current)
        adam.param_groups[0]["lr"] = rate
        # Dropout takes its numbers from torch's own source: a resumed training must find the same.
        torch.manual_seed(int(np.random.SeedSequence([job.seed, number]).generate_state(1)[0]))
        rows = torch.randint(len(elements), (batch,), generator=random, device=device)
        adam.zero_grad()
        loss = network.loss(elements[rows], counts[rows])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        adam.step()
        return {"loss": loss.detach()}

    @torch.inference_mode()
    def held_out_loss() -> float:
        """Of the held-out compounds, in nats."""
        if held_out is None:
            return math.nan
        parts = zip(*(tensor.split(4096) for tensor in held_out), strict=True)
        losses = [float(network.loss(e.to(device), c.to(device))) * len(e) for e, c in parts]
        return sum(losses) / len(unseen)

    def draw(n: int, seed: int) -> NDArray[Any]:
        return sample(network, shape.longest, n, seed, RnnOptions())

    def write(measured: dict[str, float]) -> None:
        job.write(
            {name: training.half(value).numpy() for name, value in network.state_dict().items()},
            model=shape.model_dump(mode="json"),
            training={
                **recipe.model_dump(exclude={"width", "layers"}),
                **training.account(
                    progress,
                    batch=batch,
                    before=rounds.before,
                    of=len(grids),
                    device=device,
                    precision="float32",
                ),
            },
            measured=measured,
        )

    def judge() -> dict[str, float]:
        network.eval()
        measured = job.judge(draw, recipe.evaluate, seed=progress["step"])
        write(measured)
        measured = {"held_out_loss": held_out_loss(), **measured}
        network.train()
        return measured

    shares = dict.fromkeys(("valid", "novel", "yield"), ".1%")
    shown = {"loss": ".3f", "held_out_loss": ".3f", **shares}
    training.run(job, progress, rounds.total, step, judge, save, batch=batch, shown=shown)

    # What is shipped is measured as it is stored, in half precision.
    network.eval().load_state_dict({k: training.half(v) for k, v in network.state_dict().items()})
    write(job.judge(draw, FINAL_SAMPLES, seed=job.seed))
