"""What is installed: `discover()` finds plugins, `Registry` answers by exact name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import pluggy
from pydantic import ValidationError

from matgen_core import hookspecs
from matgen_core.errors import InvalidOption, PluginError, UnknownName
from matgen_core.interfaces import Encoder, Generator, Options, Predictor, Source, Validator
from matgen_core.weights import WeightsDir

Model = TypeVar("Model", bound=Options)

INTERFACES: dict[str, type] = {
    "source": Source,
    "encoder": Encoder,
    "generator": Generator,
    "validator": Validator,
    "predictor": Predictor,
}
"""The interface of each kind of component, in the order of the data flow."""
KINDS = tuple(INTERFACES)
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
    """A plugin that did not load, and why."""

    plugin: Plugin
    reason: str


@dataclass
class Registry:
    """All names of all plugins, in one flat table.

    Example:
        >>> registry = discover()
        >>> charge = registry.create("validator", "charge", {"oxidation_states": "icsd24"})
    """

    broken: list[Broken] = field(default_factory=list)
    plugins: list[Plugin] = field(default_factory=list)
    _entries: dict[str, list[Entry]] = field(default_factory=dict)

    # --- filling ----------------------------------------------------------------------------

    def load(self, plugin: Plugin, import_module: Callable[[], Any]) -> None:
        """Import one plugin and note its names; a failure is recorded in `broken`, not raised."""
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(import_module(), plugin.name)
            manager.check_pending()  # a misspelt hook would otherwise never be called
            found = [
                Entry(kind, item, plugin)
                for kind in (*KINDS, "weights")
                for items in getattr(manager.hook, f"matgen_{_plural(kind)}")()
                for item in _checked(items, Weights if kind == "weights" else Component)
            ]
        except Exception as error:  # whatever a stranger's module raises stays its own problem
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self.broken.append(Broken(plugin, reason))
            return
        self.plugins.append(plugin)
        for entry in found:
            self._entries.setdefault(entry.item.name, []).append(entry)

    # --- asking -----------------------------------------------------------------------------

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Every entry, or those of a kind, by name. Names that clash are all listed."""
        every = (e for name in sorted(self._entries) for e in self._entries[name])
        return [entry for entry in every if kind in (None, entry.kind)]

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
        if entry is None and Path(name, WeightsDir.CARD).is_file():
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
        is_folder = entry is None and Path(name, WeightsDir.CARD).is_file()
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
        made = import_object(component.factory)(
            validate(component.options, options or {}, component.name),
            weights=weights,
            device=device,
        )
        if not isinstance(made, INTERFACES[kind]):
            raise PluginError(
                f"{kind} {component.name!r}: {component.factory} is no "
                f"matgen_core.{INTERFACES[kind].__name__}"
            )
        return made

    def _entry(self, name: str) -> Entry | None:
        found = self._entries.get(name, [])
        if len(found) > 1:
            owners = " and ".join(str(entry.plugin) for entry in found)
            raise PluginError(f"{name!r} is provided by {owners}: uninstall one of them")
        return found[0] if found else None

    def unknown(self, kind: str, name: str, known: Iterable[Entry]) -> UnknownName:
        """The error for a name that is not among the known; it mentions plugins not loaded."""
        hint = ""
        if self.broken:
            hint = f"(not loaded: {'; '.join(f'{b.plugin}: {b.reason}' for b in self.broken)})"
        return UnknownName.of(kind, name, (entry.item.name for entry in known), hint)


def discover() -> Registry:
    """Load every installed plugin: the entry points of the group ``matgen``.

    A plugin that fails is listed in `Registry.broken` and disturbs no other. The environment
    variable ``MATGEN_PLUGINS=a,b`` limits what is loaded to the entry points of these names.

    Raises:
        UnknownName: `LIMIT` names a plugin that is not installed.
    """
    registry = Registry()
    points = sorted(entry_points(group=hookspecs.PROJECT), key=lambda p: (p.name, p.value))
    if LIMIT in os.environ:
        wanted = [name.strip() for name in os.environ[LIMIT].split(",") if name.strip()]
        installed = {point.name for point in points}
        for name in wanted:
            if name not in installed:
                raise UnknownName.of(f"plugin in {LIMIT}", name, installed)
        points = [point for point in points if point.name in wanted]
    for point in points:
        distribution = point.dist
        plugin = Plugin(
            point.name,
            distribution.name if distribution else "unknown",
            distribution.version if distribution else "?",
        )
        registry.load(plugin, point.load)
    return registry


def source_of(data: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a source: the path of a CSV file stands for the source `csv`."""
    return ("csv", {"path": data}) if data.endswith(".csv") else (data, {})


def import_object(path: str) -> Any:
    """The object at ``"package.module:name"``.

    Raises:
        PluginError: it cannot be imported.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"cannot import {path}: {error}") from error


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


def _plural(kind: str) -> str:
    return kind if kind == "weights" else f"{kind}s"


def _checked(items: Iterable[Any], wanted: type) -> Iterable[Any]:
    for item in items:
        if not isinstance(item, wanted):
            raise TypeError(f"a hook yielded {item!r}, not a {wanted.__name__}")
        yield item
