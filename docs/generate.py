"""The parts of the site that come from the code; MkDocs calls the ``on_...`` functions.

A page asks for a part by a line ``<!-- generated: NAME -->``, where NAME is a key of `PARTS`. On
the site README.md is the front page, and the other pages of the repository's root stand beside it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from matgen_core.cli import app
from matgen_core.config import RunConfig
from matgen_core.interfaces import Options
from matgen_core.registry import KINDS, Component, Entry, discover, import_object
from matgen_core.weights import Card, DataCard
from matgen_networks.tables import Layer, Network

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ON_SITE = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CITATION.cff": "CITATION.cff",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "examples/matgen-random": "write-a-plugin.md",
}
"""Where what lies outside docs/ is found on the site."""
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)")
"""The relative path of a link or picture in Markdown."""


# --- what MkDocs calls --------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository's root."""
    from mkdocs.structure.files import File

    for source, page in ON_SITE.items():
        if (ROOT / source).is_file():
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill in the generated parts, and turn links of the repository into links of the site."""
    at = page.file.src_uri
    sources = {place: source for source, place in ON_SITE.items() if (ROOT / source).is_file()}
    return filled(LINK.sub(lambda m: _moved(m[1], sources.get(at, f"docs/{at}"), at), markdown))


def _moved(target: str, source: str, page: str) -> str:
    """The link from a page of the site that a link in a file of the repository becomes."""
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    place = ON_SITE.get(meant, meant.removeprefix("docs/"))
    return posixpath.relpath(place, posixpath.dirname(page) or ".")


def filled(markdown: str) -> str:
    """A page's text with its generated parts in it."""
    return re.sub(r"<!-- generated: (\w+) -->", lambda m: PARTS[m[1]](), markdown)


# --- commands -----------------------------------------------------------------------------------


def every_command() -> Iterator[tuple[str, Any]]:
    """Every command and its words, in the order of the help."""

    def walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                yield from walk(f"{words} {name}", child)
        else:
            yield words, command

    return walk("matgen", typer.main.get_command(app))


