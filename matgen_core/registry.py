"""What is installed: `discover()` finds plugins, `Registry` answers by exact name."""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any, TypeVar

import pluggy
from pydantic import ValidationError

from matgen_core import hookspecs
from matgen_core.asking import ADVICE, guarded, is_fault, said
from matgen_core.errors import InvalidOption, PluginError, UnknownName
from matgen_core.interfaces import Encoder, Generator, Options, Predictor, Source, Validator
from matgen_core.weights import WeightsDir

Model = TypeVar("Model", bound=Options)

INTERFACES: dict[str, type[Any]] = {
    "source": Source,
    "encoder": Encoder,
    "generator": Generator,
    "validator": Validator,
    "predictor": Predictor,
}
"""The interface of each kind of component, in the order of the data flow."""
KINDS = tuple(INTERFACES)
DECLARED: dict[str, dict[str, type]] = {
    "encoder": {"shape": tuple},
    "generator": {"encoder": str},
    "predictor": {"property": str, "unit": str},
}
"""Attributes that a component of a kind must have, and their types."""
HOOKS = {kind: f"matgen_{kind}s" for kind in KINDS} | {"weights": "matgen_weights"}
"""Name of the hook that yields each kind of name."""
NAME = re.compile(r"[\w.+-]+")
"""What can be a name: words that a comma or an equals sign would end."""
LIMIT = "MATGEN_PLUGINS"
"""The environment variable that limits which plugins are loaded."""


@dataclass(frozen=True)
class Training:
    """How a component learns.

    Attributes:
        function: ``"package.module:function"``, called with a
            `matgen_core.training.GeneratorJob` or a `matgen_core.training.PredictorJob`;
            imported only when training starts.
        recipe: the hyperparameters' model.
        presets: named recipes; without a word of the user the one called like the data is
            taken, or the one called ``default``.
        target: a predictor's: name of the property in the data that it learns.
        domain: a predictor's: ``"package.module:function"`` that says of each of N
            `Compositions` whether the model can represent it, bool [N].
    """

    function: str
    recipe: type[Options]
    presets: Mapping[str, Options]
    target: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Component:
    """Describes one component without importing it.

    Attributes:
        name: what users call it; unique among all installed names.
        factory: ``"package.module:Class"``, a subclass of the kind's interface.
        options: the model of its options.
        summary: one line for listings.
        cite: where the method is published.
        training: how it is trained; None if it is not.
        needs_weights: it cannot be used without trained weights.
        default_weights: name of the weights it is used with where none are named.
    """

    name: str
    factory: str
    options: type[Options] = Options
    summary: str = ""
    cite: str = ""
    training: Training | None = None
    needs_weights: bool = False
    default_weights: str = ""


@dataclass(frozen=True)
class Weights:
    """Names a directory of trained weights (``card.toml`` and tensors) without opening it.

    Attributes:
        name: what users call it; unique among all installed names.
        component: name of the component it belongs to.
        path: the directory.
    """

    name: str
    component: str
    path: Path

    @classmethod
    def in_folder(cls, folder: Path, component: str) -> Iterator[Weights]:
        """Those of a component that a folder holds, each called like its directory."""
        for card in sorted(folder.glob(f"*/{WeightsDir.CARD}")):
            yield cls(card.parent.name, component, card.parent)


@dataclass(frozen=True)
class Plugin:
    """Where names come from: an entry point of an installed distribution."""

    name: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Entry:
    """One name in the registry. `kind` is one of `KINDS`, or ``"weights"``."""

    kind: str
    item: Component | Weights
    plugin: Plugin


@dataclass(frozen=True)
class Broken:
    """A plugin that did not load, why, and what to do."""

    plugin: Plugin
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"{self.plugin}: {self.reason}: {self.advice}"


