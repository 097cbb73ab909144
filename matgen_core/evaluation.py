"""How good a generator is, or a list of formulas from anywhere: streamed, in bounded memory.

Samples come batch by batch; what is kept of them is counts, histograms, the fingerprints of the
different compositions (8 bytes each), and a few thousand compositions for the nearest-neighbour
measures. The order of the samples changes nothing but the curves.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matgen_core import asking
from matgen_core.compositions import Compositions, splitmix64
from matgen_core.elements import SYMBOLS
from matgen_core.errors import DataError, InvalidOption, UnknownName
from matgen_core.interfaces import Predictor, Validator
from matgen_core.pipeline import Pipeline
from matgen_core.registry import Registry, source_of
from matgen_core.screening import reading
from matgen_core.training import split
from matgen_core.weights import Known, WeightsDir, member

SCHEMA = 1
"""Version of the form of `Evaluation.to_dict`."""
SIZES = ("2", "3", "4", "5 or more")
"""Classes of compounds by their number of elements."""
NEIGHBOURS = 5
SUBSAMPLE = 5_000
"""Compositions compared with their neighbours, of each kind."""
PREDICTED = 50_000
"""Different compositions whose properties are predicted, at most."""
BATCH = 8192
MAX_COUNT = 20
"""Greatest count told apart in the distance of counts."""


# --- what is compared with ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Reference:
    """The known compounds that samples are compared with.

    Attributes:
        name: of the data source.
        compositions: reduced, M rows, all different.
        role: of each, uint8 [M]; see `matgen_core.weights.Known`.
    """

    name: str
    compositions: Compositions
    role: NDArray[np.uint8]

    @classmethod
    def of(
        cls,
        registry: Registry,
        source: str,
        weights: WeightsDir | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Reference:
        """A data source with the split that `weights` were trained with.

        Without weights, or with weights that learned from other data, the split is the one
        that `matgen_core.training` would make.

        Raises:
            UnknownName: there is no such source.
            DataError: its data are absent; the message says how to get them.
        """
        dataset = asking.dataset(registry.create("source", source, options))
        compositions = dataset.compositions
        role, _ = split(dataset)
        known = weights.known() if weights else None
        if known is not None:
            fingerprints = compositions.fingerprints()
            if member(fingerprints, known.fingerprints).all():
                role = known.role[np.searchsorted(known.fingerprints, fingerprints)]
        return cls(source, compositions, role)

    def of_role(self, role: int) -> Compositions:
        """The compounds that play a role."""
        return self.compositions[self.role == role]


def known_source(
    name: str, weights: WeightsDir | None, against: str | None
) -> tuple[str, dict[str, Any]]:
    """Name and options of the source of known compounds to compare with.

    Args:
        name: what is compared, for the message.
        weights: its weights, if it has any.
        against: a source, or the path of a ``.csv`` file; None for what the weights learned from.

    Raises:
        InvalidOption: nobody knows.
    """
    if against is None and weights is not None and weights.card.data.source != "csv":
        against = weights.card.data.source
    if against is None:
        learned = "learned from a CSV file" if weights else "says nothing of known compounds"
        hint = "--against FILE.csv" if weights else "e.g. --against oqmd"
        raise InvalidOption(f"{name} {learned}: name what to compare it with, {hint}")
    return source_of(against)


# --- what is measured ---------------------------------------------------------------------------


@dataclass
class Evaluation:
    """Everything measured of one set of samples; `to_dict` is its documented form.

    Attributes:
        name: of the generator or the file.
        against: name of the data source compared with.
        samples: how many there were; every share is of these.
        shares: ``decodable``; each validator; ``valid`` (all of them); ``unique``; ``novel``;
            ``yield`` (valid, novel and different from all before).
        curves: ``samples``, and ``unique`` and ``novel`` after so many of them, as shares.
        recovered: by role (``trained``, ``held_out``) and size class: how many compounds
            there are, how many were found, and how many as many random formulas find,
            ``uniform`` or ``valid`` ones.
        distances: Jensen-Shannon distances (0: equal, 1: nothing in common) to the compounds
            trained on, of ``elements``, ``pairs`` of elements, ``n_elements`` and ``counts``.
        neighbours: ``precision`` and ``coverage`` of the different compositions, and of the
            held-out compounds for comparison; see `neighbours`.
        predicted: by property: unit, how many were predicted, quantiles, the share below
            zero, a histogram; of ``all`` compositions and of those with ``lithium``.
        elements: share of the decodable samples, and of the training compounds, that hold
            each element, by symbol.
        seconds: by stage.
    """

    name: str
    against: str
    samples: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    recovered: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    distances: dict[str, float] = field(default_factory=dict)
    neighbours: dict[str, float] = field(default_factory=dict)
    predicted: dict[str, dict[str, Any]] = field(default_factory=dict)
    elements: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def interval(self, share: str) -> tuple[float, float]:
        """95 % confidence interval of one of `shares`; see `wilson`."""
        return wilson(round(self.shares[share] * self.samples), self.samples)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        proportions = [name for name in self.shares if name not in ("unique", "yield")]
        return {
            "schema": SCHEMA,
            **vars(self),
            "intervals": {name: list(self.interval(name)) for name in proportions},
        }


def evaluate(
    name: str,
    batches: Iterable[Compositions],
    reference: Reference,
    validators: Mapping[str, Validator],
    *,
    predictors: Mapping[str, Predictor] | None = None,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Measure samples against known compounds.

    Args:
        name: what the samples are called in the result.
        batches: reduced compositions; an empty row is a sample that did not decode.
        reference: the known compounds.
        validators: by name.
        predictors: by name.
        seed: of the random formulas and the subsamples.
        progress: called after each batch with the number of samples done.

    Raises:
        DataError: there are no samples.
        PluginError: a validator or predictor failed or broke its contract.
    """
    result = Evaluation(name, reference.name)
    clock = Clock(result.seconds)
    trained = reference.of_role(Known.TRAINED)
    fingerprints = np.sort(reference.compositions.fingerprints())
    samples, real = Histograms(), Histograms()
    counts = dict.fromkeys(("decodable", *validators, "valid", "unique", "novel", "yield"), 0)
    seen = np.empty(0, np.uint64)
    drawn_of_size = np.zeros(len(SIZES), np.int64)
    sketch = Sketch(max(SUBSAMPLE, PREDICTED), seed)
    curve: list[tuple[int, int, int]] = []

    parts = _cut(batches)
    while True:
        with clock("samples"):
            batch = next(parts, None)
        if batch is None:
            break
        n = len(batch)
        with clock("validate"):
            verdicts = {key: asking.verdicts(v, batch) for key, v in validators.items()}
        with clock("compare"):
            decodable = batch.n_elements > 0
            valid = np.logical_and.reduce([decodable, *verdicts.values()])
            own = batch.fingerprints()
            novel = decodable & ~member(own, fingerprints)
            first = decodable & batch.first_occurrence() & ~member(own, seen)
            seen = np.sort(np.concatenate([seen, own[first]]), kind="stable")
            for key, rows in {
                "decodable": decodable, **verdicts, "valid": valid, "unique": first,
                "novel": novel, "yield": valid & novel & first,
            }.items():  # fmt: skip
                counts[key] += int(np.count_nonzero(rows))
            drawn_of_size += np.bincount(_size_class(batch[decodable]), minlength=len(SIZES))
            sketch.add(batch[first])
            result.samples += n
            curve.append((result.samples, counts["unique"], counts["novel"]))
        with clock("histograms"):
            samples.add(batch[decodable])
        progress(result.samples)
    if not result.samples:
        raise DataError(f"{name} holds no samples")

    result.shares = {key: value / result.samples for key, value in counts.items()}
    ticks = [point for point in curve if point[0] in _ticks(result.samples)]
    result.curves = {
        "samples": [n for n, _, _ in ticks],
        "unique": [unique / n for n, unique, _ in ticks],
        "novel": [novel / n for n, _, novel in ticks],
    }
    with clock("histograms"):
        for start in range(0, len(trained), BATCH):
            real.add(trained[start : start + BATCH])
        result.distances = samples.distances(real)
        result.elements = {
            symbol: {"generated": mine, "trained": theirs}
            for symbol, mine, theirs in zip(
                SYMBOLS[1:], samples.holding()[1:], real.holding()[1:], strict=True
            )
            if mine or theirs
        }
    with clock("random formulas"):
        result.recovered = _recovered(reference, seen, drawn_of_size, validators, seed)
    with clock("neighbours"):
        kept = reference.of_role(Known.HELD_OUT)
        base = subsample(trained, seed + 1)
        for prefix, points in (
            ("", sketch.smallest(SUBSAMPLE)),
            ("held_out_", subsample(kept, seed)),
        ):
            precision, coverage = neighbours(points, base)
            result.neighbours |= {f"{prefix}precision": precision, f"{prefix}coverage": coverage}
    for key, predictor in (predictors or {}).items():
        with clock(f"predict {key}"):
            asked = sketch.smallest(PREDICTED)
            values = asking.predictions(predictor, asked)
            lithium = asked.contains(["Li"])[:, 0]
            result.predicted[predictor.property] = {
                "unit": predictor.unit,
                "all": _distribution(values),
                "lithium": _distribution(values[lithium]),
            }
    return result


