"""Plugins: found, listed without importing anything heavy, refused by name when broken."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import CARD, Cli, Install

from matgen_core import (
    Component,
    Compositions,
    Options,
    Registry,
    Validator,
    Weights,
    discover,
    hookimpl,
)
from matgen_core.errors import InvalidOption, PluginError, UnknownName
from matgen_core.registry import Plugin, import_object
from matgen_core.weights import write_weights

HEAVY = "torch sklearn pymatgen numba pandas smact pyarrow"
EXAMPLE = Path(__file__).parent.parent / "examples" / "matgen-random"
A, B = Plugin("a", "matgen-a", "1.2"), Plugin("b", "other-b", "0.3")


def plugin(**hooks: Iterable[Any]) -> Callable[[], ModuleType]:
    """Loads a plugin in memory: what each hook yields, by the hook's name."""
    made = ModuleType("in_memory")
    for name, items in hooks.items():
        setattr(made, name, hookimpl(lambda items=items: items))
    return lambda: made


def component(name: str, **fields: Any) -> Component:
    return Component(name, "nowhere:Nothing", **fields)


# --- what is installed -----------------------------------------------------------------------


def test_built_in_plugins_come_through_the_public_route() -> None:
    registry = discover()
    assert not registry.broken
    kinds = {entry.item.name: entry.kind for entry in registry.entries()}
    expected = {
        "oqmd": "source", "mp": "source", "icsd": "source", "csv": "source",
        "onehot": "encoder", "wgan": "generator", "charge": "validator", "eneg": "validator",
    }  # fmt: skip
    assert expected.items() <= kinds.items()
    assert all(entry.plugin.distribution == "matgen" for entry in registry.entries())


def test_every_factory_is_a_class_of_its_kind() -> None:
    import matgen_core

    for entry in discover().entries():
        if isinstance(entry.item, Component):
            made = import_object(entry.item.factory)
            assert issubclass(made, getattr(matgen_core, entry.kind.capitalize())), entry
            assert entry.item.summary, f"{entry.item.name} has no summary"
            if entry.item.training:
                assert callable(import_object(entry.item.training.function))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["run", "--help"], ["plugins", "list"], ["plugins", "show", "wgan"],
     ["plugins", "list", "--json"], ["weights", "list"], ["run", "-g", "nothing"]],
)  # fmt: skip
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from matgen_core.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        f"print('HEAVY', sorted(set('{HEAVY}'.split()) & set(sys.modules)), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    expected = 2 if "nothing" in arguments else 0
    assert done.stdout.splitlines()[-1] == f"HEAVY [] {expected}", done.stdout + done.stderr


def test_importing_the_library_imports_nothing_heavy() -> None:
    code = f"import sys, matgen_core; assert not set('{HEAVY}'.split()) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- a plugin that does not load -------------------------------------------------------------


def raises(error: BaseException) -> Any:
    def load() -> Any:
        raise error

    return load


def with_argument() -> ModuleType:
    made = ModuleType("with_argument")
    made.matgen_generators = hookimpl(lambda registry: [])  # type: ignore[attr-defined]
    return made


