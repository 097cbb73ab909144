"""A plugin author's test kit: the contract of every kind of component, and pytest fixtures.

One line in the tests' ``conftest.py`` brings the fixtures::

    pytest_plugins = ["matgen_core.testing"]

and one test holds a component to everything that matgen relies on::

    import matgen_mine
    from matgen_core.testing import RegistryOf, contract

    def test_contract(registry_of: RegistryOf) -> None:
        contract(registry_of(matgen_mine), "validator", "mine")

A broken contract is a `PluginError`, so nothing here needs pytest to rewrite its assertions, and
tests may import this module before pytest does: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.datasets import Dataset
from matgen_core.errors import PluginError
from matgen_core.hookspecs import PROJECT
from matgen_core.interfaces import (
    NUMBERS,
    Autoencoder,
    Encoder,
    Generator,
    Options,
    Predictor,
    Source,
    Validator,
    checked,
)
from matgen_core.registry import (
    Component,
    Plugin,
    Registry,
    Training,
    Weights,
    import_object,
    validate,
)
from matgen_core.weights import Known, WeightsDir

FORMULAS = (
    "NaCl", "H2O", "Fe2O3", "SiO2", "GaAs", "MgO", "Mg2O2", "LiFePO4", "CaTiO3", "YBa2Cu3O7",
    "Cs2AgBiBr6", "MgCoNiCuZnO5", "CrMnFeCoNi", "Bi2Te3", "UO2", "PuF4", "XeF2", "KAl3Si3O12H2",
    "Fe", "C60", "Og", "C2952H4664N812O832S8Fe4",
)  # fmt: skip
"""Salts, oxides, alloys, a multiple, elements, and what most models cannot represent."""
HEAVY = (
    "jax", "matplotlib", "numba", "pandas", "plotly", "pyarrow", "pymatgen", "scipy", "sklearn",
    "smact", "tensorflow", "torch",
)  # fmt: skip
"""Packages that take long to import: never while plugins are listed."""
SAMPLES = 16
"""Drawn from a generator at once."""
SEEDS = (2**63 - 1, 7)
"""The greatest that a run hands out, and another."""
RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""Tolerance where float32 sums may come in another order."""
TAKEN = ("formula", "n_elements", "novel")
"""Columns that every table may have."""
OTHERS = "try it on others, contract(..., formulas=[...])"

Rows = TypeVar("Rows", Compositions, NDArray[Any])

# --- fixtures --------------------------------------------------------------------------------

RegistryOf = Callable[..., Registry]
"""What the fixture `registry_of` is."""
ISOLATED = "loaded by registry_of"
"""Stands in the place of a distribution's name."""
ONEHOT = "matgen_onehot"


@pytest.fixture
def registry_of() -> RegistryOf:
    """``registry_of(module, ...)``: a registry of these plugins and the encoder `onehot` alone.

    Nothing else that is installed is in it. Each module is one that holds hooks.

    Raises:
        PluginError: a module does not load.
    """

    def load(*modules: ModuleType) -> Registry:
        registry = Registry()
        named = {module.__name__: module for module in modules}
        for name, module in (named | {ONEHOT: importlib.import_module(ONEHOT)}).items():
            registry.load(Plugin(name, ISOLATED, "-"), partial(_itself, module))
            if registry.broken:
                raise PluginError(f"{name} does not load: {registry.broken[0].reason}")
        return registry

    return load


