"""A new plugin package, whole: what ``matgen plugins new`` writes.

The files beside this one are `string.Template`s; a folder for each kind of component holds what
differs between them.
"""

from __future__ import annotations

import os
import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import NamedTuple

from matgen_core import __version__
from matgen_core.errors import DataError, InvalidOption, UnknownName
from matgen_core.registry import Registry

TEMPLATES = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PREFIX = "matgen-"


class Starter(NamedTuple):
    """What is written of one kind of component.

    Attributes:
        summary: what the component does as it is written.
        command: uses it; ``$name`` is its name.
    """

    summary: str
    command: str


STARTERS = {
    "source": Starter("the halides of the alkali metals", "matgen data show $name"),
    "encoder": Starter("counts by atomic number", "matgen plugins show $name"),
    "generator": Starter(
        "two elements drawn uniformly", "matgen run --generator $name --validators charge,eneg"
    ),
    "validator": Starter(
        "at most five elements", "matgen run --generator wgan-oqmd --validators $name"
    ),
    "predictor": Starter(
        "mean atomic number of the atoms", "matgen run --generator wgan-oqmd --predictors $name"
    ),
}
"""By kind."""


class Package(NamedTuple):
    """A package that was written.

    Attributes:
        folder: it.
        name: the component's.
        files: how many it holds.
        commands: install, test and use it, from where its folder is.
    """

    folder: Path
    name: str
    files: int
    commands: list[str]


def write_package(name: str, kind: str, parent: Path, registry: Registry) -> Package:
    """Write a package that can be installed and passes its tests; all of it, or nothing.

    Args:
        name: of the distribution and its folder; without the prefix ``matgen-``, the component's.
        kind: of its component.
        parent: the folder that gets the package's.
        registry: what is installed; a name that is taken there would be refused in use.

    Raises:
        UnknownName: there is no such kind.
        InvalidOption: the name is taken, or cannot be that of a package.
        DataError: the folder exists, or cannot be written.
    """
    if kind not in STARTERS:
        raise UnknownName.of("kind", kind, STARTERS)
    component, package = name.removeprefix(PREFIX), name.replace("-", "_")
    _check(name, component, package, registry)
    folder = parent / name
    if folder.exists() or folder.is_symlink():
        raise DataError(f"{folder} exists: choose another name, or move it away")
    starter = STARTERS[kind]
    values = {
        "distribution": name,
        "name": component,
        "package": package,
        "kind": kind,
        "cls": f"{component.title().replace('-', '')}{kind.capitalize()}",
        "summary": starter.summary,
        "command": Template(starter.command).substitute(name=component),
        "version": __version__,
    }
    files = {
        "pyproject.toml": "pyproject.toml.in",
        "README.md": "README.md.in",
        f"{package}/__init__.py": "init.py.in",
        f"{package}/{kind}.py": f"{kind}/component.py.in",
        "tests/conftest.py": "conftest.py.in",
        f"tests/test_{package}.py": f"{kind}/test.py.in",
    }
    contents = {
        file: Template((TEMPLATES / source).read_text(encoding="utf-8")).substitute(values)
        for file, source in files.items()
    }
    _write(folder, contents)
    commands = [f"cd {name}", "pip install -e '.[test]'", "pytest", values["command"]]
    return Package(folder, component, len(files), commands)


def _check(name: str, component: str, package: str, registry: Registry) -> None:
    if not (NAME.fullmatch(name) and NAME.fullmatch(component)):
        raise InvalidOption(
            f"{name!r} cannot name a package: use lower-case letters and digits, words joined "
            "by hyphens, e.g. matgen-mine"
        )
    for entry in registry.entries():
        if entry.item.name == component:
            raise InvalidOption(
                f"the name {component!r} is taken by {entry.plugin}: choose another"
            )
    if iskeyword(package) or find_spec(package) or _installed(name):
        raise InvalidOption(f"Python knows a package {package!r} already: choose another name")


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _write(folder: Path, contents: dict[str, str]) -> None:
    """A folder of files by their relative paths, under its name only when it is complete."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        for file, content in contents.items():
            path = temporary / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        temporary.rename(folder)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
