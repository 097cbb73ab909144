"""Shared fixtures, besides those for plugin authors: an installed toy plugin, tiny weights."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from matgen_core import Compositions
from matgen_core.testing import Answer, Cli
from matgen_core.weights import Known, write_weights

__all__ = ["Answer", "Cli"]  # tests import them from here
pytest_plugins = ["matgen_core.testing"]

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")

POOL = ("NaCl", "Fe2O3", "MgO", "KBr", "LiFePO4", "SiC", "Mg2O2")
"""What the toy generators draw: of these, then a blank grid, a full grid and one of Fe alone."""
BLANK, FULL, IRON = 7, 8, 9

TOY = f'''
import time
from pathlib import Path
from matgen_core import Component, Compositions, Generator, Options, Validator, Weights, hookimpl

POOL = {POOL}

class TapeOptions(Options):
    order: list[int] = list(range(10))
    pause: float = 0.0

class Toy(Generator):
    encoder = "onehot"
    def __init__(self, *args, **kwargs):
        import numpy as np
        from matgen_onehot import OneHotOptions
        from matgen_onehot.encoder import OneHot
        super().__init__(*args, **kwargs)
        self.grids = np.zeros((10, 85, 8), np.float32)
        encoder = OneHot(OneHotOptions())
        self.grids[:7] = 0.9 * encoder.encode(Compositions.from_formulas(POOL))
        self.grids[8] = 1
        self.grids[9, 22, 0] = 1  # iron
        self.at = 0

class Tape(Toy):
    """The pool in the order asked for, over and over."""
    def sample(self, n, seed):
        time.sleep(self.options.pause)
        self.at, start = self.at + n, self.at
        order = self.options.order
        return self.grids[[order[i % len(order)] for i in range(start, self.at)]]

class Pick(Toy):
    """The pool at random."""
    def sample(self, n, seed):
        import numpy as np
        return self.grids[np.random.default_rng(seed).integers(10, size=n)]

class Oxide(Validator):
    def check(self, compositions):
        return compositions.contains(["O"])[:, 0]

class Binary(Validator):
    def check(self, compositions):
        return compositions.n_elements == 2

@hookimpl
def matgen_generators():
    yield Component("tape", "toy:Tape", options=TapeOptions, summary="a fixed order")
    yield Component("pick", "toy:Pick", summary="a random order", cite="nobody")

@hookimpl
def matgen_validators():
    yield Component("oxide", "toy:Oxide")
    yield Component("binary", "toy:Binary")

@hookimpl
def matgen_weights():
    for name in ("tape", "pick"):
        yield Weights(name + "-salts", name, Path(__file__).parent / name)
'''

CARD: dict[str, Any] = {
    "name": "toy",
    "component": "pick",
    "matgen_version": "0",
    "encoder": "onehot",
    "data": {
        "source": "salts",
        "attribution": "nobody",
        "n_clean": 2,
        "n_train": 1,
        "n_held_out": 1,
        "held_out_fraction": 0.1,
        "held_out_seed": 0,
    },
    "model": {"deep": {"layers": [1, 2]}},
    "training": {"preset": "none"},
    "metrics": {"valid": 0.7, "yield": 0.25},
}
"""The fields of a valid card."""

Install = Callable[..., Path]


@pytest.fixture
def install(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Install]:
    """Install a distribution of one module, for this process and those it starts."""
    modules = []

    def add(module: str, source: str, distribution: str = "", version: str = "1.0") -> Path:
        folder = tmp_path_factory.mktemp("site")
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (folder / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution or module}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[matgen]\n{module} = {module}\n")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        modules.append(module)
        return folder

    yield add
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def toy(install: Install) -> Path:
    """The toy plugin; its weights know NaCl (trained on) and Fe2O3 (held out)."""
    folder = install("toy", TOY, "matgen-toy", "3.2")
    salts = Compositions.from_formulas(["NaCl", "Fe2O3"])
    known = Known(salts.fingerprints(), np.array([Known.TRAINED, Known.HELD_OUT], np.uint8))
    for name in ("tape", "pick"):
        card = CARD | {"name": f"{name}-salts", "component": name}
        write_weights(folder / name, card, {"known.safetensors": known.tensors()})
    return folder


@pytest.fixture(scope="session")
def wgan_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of weights of the smallest WGAN, untrained."""
    import torch

    from matgen_networks.tables import Layer, Network
    from matgen_wgan import model

    torch.manual_seed(0)
    network = Network(
        latent=4, channels=2, deconvolutions=(Layer(filters=1),), convolutions=(Layer(filters=1),)
    )
    tensors = {k: v.numpy() for k, v in model.generator(network, (85, 8)).state_dict().items()}
    card = CARD | {
        "name": "wgan-tiny",
        "component": "wgan",
        "model": {"network": network.model_dump(exclude_none=True), "grid": [85, 8]},
    }
    path = tmp_path_factory.mktemp("weights") / "wgan-tiny"
    write_weights(path, card, {"weights.safetensors": tensors})
    return path


class Environment:
    """A virtual environment that has the packages of this one, and may be changed.

    Args:
        folder: where to make it.
        matgen: have this one's matgen too.
    """

    def __init__(self, folder: Path, *, matgen: bool) -> None:
        venv.create(folder, symlinks=True, with_pip=False)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        ours = {Path(file).parts[0] for file in distribution("matgen").files or ()}
        [site] = folder.glob("lib/python*/site-packages")
        for scheme in ("purelib", "platlib"):
            for path in Path(sysconfig.get_path(scheme)).iterdir():
                if (matgen or path.name not in ours) and not (site / path.name).exists():
                    (site / path.name).symlink_to(path)

    def run(self, *command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command without a word of this process's environment on Python or matgen."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MATGEN"))}
        return subprocess.run(
            [str(word) for word in command], cwd=cwd, env=kept | {"COLUMNS": "100"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def pip_install(self, *arguments: object) -> None:
        """Install without looking at an index, by what is here."""
        options = "--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check"
        pip = (self.python, "-m", "pip", "install", *options.split())
        done = self.run(*pip, *arguments, cwd=self.bin)
        assert done.returncode == 0, done.stderr
