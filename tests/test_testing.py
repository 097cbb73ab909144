"""The test kit: a good toy of each kind passes, and every clause has a toy that breaks it.

This module is itself the plugin that yields the toys.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterable
from doctest import DocTestParser
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from conftest import CARD, Install
from pydantic import ConfigDict, Field, PlainSerializer

from matgen_core import (
    Component,
    Compositions,
    Dataset,
    Generator,
    Options,
    Predictor,
    Registry,
    Source,
    Training,
    Validator,
    Weights,
    discover,
    hookimpl,
    testing,
)
from matgen_core.datasets import CleaningStep
from matgen_core.errors import InvalidFormula, PluginError, UnknownName, WeightsError
from matgen_core.interfaces import Autoencoder
from matgen_core.registry import KINDS, Plugin
from matgen_core.testing import FORMULAS, HEAVY, Cli, RegistryOf, contract
from matgen_core.weights import write_weights
from matgen_onehot import OneHotOptions
from matgen_onehot.encoder import OneHot

Case = Callable[[RegistryOf, Path], None]
COMPONENTS: dict[str, list[Component]] = {kind: [] for kind in KINDS}
GOOD: list[tuple[str, str]] = []
"""Kind and name of the toys that keep their contract."""
BAD: list[Any] = []
"""What breaks it (a `Case`), and words of the answer."""


def toy(kind: str, broken: str = "", **fields: Any) -> Callable[[type], type]:
    """Yield a class as a component of its own name; `broken` are words of what it is refused by."""

    def note(made: type) -> type:
        name = made.__name__
        described = {"summary": "a toy"} | fields
        COMPONENTS[kind].append(Component(name, f"{__name__}:{name}", **described))
        if broken:
            case: Case = lambda load, tmp_path: contract(load(toys()), kind, name)  # noqa: E731
            BAD.append(pytest.param(case, broken, id=name))
        else:
            GOOD.append((kind, name))
        return made

    return note


def bad(words: str) -> Callable[[Case], Case]:
    """Note a case that is refused in these words."""

    def note(case: Case) -> Case:
        BAD.append(pytest.param(case, words, id=case.__name__))
        return case

    return note


def toys() -> ModuleType:
    return sys.modules[__name__]


@hookimpl
def matgen_sources() -> Iterable[Component]:
    yield from COMPONENTS["source"]


@hookimpl
def matgen_encoders() -> Iterable[Component]:
    yield from COMPONENTS["encoder"]


@hookimpl
def matgen_generators() -> Iterable[Component]:
    yield from COMPONENTS["generator"]


@hookimpl
def matgen_validators() -> Iterable[Component]:
    yield from COMPONENTS["validator"]


@hookimpl
def matgen_predictors() -> Iterable[Component]:
    yield from COMPONENTS["predictor"]


# --- validators, and what all that works on rows must do --------------------------------------


@toy("validator")
class Binary(Validator):
    def check(self, compositions: Compositions) -> Any:
        return compositions.n_elements == 2


@toy("validator", "gave a list, not an array of bool (23,)")
class GivesAList(Binary):
    def check(self, compositions: Compositions) -> Any:
        return super().check(compositions).tolist()


@toy("validator", "gave an array of int64 (23,), not an array of bool (23,)")
class GivesNumbers(Binary):
    def check(self, compositions: Compositions) -> Any:
        return compositions.n_elements


@toy("validator", "fails on a batch of 23 rows (IndexError: ")
class KnowsThirtyElements(Binary):
    def check(self, compositions: Compositions) -> Any:
        return np.ones(31, np.bool_)[compositions.numbers].all(axis=1)


@toy("validator", "fails on a batch of 0 rows (ValueError: ")
class NeedsARow(Binary):
    def check(self, compositions: Compositions) -> Any:
        return np.stack([n == 2 for n in compositions.n_elements])


@toy("validator", "changes what it is given: work on a copy")
class Spoils(Binary):
    def check(self, compositions: Compositions) -> Any:
        compositions.counts[compositions.counts > 9] = 9
        return super().check(compositions)


@toy("validator", "differently the second time")
class Wavers(Binary):
    turn = True

    def check(self, compositions: Compositions) -> Any:
        self.turn = not self.turn
        return super().check(compositions) & self.turn


@toy("validator", "by its place in the batch")
class Alternates(Binary):
    def check(self, compositions: Compositions) -> Any:
        return np.arange(len(compositions)) % 2 == 1


@toy("validator", "by the rows beside it")
class AboveAverage(Binary):
    def check(self, compositions: Compositions) -> Any:
        return compositions.n_elements > compositions.n_elements.sum() / 23


@toy("validator", "by how wide the batch is padded")
class HalfFull(Binary):
    def check(self, compositions: Compositions) -> Any:
        return (compositions.numbers > 0).mean(axis=1) > 0.5


@toy("validator", "overwrites what it gave before")
class OneBuffer(Binary):
    buffer = np.zeros(100, np.bool_)

    def check(self, compositions: Compositions) -> Any:
        answer = self.buffer[: len(compositions)]
        answer[:] = super().check(compositions)
        return answer


@toy("validator", "passes an empty row")
class AtMostTwo(Binary):
    def check(self, compositions: Compositions) -> Any:
        return compositions.n_elements <= 2


# --- what a component is said to be ------------------------------------------------------------


@toy("validator", "has no summary of one line", summary=" ")
class Unsaid(Binary): ...


@toy("validator", "has no summary of one line", summary="two\nlines")
class SaidTwice(Binary): ...


@toy("validator", "call super().__init__(options, weights, device)")
class Forgets(Binary):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


class Loose(Options):
    model_config = ConfigDict(extra="ignore")


@toy("validator", "lets unknown keys of Loose pass", options=Loose)
class IsLoose(Binary): ...


class Soft(Options):
    model_config = ConfigDict(frozen=False)


@toy("validator", "lets its Soft change", options=Soft)
class IsSoft(Binary): ...


class Bare(Options):
    size: int = 1


@toy("validator", "does not say what 'size' means", options=Bare)
class IsBare(Binary): ...


class Calls(Options):
    what: Callable[[], int] = Field(default=lambda: 1, description="A function.")


@toy("validator", "cannot show Calls", options=Calls)
class HasACall(Binary): ...


class Pixels(Options):
    width: Annotated[int, PlainSerializer(lambda n: f"{n} px")] = Field(1, description="In px.")


@toy("validator", "cannot write its Pixels to JSON and read it again", options=Pixels)
class HasPixels(Binary): ...


class Endless(Options):
    size: float | None = Field(float("inf"), description="JSON knows no infinity.")


@toy("validator", "reads another Endless than it wrote to JSON", options=Endless)
class IsEndless(Binary): ...


class Fine(Options):
    """Everything that survives: nothing of it is refused."""

    path: Path | None = Field(None, description="A file.")
    sizes: tuple[int, ...] = Field((1, 2), description="Numbers.")
    table: dict[str, float] = Field({"a": 0.1}, description="Numbers by name.")


@toy("validator", options=Fine)
class IsFine(Binary): ...


# --- training --------------------------------------------------------------------------------


def train(job: Any) -> None: ...


def domain(compositions: Compositions) -> Any:
    return compositions.n_elements > 0


def vague(compositions: Compositions) -> Any:
    return compositions.n_elements


def training(**changes: Any) -> Training:
    fields = {
        "function": f"{__name__}:train", "recipe": Fine, "presets": {"default": Fine()},
        "target": "atoms", "domain": f"{__name__}:domain",
    }  # fmt: skip
    return Training(**fields | changes)


class Atoms(Predictor):
    property, unit = "atoms", ""

    def predict(self, compositions: Compositions) -> Any:
        atoms = compositions.counts.sum(axis=1).astype(float)
        return np.where(compositions.n_elements > 0, atoms, np.nan)


@toy("predictor", training=training())
class Learns(Atoms): ...


@toy("predictor", "make that a function", training=training(function=f"{__name__}:FORMULAS"))
class LearnsByNothing(Atoms): ...


@toy("predictor", "has no preset", training=training(presets={}))
class LearnsAnyhow(Atoms): ...


@toy("predictor", "does not say what it learns", training=training(target=""))
class LearnsAnything(Atoms): ...


@toy("predictor", "not an array of bool (23,)", training=training(domain=f"{__name__}:vague"))
class LearnsVaguely(Atoms): ...


@toy(
    "predictor",
    "does not say what 'size' means",
    training=training(recipe=Bare, presets={"a": Bare()}),
)
class LearnsBarely(Atoms): ...


# --- predictors ------------------------------------------------------------------------------


@toy("predictor", "has property = 'band gap'")
class TwoWords(Atoms):
    property = "band gap"


@toy("predictor", "has property = 'formula'")
class TakesTheFormula(Atoms):
    property = "formula"


@toy("predictor", "predicts 0.0 for an empty row: give NaN")
class CountsNothing(Atoms):
    def predict(self, compositions: Compositions) -> Any:
        return compositions.counts.sum(axis=1).astype(float)


@toy("predictor", "predicts infinity")
class Infinite(Atoms):
    def predict(self, compositions: Compositions) -> Any:
        return super().predict(compositions) * np.inf


@toy("predictor", "applies to none of the formulas")
class Unknowing(Atoms):
    def predict(self, compositions: Compositions) -> Any:
        return np.full(len(compositions), np.nan)


@toy("predictor", "gave an array of float32 (23,), not an array of float64 (23,)")
class Single(Atoms):
    def predict(self, compositions: Compositions) -> Any:
        return super().predict(compositions).astype(np.float32)


@toy("predictor")
class LastDigits(Atoms):
    """As a network on float32 does: the last digits depend on the batch."""

    def predict(self, compositions: Compositions) -> Any:
        return super().predict(compositions) * (1 + 1e-6 * len(compositions))


@toy("predictor", "by the rows beside it")
class Standardised(Atoms):
    def predict(self, compositions: Compositions) -> Any:
        atoms = super().predict(compositions)
        return atoms - np.nanmean(atoms) if len(atoms) else atoms


# --- sources ---------------------------------------------------------------------------------


def salts(formulas: Iterable[str] = ("NaCl", "KBr"), **changes: Any) -> Dataset:
    compositions = Compositions.from_formulas(formulas)
    fields = {
        "compositions": compositions, "rows_in": 3, "attribution": "Lot's wife",
        "steps": (CleaningStep("no salt", 1, len(compositions)),),
    }  # fmt: skip
    return Dataset("Salts", **fields | changes)


@toy("source")
class Salts(Source):
    changes: ClassVar[dict[str, Any]] = {
        "properties": {"solubility": np.array([359.0, np.nan])},
        "rows": np.array([2, 4]),
        "split": np.array([0, 1], np.uint8),
    }

    def load(self) -> Dataset:
        return salts(**self.changes)


def bad_source(words: str, **changes: Any) -> None:
    """A source that loads `salts` with these changes, under their name."""

    def case(load: RegistryOf, tmp_path: Path) -> None:
        changed = pytest.MonkeyPatch()
        with changed.context() as patch:
            patch.setattr(Salts, "changes", changes)
            contract(load(toys()), "source", "Salts")

    BAD.append(pytest.param(case, words, id=f"source-{words}"))


bad_source("has no rows, or empty ones", formulas=[], rows_in=1)
bad_source("has no rows, or empty ones", compositions=Compositions.empty(2))
bad_source("has formulas such as Mg2O2", formulas=["NaCl", "Na2Cl2"])
bad_source("has a compound twice", formulas=["NaCl", "ClNa"])
bad_source("properties['x'] gave an array of int64", properties={"x": np.array([1, 2])})
bad_source("has an infinite 'x'", properties={"x": np.array([1, np.inf])})
bad_source("rows gave an array of int32", rows=np.array([1, 2], np.int32))
bad_source("split gave an array of int64", split=np.array([0, 1]))
bad_source("splits into 9", split=np.array([0, 9], np.uint8))
bad_source("loses count", rows_in=4)
bad_source("loses count", steps=())
bad_source("loses count", steps=(CleaningStep("one", 2, 2), CleaningStep("two", 0, 2)))
bad_source("credits nobody", attribution=" ")


@toy("source", "loads a list: return a matgen_core.Dataset")
class LoadsAList(Source):
    def load(self) -> Any:
        return ["NaCl"]


@toy("source", "loads a data set called 'Salts': call it 'Misnamed'")
class Misnamed(Salts): ...


@toy("source", "loads other rows the second time")
class Shuffled(Source):
    seen: ClassVar[list[str]] = ["NaCl", "KBr"]

    def load(self) -> Dataset:
        self.seen.reverse()
        compounds = Compositions.from_formulas(self.seen)
        return Dataset("Shuffled", compounds, rows_in=2, attribution="nobody")


# --- encoders --------------------------------------------------------------------------------


@toy("encoder", options=OneHotOptions)
class Grid(OneHot): ...


@toy("encoder", "takes an empty row for encodable", options=OneHotOptions)
class EncodesNothing(OneHot):
    def encodable(self, compositions: Compositions) -> Any:
        return super().encodable(compositions) | (compositions.n_elements == 0)


@toy("encoder", "can encode none of the formulas", options=OneHotOptions)
class Refuses(OneHot):
    def encodable(self, compositions: Compositions) -> Any:
        return np.zeros(len(compositions), np.bool_)


@toy("encoder", "does not refuse to encode", options=OneHotOptions)
class Stumbles(OneHot):
    def encode(self, compositions: Compositions) -> Any:
        if not self.encodable(compositions).all():
            raise KeyError("an element")
        return super().encode(compositions)


@toy("encoder", "does not refuse to encode", options=OneHotOptions)
class Obliges(OneHot):
    def encode(self, compositions: Compositions) -> Any:
        able = self.encodable(compositions)
        grids = np.zeros((len(able), *self.shape), np.uint8)
        grids[able] = super().encode(compositions[able])
        return grids


@toy("encoder", "not an array of uint8", options=OneHotOptions)
class EncodesFloats(OneHot):
    def encode(self, compositions: Compositions) -> Any:
        return super().encode(compositions).astype(np.float32)


@toy("encoder", "gave no Compositions of ", options=OneHotOptions)
class DropsRows(OneHot):
    def decode(self, samples: Any) -> Any:
        decoded = super().decode(samples)
        return decoded[decoded.n_elements > 0]


@toy("encoder", "decodes MgO to something else", options=OneHotOptions)
class Heavier(OneHot):
    """Reads magnesium oxide as the sulfide."""

    def decode(self, samples: Any) -> Compositions:
        formulas = ("MgS" if f == "MgO" else f for f in super().decode(samples).to_formulas())
        return Compositions.parse(formulas)[0]


@toy("encoder", "fails to decode int64", options=OneHotOptions)
class NeedsBytes(OneHot):
    def decode(self, samples: Any) -> Compositions:
        if samples.dtype == np.int64:
            raise TypeError("not my type")
        return super().decode(samples)


@toy("encoder", "decodes float32 in its own way", options=OneHotOptions)
class HalvesFloats(OneHot):
    def decode(self, samples: Any) -> Compositions:
        return super().decode(samples * 0.1 if samples.dtype == np.float32 else samples)


@toy("encoder", "fails to decode NaN", options=OneHotOptions)
class FearsNan(OneHot):
    def decode(self, samples: Any) -> Compositions:
        if np.isnan(samples).any():
            raise ValueError("cannot convert float NaN to integer")
        return super().decode(samples)


@toy("encoder", "decodes NaN to a composition", options=OneHotOptions)
class ReadsNan(OneHot):
    def decode(self, samples: Any) -> Compositions:
        if np.isnan(samples).any():
            return Compositions.from_formulas(["NaN"] * len(samples))
        return super().decode(samples)


# --- generators ------------------------------------------------------------------------------


def grids(n: int, seed: Any) -> Any:
    return np.random.default_rng(seed).random((n, 85, 8), np.float32)


@toy("generator")
class Draws(Generator):
    encoder = "onehot"

    def sample(self, n: int, seed: int) -> Any:
        return grids(n, seed)


@toy("generator", "has encoder = 'onehoot', which is none")
class NoEncoder(Draws):
    encoder = "onehoot"


@toy("generator", "fails in sample(16, 9223372036854775807) (ValueError: ")
class SmallSeeds(Draws):
    def sample(self, n: int, seed: int) -> Any:
        return np.random.RandomState(seed).random((n, 85, 8))


@toy("generator", "fails in sample(0, ")
class NeverNone(Draws):
    def sample(self, n: int, seed: int) -> Any:
        return np.concatenate([grids(1, [seed, row]) for row in range(n)])


@toy("generator", "gave an array of float32 (15, 85, 8), not an array of numbers (16, 85, 8)")
class OneShort(Draws):
    def sample(self, n: int, seed: int) -> Any:
        return grids(max(n - 1, 0), seed)


@toy("generator", "draws NaN or infinity")
class Nan(Draws):
    def sample(self, n: int, seed: int) -> Any:
        return np.where(grids(n, seed) > 0.99, np.nan, 0.5)


@toy("generator", "draws the same for every seed")
class Seedless(Draws):
    def sample(self, n: int, seed: int) -> Any:
        return grids(n, 0)


@toy("generator", "draws something else for the same n and seed")
class Unseeded(Draws):
    def sample(self, n: int, seed: int) -> Any:
        return grids(n, None)


@toy("generator", "draws something else once it is created anew")
class Personal(Draws):
    made = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Personal.made += 1
        self.me = Personal.made

    def sample(self, n: int, seed: int) -> Any:
        return grids(n, [self.me, seed])


@toy("generator", "overwrites what it drew before")
class Frugal(Draws):
    buffer = np.zeros((100, 85, 8), np.float32)

    def sample(self, n: int, seed: int) -> Any:
        self.buffer[:n] = grids(n, seed)
        return self.buffer[:n]


@toy("generator")
class Flat(Autoencoder):
    encoder = "onehot"

    def encode(self, grids: Any) -> Any:
        return grids.reshape(len(grids), 680).astype(np.float32)

    def decode(self, codes: Any) -> Any:
        return codes.reshape(-1, 85, 8)

    def sample(self, n: int, seed: int) -> Any:
        return grids(n, seed)


@toy("generator", "encode gave an array of float64 (", summary="codes of another type")
class Wide(Flat):
    def encode(self, grids: Any) -> Any:
        return super().encode(grids).astype(np.float64)


@toy("generator", "encode answers a row by the rows beside it")
class Centred(Flat):
    def encode(self, grids: Any) -> Any:
        codes = super().encode(grids)
        return codes - codes.sum(axis=0) / 23


@toy("generator", "decode changes what it is given")
class Clips(Flat):
    def decode(self, codes: Any) -> Any:
        codes += 1
        return super().decode(codes)


@bad("onehot can encode none of the formulas")
def formulas_beyond_the_encoder(load: RegistryOf, tmp_path: Path) -> None:
    contract(load(toys()), "generator", "Flat", formulas=["Og", "He"])


# --- trained weights -------------------------------------------------------------------------


def shipped(
    load: RegistryOf, path: Path, files: Any = None, component: str = "Draws", **changes: Any
) -> Registry:
    """The toys, and weights called `tiny` with a changed card."""
    card = CARD | {"name": "tiny", "component": component} | changes
    write_weights(path, card, {"weights.safetensors": {}} if files is None else files)
    registry = load(toys())
    plugin = ModuleType("weights")
    plugin.matgen_weights = hookimpl(lambda: [Weights("tiny", component, path)])  # type: ignore[attr-defined]
    registry.load(Plugin("weights", "matgen-weights", "1"), lambda: plugin)
    return registry


def bad_weights(words: str, **changes: Any) -> None:
    def case(load: RegistryOf, tmp_path: Path) -> None:
        contract(shipped(load, tmp_path / "tiny", **changes), "weights", "tiny")

    BAD.append(pytest.param(case, words, id=f"weights-{words}"))


bad_weights("belongs to 'Nobody', which is no component", component="Nobody")
bad_weights("has no files", files={})
bad_weights("has the card of 'huge'", name="huge")
bad_weights("has no measured metrics", metrics={})
bad_weights("has no measured metrics", metrics={"mae": float("nan")})
bad_weights("credits nobody", data=CARD["data"] | {"attribution": ""})
bad_weights("credits nobody", licence=" ")
bad_weights("was trained on nothing", data=CARD["data"] | {"n_train": 0})
bad_weights("has a card with encoder = 'onehoot'", encoder="onehoot")


def test_weights(registry_of: RegistryOf, tmp_path: Path) -> None:
    registry = shipped(registry_of, tmp_path / "tiny")
    contract(registry, "weights", "tiny")
    contract(registry, "generator", "tiny")
    (tmp_path / "tiny" / "weights.safetensors").write_bytes(b"something else")
    for kind in ("weights", "generator"):
        with pytest.raises(WeightsError, match="is damaged"):
            contract(registry, kind, "tiny")


def test_weights_whose_index_cannot_be_read(registry_of: RegistryOf, tmp_path: Path) -> None:
    files = {"known.safetensors": {"fingerprints": np.zeros(1, np.uint64)}}
    registry = shipped(registry_of, tmp_path / "tiny", files)
    with pytest.raises(WeightsError, match="is no index of known compounds"):
        contract(registry, "weights", "tiny")


# --- plugins ---------------------------------------------------------------------------------


def in_memory(name: str) -> ModuleType:
    made = ModuleType(name)
    binary = Component("mine", f"{__name__}:Binary", summary="a toy")
    made.matgen_validators = hookimpl(lambda: [binary])  # type: ignore[attr-defined]
    return made


@bad("sad does not load: ")
def a_misspelt_hook(load: RegistryOf, tmp_path: Path) -> None:
    made = in_memory("sad")
    made.matgen_validator = made.matgen_validators  # type: ignore[attr-defined]
    load(made)


@bad("elsewhere does not load alone: ModuleNotFoundError: No module named 'elsewhere'")
def a_module_that_only_this_process_has(load: RegistryOf, tmp_path: Path) -> None:
    contract(load(in_memory("elsewhere")), "validator", "mine")


@bad("listing slow imports jax, torch: ")
def a_plugin_that_imports_heavy_packages(load: RegistryOf, tmp_path: Path) -> None:
    for package in ("jax", "torch"):
        (tmp_path / f"{package}.py").write_text("")
    (tmp_path / "slow.py").write_text(
        "import jax, torch\n"
        "from matgen_core import Component, hookimpl\n"
        "@hookimpl\n"
        "def matgen_validators():\n"
        f"    yield Component('mine', '{__name__}:Binary', summary='a toy')\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        contract(load(in_memory("slow")), "validator", "mine")


@pytest.mark.usefixtures("toy")
def test_an_installed_plugin() -> None:
    contract(discover(), "generator", "pick")
    contract(discover(), "generator", "pick-salts")
    contract(discover(), "weights", "pick-salts")


SHOWN = """
import numpy as np
from matgen_core import *
from matgen_core.interfaces import Autoencoder

