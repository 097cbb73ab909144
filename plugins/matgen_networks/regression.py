"""What the networks of formation energy share: their elements, the training, the predicting.

A plugin gives its network, what the network reads of compositions, and one step of its training.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from matgen_core import Options, metrics
from matgen_core.compositions import Compositions
from matgen_core.elements import ATOMIC_NUMBER, SYMBOLS
from matgen_core.errors import WeightsError
from matgen_core.interfaces import Predictor
from matgen_core.training import PredictorJob
from matgen_core.weights import Known, WeightsDir
from matgen_networks import device as devices
from matgen_networks import stored, training
from matgen_onehot.encoder import ALPHABET

ELEMENTS: tuple[str, ...] = tuple(sorted((*ALPHABET, "Kr"), key=ATOMIC_NUMBER.__getitem__))
"""The 86 elements of OQMD's compounds, by atomic number."""
OUTSIDE = -1
PLACE: NDArray[np.int64] = np.full(len(SYMBOLS), OUTSIDE, np.int64)
"""Of each atomic number in `ELEMENTS`, int64 [119]; `OUTSIDE` for another element, and for none."""
PLACE[[ATOMIC_NUMBER[symbol] for symbol in ELEMENTS]] = np.arange(len(ELEMENTS))
BATCH = 4096
"""Compositions computed at once while a training is judged."""

Inputs = Callable[[Compositions], tuple[Tensor, ...]]
"""What a network reads of N compositions that are all `inside`: tensors of N rows, on the CPU."""


def inside(compositions: Compositions) -> NDArray[np.bool_]:
    """Which rows have elements of `ELEMENTS` only, bool [N]; False for an empty row."""
    fits = (PLACE[compositions.numbers] != OUTSIDE) | (compositions.numbers == 0)
    inside: NDArray[np.bool_] = fits.all(axis=1) & (compositions.n_elements > 0)
    return inside


def predict(
    network: nn.Module, inputs: Inputs, compositions: Compositions, batch_size: int
) -> NDArray[np.float64]:
    """Values of N compositions that are all `inside`, float64 [N].

    Args:
        network: gives a value a row, [B] or [B, 1].
        inputs: what it is given.
        compositions: whose values are wanted.
        batch_size: compositions computed at once.
    """
    device = next(network.parameters()).device

    def of(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        read = (tensor.to(device) for tensor in inputs(compositions[rows]))
        return network(*read).flatten().cpu().numpy()

    # Compositions of as many elements stand together: a network that pads them pads little.
    order = np.argsort(compositions.n_elements, kind="stable")
    parts = np.split(order, range(batch_size, len(order), batch_size))
    values = np.empty(len(compositions))
    values[order] = np.concatenate(devices.infer(of, parts, device))
    return values


class EnergyPredictor(Predictor):
    """Formation energies by a trained network; NaN for an element that it does not know.

    Attributes:
        method: what messages call the network.
    """

    property: ClassVar[str] = "formation_energy"
    unit: ClassVar[str] = "eV/atom"
    method: ClassVar[str]

    def __init__(
        self, options: Options, weights: WeightsDir | None = None, device: str = "auto"
    ) -> None:
        super().__init__(options, weights, device)
        if weights is None:
            raise WeightsError(f"the {self.method} needs weights")
        self.torch_device = devices.resolve(device)
        try:
            described = dict(weights.card.model)
            if described.pop("elements", None) != list(ELEMENTS):
                raise ValueError("its elements are others")
            self.network = self.network_of(described)
            stored.fill(self.network, stored.read(weights))
        except ValueError as error:
            raise WeightsError(f"{weights.path} holds no {self.method}: {error}") from error
        self.network.eval().to(self.torch_device)

    @staticmethod
    @abstractmethod
    def network_of(described: Mapping[str, Any]) -> nn.Module:
        """The network that a card describes, without its tensors.

        Args:
            described: what the card says of it beside its elements.

        Raises:
            ValueError: it describes none.
        """

    @staticmethod
    @abstractmethod
    def inputs(compositions: Compositions) -> tuple[Tensor, ...]:
        """What the network is given; see `Inputs`."""

    def predict(self, compositions: Compositions) -> NDArray[np.float64]:
        """Formation energies in eV/atom, float64 [N]."""
        known = inside(compositions)
        values = np.full(len(compositions), np.nan)
        size = self.options.batch_size
        values[known] = predict(self.network, self.inputs, compositions[known], size)
        return values


def train(
    job: PredictorJob,
    network: nn.Module,
    inputs: Inputs,
    adam: torch.optim.Optimizer,
    step: Callable[[int, int], Tensor],
    *,
    random: torch.Generator,
    batch: int,
    model: Mapping[str, Any],
) -> None:
    """Take the steps of a training, and leave a directory of weights in ``job.out``.

    The directory is usable from the first interval on: it holds the network that is best on the
    validation compounds so far, beside the checkpoint that training goes on from. The held-out
    compounds are looked at once, at the end.

    Args:
        job: its recipe says for how many epochs, at which interval the network is judged, and
            how slowly the average of the weights moves, which is what is judged and shipped.
        network: as it begins, on its device.
        inputs: what it is given.
        adam: moves all its parameters.
        step: called with the number of a step, 1 for the first, and how many there will be:
            updates the network; its mean absolute error on the batch, [].
        random: source of the random numbers that follow from no number of a step.
        batch: compounds a step.
        model: what the card says of the network beside its elements.

    Raises:
        InvalidOption: ``job.out`` holds another training.
        WeightsError: its checkpoint is damaged.
    """
    recipe = job.recipe
    device = next(network.parameters()).device
    shipped = copy.deepcopy(network).eval()
    averages, averaged = training.floats(shipped), training.floats(network)
    n_trained = len(job.rows(Known.TRAINED))
    total = max(1, math.ceil(recipe.epochs * n_trained / batch))
    modules, optimizers = {"network": network, "shipped": shipped}, {"adam": adam}
    progress, save = training.resume(job, modules, optimizers, random, best=math.inf)

    def errors(role: int) -> dict[str, float]:
        of_role = job.rows(role)
        if not len(of_role):  # of a small table
            return {}
        values = predict(shipped, inputs, job.dataset.compositions[of_role], BATCH)
        return metrics.regression(values, job.target[of_role])

    def write(measured: dict[str, float]) -> None:
        job.write(
            {key: training.half(value).numpy() for key, value in shipped.state_dict().items()},
            model={"elements": list(ELEMENTS), **model},
            training={
                **recipe.model_dump(exclude=set(model)),
                **training.account(
                    progress,
                    batch=batch,
                    of=n_trained,
                    device=device,
                    precision="bfloat16",
                ),
            },
            measured=measured,
        )

    def averaged_step(number: int) -> dict[str, Tensor]:
        loss = step(number, total)
        training.average(averages, averaged, recipe.averaging, number)
        return {"loss": loss}

    def judge() -> dict[str, float]:
        measured = {f"validation_{key}": v for key, v in errors(Known.VALIDATION).items()}
        error = measured.get("validation_mae", math.nan)
        if not error >= progress["best"]:  # nor is NaN: unvalidated, the last is best
            progress["best"] = error
            write(measured)
        return measured

    shown = {"loss": ".4f", "validation_mae": ".4f"}
    training.run(job, progress, total, averaged_step, judge, save, batch=batch, shown=shown)

    best = load_file(job.out / WeightsDir.TENSORS)
    shipped.load_state_dict({key: value.float() for key, value in best.items()})
    measured = {f"validation_{key}": value for key, value in errors(Known.VALIDATION).items()}
    job.remeasure(errors(Known.HELD_OUT) | measured)
