"""What every training has in common: the data, the split, the judge, the directory written.

A component's own training function gets a `GeneratorJob` or a `PredictorJob` and leaves a
directory of weights; see `matgen_core.weights` for its form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matgen_core import asking, metrics, weights
from matgen_core.compositions import Compositions
from matgen_core.datasets import Dataset, held_out
from matgen_core.errors import DataError, InvalidOption, UnknownName
from matgen_core.interfaces import Encoder, Validator
from matgen_core.locks import claimed
from matgen_core.registry import Component, Registry, Training, import_object, source_of, validate
from matgen_core.weights import DataCard, Known, write_atomically

HELD_OUT_FRACTION = 0.1
HELD_OUT_SEED = 0
BATCH = 8192
"""Samples drawn and decoded at once."""
JUDGES = ("charge", "eneg")
"""The validators whose verdicts are followed during a generator's training."""
MOST_REPEATED = 10
"""How many times as often as the mean a candidate of a round is learned from, at most; the
inverse, at least."""
FITTINGS = 20
"""How often candidates are weighted to the known compounds' elements and then their numbers."""
REJECTED = "rejected.csv"
"""Rows of the data that could not be used, beside the weights."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """One training to be done.

    Attributes:
        name: what the weights will be called.
        component: the component trained.
        owner: its plugin and name, for messages.
        function: ``"package.module:function"`` that does it, called with the job.
        recipe: the hyperparameters.
        preset: name of the recipe's preset, noted on the card.
        dataset: cleaned compounds that can be represented, N rows.
        role: of each compound, uint8 [N]; see `matgen_core.weights.Known`.
        data: the card's account of the data.
        out: the directory of weights to write.
        device: as the user named it.
        seed: of everything random.
        resume: go on from the checkpoint in `out`.
    """

    name: str
    component: str
    owner: str
    function: str
    recipe: Any
    preset: str
    dataset: Dataset
    role: NDArray[np.uint8]
    data: DataCard
    out: Path
    device: str
    seed: int
    resume: bool

    def run(self) -> None:
        """Train; at the end `out` is a directory of weights.

        Rows that cannot be used are listed in its file ``rejected.csv``.

        Raises:
            InvalidOption: the device is not there, `out` holds weights and resuming was not asked
                for, or they are of another training.
            WeightsError: its checkpoint is damaged.
            DataError: another process is training into `out`.
            PluginError: the component's training failed.
        """
        train = import_object(self.function, self.owner)
        self.out.mkdir(parents=True, exist_ok=True)
        with claimed(self.out):
            if (self.out / weights.WeightsDir.CARD).exists() and not self.resume:
                raise InvalidOption(
                    f"{self.out} holds weights already: go on with --resume, or choose another "
                    "--out"
                )
            if self.dataset.rejected is not None:
                table = self.dataset.rejected.to_csv(index=False)
                write_atomically(self.out / REJECTED, table.encode())
            else:
                (self.out / REJECTED).unlink(missing_ok=True)
            with asking.guarded(self.owner):
                train(self)

    @property
    def known(self) -> Known:
        """Index of the data set by fingerprint."""
        return Known(self.dataset.compositions.fingerprints(), self.role)

    def rows(self, role: int) -> NDArray[np.intp]:
        """Which rows play a role of `matgen_core.weights.Known`."""
        return np.flatnonzero(self.role == role)

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
            "data": self.data,
            "model": dict(model),
            "training": {"preset": self.preset, "seed": self.seed, **training},
            "metrics": _rounded(measured),
            **self._card(),
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

    def _card(self) -> dict[str, Any]:
        """What only this kind of job notes on the card."""
        return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneratorJob(Job):
    """The training of a generator.

    Attributes:
        encoder_name: the encoder's name, noted on the card.
        encoder: the encoder.
        validators: by name, for following the training.
    """

    encoder_name: str
    encoder: Encoder
    validators: Mapping[str, Validator]

    def training_grids(self) -> NDArray[np.uint8]:
        """Encoded compounds to train on, uint8 [n_train, *shape]."""
        return asking.encoded(self.encoder, self.dataset.compositions[self.rows(Known.TRAINED)])

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
        verdicts = {name: asking.verdicts(v, drawn) for name, v in self.validators.items()}
        return metrics.quality(drawn, verdicts, self.known)

    def candidates(
        self, sample: Callable[[int, int], NDArray[Any]], n: int, seed: int
    ) -> Compositions:
        """The different valid ones among `n` samples that are no training compounds.

        Held-out compounds count as unknown, as they are to the network.

        Args:
            sample: a generator's ``sample(n, seed)``.
            n: how many to draw.
            seed: of the drawing.

        Raises:
            InvalidOption: there is none.
        """
        drawn = draw(sample, self.encoder, n, seed)
        known = self.known
        trained = known.fingerprints[known.role == Known.TRAINED]
        kept = drawn.first_occurrence() & ~weights.member(drawn.fingerprints(), trained)
        for validator in self.validators.values():
            kept &= asking.verdicts(validator, drawn)
        if not kept.any():
            raise InvalidOption(
                f"none of {n:,} samples is new and valid: train for more epochs before the "
                "rounds, or draw more"
            )
        return drawn[kept]

    def lesson(
        self, sample: Callable[[int, int], NDArray[Any]], n: int, seed: int
    ) -> NDArray[np.uint8]:
        """What a network learns from in a round: `candidates` among `n` samples, and `n` of them.

        They are repeated so that they are `alike` the compounds trained on, and encoded, uint8
        [n, *shape].

        Args:
            sample: a generator's ``sample(n, seed)``.
            n: how many to draw, and how many to return.
            seed: of the drawing.

        Raises:
            InvalidOption: there is no candidate.
        """
        found = self.candidates(sample, n, seed)
        trained = self.dataset.compositions[self.rows(Known.TRAINED)]
        chosen = found[alike(found, trained, n, seed)]
        return asking.encoded(self.encoder, chosen)

    def _card(self) -> dict[str, Any]:
        return {"encoder": self.encoder_name}


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictorJob(Job):
    """The training of a predictor.

    Attributes:
        target: what is learned, in the data's unit, float64 [N], none of it NaN.
    """

    target: NDArray[np.float64]


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
        asking.decoded(encoder, sample(min(BATCH, n - start), seed + start))
        for start in range(0, n, BATCH)
    ]
    return Compositions.concatenate(batches)


def alike(candidates: Compositions, known: Compositions, n: int, seed: int) -> NDArray[np.intp]:
    """Choose among candidates so that they have the elements of known compounds, as often.

    And as many of them to a composition. More compositions of some elements balance than of
    others, and more of many elements than of few: a network left to its own candidates soon writes
    little else. Not the counts: of compositions with small ones few are unknown, and to keep to
    them would be to keep to these few. Weights by iterative proportional fitting (Deming & Stephan
    1940, doi:10.1214/aoms/1177731829).

    Args:
        candidates: to choose from, none without elements.
        known: to be like.
        n: how many to choose, with repetitions.
        seed: of the choice.

    Returns:
        Which candidates, [n].
    """
    sizes = candidates.n_elements
    weight = np.ones(len(candidates))
    for _ in range(FITTINGS):
        by_element = _ratios(known.numbers, candidates.numbers, weight)
        by_element[0] = 1  # of no element
        weight *= by_element[candidates.numbers].prod(axis=1) ** (1 / sizes)
        weight *= _ratios(known.n_elements, sizes, weight)[sizes]
        weight = (weight / weight.mean()).clip(1 / MOST_REPEATED, MOST_REPEATED)
    return np.random.default_rng(seed).choice(len(candidates), n, p=weight / weight.sum())


def _ratios(
    wanted: NDArray[np.integer], found: NDArray[np.integer], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How many times as often each number is in a row of `wanted` as in a weighted one of `found`.

    1 for a number that is not found, and nothing beyond `MOST_REPEATED`.
    """
    longest = int(max(wanted.max(), found.max())) + 1
    target = np.bincount(wanted.ravel(), minlength=longest) / len(wanted)
    each = np.repeat(weight, found.size // len(found))
    share = np.bincount(found.ravel(), each, longest) / weight.sum()
    ratios = np.ones(longest)
    np.divide(target, share, out=ratios, where=share > 0)
    return ratios.clip(1 / MOST_REPEATED, MOST_REPEATED)


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

    Where the data carry no published split, a tenth of the compounds is held out before anything
    else, and for a predictor another tenth chooses the best of the training; see
    `matgen_core.datasets.held_out`.

    Args:
        registry: where names are looked up.
        component: the generator or predictor to train.
        data: name of the source, or the path of a ``.csv`` file.
        out: the directory of weights to write.
        preset: name of the recipe; None for the one called like the data, or ``default``.
        options: by component name: changes of the recipe, or options of the source.
        name: what the weights will be called; None for ``COMPONENT-DATA[-screened]``.
        encoder: name of the encoder whose space a generator learns.
        screen: validators that every compound trained on must pass.
        device: as `matgen_core.interfaces` describes it.
        seed: of everything random.
        resume: go on from the checkpoint in `out`.

    Raises:
        UnknownName: of the component, the preset, the source, a validator or an option.
        InvalidOption, DataError: see the message.
    """
    settings = {owner: dict(values) for owner, values in (options or {}).items()}
    kind, training = _trainable(registry, component)
    owner = f"{registry.plugin(component)}: {kind} {component!r}"
    name = name or f"{component}-{Path(data).stem}" + ("-screened" if screen else "")
    data, implied = source_of(data)
    settings[data] = implied | settings.get(data, {})
    if preset is None:
        preset = next((known for known in (data, "default") if known in training.presets), None)
    if preset is None:
        raise InvalidOption(
            f"{component} has no preset for {data}: choose one of {', '.join(training.presets)}"
        )
    if preset not in training.presets:
        raise UnknownName.of(f"preset of {component}", preset, training.presets)
    for changed in settings:
        if changed not in (component, data):
            raise UnknownName.of("component in this training", changed, (component, data))
    base = training.presets[preset].model_dump()
    recipe = validate(training.recipe, base | settings.get(component, {}), component)
    if out.exists() and not out.is_dir():
        raise InvalidOption(f"--out {out} is a file")

    screens = [registry.create("validator", validator) for validator in screen]
    if training.target and "lowest" in registry.component("source", data).options.model_fields:
        settings[data].setdefault("lowest", training.target)
    dataset = asking.dataset(registry.create("source", data, settings[data]))
    extra: dict[str, Any]
    if kind == "predictor":
        dataset, extra = _for_predictor(dataset, component, training, owner)
    else:
        dataset, extra = _for_generator(dataset, encoder, registry)

    role, published = split(dataset, validation=kind == "predictor")
    passed = np.ones(len(role), np.bool_)
    for validator in screens:
        passed &= asking.verdicts(validator, dataset.compositions)
    role[~passed] = Known.UNUSED
    n = np.bincount(role, minlength=Known.VALIDATION + 1).tolist()
    if not n[Known.TRAINED]:
        raise DataError(f"{data} leaves no compound to train on")
    job = GeneratorJob if kind == "generator" else PredictorJob
    return job(
        name=name,
        component=component,
        owner=owner,
        function=training.function,
        recipe=recipe,
        preset=preset,
        dataset=dataset,
        role=role,
        data=DataCard(
            source=data,
            attribution=dataset.attribution,
            n_clean=len(dataset.compositions),
            n_train=n[Known.TRAINED],
            n_validation=n[Known.VALIDATION],
            n_held_out=n[Known.HELD_OUT],
            held_out_fraction=None if published else HELD_OUT_FRACTION,
            held_out_seed=None if published else HELD_OUT_SEED,
            screen=list(screen),
        ),
        out=out,
        device=device,
        seed=seed,
        resume=resume,
        **extra,
    )


def _trainable(registry: Registry, component: str) -> tuple[str, Training]:
    """Kind of a component, and how it is trained."""
    trainable = {
        entry.item.name: (entry.kind, entry.item.training)
        for entry in registry.entries()
        if isinstance(entry.item, Component) and entry.item.training
    }
    if component not in trainable:
        raise UnknownName.of("trainable component", component, trainable)
    return trainable[component]


def _for_generator(
    dataset: Dataset, encoder: str, registry: Registry
) -> tuple[Dataset, dict[str, Any]]:
    grid = registry.create("encoder", encoder)
    good = asking.encodable(grid, dataset.compositions)
    dataset = dataset.without(~good, f"{encoder} cannot encode it")
    validators = {judge: registry.create("validator", judge) for judge in JUDGES}
    return dataset, {"encoder_name": encoder, "encoder": grid, "validators": validators}


def _for_predictor(
    dataset: Dataset, component: str, training: Training, owner: str
) -> tuple[Dataset, dict[str, Any]]:
    target = training.target
    if target not in dataset.properties:
        known = ", ".join(dataset.properties) or "no numbers at all"
        raise DataError(f"{component} learns {target}; {dataset.name} has {known}")
    dataset = dataset.without(np.isnan(dataset.properties[target]), f"{target} is missing")
    domain = import_object(training.domain, owner)
    inside = asking.choice(owner, domain, dataset.compositions)
    dataset = dataset.without(~inside, f"{component} cannot represent it")
    return dataset, {"target": dataset.properties[target]}


def split(dataset: Dataset, *, validation: bool = False) -> tuple[NDArray[np.uint8], bool]:
    """Role of each compound, and whether the data's own split decided it.

    Args:
        dataset: N compounds.
        validation: set some aside to choose the best of a training by.

    Returns:
        Roles of `matgen_core.weights.Known`, uint8 [N], and True for a published split.
    """
    if dataset.split is not None:
        return dataset.split.copy(), True
    role = np.full(len(dataset.compositions), Known.TRAINED, np.uint8)
    if validation:
        chosen = held_out(dataset.compositions, HELD_OUT_FRACTION, HELD_OUT_SEED + 1)
        role[chosen] = Known.VALIDATION
    role[held_out(dataset.compositions, HELD_OUT_FRACTION, HELD_OUT_SEED)] = Known.HELD_OUT
    return role, False