{classes}

@hookimpl
def matgen_{kind}s():
    yield Component("{name}", "{module}:{cls}", summary="an example")
"""


@pytest.mark.parametrize(
    ("interface", "kind", "cls"),
    [
        (Source, "source", "Salts"),
        (Generator, "generator", "Coin"),
        (Autoencoder, "generator", "Lookup"),
        (Validator, "validator", "Binary"),
        (Predictor, "predictor", "MeanNumber"),
    ],
)
def test_the_example_of_an_interface(
    interface: type, kind: str, cls: str, install: Install, registry_of: RegistryOf
) -> None:
    """What its docstring shows can be copied. (That of `Encoder` leaves the decoding out.)"""
    examples = DocTestParser().get_examples(str(interface.__doc__))
    classes = "".join(example.source for example in examples)
    module = f"shown_{cls.lower()}"
    source = SHOWN.format(classes=classes, module=module, kind=kind, name=cls.lower(), cls=cls)
    install(module, source)
    contract(registry_of(importlib.import_module(module)), kind, cls.lower())


# --- all of them -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), GOOD)
def test_a_kept_contract(kind: str, name: str, registry_of: RegistryOf) -> None:
    contract(registry_of(toys()), kind, name)


@pytest.mark.parametrize(("case", "words"), BAD)
def test_a_broken_contract(case: Case, words: str, registry_of: RegistryOf, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as refused:
        case(registry_of, tmp_path)
    message = str(refused.value)
    assert words in message
    assert "\n" not in message


def test_no_clause_is_idle(registry_of: RegistryOf, tmp_path: Path) -> None:
    """Of all the ways to refuse a component, each was the way for one of `BAD`."""
    source = Path(testing.__file__)
    clauses = {
        node.lineno
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Raise) and "PluginError" in ast.unparse(node))
        or (isinstance(node, ast.Call) and ast.unparse(node.func) == "checked")
    }
    assert len(clauses) > 40
    seen: set[int] = set()
    for index, parameters in enumerate(BAD):
        folder = tmp_path / str(index)
        folder.mkdir()
        with pytest.raises(PluginError) as refused:
            parameters.values[0](registry_of, folder)
        seen |= {
            frame.lineno + 1  # pytest counts from 0
            for frame in refused.traceback
            if frame.path == source
        }
    assert sorted(clauses - seen) == []


# --- fixtures --------------------------------------------------------------------------------


def test_importing_the_kit_imports_nothing_heavy() -> None:
    code = f"import sys, matgen_core.testing; assert not set({HEAVY}) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.usefixtures("toy")
def test_a_registry_is_isolated_from_what_is_installed(registry_of: RegistryOf) -> None:
    assert "oxide" in {entry.item.name for entry in discover().entries()}
    names = {entry.item.name for entry in registry_of(in_memory("mine")).entries()}
    assert names == {"mine", "onehot"}
    with pytest.raises(UnknownName):
        contract(registry_of(in_memory("mine")), "validator", "oxide")


def test_onehot_is_loaded_once(registry_of: RegistryOf) -> None:
    import matgen_onehot

    registry = registry_of(matgen_onehot)
    assert isinstance(registry, Registry)
    contract(registry, "encoder", "onehot")


def test_formulas_of_an_authors_own(registry_of: RegistryOf) -> None:
    with pytest.raises(InvalidFormula):
        contract(registry_of(toys()), "validator", "Binary", formulas=["NaCl", "Qq"])
    contract(registry_of(toys()), "validator", "Binary", formulas=["NaCl"])


def test_data(compositions: Compositions, formulas_csv: Path) -> None:
    assert compositions.to_formulas() == ["", *Compositions.from_formulas(FORMULAS).to_formulas()]
    data = discover().create("source", "csv", {"path": formulas_csv}).load()
    assert data.rejected is None
    assert len(data.compositions) == len(FORMULAS) - 1  # Mg2O2 is MgO
    assert data.properties["atoms"][:3].tolist() == [2, 3, 5]


def test_a_mistake_must_be_one(cli: Cli, mistake: Callable[..., str]) -> None:
    assert mistake("run", "-g", "nothing").startswith("matgen: unknown generator 'nothing'")
    assert cli("run", "-g", "nothing").code == 2
    for arguments in (["--version"], ["plugins", "list"]):
        with pytest.raises(AssertionError):
            mistake(*arguments)