BROKEN = {
    "import": (raises(ImportError("No module named 'qux'")), "ImportError: No module named 'qux'"),
    "syntax": (raises(SyntaxError("invalid syntax")), "SyntaxError"),
    "anything": (raises(KeyError("x")), "KeyError"),
    "misspelt": (plugin(matgen_generator=[]), "matgen_generator"),
    "argument": (with_argument, "registry"),
    "wrong type": (plugin(matgen_generators=["wgan"]), "'wgan', not a Component"),
    "wrong kind": (
        plugin(matgen_generators=[Weights("w", "x", Path())]),
        "not a Component",
    ),
    "weights": (plugin(matgen_weights=[component("x")]), "not a Weights"),
    "half": (plugin(matgen_generators=[component("good"), 3]), "3, not a Component"),
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_broken_plugin_disturbs_no_other(why: str) -> None:
    load, reason = BROKEN[why]
    registry = Registry()
    registry.load(A, load)
    registry.load(B, plugin(matgen_validators=[component("fine")]))
    (broken,) = registry.broken
    assert broken.plugin == A
    assert reason in broken.reason
    assert "\n" not in broken.reason
    assert [entry.item.name for entry in registry.entries()] == ["fine"]
    with pytest.raises(UnknownName, match=r"not loaded: a \(matgen-a 1\.2\): "):
        registry.create("validator", "good")


def test_a_broken_installation_is_listed(install: Install, cli: Cli) -> None:
    install("sad", "import a_module_that_is_not_there", "matgen-sad", "0.9")
    content = json.loads(cli("plugins", "list", "--json").out)
    assert content["broken"] == [
        {
            "plugin": "sad (matgen-sad 0.9)",
            "reason": "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
        }
    ]
    assert "onehot" in [name["name"] for name in content["names"]]
    table = cli("plugins", "list").out
    assert "not loaded" in table
    assert "matgen-sad 0.9" in table


# --- names -----------------------------------------------------------------------------------


def clashing() -> Registry:
    registry = Registry()
    registry.load(A, plugin(matgen_validators=[component("same"), component("only-a")]))
    registry.load(B, plugin(matgen_generators=[component("same")]))
    return registry


def test_a_clash_names_both_distributions_when_it_is_asked_for() -> None:
    registry = clashing()
    assert not registry.broken
    assert registry.component("validator", "only-a").name == "only-a"
    assert [str(e.plugin) for e in registry.entries() if e.item.name == "same"] == [
        "a (matgen-a 1.2)",
        "b (other-b 0.3)",
    ]
    for ask in (registry.component, registry.resolve, registry.create):
        with pytest.raises(PluginError) as clash:
            ask("validator", "same")
        for word in ("'same'", "matgen-a 1.2", "other-b 0.3"):
            assert word in str(clash.value)


def test_a_clash_of_installed_distributions(install: Install, cli: Cli) -> None:
    source = (
        "from matgen_core import Component, hookimpl\n"
        "@hookimpl\n"
        "def matgen_validators(): yield Component('charge', 'nowhere:Nothing')\n"
    )
    install("rival", source, "matgen-rival", "7.1")
    assert cli("plugins", "show", "eneg").code == 0
    for arguments in (["plugins", "show", "charge"], ["screen", "x", "--validators", "charge"]):
        answer = cli(*arguments)
        assert answer.code == 2
        assert "matgen-rival 7.1" in answer.err
        assert "(matgen " in answer.err


def test_unknown_names() -> None:
    registry = Registry()
    registry.load(A, plugin(matgen_validators=[component("charge"), component("eneg")]))
    with pytest.raises(UnknownName, match=r"unknown validator 'chrage': did you mean 'charge'\?"):
        registry.component("validator", "chrage")
    with pytest.raises(UnknownName, match="unknown validator 'xyz': known: charge, eneg"):
        registry.component("validator", "xyz")
    with pytest.raises(UnknownName, match="unknown generator 'charge': none is installed"):
        registry.component("generator", "charge")


def test_names_of_weights_stand_for_their_component(tmp_path: Path) -> None:
    registry = Registry()
    registry.load(
        A,
        plugin(
            matgen_generators=[component("net", needs_weights=True)],
            matgen_weights=[Weights("net-small", "net", tmp_path)],
        ),
    )
    with pytest.raises(UnknownName, match="did you mean 'net-small'"):
        registry.resolve("generator", "net-smal")
    with pytest.raises(PluginError, match="needs trained weights: use net-small,"):
        registry.resolve("generator", "net")
    with pytest.raises(UnknownName, match="unknown validator 'net-small'"):
        registry.component("validator", "net-small")


def test_a_component_may_say_which_weights_it_means(tmp_path: Path) -> None:
    registry = Registry()
    write_weights(tmp_path, CARD | {"name": "net-small", "component": "net"}, {})
    registry.load(
        A,
        plugin(
            matgen_generators=[component("net", default_weights="net-small")],
            matgen_weights=[Weights("net-small", "net", tmp_path)],
        ),
    )
    for name in ("net", "net-small", str(tmp_path)):
        found, weights = registry.resolve("generator", name)
        assert found.name == "net"
        assert weights is not None
        assert weights.card.name == "net-small"


def test_default_weights_that_are_not_installed() -> None:
    registry = Registry()
    registry.load(A, plugin(matgen_generators=[component("net", default_weights="net-small")]))
    with pytest.raises(UnknownName, match="unknown weights 'net-small'"):
        registry.resolve("generator", "net")


class Settings(Options):
    size: int = 1


def test_options() -> None:
    registry = Registry()
    factory = f"{__name__}:Holder"
    registry.load(A, plugin(matgen_validators=[Component("v", factory, options=Settings)]))
    made = registry.create("validator", "v", {"size": 5}, device="cpu")
    assert (made.options.size, made.weights, made.device) == (5, None, "cpu")
    with pytest.raises(UnknownName, match=r"unknown option of v 'siz': did you mean 'size'\?"):
        registry.create("validator", "v", {"siz": 5})
    with pytest.raises(InvalidOption, match=r"v\.size = 'big': .*integer"):
        registry.create("validator", "v", {"size": "big"})


class Holder(Validator):
    def check(self, compositions: Compositions) -> np.ndarray:
        return np.ones(len(compositions), np.bool_)


def test_a_class_of_another_kind_is_refused() -> None:
    registry = Registry()
    registry.load(A, plugin(matgen_encoders=[Component("v", f"{__name__}:Holder")]))
    with pytest.raises(PluginError, match=r"encoder 'v': .*:Holder is no matgen_core\.Encoder"):
        registry.create("encoder", "v")


def test_installed_names_win_over_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    factory = f"{__name__}:Holder"
    registry.load(A, plugin(matgen_validators=[Component("v", factory)]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "card.toml").write_text("damaged = true")
    assert isinstance(registry.create("validator", "v"), Holder)


@pytest.mark.parametrize("factory", ["nowhere:Nothing", f"{__name__}:Nothing", "nonsense", ""])
def test_a_factory_that_is_not_there(factory: str) -> None:
    registry = Registry()
    registry.load(A, plugin(matgen_validators=[Component("v", factory)]))
    with pytest.raises(PluginError, match="cannot import"):
        registry.create("validator", "v")


# --- the example, as a stranger installs it --------------------------------------------------


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the example into."""
    folder = tmp_path_factory.mktemp("stranger")
    options = "--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options.split(), "--target", folder, EXAMPLE],
        check=True,
        capture_output=True,
    )
    return folder


def test_the_example_is_used_by_name_beside_the_built_in(
    stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(stranger))
    monkeypatch.chdir(tmp_path)

    def matgen(*arguments: str) -> str:
        command = [sys.executable, "-c", "from matgen_core.cli import main; main()", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    names = json.loads(matgen("plugins", "list", "--json"))["names"]
    mine = {n["name"]: n["kind"] for n in names if n["plugin"] == "random (matgen-random 0.1.0)"}
    assert mine == {"random": "generator", "no-radioactive": "validator", "molar-mass": "predictor"}

    validators = ["charge", "eneg", "no-radioactive"]
    arguments = ["-g", "random", "--validators", ",".join(validators), "-n", "500", "-o", "x.csv"]
    arguments += ["--predictors", "molar-mass,elemnet"]
    report = json.loads(matgen("run", *arguments, "--json"))
    assert report["generated"] == report["decodable"] == 500
    assert set(report["passed"]) == set(validators)
    lines = Path("x.csv").read_text().splitlines()
    assert lines[0] == ("formula,n_elements,charge,eneg,no-radioactive,molar_mass,formation_energy")
    assert len(lines) - 1 == report["rows_written"] == report["candidates"] > 0


def test_the_examples_own_tests_pass(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(stranger))
    options = ["-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
