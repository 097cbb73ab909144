"""Plugins that fail: the command line says which one, of which version, and what to do.

The plugins here are installed distributions. `sorry` and a few others are built and installed by
pip; what fails while it is loaded is a module of its own with its metadata in a folder on the path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Cli

from matgen_core import Registry, __version__, discover, doctor
from matgen_core.asking import guarded
from matgen_core.cache import cache_root
from matgen_core.errors import PluginError
from matgen_core.pipeline import Pipeline, RunFailed
from matgen_core.registry import KINDS, Plugin

Mistake = Callable[..., str]
SAD = "sad (matgen-sad 0.9)"
SORRY = "sorry (matgen-sorry 1.2)"
LEAVE = "leave it out"
UNINSTALL = "update or uninstall matgen-sad"
TELL = "leave it out, or tell its authors (MATGEN_DEBUG=1 prints the traceback)"

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{distribution}"
version = "{version}"
dependencies = ["matgen"]
[project.entry-points.matgen]
{module} = "{module}"
[tool.hatch.build.targets.wheel]
only-include = ["{module}"]
"""

SORRY_HOOKS = """
from pathlib import Path
from matgen_core import Component, Options, Training, Weights, hookimpl
from pydantic import field_validator

class How(Options):
    how: str = "well"
    size: int = 1
    @field_validator("size")
    @classmethod
    def _nine(cls, size):
        if size == 9:
            raise KeyError("nine")
        return size

class Needy(Options):
    needed: int

@hookimpl
def matgen_sources():
    yield Component("sorry-source", "sorry.parts:Shelf", options=How)

@hookimpl
def matgen_encoders():
    yield Component("sorry-encoder", "sorry.parts:Grid", options=How)
    yield Component("shapeless", "sorry.parts:Shapeless")

@hookimpl
def matgen_generators():
    recipes = {name: How(how=name) for name in ("raises", "exits", "formula")}
    yield Component(
        "sorry-generator", "sorry.parts:Sampler", options=How,
        training=Training("sorry.parts:train", How, recipes),
    )
    yield Component(
        "unlearned", "sorry.parts:Sampler",
        training=Training("sorry.parts:nothing", How, {"default": How()}),
    )
    yield Component("for-grid", "sorry.parts:ForGrid", options=How)
    yield Component("for-shapeless", "sorry.parts:ForShapeless")
    yield Component("for-nobody", "sorry.parts:ForNobody")
    yield Component("aimless", "sorry.parts:Aimless")
    yield Component("coder-raises", "sorry.parts:CoderRaises")
    yield Component("coder-flat", "sorry.parts:CoderFlat")
    yield Component("coder-nan", "sorry.parts:CoderNan")
    yield Component(
        "well-known", "sorry.parts:Sampler", training=Training("x:y", How, {"default": How()})
    )

@hookimpl
def matgen_validators():
    yield Component("sorry-validator", "sorry.parts:Judge", options=How)
    yield Component("needy", "sorry.parts:Judge", options=Needy)
    for name, factory in {
        "no-module": "sorry.nowhere:Judge", "no-class": "sorry.parts:Jugde", "no-path": "Judge",
        "no-import": "sorry.broken:Judge", "no-exit": "sorry.exits:Judge",
        "no-validator": "sorry.parts:Sampler", "no-component": "sorry.parts:none",
        "abstract": "sorry.parts:Abstract", "unmade": "sorry.parts:Unmade",
        "optionless": "sorry.parts:Optionless",
    }.items():
        yield Component(name, factory)

@hookimpl
def matgen_predictors():
    yield Component(
        "sorry-predictor", "sorry.parts:Guess", options=How,
        training=Training(
            "sorry.parts:train", How, {"default": How()}, "mass", "sorry.parts:domain"
        ),
    )
    yield Component("nameless", "sorry.parts:Nameless")
    yield Component("formula-again", "sorry.parts:Formula")

@hookimpl
def matgen_weights():
    yield Weights("weights-of-nobody", "charge", Path(__file__).parent)
"""

