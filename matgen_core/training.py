"""What every training has in common: the data, the split, the judge, the directory written.

A component's own training function gets a `Job` and leaves a directory of weights; see
`matgen_core.weights` for its form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matgen_core import metrics, weights
from matgen_core.compositions import Compositions
from matgen_core.datasets import Dataset, held_out
from matgen_core.errors import DataError, InvalidOption, UnknownName
from matgen_core.interfaces import Encoder, Validator
from matgen_core.registry import Component, Registry, import_object, validate
from matgen_core.weights import DataCard, Known

HELD_OUT_FRACTION = 0.1
HELD_OUT_SEED = 0
BATCH = 8192
"""Samples drawn and decoded at once."""
JUDGES = ("charge", "eneg")
"""The validators whose verdicts are followed during training."""


@dataclass(frozen=True, eq=False)
class Job:
    """One training to be done.

    Attributes:
        name: what the weights will be called.
        component: the component trained.
        function: ``"package.module:function"`` that does it, called with the job.
        recipe: the hyperparameters.
        preset: name of the recipe's preset, noted on the card.
        dataset: cleaned compounds that the encoder can represent, N rows.
        role: of each compound, uint8 [N]; see `matgen_core.weights.Known`.
        data: the card's account of the data.
        encoder_name: the encoder's name, noted on the card.
        encoder: the encoder.
        validators: by name, for following the training.
        out: the directory of weights to write.
        device: as the user named it.
        seed: of everything random.
        resume: go on from the checkpoint in `out`.
    """

    name: str
    component: str
    function: str
    recipe: Any
    preset: str
    dataset: Dataset
    role: NDArray[np.uint8]
    data: DataCard
    encoder_name: str
    encoder: Encoder
    validators: Mapping[str, Validator]
    out: Path
    device: str
    seed: int
    resume: bool

    def run(self) -> None:
        """Train; at the end `out` is a directory of weights.

        Raises:
            InvalidOption: the device is not there, or `out` holds another training.
            WeightsError: its checkpoint is damaged.
        """
        import_object(self.function)(self)

    @property
    def known(self) -> Known:
        """Index of the data set by fingerprint."""
        return Known(self.dataset.compositions.fingerprints(), self.role)

    def training_grids(self) -> NDArray[np.uint8]:
        """Encoded compounds to train on, uint8 [n_train, *shape]."""
        return self.encoder.encode(self.dataset.compositions[self.role == Known.TRAINED])

    def judge(
        self, sample: Callable[[int, int], NDArray[Any]], n: int, seed: int
    ) -> dict[str, float]:
        """Quality of `n` samples; see `matgen_core.metrics.quality`.

        Args:
            sample: a generator's ``sample(n, seed)``.
            n: how many to draw.
            seed: of the drawing.
        """
        drawn = draw(sample, self.encoder, n, seed)
        verdicts = {name: v.check(drawn) for name, v in self.validators.items()}
        return metrics.quality(drawn, verdicts, self.known)

    def write(
        self,
        tensors: Mapping[str, NDArray[Any]],
        *,
        model: Mapping[str, Any],
        training: Mapping[str, Any],
        measured: Mapping[str, float],
    ) -> None:
        """Write the directory of weights; what was there stays whole until it is replaced."""
        from matgen_core import __version__

        card = {
            "name": self.name,
            "component": self.component,
            "matgen_version": __version__,
            "encoder": self.encoder_name,
            "data": self.data,
            "model": dict(model),
            "training": {"preset": self.preset, "seed": self.seed, **training},
            "metrics": _rounded(measured),
        }
        files = {
            weights.WeightsDir.TENSORS: tensors,
            weights.WeightsDir.KNOWN: self.known.tensors(),
        }
        weights.write_weights(self.out, card, files)

    def remeasure(self, measured: Mapping[str, float]) -> None:
        """Put better measured figures on the card of the weights in `out`."""
        weights.write_card(
            self.out,
            weights.WeightsDir(self.out).card.model_copy(update={"metrics": _rounded(measured)}),
        )


def draw(
    sample: Callable[[int, int], NDArray[Any]], encoder: Encoder, n: int, seed: int
) -> Compositions:
    """Decode `n` samples, drawn and decoded in batches; an empty row is one that did not decode.

    Args:
        sample: a generator's ``sample(n, seed)``.
        encoder: the encoder whose space it samples.
        n: how many to draw.
        seed: of the drawing.
    """
    batches = [
        encoder.decode(sample(min(BATCH, n - start), seed + start)) for start in range(0, n, BATCH)
    ]
    return Compositions.concatenate(batches)


def _rounded(measured: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 6) for key, value in measured.items()}


def prepare(
    registry: Registry,
    component: str,
    *,
    data: str,
    out: Path,
    preset: str | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    name: str | None = None,
    encoder: str = "onehot",
    screen: Sequence[str] = (),
    device: str = "auto",
    seed: int = 0,
    resume: bool = False,
) -> Job:
    """Choose a recipe; load, split and screen the data.

    A tenth of the compounds is held out before anything else, by `matgen_core.datasets.held_out`.

    Args:
        registry: where names are looked up.
        component: what to train.
        data: name of the source.
        out: the directory of weights to write.
        preset: name of the recipe; None for the one called like the data.
        options: by component name: changes of the recipe, or options of the source.
        name: what the weights will be called; None for ``COMPONENT-DATA[-screened]``.
        encoder: name of the encoder whose space is learned.
        screen: validators that every compound trained on must pass.
        device: as `matgen_core.interfaces` describes it.
        seed: of everything random.
        resume: go on from the checkpoint in `out`.

    Raises:
        UnknownName: of the component, the preset, the source, a validator or an option.
        InvalidOption, DataError: see the message.
    """
    options = dict(options or {})
    trainable = {
        entry.item.name: entry.item.training
        for entry in registry.entries()
        if isinstance(entry.item, Component) and entry.item.training
    }
    if component not in trainable:
        raise UnknownName.of("trainable component", component, trainable)
    training = trainable[component]
    preset = preset or data
    if preset not in training.presets:
        raise UnknownName.of(f"preset of {component}", preset, training.presets)
    for changed in options:
        if changed not in (component, data):
            raise UnknownName.of("component in this training", changed, (component, data))
    base = training.presets[preset].model_dump()
    recipe = validate(training.recipe, base | dict(options.get(component, {})), component)
    if out.exists() and not out.is_dir():
        raise InvalidOption(f"--out {out} is a file")
    source = registry.create("source", data, options.get(data))
    grid = registry.create("encoder", encoder)
    judges = {judge: registry.create("validator", judge) for judge in (*JUDGES, *screen)}
    everything: Dataset = source.load()
    dataset = everything[grid.encodable(everything.compositions)]

    kept = held_out(dataset.compositions, HELD_OUT_FRACTION, HELD_OUT_SEED)
    passed = np.ones(len(kept), np.bool_)
    for validator in screen:
        passed &= judges[validator].check(dataset.compositions)
    role = np.where(passed, np.where(kept, Known.HELD_OUT, Known.TRAINED), Known.UNUSED)
    n_train = int((role == Known.TRAINED).sum())
    if not n_train:
        raise DataError(f"{data} leaves no compound to train on")
    return Job(
        name=name or f"{component}-{data}" + ("-screened" if screen else ""),
        component=component,
        function=training.function,
        recipe=recipe,
        preset=preset,
        dataset=dataset,
        role=role.astype(np.uint8),
        data=DataCard(
            source=data,
            attribution=dataset.attribution,
            n_clean=len(dataset.compositions),
            n_train=n_train,
            n_held_out=int((role == Known.HELD_OUT).sum()),
            held_out_fraction=HELD_OUT_FRACTION,
            held_out_seed=HELD_OUT_SEED,
            screen=list(screen),
        ),
        encoder_name=encoder,
        encoder=grid,
        validators={judge: judges[judge] for judge in JUDGES},
        out=out,
        device=device,
        seed=seed,
        resume=resume,
    )