@dataclass
class Registry:
    """All names of all plugins, in one flat table.

    Attributes:
        plugins: those that are loaded.
        broken: those that could not be.
        shadowed: those that were not loaded because the path has them twice: what import would
            find, the first, is among `plugins`.
        seconds: that each loaded plugin took to load.

    Example:
        >>> registry = discover()
        >>> charge = registry.create("validator", "charge", {"oxidation_states": "icsd24"})
    """

    broken: list[Broken] = field(default_factory=list)
    plugins: list[Plugin] = field(default_factory=list)
    shadowed: list[Broken] = field(default_factory=list)
    seconds: dict[Plugin, float] = field(default_factory=dict)
    _entries: dict[str, list[Entry]] = field(default_factory=dict)

    # --- filling ----------------------------------------------------------------------------

    def load(
        self, plugin: Plugin, import_module: Callable[[], Any], requires: Iterable[str] = ()
    ) -> None:
        """Import one plugin and note its names; a failure is recorded in `broken`, not raised.

        Args:
            plugin: which one it is.
            import_module: imports it. What it prints meanwhile goes to stderr.
            requires: what its distribution requires, as its metadata has it. One made for another
                version of matgen is not imported.
        """
        if wanted := _unmet(requires):
            reason = f"needs {wanted}, this is {_version()}"
            advice = f"install such a version of matgen, or another one of {plugin.distribution}"
            self.broken.append(Broken(plugin, reason, advice))
            return
        started = time.perf_counter()
        try:
            with redirect_stdout(sys.stderr):
                found = [
                    Entry(kind, item, plugin)
                    for kind, item in _provided(import_module(), plugin.name)
                ]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a stranger's module raises stays its own problem
            advice = f"update or uninstall {plugin.distribution}"
            self.broken.append(Broken(plugin, said(error), advice))
            return
        self.plugins.append(plugin)
        self.seconds[plugin] = time.perf_counter() - started
        for entry in found:
            self._entries.setdefault(entry.item.name, []).append(entry)

    # --- asking -----------------------------------------------------------------------------

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Every entry, or those of a kind, by name. Names that clash are all listed."""
        every = (e for name in sorted(self._entries) for e in self._entries[name])
        return [entry for entry in every if kind in (None, entry.kind)]

    def clashes(self) -> dict[str, list[Plugin]]:
        """The plugins that provide a name, of each name that more than one provides."""
        return {
            name: [entry.plugin for entry in entries]
            for name, entries in sorted(self._entries.items())
            if len(entries) > 1
        }

    def component(self, kind: str, name: str) -> Component:
        """The descriptor of a component.

        Raises:
            UnknownName: no component of that kind has the name.
            PluginError: two plugins use the name.
        """
        entry = self._entry(name)
        if entry is None or entry.kind != kind:
            raise self.unknown(kind, name, self.entries(kind))
        assert isinstance(entry.item, Component)
        return entry.item

    def weights(self, name: str) -> WeightsDir:
        """Open weights by installed name, or by the path of a directory that holds a card.

        Raises:
            UnknownName: neither exists.
            PluginError: two plugins use the name.
            WeightsError: the directory is damaged.
        """
        entry = self._entry(name)
        if entry and isinstance(entry.item, Weights):
            return WeightsDir(entry.item.path)
        if entry is None and os.path.isfile(Path(name, WeightsDir.CARD)):
            return WeightsDir(Path(name))
        raise self.unknown("weights", name, self.entries("weights"))

    def resolve(self, kind: str, name: str) -> tuple[Component, WeightsDir | None]:
        """The component that `name` means, and its weights if it has any.

        Args:
            kind: one of `KINDS`.
            name: the component's own, that of weights, or the path of weights.

        Raises:
            UnknownName: nothing of that kind answers to the name.
            PluginError: two plugins use the name, or the component needs weights and `name`
                names none.
            WeightsError: the weights are damaged.
        """
        entry = self._entry(name)
        is_folder = entry is None and os.path.isfile(Path(name, WeightsDir.CARD))
        if is_folder or (entry and isinstance(entry.item, Weights)):
            weights = self.weights(name)
            return self.component(kind, weights.card.component), weights
        trained = [
            e
            for e in self.entries("weights")
            if isinstance(e.item, Weights)
            and any(owner.kind == kind for owner in self._entries.get(e.item.component, ()))
        ]
        if entry is None or entry.kind != kind:
            raise self.unknown(kind, name, [*self.entries(kind), *trained])
        assert isinstance(entry.item, Component)
        if entry.item.default_weights:
            return entry.item, self.weights(entry.item.default_weights)
        if entry.item.needs_weights:
            fitting = [e.item.name for e in trained if getattr(e.item, "component", "") == name]
            raise PluginError(
                f"{kind} {name!r} needs trained weights: use {' or '.join(fitting) or 'a path'},"
                f" or train your own with `matgen train {name}`"
            )
        return entry.item, None

    def create(
        self,
        kind: str,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        device: str = "auto",
    ) -> Any:
        """Build a component by its name, by the name of its weights, or by their path.

        Raises:
            UnknownName, PluginError, InvalidOption, WeightsError: see the message.
        """
        component, weights = self.resolve(kind, name)
        owner = f"{self.plugin(component.name)}: {kind} {name!r}"
        with guarded(owner):
            made = import_object(component.factory, owner)(
                validate(component.options, options or {}, component.name),
                weights=weights,
                device=device,
            )
            interface = INTERFACES[kind]
            if not isinstance(made, interface):
                raise PluginError(
                    f"{owner}: {component.factory} is no matgen_core.{interface.__name__}: {ADVICE}"
                )
            for attribute, wanted in DECLARED.get(kind, {}).items():
                if not isinstance(value := getattr(made, attribute, None), wanted):
                    told = f"its {attribute!r} is {value!r}, not a {wanted.__name__}"
                    raise PluginError(f"{owner}: {told}: {ADVICE}")
            made.owner = owner
        return made

    def encoder_of(self, generator: Generator) -> str:
        """Name of the encoder whose space a generator samples.

        Raises:
            PluginError: it is not installed.
        """
        try:
            return self.component("encoder", generator.encoder).name
        except UnknownName as error:
            raise PluginError(f"{generator.owner} needs another plugin: {error}") from error

    def plugin(self, name: str) -> Plugin:
        """The plugin that provides a name.

        Raises:
            UnknownName: nothing is called so.
            PluginError: two plugins use the name.
        """
        entry = self._entry(name)
        if entry is None:
            raise self.unknown("name", name, self.entries())
        return entry.plugin

    def _entry(self, name: str) -> Entry | None:
        found = self._entries.get(name, [])
        if len(found) > 1:
            owners = " and ".join(str(entry.plugin) for entry in found)
            raise PluginError(
                f"{name!r} is provided by {owners}: uninstall one of them, or leave it out of the "
                f"plugins named in {LIMIT}"
            )
        return found[0] if found else None

    def unknown(self, kind: str, name: str, known: Iterable[Entry]) -> UnknownName:
        """The error for a name that is not among the known; it mentions plugins not loaded."""
        hints = [f"(not loaded: {'; '.join(map(str, self.broken))})"] if self.broken else []
        if LIMIT in os.environ:
            hints.append(f"({LIMIT} limits what is loaded)")
        hint = " ".join(hints)
        return UnknownName.of(kind, name, (entry.item.name for entry in known), hint)


def discover() -> Registry:
    """Load every installed plugin: the entry points of the group ``matgen``.

    A plugin that fails is listed in `Registry.broken` and disturbs no other. The environment
    variable ``MATGEN_PLUGINS=a,b`` limits what is loaded to the entry points of these names.

    Raises:
        UnknownName: `LIMIT` names a plugin that is not installed.
    """
    registry = Registry()
    points = _installed(registry)
    if LIMIT in os.environ:
        wanted = [name.strip() for name in os.environ[LIMIT].split(",") if name.strip()]
        installed = {plugin.name for plugin, _, _ in points}
        for name in wanted:
            if name not in installed:
                raise UnknownName.of(f"plugin in {LIMIT}", name, installed)
        points = [point for point in points if point[0].name in wanted]
    for plugin, point, requires in points:
        registry.load(plugin, point.load, requires)
    return registry


def _installed(registry: Registry) -> list[tuple[Plugin, EntryPoint, Iterable[str]]]:
    """Every plugin, its entry point, and what its distribution requires; by name.

    A distribution may be on the path twice, e.g. in a folder and in the environment, and two may
    hold the same module, e.g. one that was renamed. Import takes the first of them, and so does
    this; the others are noted in `Registry.shadowed`.
    """
    found = []
    owners: dict[str, str] = {}
    modules: dict[str, str] = {}
    for distribution in distributions():  # in the order of the path
        place = distribution.locate_file("")
        try:
            points = distribution.entry_points.select(group=hookspecs.PROJECT)
            if not points:
                continue
            name, version = distribution.name, distribution.version
            key = re.sub("[-_.]+", "-", name).lower()
            requires = distribution.requires or ()
        except Exception as error:
            damaged = Plugin("a plugin", str(getattr(distribution, "_path", place)), "damaged")
            registry.broken.append(Broken(damaged, said(error), "reinstall or uninstall it"))
            continue
        here = f"{name} {version} in {place}"
        if owners.get(key) == here:
            continue  # the path has the folder twice
        for point in points:
            plugin = Plugin(point.name, name, version)
            first = owners.setdefault(key, here)
            if first == here:
                first = modules.setdefault(point.value, here)
            if first == here:
                found.append((plugin, point, requires))
            else:
                shadowed = Broken(plugin, f"{first} comes before {place}", "uninstall one of them")
                registry.shadowed.append(shadowed)
    return sorted(found, key=lambda f: (f[0].name, f[1].value))


def source_of(data: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a source: the path of a CSV file stands for the source `csv`."""
    return ("csv", {"path": data}) if data.endswith(".csv") else (data, {})