def _commands() -> str:
    parts = []
    for words, command in every_command():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option"]
        usage = [words, *map(_metavar, arguments), *(["[OPTIONS]"] if options else [])]
        parts += [f"## `{words}`", command.help, f"    {' '.join(usage)}"]
        rows = [(f"`{_metavar(p)}`", "required", p.help) for p in arguments]
        rows += [(_spelt(p), *_meaning(p)) for p in options]
        if rows:
            parts.append(_table(("", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _spelt(option: Any) -> str:
    """An option's names, and what its value is."""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    kinds = {int: "NUMBER", float: "NUMBER", Path: "PATH"}
    return f"{names} {option.metavar or kinds.get(option.type_descriptor.annotation, 'TEXT')}"


def _meaning(parameter: Any) -> tuple[str, str]:
    """Default and help of an option; a help may name the default itself."""
    text, _, default = parameter.help.partition("  [default: ")
    if parameter.required:
        return "required", text
    if default or parameter.default in (None, False, ()):
        return default.removesuffix("]"), text
    return f"`{parameter.default}`", text


# --- components ---------------------------------------------------------------------------------


def built_in(kind: str) -> list[Entry]:
    """What matgen itself provides of a kind, whatever else is installed."""
    return [entry for entry in discover().entries(kind) if entry.plugin.distribution == "matgen"]


def models(component: Component) -> Iterator[tuple[str, type[Options]]]:
    """The models of a component's options and recipe, each with what it is."""
    if component.options.model_fields:
        yield f"Options: `--set {component.name}.OPTION=VALUE`", component.options
    if component.training:
        of = f"`matgen train {component.name} --set {component.name}.OPTION=VALUE`"
        yield f"Recipe: {of}", component.training.recipe


def _components() -> str:
    parts = []
    for kind in KINDS:
        parts.append(f"## {kind.capitalize()}s")
        for entry in built_in(kind):
            component = entry.item
            assert isinstance(component, Component)
            parts += [
                f"### `{component.name}`",
                f"{component.summary[:1].upper()}{component.summary[1:]}.",
            ]
            if component.cite:
                parts.append(f"Published: {_linked(component.cite)}.")
            if component.default_weights:
                parts.append(f"Weights, unless others are named: `{component.default_weights}`.")
            for title, model in models(component):
                parts += [title, fields(model)]
            if component.training and component.training.target:
                parts.append(f"Learns the column `{component.training.target}`.")
            if component.training and len(component.training.presets) > 1:
                parts += ["Presets, where they differ from the recipe:", _presets(component)]
    return "\n\n".join(parts)


def _presets(component: Component) -> str:
    assert component.training
    presets = component.training.presets
    plain = {
        name: {k: v for k, v in preset.model_dump(exclude_defaults=True).items() if k != "network"}
        for name, preset in presets.items()
    }
    rows = []
    for name, values in plain.items():
        given = ", ".join(f"`{key}={value}`" for key, value in values.items())
        rows.append((f"`{name}`", given or "those of the recipe"))
    return _table(("preset", "values"), rows)


def _weights() -> str:
    registry = discover()
    rows = []
    for entry in built_in("weights"):
        card = registry.weights(entry.item.name).card
        measured = {
            key: card.metrics[key]
            for key in ("decodable", "valid", "novel", "yield", "mae", "auc", "accuracy", "exact")
            if key in card.metrics
        }
        rows.append(
            (
                f"`{card.name}`",
                f"`{card.component}`",
                f"`{card.data.source}`",
                f"{card.data.n_train:,}",
                ", ".join(f"{key} {value:.3f}" for key, value in measured.items()),
            )
        )
    return _table(("weights", "component", "data", "trained on", "measured"), rows)


# --- forms of files -----------------------------------------------------------------------------


def fields(model: type[BaseModel]) -> str:
    """A table of a model's fields."""
    rows = [
        (
            f"`{name}`",
            ", ".join([f"`{_type(field.annotation)}`", *_bounds(field)]),
            "required" if field.is_required() else f"`{field.default!r}`",
            field.description or "",
        )
        for name, field in model.model_fields.items()
    ]
    return _table(("", "type", "default", "meaning"), rows)


def _type(annotation: Any) -> str:
    """A type in few words: without the modules it is from, and without None."""
    origin, of = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(of[0])
    if origin is Literal:
        return " or ".join(map(repr, of))
    if origin in (Union, UnionType):
        return " or ".join(_type(kind) for kind in of if kind is not NoneType)
    if origin:
        kinds = ("..." if kind is Ellipsis else _type(kind) for kind in of)
        return f"{origin.__name__}[{', '.join(kinds)}]"
    return str(annotation.__name__)


def _bounds(field: FieldInfo) -> list[str]:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return [
        f"{sign} {getattr(bound, name):g}"
        for bound in field.metadata
        for name, sign in signs.items()
        if hasattr(bound, name)
    ]


def _licences() -> str:
    parts = ["## Data sets"]
    rows = []
    for entry in built_in("source"):
        assert isinstance(entry.item, Component)
        source = import_object(entry.item.factory)
        if hasattr(source, "about"):
            rows.append((f"`{entry.item.name}`", _linked(source.about.attribution)))
    parts += [_table(("source", "whom to credit, and the licence"), rows), "## Trained weights"]
    registry, rows = discover(), []
    for entry in built_in("weights"):
        card = registry.weights(entry.item.name).card
        rows.append((f"`{card.name}`", card.licence, f"`{card.data.source}`"))
    parts.append(_table(("weights", "licence", "learned from"), rows))
    parts.append("## Methods")
    rows = [
        (f"`{entry.item.name}`", _linked(entry.item.cite))
        for kind in KINDS
        for entry in built_in(kind)
        if isinstance(entry.item, Component) and entry.item.cite and kind != "source"
    ]
    parts.append(_table(("component", "published"), rows))
    return "\n\n".join(parts)


# --- Markdown -----------------------------------------------------------------------------------


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _linked(text: str) -> str:
    """DOIs and arXiv numbers as links."""
    text = re.sub(r"doi:(10\.[^\s;,]*[^\s;,.])", r"[doi:\1](https://doi.org/\1)", text)
    return re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


PARTS: dict[str, Callable[[], str]] = {
    "commands": _commands,
    "components": _components,
    "network": lambda: fields(Network),
    "layer": lambda: fields(Layer),
    "weights": _weights,
    "run_toml": lambda: fields(RunConfig),
    "card": lambda: fields(Card),
    "card_data": lambda: fields(DataCard),
    "licences": _licences,
}
"""What a page can ask for."""