SORRY_PARTS = '''
import numpy as np
from matgen_core import Compositions, Dataset, Encoder, Generator, Predictor, Source, Validator
from matgen_core.interfaces import Autoencoder
from matgen_core.errors import DataError

def misbehave(how):
    """What every kind may do instead of an answer."""
    match how:
        case "raises": raise ValueError("on\\npurpose \\x1b[31m")
        case "exits": raise SystemExit(0)
        case "memory": raise MemoryError
        case "disk": raise OSError(28, "No space left on device", "scratch.npy")
        case "formula": Compositions.from_formulas(["Xx2"])
        case "asks": raise DataError("fetch the tables of sorry first")
        case "base": raise type("Panic", (BaseException,), {})("rusty")
        case "recursion": raise RecursionError("maximum recursion depth exceeded")
        case "long": raise ValueError("x" * 1_000_000)
        case "mute": raise type("Mute", (Exception,), {"__str__": lambda self: 1 / 0})

class Sampler(Generator):
    """Two elements and their counts at random."""
    encoder = "onehot"
    done = 0
    def sample(self, n, seed):
        how = getattr(self.options, "how", "well")
        random = np.random.default_rng(seed)
        grids = np.zeros((n, 85, 8), np.float32)
        elements = random.permuted(np.tile(np.arange(85), (n, 1)), axis=1)[:, :2]
        grids[np.arange(n)[:, None], elements, random.integers(8, size=(n, 2))] = 1
        self.done += n
        if how.startswith("later-"):
            if self.done > 8:
                misbehave(how.removeprefix("later-"))
            return grids
        misbehave(how)
        if how == "tensor":
            import torch
            return torch.from_numpy(grids)
        if how == "one-nan":
            grids[n // 2, 5, 5] = np.nan
        return {
            "nans": lambda: grids * np.nan, "endless": lambda: np.full_like(grids, np.inf),
            "half": lambda: np.full_like(grids, -np.inf, np.float16),
            "flat": lambda: grids.reshape(n, -1), "turned": lambda: grids.swapaxes(1, 2),
            "fewer": lambda: grids[:-1], "more": lambda: np.concatenate([grids, grids]),
            "empty": lambda: grids[:0], "objects": lambda: grids.astype(object),
            "complex": lambda: grids.astype(complex), "text": lambda: grids.astype("U3"),
            "none": lambda: None, "list": lambda: grids.tolist(), "tuple": lambda: (grids, seed),
        }.get(how, lambda: grids)()

class CoderFlat(Sampler, Autoencoder):
    def encode(self, grids): return grids.reshape(len(grids), -1).astype(np.float32)
    def decode(self, codes): return codes

class CoderNan(CoderFlat):
    def decode(self, codes): return codes.reshape(-1, 85, 8) * np.nan

class CoderRaises(CoderFlat):
    def encode(self, grids): misbehave("raises")

class ForGrid(Sampler): encoder = "sorry-encoder"
class ForShapeless(Sampler): encoder = "shapeless"
class ForNobody(Sampler): encoder = "onehto"
class Aimless(Generator):
    def sample(self, n, seed): return None

class Grid(Encoder):
    shape = (85, 8)
    def encodable(self, compositions): return np.ones(len(compositions), np.bool_)
    def encode(self, compositions): return np.zeros((len(compositions), 85, 8), np.uint8)
    def decode(self, samples):
        misbehave(self.options.how)
        salts = Compositions.from_formulas(["NaCl"] * len(samples))
        return {
            "fewer": lambda: salts[:-1], "more": lambda: Compositions.concatenate([salts, salts]),
            "formulas": lambda: ["NaCl"] * len(samples), "none": lambda: None,
        }.get(self.options.how, lambda: salts)()

class Shapeless(Grid): shape = None

class Judge(Validator):
    done = 0
    def check(self, compositions):
        n = len(compositions)
        self.done += n
        how = getattr(self.options, "how", "well")
        if how == "late" and self.done > 70_000:
            raise ZeroDivisionError("row 70,000")
        if how == "prints":
            print("I am checking")
        misbehave(how)
        verdict = np.arange(n) % 2 == 0
        return {
            "integers": lambda: verdict.astype(int), "floats": lambda: verdict * 1.0,
            "fewer": lambda: verdict[:-1], "column": lambda: verdict[:, None],
            "scalar": lambda: True, "none": lambda: None, "list": verdict.tolist,
        }.get(how, lambda: verdict)()

class Abstract(Validator): pass

class Unmade(Judge):
    def __init__(self, options, weights, device): raise KeyError("table")

class Optionless(Judge):
    def __init__(self): pass

def none(*arguments, **named): return None

class Guess(Predictor):
    property, unit = "mass", "u"
    def predict(self, compositions):
        misbehave(self.options.how)
        values = compositions.counts.sum(axis=1).astype(np.float64)
        with np.errstate(all="ignore"):
            return {
                "integers": lambda: values.astype(int), "single": lambda: np.float32(values),
                "fewer": lambda: values[:-1], "column": lambda: values[:, None],
                "infinite": lambda: values / 0, "scalar": lambda: 1.0, "none": lambda: None,
            }.get(self.options.how, lambda: values)()

class Nameless(Predictor):
    unit = "u"
    def predict(self, compositions): return np.zeros(len(compositions))

class Formula(Nameless): property = "formula"

class Shelf(Source):
    def fetch(self, *, force=False): misbehave(self.options.how)
    def load(self):
        misbehave(self.options.how)
        if self.options.how == "none":
            return None
        salts = Compositions.from_formulas(["NaCl", "KBr", "MgO", "Fe2O3", "LiF", "CaO"])
        mass = np.arange(6.0)
        return Dataset("sorry-source", salts, {"mass": mass}, rows_in=6)

def domain(compositions): return [True] * len(compositions)

def train(job): misbehave(job.recipe.how)
'''

RIVAL = """
from pathlib import Path
from matgen_core import Component, Weights, hookimpl

@hookimpl
def matgen_validators():
    yield Component("shared", "{module}:Nothing")
    {extra}
"""

TWIN = """
from matgen_core import Component, hookimpl

@hookimpl
def matgen_validators():
    yield Component("twin", "twin:Nothing", summary="twin of version {version}")
"""


def pip(folder: Path, into: Path, *projects: tuple[str, str, dict[str, str]]) -> Path:
    """Have pip build projects (distribution, version, files of one module) and install them."""
    sources = []
    for distribution, version, files in projects:
        source = folder / f"{distribution}-{version}"
        module = distribution.removeprefix("matgen-")
        (source / module).mkdir(parents=True)
        project = PROJECT.format(distribution=distribution, version=version, module=module)
        (source / "pyproject.toml").write_text(project)
        for name, text in files.items():
            (source / module / name).write_text(text)
        sources.append(source)
    options = "--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check"
    command = [sys.executable, "-m", "pip", "install", *options.split(), "--target", into, *sources]
    subprocess.run(command, check=True, capture_output=True)
    return into


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed `sorry` and two rivals into."""
    folder = tmp_path_factory.mktemp("strangers")
    sorry = {
        "__init__.py": SORRY_HOOKS,
        "parts.py": SORRY_PARTS,
        "broken.py": "raise OSError('no such library: libsorry.so')",
        "exits.py": "import sys; sys.exit('I need a license')",
    }
    weights = "\n@hookimpl\ndef matgen_weights(): yield Weights('{}', 'charge', Path('.'))\n"
    one = RIVAL.format(module="one", extra="yield Component('eneg', 'one:Nothing')")
    two = RIVAL.format(module="two", extra="yield Component('onehot', 'two:Nothing')")
    return pip(
        folder,
        folder / "site",
        ("matgen-sorry", "1.2", sorry),
        ("matgen-one", "0.1", {"__init__.py": one + weights.format("well-known")}),
        ("matgen-two", "0.2", {"__init__.py": two + weights.format("wgan-mp")}),
    )


@pytest.fixture
def at_hand(strangers: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`strangers` is on the path, and some formulas are in the folder the commands run in."""
    monkeypatch.syspath_prepend(strangers)
    (tmp_path / "x.txt").write_text("NaCl\nMgO\nFe2O3\nKBr\n")
    (tmp_path / "known.csv").write_text("formula\nNaCl\nKCl\nMgO\nFe2O3\nCaO\nLiF\n")
    # `two` also provides onehot and wgan-mp: these plugins are all that is needed here.
    monkeypatch.setenv("MATGEN_PLUGINS", "sorry,onehot,rules,data")