def import_object(path: str, owner: str = "") -> Any:
    """The object at ``"package.module:name"``; `owner` says in messages who wants it.

    Raises:
        PluginError: it cannot be imported.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except BaseException as error:
        if not is_fault(error):
            raise
        who = f"{owner}: " if owner else ""
        raise PluginError(f"{who}cannot import {path}: {said(error)}: {ADVICE}") from error


def validate(model: type[Model], values: Mapping[str, Any], owner: str) -> Model:
    """Options checked against their model.

    Raises:
        InvalidOption: naming the option, what is wrong, and the valid names.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise UnknownName.of(f"option of {owner}", key, model.model_fields) from None
        if first["type"] == "missing":
            raise InvalidOption(f"{owner}.{key} is required") from None
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidOption(f"{owner}.{key} = {first['input']!r}: {reason}") from None


# --- what a module provides --------------------------------------------------------------------


def _provided(module: Any, name: str) -> Iterator[tuple[str, Component | Weights]]:
    """Kind and descriptor of everything that the hooks of a module yield.

    Raises:
        Exception: a hook fails or is none of ours, or what it yields is no sound descriptor.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    marked = [n for n in dir(module) if manager.parse_hookimpl_opts(module, n) is not None]
    for hook in marked:  # a misspelt one would otherwise never be called
        if hook not in HOOKS.values():
            raise UnknownName.of("hook", hook, HOOKS.values())
    for hook in HOOKS.values():
        if hasattr(module, hook) and hook not in marked:
            raise PluginError(f"{hook} is not marked @hookimpl")
    if not marked:
        raise PluginError(f"it has none of the hooks {', '.join(HOOKS.values())}")
    manager.register(module, name)
    names = Counter[str]()
    for kind, hook in HOOKS.items():
        answers = getattr(manager.hook, hook)()
        if hook in marked and not answers:
            raise PluginError(f"{hook} returned None: yield what it provides")
        for items in answers:
            for item in items:
                _check(item, Weights if kind == "weights" else Component, hook)
                names[item.name] += 1
                yield kind, item
    for twice in (n for n, times in names.items() if times > 1):
        raise PluginError(f"it provides {twice!r} more than once")


def _check(item: Any, wanted: type[Component | Weights], hook: str) -> None:
    """Refuse what is no sound descriptor, before anybody relies on it."""
    if not isinstance(item, wanted):
        raise TypeError(f"{hook} yielded {item!r}, not a {wanted.__name__}")
    if not (isinstance(item.name, str) and NAME.fullmatch(item.name)):
        raise TypeError(f"{hook}: {item.name!r} is no name: use letters, digits, -, _, + and .")
    where = f"{hook}: {item.name!r}"
    if isinstance(item, Weights):
        if not (isinstance(item.path, Path) and isinstance(item.component, str)):
            raise TypeError(f"{where}: its path must be a Path, its component a name")
        return
    training = item.training
    if not isinstance(training, Training | None):
        raise TypeError(f"{where}: its training is {training!r}, not a Training")
    paths = [item.factory, *((training.function, training.domain) if training else ())]
    if not all(isinstance(path, str) for path in paths):
        raise TypeError(f"{where}: name what it imports as 'package.module:name'")
    for model in (item.options, *((training.recipe,) if training else ())):
        if not (isinstance(model, type) and issubclass(model, Options)):
            raise TypeError(f"{where}: {model!r} is no subclass of matgen_core.Options")
    if training and not all(isinstance(p, training.recipe) for p in training.presets.values()):
        raise TypeError(f"{where}: a preset is no {training.recipe.__name__}")
    try:
        item.options()
    except ValidationError as error:
        for fault in error.errors():
            if fault["loc"] and fault["type"] != "missing":  # the rest is for users to mend
                option = ".".join(map(str, fault["loc"]))
                raise ValueError(
                    f"{where}: the default of {option}, {fault['input']!r}: {fault['msg']}"
                ) from None


def _unmet(requires: Iterable[str]) -> str:
    """What is required of matgen, if this version of it does not do."""
    for text in requires:
        if not re.match(r"matgen\s*[(<>=!~]", text, re.IGNORECASE):
            continue
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if applies and not wanted.specifier.contains(_version(), prereleases=True):
            return f"matgen {wanted.specifier}"
    return ""


def _version() -> str:
    from matgen_core import __version__

    return __version__