class Answer(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


Cli = Callable[..., Answer]
"""What the fixture `cli` is."""


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """``cli("run", "-g", "mine")``: ``matgen run -g mine`` in this process, in an empty folder.

    It finds plugins as it always does: yours must be installed.
    """
    from matgen_core.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["matgen", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Answer(int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def mistake(cli: Cli) -> Callable[..., str]:
    """As `cli`, for a command that must be refused: exit code 2 and one line, which it returns."""

    def run(*arguments: object) -> str:
        answer = cli(*arguments)
        assert answer.code == 2, answer
        assert answer.out == "", answer
        assert answer.err.startswith("matgen: "), answer
        assert answer.err.find("\n") == len(answer.err) - 1, answer
        return answer.err

    return run


@pytest.fixture
def compositions() -> Compositions:
    """An empty row, as a sample that did not decode leaves it, then `FORMULAS`."""
    return _batch(FORMULAS)


@pytest.fixture
def formulas_csv(tmp_path: Path) -> Path:
    """`FORMULAS` as a file with the columns ``formula`` and ``atoms`` (of a formula unit)."""
    atoms = Compositions.from_formulas(FORMULAS).counts.sum(axis=1)
    lines = [f"{formula},{n}" for formula, n in zip(FORMULAS, atoms, strict=True)]
    path = tmp_path / "formulas.csv"
    path.write_text("\n".join(["formula,atoms", *lines, ""]), encoding="utf-8")
    return path


def _itself(module: ModuleType) -> ModuleType:
    return module


def _batch(formulas: Iterable[str]) -> Compositions:
    return Compositions.concatenate([Compositions.empty(1), Compositions.from_formulas(formulas)])


# --- the contract ----------------------------------------------------------------------------


def contract(
    registry: Registry,
    kind: str,
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    formulas: Iterable[str] = FORMULAS,
) -> None:
    """Hold one component to everything that matgen relies on.

    Of every kind: a summary; options that are described, refuse unknown keys, never change and
    survive TOML and JSON; a plugin that imports nothing heavy before it is used; trained weights
    whose card tells what they are. Of what works on rows: the shape and dtype of the answer, of no
    rows too; the same answer for a row whatever stands beside it; input left as it was. Of a
    generator: the same samples for the same seed, by every instance.

    Args:
        registry: what the fixture `registry_of` or `matgen_core.discover` gave.
        kind: ``source``, ``encoder``, ``generator``, ``validator``, ``predictor`` or ``weights``.
        name: of a component, or of trained weights.
        options: the component's, where its defaults will not do.
        formulas: what it is tried on; give others to a model that applies to none of `FORMULAS`.

    Raises:
        PluginError: a promise is broken; the message says which, and what to do.
        MatgenError: the component cannot be made, or its weights are damaged.
    """
    owner = f"{kind} {name!r}"
    if kind == "weights":
        kind = _kind_of(owner, registry, registry.weights(name).card.component)
    component, weights = registry.resolve(kind, name)
    batch = _batch(formulas)
    if not component.summary.strip() or not component.summary.isprintable():
        raise PluginError(f'{owner} has no summary of one line: Component(..., summary="what for")')
    _model(owner, component.options)
    given = validate(component.options, options or {}, component.name)
    _round_trip(owner, given)
    if component.training:
        _training(owner, kind, component.training, batch)
    if weights:
        _card(owner, registry, kind, weights)
    _light(owner, registry, component.name)

    def make() -> Any:
        return registry.create(kind, name, options, device="cpu")

    made = make()
    kept = [getattr(made, attribute, None) for attribute in ("options", "device", "weights")]
    if kept[:2] != [given, "cpu"] or (weights is None) != (kept[2] is None):
        raise PluginError(
            f"{owner} forgets what it is made of: call super().__init__(options, weights, device)"
        )
    match kind:
        case "source":
            _source(owner, component.name, made, make())
        case "encoder":
            _encoder(owner, made, batch)
        case "generator":
            _generator(owner, registry, made, make(), batch)
        case "validator":
            _validator(owner, made, batch)
        case "predictor":
            _predictor(owner, made, batch)


# --- what a component is said to be ----------------------------------------------------------


def _model(owner: str, model: type[Options]) -> None:
    """A class of options, or of a training's recipe."""
    if model.model_config.get("extra") != "forbid":
        raise PluginError(
            f'{owner} lets unknown keys of {model.__name__} pass: leave extra="forbid" of Options'
        )
    if not model.model_config.get("frozen"):
        raise PluginError(
            f"{owner} lets its {model.__name__} change after a check: leave frozen=True of Options"
        )
    for field, info in model.model_fields.items():
        if not info.description:
            raise PluginError(
                f"{owner} does not say what {field!r} means: give it Field(..., description=...)"
            )
    try:
        model.model_json_schema()
    except Exception as error:
        raise PluginError(
            f"{owner} cannot show {model.__name__} ({error}): use types with a JSON schema"
        ) from error


def _round_trip(owner: str, given: Options) -> None:
    """Options, or a recipe, as a ``run.toml``, a card or a script keeps them."""
    import tomli_w

    model = type(given)
    for form, written in (
        ("JSON", lambda: json.loads(given.model_dump_json())),
        (
            "TOML",
            lambda: tomllib.loads(tomli_w.dumps(given.model_dump(mode="json", exclude_none=True))),
        ),
    ):
        try:
            back = validate(model, written(), owner)
        except Exception as error:
            raise PluginError(
                f"{owner} cannot write its {model.__name__} to {form} and read it again ({error}): "
                "give valid defaults, of types that pydantic serialises"
            ) from error
        if back != given:
            raise PluginError(
                f"{owner} reads another {model.__name__} than it wrote to {form}: "
                "use finite numbers, text, truths, and lists and tables of these"
            )


def _training(owner: str, kind: str, training: Training, batch: Compositions) -> None:
    if not callable(import_object(training.function)):
        raise PluginError(f"{owner} is trained by {training.function}: make that a function")
    _model(owner, training.recipe)
    if not training.presets:
        raise PluginError(f'{owner} has no preset: give Training(..., presets={{"default": ...}})')
    for recipe in training.presets.values():
        _round_trip(owner, recipe)
    if kind == "predictor":
        if not (training.target and training.domain):
            raise PluginError(
                f"{owner} does not say what it learns: give Training(..., target=..., domain=...)"
            )
        _rowwise(f"{owner}: {training.domain}", import_object(training.domain), batch, _truths)


def _kind_of(owner: str, registry: Registry, component: str) -> str:
    """Kind of the component that weights belong to."""
    for entry in registry.entries():
        if isinstance(entry.item, Component) and entry.item.name == component:
            return entry.kind
    raise PluginError(f"{owner} belongs to {component!r}, which is no component: mend its card")


def _card(owner: str, registry: Registry, kind: str, weights: WeightsDir) -> None:
    card = weights.card
    if not card.sha256:
        raise PluginError(f"{owner} has no files: write it by matgen_core.weights.write_weights")
    for file in card.sha256:
        weights.verified(file)
    weights.known()
    for entry in registry.entries("weights"):
        if not isinstance(entry.item, Weights) or entry.item.path != weights.path:
            continue
        if (entry.item.name, entry.item.component) != (card.name, card.component):
            raise PluginError(
                f"{owner} has the card of {card.name!r} for {card.component!r}: let the hook "
                "and the card say the same"
            )
    if not card.metrics or not np.isfinite(list(card.metrics.values())).all():
        raise PluginError(f"{owner} has no measured metrics: write them on its card")
    if not card.data.attribution.strip() or not card.licence.strip():
        raise PluginError(f"{owner} credits nobody: write attribution and licence on its card")
    if card.data.n_train < 1:
        raise PluginError(f"{owner} was trained on nothing: write n_train on its card")
    if kind == "generator" and card.encoder not in _names(registry, "encoder"):
        raise PluginError(
            f"{owner} has a card with encoder = {card.encoder!r}: name the one it learned from"
        )


def _names(registry: Registry, kind: str) -> set[str]:
    return {entry.item.name for entry in registry.entries(kind)}


def _light(owner: str, registry: Registry, component: str) -> None:
    """Listing a plugin, in a process of its own, must import none of `HEAVY`."""
    [plugin] = [e.plugin for e in registry.entries() if e.item.name == component]
    module = _module(plugin)
    # What pytest put on the path belongs to it too.
    loaded = _listing(module, os.pathsep.join(filter(None, sys.path)))
    if loaded:
        raise PluginError(
            f"{owner}: listing {module} imports {loaded}: import them in the component's own "
            "module, and name that in Component(factory=...) as text"
        )


def _module(plugin: Plugin) -> str:
    """Import name of the module that holds a plugin's hooks."""
    if plugin.distribution == ISOLATED:
        return plugin.name
    [point] = [
        point
        for point in entry_points(group=PROJECT, name=plugin.name)
        if point.dist is not None and point.dist.name == plugin.distribution
    ]
    return point.module


LIST = """
import importlib, sys
from matgen_core.registry import Plugin, Registry
module, *heavy = sys.argv[1:]
registry = Registry()
registry.load(Plugin(module, module, "-"), lambda: importlib.import_module(module))
if registry.broken:
    sys.exit(registry.broken[0].reason)
print(*sorted(set(heavy) & set(sys.modules)), sep=", ")
"""


@cache
def _listing(module: str, path: str) -> str:
    """Which of `HEAVY` a fresh process imports when it lists a plugin, with commas."""
    done = subprocess.run(
        [sys.executable, "-c", LIST, module, *HEAVY],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PluginError(f"{module} does not load alone: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


# --- what a component does -------------------------------------------------------------------


def _answer(owner: str, call: Callable[..., Any], *arguments: Any, when: str, remedy: str) -> Any:
    try:
        return call(*arguments)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(f"{owner} fails {when} ({reason}): {remedy}") from error


Check = Callable[[str, Any, int], NDArray[Any]]
"""Holds an answer for N rows to its type and shape; returns it as an array."""


def _array(
    owner: str, answer: Any, n: int, *, shape: tuple[int, ...] = (), what: str, codes: str
) -> NDArray[Any]:
    return checked(owner, answer, (n, *shape), what, codes)


_truths = partial(_array, what="bool", codes="?")


def _rowwise(
    owner: str, call: Callable[[Rows], Any], rows: Rows, check: Check, *, exact: bool = True
) -> NDArray[Any]:
    """Hold a function of rows to what every such function promises.

    Args:
        owner: who is held to it, for messages.
        call: the function.
        rows: `Compositions` or an array, of two rows or more.
        check: of its answer.
        exact: answers are equal, not merely close.

    Returns:
        The answer.

    Raises:
        PluginError: a promise is broken.
    """

    def ask(rows: Rows) -> NDArray[Any]:
        n = len(rows)
        if n:
            remedy = "answer for every row, also an empty one and one of unknown elements"
        else:
            remedy = "answer with an array of length 0"
        answer = _answer(owner, call, rows, when=f"on a batch of {n} rows", remedy=remedy)
        return check(owner, answer, n)

    def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
        if exact:
            return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        return np.allclose(one, other, RELATIVE, ABSOLUTE, equal_nan=True)

    before = [array.copy() for array in _arrays(rows)]
    first = ask(rows)
    kept = first.copy()
    if not all(map(np.array_equal, before, _arrays(rows))):
        raise PluginError(f"{owner} changes what it is given: work on a copy")
    if not same(ask(rows), kept):
        raise PluginError(
            f"{owner} answers the same rows differently the second time: keep no state between "
            "calls, and draw no random numbers"
        )
    ask(rows[:0])
    order = np.random.default_rng(0).permutation(len(rows))
    if not same(ask(rows[order]), kept[order]):
        raise PluginError(
            f"{owner} answers a row by its place in the batch: give rows in another order the "
            "same answers in that order"
        )
    if not np.array_equal(first, kept, equal_nan=kept.dtype.kind == "f"):
        raise PluginError(f"{owner} overwrites what it gave before: give a new array each time")
    half = len(rows) // 2
    if not same(np.concatenate([ask(rows[:half]).copy(), ask(rows[half:])]), kept):
        raise PluginError(
            f"{owner} answers a row by the rows beside it: what becomes of one must not depend "
            "on its batch"
        )
    if isinstance(rows, Compositions):
        padding = np.zeros_like(rows.numbers)
        wider = Compositions(*(np.hstack([array, padding]) for array in _arrays(rows)))
        if not same(ask(wider), kept):
            raise PluginError(
                f"{owner} answers by how wide the batch is padded: where numbers is 0 there is no "
                "element, leave it out"
            )
    return kept


def _arrays(rows: Compositions | NDArray[Any]) -> tuple[NDArray[Any], ...]:
    return (rows.numbers, rows.counts) if isinstance(rows, Compositions) else (rows,)


def _source(owner: str, name: str, source: Source, another: Source) -> None:
    data = source.load()
    if not isinstance(data, Dataset):
        raise PluginError(f"{owner} loads a {type(data).__name__}: return a matgen_core.Dataset")
    compounds, n = data.compositions, len(data.compositions)
    if data.name != name:
        raise PluginError(f"{owner} loads a data set called {data.name!r}: call it {name!r}")
    if not n or not compounds.n_elements.all():
        raise PluginError(f"{owner} has no rows, or empty ones: drop those, or raise DataError")
    if not np.array_equal(compounds.counts, compounds.reduced().counts):
        raise PluginError(f"{owner} has formulas such as Mg2O2: take compositions.reduced()")
    if not compounds.first_occurrence().all():
        raise PluginError(f"{owner} has a compound twice: keep one row of each formula")
    for column, values in data.properties.items():
        checked(f"{owner}: properties[{column!r}]", values, (n,), "float64", "d")
        if np.isinf(values).any():
            raise PluginError(f"{owner} has an infinite {column!r}: write NaN where it is unknown")
    if data.rows is not None:
        checked(f"{owner}: rows", data.rows, (n,), "int64", np.dtype(np.int64).char)
    if data.split is not None:
        checked(f"{owner}: split", data.split, (n,), "uint8", "B")
        if data.split.max() > Known.VALIDATION:
            raise PluginError(f"{owner} splits into {data.split.max()}: use the roles of Known")
    left = [data.rows_in, *(step.left for step in data.steps)]
    if left[-1] != n or np.any(np.diff(left) + [step.dropped for step in data.steps]):
        raise PluginError(
            f"{owner} loses count: rows_in, less what each CleaningStep dropped, must be the "
            f"{n} rows that are left"
        )
    if not data.attribution.strip():
        raise PluginError(f"{owner} credits nobody: give Dataset(..., attribution=...)")
    again = another.load()
    if not np.array_equal(again.compositions.fingerprints(), compounds.fingerprints()):
        raise PluginError(f"{owner} loads other rows the second time: read the same, in one order")


def _encoder(owner: str, encoder: Encoder, batch: Compositions) -> None:
    encodable = _rowwise(f"{owner}: encodable", encoder.encodable, batch, _truths)
    if encodable[0]:
        raise PluginError(f"{owner} takes an empty row for encodable: there is nothing to encode")
    if not encodable.any():
        raise PluginError(f"{owner} can encode none of the formulas: {OTHERS}")
    try:
        encoder.encode(batch)
        refused = False
    except Exception as error:
        refused = isinstance(error, ValueError)
    if not refused:
        raise PluginError(
            f"{owner} does not refuse to encode what it calls not encodable: raise ValueError"
        )
    rows = batch[encodable]
    uint8 = partial(_array, shape=encoder.shape, what="uint8", codes="B")
    grids = _rowwise(f"{owner}: encode", encoder.encode, rows, uint8)

    def decoded(owner: str, answer: Any, n: int) -> NDArray[Any]:
        if not isinstance(answer, Compositions) or len(answer) != n:
            raise PluginError(
                f"{owner} gave no Compositions of {n} rows: keep a row for every sample, an empty "
                "one for what stands for no composition"
            )
        return answer.fingerprints()

    noise = np.random.default_rng(0).random((4, *encoder.shape))
    samples = np.concatenate([grids, noise])
    back = _rowwise(f"{owner}: decode", encoder.decode, samples, decoded)[: len(rows)]
    wrong = np.flatnonzero(back != rows.reduced().fingerprints())
    if len(wrong):
        [formula] = rows[wrong[:1]].to_formulas()
        raise PluginError(
            f"{owner} decodes {formula} to something else than it, reduced: encodable() must be "
            "False where encode() cannot tell compositions apart"
        )
    for dtype in (np.uint8, np.int64, np.float32):
        answer = _answer(
            owner, encoder.decode, grids.astype(dtype),
            when=f"to decode {dtype.__name__}", remedy="take samples of any real dtype",
        )  # fmt: skip
        if not np.array_equal(answer.fingerprints(), back):
            raise PluginError(
                f"{owner} decodes {dtype.__name__} in its own way: take samples of any real dtype"
            )
    answer = _answer(
        owner, encoder.decode, np.full((1, *encoder.shape), np.nan, np.float32),
        when="to decode NaN", remedy="make an empty row of it",
    )  # fmt: skip
    if answer.n_elements[0]:
        raise PluginError(f"{owner} decodes NaN to a composition: make an empty row of it")


def _generator(
    owner: str, registry: Registry, one: Generator, other: Generator, batch: Compositions
) -> None:
    if one.encoder not in _names(registry, "encoder"):
        raise PluginError(
            f'{owner} has encoder = {one.encoder!r}, which is none: name one, e.g. "onehot"'
        )
    encoder: Encoder = registry.create("encoder", one.encoder)
    numbers = partial(_array, shape=encoder.shape, what="numbers", codes=NUMBERS)

    def sample(generator: Generator, n: int, seed: int) -> NDArray[Any]:
        answer = _answer(
            owner, generator.sample, n, seed,
            when=f"in sample({n}, {seed})", remedy="serve every n >= 0 and seed < 2**63",
        )  # fmt: skip
        return numbers(owner, answer, n)

    first = sample(one, SAMPLES, SEEDS[0])
    kept = first.copy()
    if not np.isfinite(kept).all():
        raise PluginError(f"{owner} draws NaN or infinity: give finite numbers")
    sample(one, 0, SEEDS[0])
    if np.array_equal(sample(one, SAMPLES, SEEDS[1]), kept):
        raise PluginError(
            f"{owner} draws the same for every seed: every batch of a run has a seed of its own"
        )
    if not np.array_equal(first, kept):
        raise PluginError(f"{owner} overwrites what it drew before: give a new array each time")
    if not np.array_equal(sample(one, SAMPLES, SEEDS[0]), kept):
        raise PluginError(
            f"{owner} draws something else for the same n and seed: take all that is random from "
            "np.random.default_rng(seed)"
        )
    if not np.array_equal(sample(other, SAMPLES, SEEDS[0]), kept):
        raise PluginError(
            f"{owner} draws something else once it is created anew: let nothing random outlive "
            "sample()"
        )
    if isinstance(one, Autoencoder):
        encodable = encoder.encodable(batch)
        if not encodable.any():
            raise PluginError(f"{owner}: {one.encoder} can encode none of the formulas: {OTHERS}")
        grids = encoder.encode(batch[encodable])
        codes = _rowwise(f"{owner}: encode", one.encode, grids, _codes, exact=False)
        _rowwise(f"{owner}: decode", one.decode, codes, numbers, exact=False)


def _codes(owner: str, answer: Any, n: int) -> NDArray[Any]:
    width = answer.shape[-1] if isinstance(answer, np.ndarray) and answer.ndim else 0
    return checked(owner, answer, (n, width), "float32", "f")


def _validator(owner: str, validator: Validator, batch: Compositions) -> None:
    if _rowwise(owner, validator.check, batch, _truths)[0]:
        raise PluginError(f"{owner} passes an empty row: that is a sample that did not decode")


def _predictor(owner: str, predictor: Predictor, batch: Compositions) -> None:
    column = predictor.property
    if not column.isidentifier() or column in TAKEN:
        raise PluginError(
            f"{owner} has property = {column!r}: name the column by one word, none of "
            f"{', '.join(TAKEN)}"
        )
    float64 = partial(_array, what="float64", codes="d")
    values = _rowwise(owner, predictor.predict, batch, float64, exact=False)
    if not np.isnan(values[0]):
        raise PluginError(f"{owner} predicts {values[0]} for an empty row: give NaN")
    if np.isinf(values).any():
        raise PluginError(f"{owner} predicts infinity: give NaN where it does not apply")
    if np.isnan(values).all():
        raise PluginError(f"{owner} applies to none of the formulas: {OTHERS}")