# --- plugins that do not load ------------------------------------------------------------------

HEAD = "from matgen_core import Component, Options, Training, Weights, hookimpl\n"
VALIDATORS = HEAD + "@hookimpl\ndef matgen_validators():\n    "


class Unloadable(NamedTuple):
    """A plugin that does not load."""

    source: str
    reason: str
    advice: str = UNINSTALL
    metadata: str = ""
    module: str = "sad"


UNLOADABLE = {
    "import": Unloadable("import a_module_that_is_not_there", "No module named 'a_module_that"),
    "import name": Unloadable("from matgen_core import Genrator", "ImportError: cannot import"),
    "syntax": Unloadable("def (", "SyntaxError: invalid syntax"),
    "exit": Unloadable("import sys; sys.exit(0)", "SystemExit: 0"),
    "exit with a word": Unloadable("raise SystemExit('no license')", "SystemExit: no license"),
    "recursion": Unloadable("def f(): f()\nf()", "RecursionError: maximum recursion depth"),
    "base exception": Unloadable(
        "class Panic(BaseException): pass\nraise Panic('rust')", "Panic: rust"
    ),
    "mute exception": Unloadable(
        "class Mute(Exception):\n    def __str__(self): return 1\nraise Mute", "Mute"
    ),
    "lines": Unloadable("raise ValueError('one\\n  two')", "ValueError: one two"),
    "escapes": Unloadable("raise ValueError('\\x1b[31mred')", "ValueError: \\x1b[31mred"),
    "no module": Unloadable("", "No module named 'sadd'", module="sadd"),
    "no attribute": Unloadable("", "has no attribute 'plugin'", module="sad:plugin"),
    "misspelt hook": Unloadable(
        HEAD + "@hookimpl\ndef matgen_validator(): yield Component('v', 'sad:V')",
        "unknown hook 'matgen_validator': did you mean 'matgen_validators'?",
    ),
    "unmarked hook": Unloadable(
        HEAD + "def matgen_validators(): yield Component('v', 'sad:V')",
        "matgen_validators is not marked @hookimpl",
    ),
    "no hook": Unloadable("", "it has none of the hooks matgen_sources, matgen_encoders"),
    "hook with an argument": Unloadable(
        HEAD + "@hookimpl\ndef matgen_validators(registry): yield Component('v', 'sad:V')",
        "Argument(s) {'registry'} are declared in the hookimpl but can not be found",
    ),
    "wrong type": Unloadable(VALIDATORS + "yield 'charge'", "'charge', not a Component"),
    "wrong kind": Unloadable(
        VALIDATORS + "yield Weights('w', 'charge', None)", "matgen_validators yielded Weights("
    ),
    "halfway": Unloadable(
        VALIDATORS + "yield Component('v', 'sad:V')\n    raise KeyError('table')",
        "KeyError: 'table'",
    ),
    "returns None": Unloadable(
        VALIDATORS + "Component('v', 'sad:V')", "matgen_validators returned None: yield what"
    ),
    "returns one": Unloadable(
        VALIDATORS + "return Component('v', 'sad:V')", "'Component' object is not iterable"
    ),
    "name of spaces": Unloadable(VALIDATORS + "yield Component('a b', 'x:y')", "'a b' is no name"),
    "name with a comma": Unloadable(VALIDATORS + "yield Component('a,b', 'x:y')", "is no name"),
    "number for a name": Unloadable(VALIDATORS + "yield Component(3, 'x:y')", "3 is no name"),
    "one name twice": Unloadable(
        VALIDATORS + "yield from [Component('v', 'x:y')] * 2", "it provides 'v' more than once"
    ),
    "class for a factory": Unloadable(
        VALIDATORS + "yield Component('v', dict)", "name what it imports as 'package.module:name'"
    ),
    "options of a dict": Unloadable(
        VALIDATORS + "yield Component('v', 'x:y', options={'size': 1})",
        "'v': {'size': 1} is no subclass of matgen_core.Options",
    ),
    "options of another model": Unloadable(
        "from pydantic import BaseModel\n" + VALIDATORS + "yield Component('v', 'x:y', BaseModel)",
        "is no subclass of matgen_core.Options",
    ),
    "invalid default": Unloadable(
        "from matgen_core import Options\nclass O(Options):\n    size: int = 'big'\n"
        + VALIDATORS
        + "yield Component('v', 'x:y', options=O)",
        "'v': the default of size, 'big': Input should be a valid integer",
    ),
    "training of a string": Unloadable(
        VALIDATORS + "yield Component('v', 'x:y', training='x:train')",
        "'v': its training is 'x:train', not a Training",
    ),
    "preset of another recipe": Unloadable(
        VALIDATORS + "yield Component('v', 'x:y', training=Training('x:y', Options, {'mp': {}}))",
        "'v': a preset is no Options",
    ),
    "weights without a path": Unloadable(
        HEAD + "@hookimpl\ndef matgen_weights(): yield Weights('w', 'charge', 'folder')",
        "'w': its path must be a Path",
    ),
    "newer core": Unloadable(
        "raise AssertionError('it was imported')",
        f"needs matgen >=99, this is {__version__}",
        "install such a version of matgen, or another one of matgen-sad",
        "Requires-Dist: numpy\nRequires-Dist: matgen>=99\n",
    ),
    "older core": Unloadable(
        "raise AssertionError('it was imported')",
        f"needs matgen <0.1,>=0.0.3, this is {__version__}",
        "install such a version of matgen, or another one of matgen-sad",
        "Requires-Dist: matgen (>=0.0.3,<0.1) ; python_version > '3'\n",
    ),
    "a requirement nobody can read": Unloadable(
        "import nowhere", "No module named 'nowhere'", metadata="Requires-Dist: matgen>=ninety\n"
    ),
    "requirement of an extra": Unloadable(
        "import nowhere",
        "No module named 'nowhere'",
        metadata="Requires-Dist: matgen>=99 ; extra == 'new'\nRequires-Dist: matgen-x>=9\n",
    ),
}

