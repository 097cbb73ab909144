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
JUDGES = ("charge", "eneg")
"""The validators whose verdicts are followed during training."""


@dataclass(frozen=True, eq=False)
class Job:
    """One training to be done.

    Attributes:
        name: what the weights will be called.
        component: the component trained.
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
        batch = 8192
        drawn = Compositions.concatenate(
            [
                self.encoder.decode(sample(min(batch, n - start), seed + start))
                for start in range(0, n, batch)
            ]
        )
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


def _rounded(measured: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 6) for key, value in measured.items()}


def prepare(
    registry: Registry,
    component: str,
    *,
    preset: str,
    data: str,
    out: Path,
    name: str | None = None,
    encoder: str = "onehot",
    screen: Sequence[str] = (),
    source_options: Mapping[str, Any] | None = None,
    device: str = "auto",
    seed: int = 0,
    resume: bool = False,
) -> Job:
    """Load, split and screen the data of a training.

    A tenth of the compounds is held out before anything else, by `matgen_core.datasets.held_out`.
    With `screen`, training sees only compounds that pass all the named validators.

    Raises:
        DataError: the data are absent, damaged, or leave nothing to train on.
        UnknownName, InvalidOption: see the message.
    """
    if out.exists() and not out.is_dir():
        raise InvalidOption(f"--out {out} is a file")
    source = registry.create("source", data, source_options)
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


def start(
    registry: Registry,
    component: str,
    *,
    preset: str | None,
    data: str,
    out: Path,
    options: Mapping[str, Mapping[str, Any]],
    **settings: Any,
) -> None:
    """Train a component by name; see `prepare` for the settings.

    Args:
        registry: where names are looked up.
        component: what to train.
        preset: name of its recipe; None for the one called like the data.
        data: name of the source.
        out: the directory of weights to write.
        options: by component name: changes of the recipe, or options of the source.
        settings: passed on to `prepare`.

    Raises:
        UnknownName: of the component, the preset, an option or the source.
        InvalidOption, DataError, WeightsError: see the message.
    """
    trainable = {
        entry.item.name: entry.item.training
        for entry in registry.entries()
        if isinstance(entry.item, Component) and entry.item.training
    }
    if component not in trainable:
        raise UnknownName.of("trainable component", component, trainable)
    training = trainable[component]
    chosen = preset or data
    if chosen not in training.presets:
        raise UnknownName.of(f"preset of {component}", chosen, training.presets)
    for name in options:
        if name not in (component, data):
            raise UnknownName.of("component in this training", name, (component, data))
    base = training.presets[chosen].model_dump()
    recipe = validate(training.recipe, base | dict(options.get(component, {})), component)
    job = prepare(
        registry,
        component,
        preset=chosen,
        data=data,
        out=out,
        source_options=options.get(data),
        **settings,
    )
    import_object(training.function)(recipe, job)