def judge(
    registry: Registry,
    target: str,
    *,
    n: int,
    against: str | None = None,
    validators: Sequence[str] = ("charge", "eneg"),
    predictors: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    column: str = "formula",
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Measure what a generator draws, or the formulas of a file that may come from anywhere.

    Args:
        registry: where names are looked up.
        target: a generator, by its name, that of its weights or their path; else a CSV or text
            file of formulas, or ``-`` for stdin. A formula that cannot be read counts as a
            sample that did not decode.
        n: how many to draw; of a file every row is taken.
        against: the data source compared with, or the path of a ``.csv`` file; None for the
            source the generator learned from.
        validators: by name.
        predictors: by name.
        options: by component name.
        column: name of a file's formula column.
        seed: of everything random.
        device: as `matgen_core.interfaces` describes it.
        progress: called after each batch with the number of samples done.

    Raises:
        UnknownName: nothing answers to a name.
        InvalidOption: nobody said what to compare with.
        DataError: the file or the known compounds cannot be read, or there are no samples.
    """
    asked = [*validators, *predictors]
    settings = dict(options or {})
    weights: WeightsDir | None = None
    is_file = target == "-" or os.path.isfile(target)
    if not is_file:
        _, weights = registry.resolve("generator", target)
    against, implied = known_source(target, weights, against)
    known_options = implied | dict(settings.pop(against, {}))

    def create(kind: str, name: str) -> Any:
        owner = registry.resolve(kind, name)[0].name
        return registry.create(kind, name, settings.pop(owner, {}), device=device)

    checks = {name: create("validator", name) for name in validators}
    models = {name: create("predictor", name) for name in predictors}
    if is_file:
        for owner in settings:
            raise UnknownName.of("component in this evaluation", owner, asked)
        batches = _of_file(target, column)
    else:
        pipeline = Pipeline(
            registry, generator=target, num=n, seed=seed, device=device, options=settings
        )
        batches = (batch.compositions for batch in pipeline.batches())
    reference = Reference.of(registry, against, weights, known_options)
    name = weights.card.name if weights is not None else target
    return evaluate(
        name, batches, reference, checks, predictors=models, seed=seed, progress=progress
    )


def _of_file(source: str, column: str) -> Iterator[Compositions]:
    with reading(source, column, added=()) as (header, chunks):
        place = header.index(column)
        for rows in chunks:
            formulas = [row[place] if place < len(row) else "" for row in rows]
            yield Compositions.parse(formulas)[0].reduced()


class Clock:
    """Adds up seconds by stage, into a dictionary."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what is done meanwhile."""
        began = time.perf_counter()
        yield
        spent = time.perf_counter() - began
        self.seconds[stage] = self.seconds.get(stage, 0.0) + spent


# --- proportions and curves ---------------------------------------------------------------------


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion (J. Am. Stat. Assoc. 22:209, 1927); 95 % by default.

    Args:
        successes: of `n` trials.
        n: number of trials; for none the answer is (0, 1).
        z: quantile of the normal distribution.
    """
    if not n:
        return 0.0, 1.0
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _ticks(n: int) -> set[int]:
    """Where the curves have points: 1, 2 and 5 times powers of ten from 1,000 on, and the end."""
    powers = (m * 10**e for e in range(3, 10) for m in (1, 2, 5))
    return {*(tick for tick in powers if tick < n), n}


def _cut(batches: Iterable[Compositions]) -> Iterator[Compositions]:
    """The same samples in batches that end at every tick of the curves."""
    done = 0
    for batch in batches:
        start = 0
        while start < len(batch):
            following = min((t for t in _ticks(10**10) if t > done), default=done + BATCH)
            part = batch[start : start + min(BATCH, following - done)]
            start, done = start + len(part), done + len(part)
            yield part


# --- distributions ------------------------------------------------------------------------------


class Histograms:
    """Frequencies over all compositions that were added, repeated ones counted again."""

    def __init__(self) -> None:
        z = len(SYMBOLS)
        self.n = 0
        self.elements = np.zeros(z, np.int64)
        self.pairs = np.zeros((z, z), np.int64)
        self.n_elements = np.zeros(z, np.int64)
        self.counts = np.zeros(MAX_COUNT + 2, np.int64)

    def add(self, compositions: Compositions) -> None:
        """Count compositions, none of them empty."""
        self.n += len(compositions)
        held = np.zeros((len(compositions), len(SYMBOLS)), np.float32)
        rows, columns = np.nonzero(compositions.numbers)
        held[rows, compositions.numbers[rows, columns]] = 1
        together = (held.T @ held).round().astype(np.int64)
        self.elements += np.diagonal(together)
        self.pairs += np.triu(together, 1)
        self.n_elements += np.bincount(compositions.n_elements, minlength=len(self.n_elements))
        counts = np.minimum(compositions.counts[rows, columns], MAX_COUNT + 1)
        self.counts += np.bincount(counts, minlength=len(self.counts))

    def holding(self) -> list[float]:
        """Share of the compositions that hold each element, by atomic number."""
        return [n / max(self.n, 1) for n in self.elements.tolist()]

    def distances(self, other: Histograms) -> dict[str, float]:
        """`jensen_shannon` of each histogram."""
        names = ("elements", "pairs", "n_elements", "counts")
        return {name: jensen_shannon(getattr(self, name), getattr(other, name)) for name in names}


def jensen_shannon(p: NDArray[Any], q: NDArray[Any]) -> float:
    """Jensen-Shannon distance of two histograms: 0 where they agree, 1 where they share nothing.

    The root of the divergence in bits (Lin, IEEE Trans. Inf. Theory 37:145, 1991). An empty
    histogram has nothing in common with any, and none to differ from another empty one.
    """
    p, q = (h.ravel() / max(h.sum(), 1) for h in (p, q))
    if not p.any() or not q.any():
        return float(p.any() != q.any())
    middle = (p + q) / 2

    def divergence(h: NDArray[Any]) -> float:
        on = h > 0
        return float((h[on] * np.log2(h[on] / middle[on])).sum())

    return float(np.sqrt(max(0.0, (divergence(p) + divergence(q)) / 2)))


def _distribution(values: NDArray[np.float64]) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    if not len(known):
        return {"n": 0, "unknown": len(values)}
    heights, edges = np.histogram(known, bins=60)
    quantiles = (5, 25, 50, 75, 95)
    return {
        "n": len(known),
        "unknown": len(values) - len(known),
        "mean": float(known.mean()),
        "quantiles": dict(zip(map(str, quantiles), np.percentile(known, quantiles).tolist(),
                              strict=True)),
        "below_zero": float((known < 0).mean()),
        "histogram": {"edges": edges.tolist(), "counts": heights.tolist()},
    }  # fmt: skip


# --- recovery -----------------------------------------------------------------------------------


def random_formulas(
    sizes: NDArray[np.intp], elements: NDArray[np.uint8], rng: np.random.Generator
) -> Compositions:
    """Formulas of different elements, all as likely, with counts from 1 to 8; then reduced.

    Args:
        sizes: number of elements of each, int [N], each at most 8.
        elements: atomic numbers to choose from.
        rng: source of chance.
    """
    width = 8
    numbers = np.zeros((len(sizes), width), np.uint8)
    absent = np.arange(width) >= sizes[:, None]
    again = np.arange(len(sizes))
    while len(again):  # a row that drew an element twice draws anew
        drawn = rng.choice(elements, (len(again), width))
        drawn[absent[again]] = 255  # sorts last
        drawn.sort(axis=1)
        numbers[again] = drawn
        twice = (drawn[:, 1:] == drawn[:, :-1]) & (drawn[:, 1:] != 255)
        again = again[twice.any(axis=1)]
    counts = rng.integers(1, 9, numbers.shape).astype(np.uint16)
    numbers[absent], counts[absent] = 0, 0
    return Compositions(numbers, counts).reduced()


def _size_class(compositions: Compositions) -> NDArray[np.intp]:
    """Index into SIZES of each row that is not empty."""
    return np.clip(compositions.n_elements, 2, len(SIZES) + 1) - 2


def _recovered(
    reference: Reference,
    seen: NDArray[np.uint64],
    drawn: NDArray[np.int64],
    validators: Mapping[str, Validator],
    seed: int,
) -> dict[str, dict[str, dict[str, int]]]:
    """See `Evaluation.recovered`.

    Args:
        reference: the known compounds.
        seen: fingerprints of the different samples, ascending.
        drawn: how many samples there were of each size class: as many random formulas are drawn.
        validators: what the valid ones among them pass.
        seed: of the drawing.
    """
    numbers = reference.compositions.numbers
    elements = np.unique(numbers[numbers > 0])
    known = reference.compositions.fingerprints()
    order = np.argsort(known)
    ascending = known[order]
    found = {"found": member(known, seen)}
    for kind, checks in (("uniform", {}), ("valid", validators)):
        hit = np.zeros(len(known), np.bool_)
        rng = np.random.default_rng(seed)
        for size, wanted in enumerate(drawn.tolist()):
            for batch in _passing(size + 2, wanted, checks, elements, rng):
                own = batch.fingerprints()
                own = own[member(own, ascending)]
                hit[order[np.searchsorted(ascending, own)]] = True
        found[kind] = hit
    classes = _size_class(reference.compositions)
    result: dict[str, dict[str, dict[str, int]]] = {}
    for title, role in (("trained", Known.TRAINED), ("held_out", Known.HELD_OUT)):
        result[title] = {}
        for i, name in enumerate(SIZES):
            members = (reference.role == role) & (classes == i)
            result[title][name] = {"compounds": int(members.sum()), "drawn": int(drawn[i])} | {
                kind: int((rows & members).sum()) for kind, rows in found.items()
            }
    return result


def _passing(
    size: int,
    wanted: int,
    validators: Mapping[str, Validator],
    elements: NDArray[np.uint8],
    rng: np.random.Generator,
) -> Iterator[Compositions]:
    """`wanted` random formulas of a size that pass the validators, in batches."""
    tries = 0
    while wanted and tries < 10:  # validators that refuse everything end it
        batch = random_formulas(np.full(BATCH, size), elements, rng)
        for validator in validators.values():
            batch = batch[asking.verdicts(validator, batch)]
        batch = batch[:wanted]
        tries = 0 if len(batch) else tries + 1
        wanted -= len(batch)
        yield batch


# --- neighbours ---------------------------------------------------------------------------------


class Sketch:
    """The compositions of smallest hash among all that were added: a random subsample.

    It hangs on which compositions there are, not on their order or number.

    Args:
        size: how many to keep.
        seed: of the hash.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._salt = splitmix64(np.array([seed], np.uint64))
        self._kept = Compositions.empty()
        self._hashes = np.empty(0, np.uint64)

    def add(self, compositions: Compositions) -> None:
        """Take compositions, none of them empty, none added before."""
        hashes = splitmix64(compositions.fingerprints() ^ self._salt)
        if len(self._hashes) == self._size:
            small = hashes < self._hashes[-1]
            compositions, hashes = compositions[small], hashes[small]
        merged = np.concatenate([self._hashes, hashes])
        order = np.argsort(merged)[: self._size]
        self._kept = Compositions.concatenate([self._kept, compositions])[order]
        self._hashes = merged[order]

    def smallest(self, n: int) -> Compositions:
        """The first `n` of them, or all there are."""
        return self._kept[:n]


def subsample(compositions: Compositions, seed: int) -> Compositions:
    """A seeded `SUBSAMPLE` of different compositions."""
    sketch = Sketch(SUBSAMPLE, seed)
    sketch.add(compositions)
    return sketch.smallest(SUBSAMPLE)


def neighbours(compositions: Compositions, reference: Compositions) -> tuple[float, float]:
    """Precision and coverage by nearest neighbours in the space of atomic fractions.

    Around each known compound lies a ball that reaches to its `NEIGHBOURS`-th nearest known one.
    Precision is the share of compositions inside any ball (Kynkäänniemi et al., NeurIPS 2019),
    coverage the share of balls with a composition inside (Naeem et al., ICML 2020).

    Args:
        compositions: N rows, all different.
        reference: M known compounds, all different.
    """
    if not len(compositions) or len(reference) <= NEIGHBOURS:
        return 0.0, 0.0
    mine, known = fractions(compositions), fractions(reference)
    among = _squared_distances(known, known)
    radius = np.partition(among, NEIGHBOURS, axis=1)[:, NEIGHBOURS]  # the nearest is itself
    inside = _squared_distances(mine, known) <= radius + 1e-6  # float32 leaves no exact zeros
    return float(inside.any(axis=1).mean()), float(inside.any(axis=0).mean())


def fractions(compositions: Compositions) -> NDArray[np.float32]:
    """Atomic fractions, float32 [N, 119], by atomic number."""
    result = np.zeros((len(compositions), len(SYMBOLS)), np.float32)
    rows, columns = np.nonzero(compositions.numbers)
    result[rows, compositions.numbers[rows, columns]] = compositions.counts[rows, columns]
    result /= result.sum(axis=1, keepdims=True)
    return result


def _squared_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 [len(a), len(b)]."""
    squares: NDArray[np.float32] = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None]
    squares -= 2 * (a @ b.T)
    return squares