Add = Callable[..., Path]


@pytest.fixture
def add(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Put a module and its metadata in a folder, first on the path of this process."""
    modules = []

    def put(
        source: str, module: str = "sad", distribution: str = "matgen-sad", version: str = "0.9",
        metadata: str = "", points: str = "",
    ) -> Path:  # fmt: skip
        folder = tmp_path_factory.mktemp("site")
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (folder / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{metadata}"
        )
        (info / "entry_points.txt").write_text(f"[matgen]\n{points or f'{module} = {module}'}\n")
        monkeypatch.syspath_prepend(folder)
        modules.append(module)
        return folder

    yield put
    for module in modules:
        sys.modules.pop(module, None)


# --- what can go wrong later -------------------------------------------------------------------

RUN = "run -n 20 --batch-size 4 -o out.csv -g sorry-generator"
SCREEN = "screen x.txt -o out.csv"
EVALUATE = "evaluate --against known.csv --validators sorry-validator"


class Failure(NamedTuple):
    """A command that a plugin spoils, and what its only line must hold."""

    command: str
    words: tuple[str, ...]


def asked(command: str, component: str, hows: dict[str, tuple[str, ...]]) -> dict[str, Failure]:
    """A component of `sorry` that does what it should not, one way a failure."""
    return {
        f"{command.partition(' ')[0]}: {component} {how}": Failure(
            f"{command} --set {component}.how={how}", (SORRY, f"{component}'", *words)
        )
        for how, words in hows.items()
    }


RAISED = {
    "raises": ("raised ValueError: on purpose \\x1b[31m", TELL),
    "exits": ("raised SystemExit: 0", TELL),
    "memory": ("raised MemoryError", TELL),
    "disk": ("raised OSError: [Errno 28] No space left on device: 'scratch.npy'", "mend that"),
    "formula": ("raised InvalidFormula", "Xx2", TELL),
    "base": ("raised Panic: rusty", TELL),
    "recursion": ("raised RecursionError", TELL),
    "long": ("raised ValueError: xxxxx", "x…", TELL),
    "mute": ("raised Mute", TELL),
}
TRAINED = ("raises", "exits", "formula")
TRAINING = ("train: no function", *(f"train: {how}" for how in TRAINED))
SAMPLES = "not an array of numbers (4, 85, 8)"
FAILURES = {
    # components that cannot be made
    **{
        f"making {name}": Failure(f"{SCREEN} --validators {name}", (SORRY, f"'{name}'", *words))
        for name, words in {
            "no-module": ("cannot import sorry.nowhere:Judge", "No module named", LEAVE),
            "no-class": ("cannot import sorry.parts:Jugde", "has no attribute", LEAVE),
            "no-path": ("cannot import Judge", LEAVE),
            "no-import": ("cannot import sorry.broken:Judge", "OSError: no such library", LEAVE),
            "no-exit": ("cannot import sorry.exits:Judge", "SystemExit: I need a lic", LEAVE),
            "no-validator": ("sorry.parts:Sampler is no matgen_core.Validator", LEAVE),
            "no-component": ("sorry.parts:none is no matgen_core.Validator", LEAVE),
            "abstract": ("TypeError: Can't instantiate abstract class Abstract", TELL),
            "unmade": ("raised KeyError: 'table'", TELL),
            "optionless": ("raised TypeError", TELL),
        }.items()
    },
    "generator without encoder": Failure(
        "run -g aimless", (SORRY, "generator 'aimless': its 'encoder' is None, not a str", LEAVE)
    ),
    "generator of a lost encoder": Failure(
        "run -g for-nobody", (SORRY, "'for-nobody'", "unknown encoder 'onehto': did you mean")
    ),
    "encoder without shape": Failure(
        "run -g for-shapeless", (SORRY, "encoder 'shapeless': its 'shape' is None", LEAVE)
    ),
    "predictor without property": Failure(
        f"{SCREEN} --predictors nameless", (SORRY, "'nameless': its 'property' is None", LEAVE)
    ),
    "predictor of a column": Failure(
        f"{RUN} --predictors formula-again", (SORRY, "'formula-again' gives 'formula'", LEAVE)
    ),
    # options
    "option of a wrong type": Failure(
        f"{RUN} --set sorry-generator.size=big", ("sorry-generator.size = 'big': Input should be",)
    ),
    "option unknown": Failure(
        f"{RUN} --set sorry-generator.szie=1", ("of sorry-generator 'szie': did you mean 'size'?",)
    ),
    "option missing": Failure(f"{SCREEN} --validators needy", ("needy.needed is required",)),
    "options that raise": Failure(
        f"{RUN} --set sorry-generator.size=9", (SORRY, "raised KeyError: 'nine'", TELL)
    ),
    # generators
    **asked(RUN, "sorry-generator", RAISED | {
        "nans": ("gave NaN or infinity in 4 of 4 samples", LEAVE),
        "one-nan": ("gave NaN or infinity in 1 of 4 samples", LEAVE),
        "endless": ("gave NaN or infinity in 4 of 4 samples", LEAVE),
        "half": ("gave NaN or infinity in 4 of 4 samples", LEAVE),
        "flat": ("gave an array of float32 (4, 680)", SAMPLES, LEAVE),
        "turned": ("gave an array of float32 (4, 8, 85)", SAMPLES, LEAVE),
        "fewer": ("gave an array of float32 (3, 85, 8)", SAMPLES, LEAVE),
        "more": ("gave an array of float32 (8, 85, 8)", SAMPLES, LEAVE),
        "empty": ("gave an array of float32 (0, 85, 8)", SAMPLES, LEAVE),
        "objects": ("gave an array of object (4, 85, 8)", SAMPLES, LEAVE),
        "complex": ("gave an array of complex128 (4, 85, 8)", SAMPLES, LEAVE),
        "text": ("gave an array of <U3 (4, 85, 8)", SAMPLES, LEAVE),
        "none": ("gave a NoneType", SAMPLES, LEAVE),
        "list": ("gave a list", SAMPLES, LEAVE),
        "tuple": ("gave a tuple", SAMPLES, LEAVE),
        "tensor": ("gave a Tensor", SAMPLES, LEAVE),
        "later-raises": ("raised ValueError", TELL, "; 8 of 20 samples were finished before"),
        "later-memory": ("raised MemoryError", TELL, "; 8 of 20 samples were finished before"),
    }),
    **asked(f"{EVALUATE} sorry-generator -n 20", "sorry-generator", {
        "raises": RAISED["raises"], "nans": ("gave NaN or infinity in 20 of 20", LEAVE),
    }),
    # encoders
    **asked(RUN.replace("sorry-generator", "for-grid"), "sorry-encoder", RAISED | {
        "fewer": ("gave 3 rows, not Compositions of 4 rows", LEAVE),
        "more": ("gave 8 rows, not Compositions of 4 rows", LEAVE),
        "formulas": ("gave a list, not Compositions of 4 rows", LEAVE),
        "none": ("gave a NoneType, not Compositions of 4 rows", LEAVE),
    }),
    # validators
    **{
        key: failure
        for command in (f"{RUN} --validators sorry-validator",
                        f"{SCREEN} --validators sorry-validator",
                        f"{EVALUATE} x.txt",
                        f"compare {EVALUATE.removeprefix('evaluate ')} x.txt known.csv")
        for key, failure in asked(command, "sorry-validator", {
            "raises": RAISED["raises"],
            "exits": RAISED["exits"],
            "integers": ("gave an array of int64 (4,), not an array of bool (4,)", LEAVE),
            "floats": ("gave an array of float64 (4,)", LEAVE),
            "fewer": ("gave an array of bool (3,)", LEAVE),
            "column": ("gave an array of bool (4, 1)", LEAVE),
            "scalar": ("gave a bool", LEAVE),
            "list": ("gave a list", LEAVE),
            "none": ("gave a NoneType", LEAVE),
        }).items()
    },
    "a message that a plugin chose": Failure(
        f"{SCREEN} --validators sorry-validator --set sorry-validator.how=asks",
        ("matgen: fetch the tables of sorry first",),
    ),
    # predictors
    **{
        key: failure
        for command in (f"{RUN} --predictors sorry-predictor",
                        f"{SCREEN} --validators rare --predictors sorry-predictor",
                        f"{EVALUATE} --predictors sorry-predictor x.txt")
        for key, failure in asked(command.replace("--validators rare ", ""), "sorry-predictor", {
            "raises": RAISED["raises"],
            "exits": RAISED["exits"],
            "integers": ("gave an array of int64", "not an array of float64", LEAVE),
            "single": ("gave an array of float32", "not an array of float64", LEAVE),
            "fewer": ("gave an array of float64 (", LEAVE),
            "column": ("1), not an array of float64 (", LEAVE),
            "infinite": ("gave infinity for ", LEAVE),
            "scalar": ("gave a float", LEAVE),
            "none": ("gave a NoneType", LEAVE),
        }).items()
    },
    # autoencoders
    **{
        f"reconstruct: {coder}": Failure(
            f"reconstruct x.txt -o out.csv -g {coder}", (SORRY, f"'{coder}'", *words)
        )
        for coder, words in {
            "coder-raises": RAISED["raises"],
            "coder-flat": ("gave an array of float32 (4, 680)", SAMPLES, LEAVE),
            "coder-nan": ("gave NaN or infinity in 4 of 4 samples", LEAVE),
        }.items()
    },
    # sources
    **asked("data show sorry-source", "sorry-source", RAISED | {
        "none": ("gave a NoneType, not a Dataset", LEAVE),
    }),
    "evaluate: sorry-source": Failure(
        "evaluate x.txt --against sorry-source --set sorry-source.how=raises",
        (SORRY, "source 'sorry-source' raised ValueError", TELL),
    ),
    "train: sorry-source": Failure(
        "train sorry-generator --preset raises --out trained --data sorry-source "
        "--set sorry-source.how=none",
        (SORRY, "source 'sorry-source' gave a NoneType, not a Dataset", LEAVE),
    ),
    # training
    **{
        f"train: {how}": Failure(
            f"train sorry-generator --preset {how} --out trained --data sorry-source",
            (SORRY, "generator 'sorry-generator'", *RAISED[how]),
        )
        for how in TRAINED
    },
    "train: no function": Failure(
        "train unlearned --out trained --data sorry-source",
        (SORRY, "generator 'unlearned': cannot import sorry.parts:nothing", LEAVE),
    ),
    "train: domain": Failure(
        "train sorry-predictor --out trained --data sorry-source",
        (SORRY, "predictor 'sorry-predictor' gave a list, not an array of bool (6,)", LEAVE),
    ),
    "train: screen": Failure(
        "train sorry-generator --preset raises --out trained --data sorry-source --screen unmade",
        (SORRY, "validator 'unmade' raised KeyError: 'table'", TELL),
    ),
}  # fmt: skip


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("why", UNLOADABLE)
def test_failure_mode_while_loading(why: str, add: Add, cli: Cli, mistake: Mistake) -> None:
    plugin = UNLOADABLE[why]
    add(plugin.source, metadata=plugin.metadata, points=f"sad = {plugin.module}")
    line = mistake("run", "-g", "wanted")
    assert f"not loaded: {SAD}: " in line
    assert plugin.reason in line
    assert line.endswith(f"{plugin.advice})\n")
    # Who did not ask for it does not notice.
    answer = cli("run", "-g", "tape", "--validators", "oxide", "-n", 5, "-o", "x.csv", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out)["passed"] == {"oxide": 3}


@pytest.mark.usefixtures("at_hand")
@pytest.mark.parametrize("why", FAILURES)
def test_failure_mode(why: str, cli: Cli) -> None:
    command, words = FAILURES[why]
    answer = cli(*command.split())
    assert answer.code == 2, answer
    assert answer.out == "" or why in TRAINING, "only a training tells beforehand what it will do"
    assert answer.err.startswith("matgen: ")
    assert answer.err.find("\n") == len(answer.err) - 1, answer.err
    for word in words:
        assert word in answer.err


def test_the_table_knows_every_kind_and_command() -> None:
    """A new kind of component, or a command that asks components, belongs into the table."""
    commands = {failure.command.split()[0] for failure in FAILURES.values()}
    assert commands == {"run", "screen", "evaluate", "compare", "reconstruct", "train", "data"}
    told = " ".join(word for failure in FAILURES.values() for word in failure.words)
    assert all(f"{kind} '" in told or f"sorry-{kind}" in told for kind in KINDS)


# --- clashes, and what is none -----------------------------------------------------------------


def matgen(path: list[Path], *arguments: object, **variables: str) -> subprocess.CompletedProcess:
    """``matgen ARGUMENTS`` in a process of its own, with folders on its path."""
    paths = os.pathsep.join(map(str, path))
    return subprocess.run(
        [sys.executable, "-c", "from matgen_core.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"PYTHONPATH": paths} | variables,
    )  # fmt: skip


def complaint(done: subprocess.CompletedProcess) -> str:
    """The only line that a refused command printed."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("command", "name", "owners"),
    [
        # two third parties; a third party and what is built in
        ("plugins show shared", "shared", ("one (matgen-one 0.1)", "two (matgen-two 0.2)")),
        ("screen x --validators eneg", "eneg", ("one (matgen-one 0.1)", "rules (matgen ")),
        # an encoder that nobody named; a component and weights; weights and weights
        ("run -g sorry-generator", "onehot", ("onehot (matgen ", "two (matgen-two 0.2)")),
        ("run -g well-known", "well-known", ("one (matgen-one 0.1)", SORRY)),
        ("weights show wgan-mp", "wgan-mp", ("two (matgen-two 0.2)", "wgan (matgen ")),
        ("train well-known --data csv --out x", "well-known", ("one (matgen-one 0.1)", SORRY)),
    ],
)
def test_failure_mode_clash(
    command: str, name: str, owners: tuple[str, str], strangers: Path, cli: Cli, mistake: Mistake,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.syspath_prepend(strangers)
    line = mistake(*command.split())
    assert f"{name!r} is provided by " in line
    assert all(owner in line for owner in owners)
    assert "uninstall one of them, or leave it out of the plugins named in MATGEN_PLUGINS" in line
    # What the advice says helps.
    others = {"one", "two", "sorry", "onehot", "rules", "wgan", "data"}
    monkeypatch.setenv("MATGEN_PLUGINS", ",".join(others - {"one", "two"}))
    assert "is provided by" not in cli(*command.split()).err


def test_a_clash_in_a_process_of_its_own(strangers: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("NaCl\nFe2O3\n")
    screen = ("screen", tmp_path / "x.txt", "-o", tmp_path / "y.csv")
    line = complaint(matgen([strangers], *screen, "--validators", "charge,eneg"))
    assert line.startswith("matgen: 'eneg' is provided by one (matgen-one 0.1) and rules (matgen ")
    asked_for_another = matgen([strangers], *screen, "--validators", "charge")
    assert (asked_for_another.returncode, asked_for_another.stderr) == (0, "")
    limited = matgen([strangers], *screen, MATGEN_PLUGINS="rules,onehot")
    assert (limited.returncode, limited.stderr) == (0, "")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that pip installed a version each of one distribution into."""
    folder = tmp_path_factory.mktemp("twins")
    return {
        version: pip(
            folder,
            folder / f"site-{version}",
            ("matgen-twin", version, {"__init__.py": TWIN.format(version=version)}),
        )
        for version in ("1.0", "2.0")
    }


@pytest.mark.parametrize("first", ["1.0", "2.0"])
def test_the_first_of_two_versions_on_the_path_is_used(first: str, twins: dict[str, Path]) -> None:
    second = {"1.0": "2.0", "2.0": "1.0"}[first]
    path = [twins[first], twins[second], twins[first]]
    shown = json.loads(matgen(path, "plugins", "show", "twin", "--json").stdout)
    assert shown["plugin"] == f"twin (matgen-twin {first})"
    assert shown["summary"] == f"twin of version {first}"


def test_the_same_folder_twice_is_nothing_to_mention(
    twins: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(twins["1.0"])
    monkeypatch.syspath_prepend(twins["1.0"])
    registry = discover()
    assert [p.distribution for p in registry.plugins].count("matgen-twin") == 1
    assert not registry.shadowed
    assert not registry.broken
    assert not registry.clashes()


EMPTY = HEAD + "@hookimpl\ndef matgen_validators(): yield Component('twin', 'twin:Nothing')"


@pytest.mark.parametrize(
    "second",
    [
        {"distribution": "Matgen_Twin"},  # of a name that means the same
        {"distribution": "matgen-twin", "version": "2.0"},
        {"distribution": "twin-of-matgen"},  # renamed: another name, the same module
        {"distribution": "matgen-twin", "points": "other = twin"},
    ],
)
def test_seen_twice_is_no_clash(second: dict[str, str], add: Add) -> None:
    behind = add(EMPTY, **{"module": "twin", "version": "1.0"} | second)
    ahead = add(EMPTY, "twin", "matgen-twin", "1.0")
    registry = discover()
    assert registry.plugin("twin") == Plugin("twin", "matgen-twin", "1.0")
    [shadowed] = registry.shadowed
    assert shadowed.reason == f"matgen-twin 1.0 in {ahead} comes before {behind}"
    assert not registry.broken


def test_a_source_folder_with_metadata_beside_an_installation(add: Add, tmp_path: Path) -> None:
    """As an old-style editable installation leaves it: egg-info beside the module."""
    folder = add(EMPTY, "twin", "matgen-twin", "1.0")
    egg = tmp_path / "matgen_twin.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: matgen-twin\nVersion: 1.1\n")
    (egg / "entry_points.txt").write_text("[matgen]\ntwin = twin\n")
    sys.path.append(str(tmp_path))
    try:
        registry = discover()
    finally:
        sys.path.remove(str(tmp_path))
    assert registry.plugin("twin").version == "1.0"
    [shadowed] = registry.shadowed
    assert shadowed.reason == f"matgen-twin 1.0 in {folder} comes before {tmp_path}"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("entry_points.txt", b"[matgen]\nsad = \xff\n"),
        ("METADATA", b"Version: 1.0\n"),
        ("METADATA", None),
    ],
)
def test_damaged_metadata(
    file: str, content: bytes | None, add: Add, cli: Cli, mistake: Mistake
) -> None:
    [info] = add("").glob("*.dist-info")
    if content is None:
        (info / file).unlink()
    else:
        (info / file).write_bytes(content)
    line = mistake("run", "-g", "wanted")
    assert "not loaded: " in line
    assert "matgen_sad-0.9.dist-info" in line
    assert "reinstall or uninstall it" in line
    assert cli("plugins", "show", "onehot").code == 0


# --- what is finished stays --------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_validator_that_raises_on_row_70_000(
    suffix: str, strangers: Path, tmp_path: Path
) -> None:
    def run(name: str, n: int, how: str) -> subprocess.CompletedProcess:
        return matgen(
            [strangers], "run", "-g", "sorry-generator", "-n", n, "--seed", 3,
            "--validators", "sorry-validator", "--set", f"sorry-validator.how={how}",
            "-o", tmp_path / f"{name}.{suffix}", MATGEN_PLUGINS="sorry,onehot",
        )  # fmt: skip

    line = complaint(run("x", 100_000, "late"))
    assert line == (
        f"matgen: {SORRY}: validator 'sorry-validator' raised ZeroDivisionError: row 70,000: "
        "leave it out, or tell its authors (MATGEN_DEBUG=1 prints the traceback); "
        "69,632 of 100,000 samples were finished before\n"
    )
    assert run("y", 69_632, "well").returncode == 0
    assert (tmp_path / f"x.{suffix}").read_bytes() == (tmp_path / f"y.{suffix}").read_bytes()
    one, two = (json.loads((tmp_path / f"{n}.{suffix}.report.json").read_text()) for n in "xy")
    assert (one["finished"], two["finished"]) == (False, True)
    for count in ("generated", "decodable", "unique", "passed", "valid", "rows_written"):
        assert one[count] == two[count]
    names = sorted(path.name for path in tmp_path.iterdir())
    files = [f"{n}.{suffix}{also}" for n in "xy" for also in ("", ".report.json", ".run.toml")]
    assert names == files


@pytest.mark.usefixtures("at_hand")
def test_sorted_rows_are_written_when_a_plugin_fails(cli: Cli) -> None:
    how = ["--set", "sorry-generator.how=later-memory", "--sort", "formula"]
    answer = cli(*RUN.replace("out.csv", "x.csv").split(), *how)
    assert "raised MemoryError" in answer.err
    rows = Path("x.csv").read_text().splitlines()[1:]
    assert len(rows) == 8
    assert rows == sorted(rows)
    assert json.loads(Path("x.csv.report.json").read_text())["rows_written"] == 8


@pytest.mark.usefixtures("at_hand")
def test_a_first_batch_that_fails_leaves_nothing(mistake: Mistake) -> None:
    before = sorted(Path().iterdir())
    mistake(*RUN.split(), "--set", "sorry-generator.how=raises")
    assert sorted(Path().iterdir()) == before


@pytest.mark.usefixtures("at_hand")
def test_screening_keeps_the_chunks_before(mistake: Mistake) -> None:
    Path("long.txt").write_text("NaCl\n" * 80_000)
    how = ["--validators", "sorry-validator", "--set", "sorry-validator.how=late"]
    line = mistake("screen", "long.txt", "-o", "y.csv", *how)
    assert line.endswith(
        "(MATGEN_DEBUG=1 prints the traceback); 50,000 rows were finished before\n"
    )
    assert len(Path("y.csv").read_text().splitlines()) == 50_001


@pytest.mark.usefixtures("at_hand")
def test_the_library_raises_with_the_report() -> None:
    pipeline = Pipeline(
        discover(), generator="sorry-generator", num=20, batch_size=4,
        options={"sorry-generator": {"how": "later-raises"}},
    )  # fmt: skip
    with pytest.raises(RunFailed) as failed:
        pipeline.run()
    assert failed.value.report.generated == 8
    assert not failed.value.report.finished
    assert isinstance(failed.value.__cause__.__cause__, ValueError), "the cause is chained"
    with pytest.raises(PluginError, match="raised ValueError"):
        pipeline.to_frame()


@pytest.mark.usefixtures("at_hand")
def test_debug_prints_the_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATGEN_DEBUG", "1")
    answer = cli(*RUN.split(), "--set", "sorry-generator.how=raises")
    assert answer.code == 2
    assert 'sorry/parts.py", line ' in answer.err
    assert "in misbehave" in answer.err
    assert answer.err.splitlines()[-1].startswith(f"matgen: {SORRY}: generator")


def test_ctrl_c_in_a_plugin_is_the_users() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    registry = Registry()
    with pytest.raises(KeyboardInterrupt):
        registry.load(Plugin("a", "a", "1"), interrupted)
    assert not registry.broken


def test_ctrl_c_before_a_plugin_is_asked_is_no_fault_of_it() -> None:
    guard = guarded("a plugin")
    guard.__enter__()
    guard.gen.close()  # as when the interrupt comes before the block within


# --- plugins that are a nuisance ---------------------------------------------------------------

NOTHING = "@hookimpl\ndef matgen_validators(): return []\n"


def test_a_plugin_that_prints_does_not_spoil_the_output(add: Add, cli: Cli) -> None:
    add(f"{HEAD}print('hello from sad')\n{NOTHING}")
    answer = cli("plugins", "list", "--json")
    assert json.loads(answer.out)["broken"] == []
    assert answer.err == "hello from sad\n"


@pytest.mark.usefixtures("at_hand")
def test_a_validator_that_prints_does_not_spoil_the_table(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = ["--validators", "sorry-validator", "--set", "sorry-validator.how=prints"]
    answer = cli("screen", "x.txt", "-o", "y.csv", *how, "--json")
    assert json.loads(answer.out)["rows"] == 4
    assert answer.err == "I am checking\n"


def test_a_plugin_that_warns_does_not_spoil_the_output(add: Add) -> None:
    folder = add(f"{HEAD}import warnings\nwarnings.warn('sad is old')\n{NOTHING}")
    done = matgen([folder], "plugins", "list", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["broken"] == []
    assert "UserWarning: sad is old" in done.stderr


def test_only_itself_waits_for_a_slow_plugin(
    add: Add, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a component needs is imported when it is asked for; a slow plugin is left out."""
    slow = "import time; time.sleep({}); from pathlib import Path; Path({!r}).touch()\n"
    used = add(VALIDATORS + "yield Component('v', 'sad_parts:V')")
    (used / "sad_parts.py").write_text(slow.format(0, str(tmp_path / "parts")))
    loaded = add(
        slow.format(0.6, str(tmp_path / "late")) + HEAD + NOTHING, "late", "matgen-late", "0.1"
    )
    monkeypatch.setattr(doctor, "_devices", list)  # it would import torch
    found = json.loads(cli("doctor", "--json").out)
    assert found["slow"].keys() == {"late (matgen-late 0.1)"}
    assert 0.6 <= found["slow"]["late (matgen-late 0.1)"] < 60
    assert (tmp_path / "late").exists()
    assert not (tmp_path / "parts").exists()

    (tmp_path / "late").unlink()
    limited = matgen([used, loaded], "plugins", "list", "--json", MATGEN_PLUGINS="sad,rules")
    names = {name["name"] for name in json.loads(limited.stdout)["names"]}
    assert "v" in names
    assert "charge" in names
    assert "wgan" not in names
    assert not (tmp_path / "late").exists()
    lost = complaint(matgen([used], "run", "-g", "wgan-mp", MATGEN_PLUGINS="sad,rules"))
    assert lost.endswith("(MATGEN_PLUGINS limits what is loaded)\n")


HOARDER = (
    HEAD
    + """
import gc, json, weakref
from pathlib import Path
from matgen_core import Predictor, Validator

@hookimpl
def matgen_validators(): yield Component("watcher", "hoarder:Watcher")

@hookimpl
def matgen_predictors():
    yield Component("hoarder", "hoarder:Hoarder")

class Watcher(Validator):
    '''Counts the batches of before that are still there.'''
    seen, alive = [], []
    def check(self, compositions):
        self.alive.append(sum(batch() is not None for batch in self.seen))
        self.seen.append(weakref.ref(compositions.numbers))
        return compositions.n_elements > 0

class Hoarder(Predictor):
    '''Never lets go of what it was asked about.'''
    property, unit, kept = "hoard", "", []
    def predict(self, compositions):
        self.kept.append(compositions)
        return compositions.n_elements.astype(float)
"""
)
MEASURED = """
import json, sys, tracemalloc
from matgen_core import Pipeline, discover
settings = dict(generator="sorry-generator", validators=["watcher"], predictors=["hoarder"],
                batch_size=1000, where="hoard < 0")
Pipeline(discover(), num=2000, **settings).run()
import hoarder
hoarder.Hoarder.kept.clear(), hoarder.Watcher.seen.clear(), hoarder.Watcher.alive.clear()
pipeline = Pipeline(discover(), num=40_000, **settings)
tracemalloc.start()
report = pipeline.run()
left, peak = tracemalloc.get_traced_memory()
kept = sum(c.numbers.nbytes + c.counts.nbytes for c in hoarder.Hoarder.kept)
print(json.dumps({"alive": hoarder.Watcher.alive, "kept": kept, "left": left, "peak": peak,
                  "candidates": report.candidates, "rows": sum(map(len, hoarder.Hoarder.kept))}))
"""


def test_a_predictor_that_hangs_on_to_memory(strangers: Path, add: Add) -> None:
    """It costs what it keeps; nothing else is kept, neither by it unasked nor by the pipeline."""
    folder = add(HOARDER, "hoarder", "matgen-hoarder", "1.0")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True,
        env=os.environ
        | {"PYTHONPATH": f"{strangers}{os.pathsep}{folder}"}
        | {"MATGEN_PLUGINS": "sorry,onehot,hoarder"},
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["rows"] == found["candidates"] > 30_000
    assert len(found["alive"]) == 40
    assert max(found["alive"]) <= 1, "only the batch before is still there"
    batch = 1000 * 85 * 8 * 4
    assert found["left"] < 2 * found["kept"] + 1_000_000
    assert found["peak"] < 2 * found["kept"] + 8 * batch, "40 batches would be 109 MB"


# --- the doctor --------------------------------------------------------------------------------


def test_doctor_tells_of_everything(
    strangers: Path, twins: dict[str, Path], add: Add, cli: Cli, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    for folder in (strangers, twins["2.0"], twins["1.0"]):
        monkeypatch.syspath_prepend(folder)
    add("import nowhere_at_all")
    monkeypatch.setenv("MATGEN_HOME", str(tmp_path / "home"))
    staging = tmp_path / "home" / "data" / "fetch-abc"
    staging.mkdir(parents=True)
    (staging / "half.whl").write_bytes(bytes(1_300_000))
    answer = cli("doctor")
    assert answer.code == 1
    lines = answer.out.splitlines()
    for line in (
        f"not loaded    {SAD}: ModuleNotFoundError: No module named 'nowhere_at_all': {UNINSTALL}",
        "clash         'shared' is provided by one (matgen-one 0.1) and two (matgen-two 0.2): "
        "uninstall one",
        f"twice there   twin (matgen-twin 2.0): matgen-twin 1.0 in {twins['1.0']} comes before "
        f"{twins['2.0']}: uninstall one of them",
        f"cache         {tmp_path / 'home'}: 1.3 MB",
        "              1.3 MB fetch-abc/half.whl",
        f"MATGEN_HOME           {tmp_path / 'home'}",
    ):
        assert line in lines
    assert f"{SORRY}, " in answer.out
    monkeypatch.setattr(doctor, "_devices", list)
    found = json.loads(cli("doctor", "--json").out)
    assert found["cache"] == {
        "path": str(cache_root()), "files": {"fetch-abc/half.whl": 1_300_000}
    }  # fmt: skip
    assert found["clashes"].keys() == {"shared", "eneg", "onehot", "well-known", "wgan-mp"}
