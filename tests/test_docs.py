"""What the documentation shows is what happens, and nothing is without documentation."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
from pages import DOCS, PAGES, REASONS, ROOT, RUN, SHOWN, Block, blocks, compare, counts, run
from pydantic import BaseModel

import matgen_core
from matgen_core import discover, hookspecs, interfaces, pipeline, screening
from matgen_core.cli import app
from matgen_core.config import RunConfig
from matgen_core.registry import INTERFACES, KINDS, Component, Registry, Weights, source_of
from matgen_core.weights import Card, DataCard
from matgen_networks.tables import Layer, Network

NAMES = [str(path.relative_to(ROOT)) for path in PAGES]


# --- every block --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_page_does_what_it_shows(name: str, tmp_path: Path) -> None:
    run(ROOT / name, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_of_a_known_kind(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = list(blocks(ROOT / name))
    fences = re.findall(r"^ *`{3,}", text, re.MULTILINE)
    assert len(fences) == 2 * len(found), "a block that would be overlooked"
    for block in found:
        assert block.title or block.language in RUN + SHOWN, block
        assert not block.reason or block.reason in REASONS, block
        assert not (block.reason and block.language != "sh"), block
    outside = re.sub(r"^`{3,}.*?^`{3,}$", "", text, flags=re.DOTALL | re.MULTILINE)
    if "reference" not in name:  # where lines below ::: are indented
        assert not re.search(r"^ {4}", outside, re.MULTILINE), "an indented block would not run"


def test_few_blocks_are_not_run() -> None:
    counted = counts()
    left_out = sum(n for what, n in counted.items() if what.startswith("not run"))
    assert sum(n for what, n in counted.items() if what.endswith(" run")) > 2 * left_out
    assert counted["outputs compared"] > 30


def shown(text: str, within: float | None = None) -> Block:
    return Block("text", "", text, within=within)


def test_comparison_forgives_what_changes_each_time() -> None:
    compare(shown("a 1\n...\nb\n"), "a 1\nx\ny\nb\n")
    compare(shown("took 1.2 s, at ... o'clock\n"), "took 3 s, at 5 o'clock\n")
    compare(shown("│ novel │ 1,000 │\n", 2), "│ novel │   985 │\n")


@pytest.mark.parametrize(
    ("expected", "printed", "within"),
    [
        ("a\n", "b\n", None),
        ("a\n", "a\nb\n", None),
        ("a 1\n", "a 2\n", None),
        ("Fe2O3 1.0\n", "Fe3O3 1.0\n", 5),
        ("│ novel │ 1,000 │\n", "│ novel │   975 │\n", 2),
        ("0.50\n", "0.53\n", 2),
    ],
)
def test_comparison_sees_a_difference(expected: str, printed: str, within: float | None) -> None:
    with pytest.raises(AssertionError, match="the page shows"):
        compare(shown(expected, within), printed)


def test_a_block_that_fails_fails_its_page(tmp_path: Path) -> None:
    for i, text in enumerate(
        ("```sh\nfalse\n```\n", "```python\n1 / 0\n```\n", "```sh\necho a\n```\n```text\nb\n```\n")
    ):
        page = tmp_path / f"{i}.md"
        page.write_text(text)
        with pytest.raises(AssertionError):
            run(page, tmp_path / str(i))


# --- commands that are not run ------------------------------------------------------------------


def not_run() -> list[Any]:
    return [
        pytest.param(path, command, id=f"{path.stem}: {command}")
        for path in PAGES
        for block in blocks(path)
        if block.reason
        for line in block.text.replace("\\\n", " ").splitlines()
        for command in re.split(r" && | \| | [<>] \S+", line.partition("#")[0])
        if command.strip()
    ]


def made_on(page: Path) -> set[str]:
    """Folders that the commands of a page leave."""
    return set(re.findall(r"--out (\S+)", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("page", "command"), not_run())
def test_command_that_is_not_run_could_be(page: Path, command: str) -> None:
    words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    match words:
        case ["matgen", *rest]:
            parsed = parse(rest)
            assert_names_exist(*parsed, made_on(page))
        case ["nox", "-s", *sessions]:
            noxfile = (ROOT / "noxfile.py").read_text()
            assert all(f"\ndef {name}(" in noxfile for name in sessions)
        case ["pip", "install", *wanted]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            for extra in re.findall(r"\[(\w+)\]", " ".join(wanted)):
                assert extra in extras["optional-dependencies"]
            assert "-c" not in wanted or (ROOT / wanted[wanted.index("-c") + 1]).is_file()
        case ["python", script, *_] if script.endswith(".py"):
            assert (ROOT / script).is_file()
        case ["python" | "python3", "-m", "venv", _] | [".", _] | ["pre-commit", "install"]:
            pass
        case _:
            pytest.fail(f"how is {command!r} to be checked?")


@pytest.mark.parametrize("name", NAMES)
def test_command_named_in_a_sentence_exists(name: str) -> None:
    text = re.sub(r"^`{3,}.*?^`{3,}$", "", (ROOT / name).read_text(), flags=re.DOTALL | re.M)
    for words in (found.split() for found in re.findall(r"`matgen\b([^`]*)`", text)):
        command = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            if words[0].startswith("-"):
                break
            command = command.commands[words.pop(0)]
        options = {"--help"}.union(*(p.opts for p in command.params))
        assert options >= {word for word in words if re.match(r"--?[a-z]", word)}, words


def parse(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command's own parser: it refuses options that there are not."""
    command, name = typer.main.get_command(app), "matgen"
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]  # type: ignore[attr-defined]
    return name, command.make_context(name, words).params


def assert_names_exist(command: str, given: dict[str, Any], made: set[str]) -> None:
    registry = discover()

    def known(kind: str, text: str | None) -> None:
        for name in (text or "").split(","):
            if name and name not in made:
                registry.resolve(kind, name)

    known("generator", given.get("generator"))
    known("validator", given.get("validators"))
    known("validator", given.get("screen"))
    known("predictor", given.get("predictors"))
    for source in (given.get("data"), given.get("against")):
        if source:
            known("source", source_of(source)[0])
    if command in ("fetch", "show") and given["name"] not in made:
        assert given["name"] in {entry.item.name for entry in registry.entries()}
    for target in [given.get("target"), *given.get("targets", ())]:
        if target and not target.endswith(".csv"):
            known("generator", target)
    if command == "train":
        training = component(registry, given["component"]).training
        assert training
        assert given["preset"] in (None, *training.presets)
    for assignment in given.get("assignments") or ():
        owner, _, rest = assignment.partition(".")
        owned = component(registry, owner)
        models = [owned.options, *([owned.training.recipe] if owned.training else [])]
        assert any(rest.partition("=")[0] in model.model_fields for model in models), assignment


def component(registry: Registry, name: str) -> Component:
    [found] = [e.item for e in registry.entries() if e.item.name == name]
    assert isinstance(found, Component)
    return found


# --- nothing is without documentation -----------------------------------------------------------


@pytest.fixture(scope="module")
def generate() -> Any:
    """docs/generate.py."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Reader(HTMLParser):
    """The text of a page, its anchors, and where it links to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.text, self.anchors, self.links = "", set[str](), set[str]()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {given[key] or "" for key in ("id", "name") if key in given}
        self.links |= {given[key] or "" for key in ("href", "src") if key in given}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def built(site: Path) -> dict[str, Reader]:
    return {str(path.relative_to(site)): Reader(path) for path in site.rglob("*.html")}


def test_every_link_and_picture_of_the_site_is_there(site: Path, built: dict[str, Reader]) -> None:
    for name, page in built.items():
        if name == "404.html":  # its links are those of a server's root
            continue
        for link in page.links:
            if re.match(r"\w+:|//", link):
                assert link.startswith(("https://", "data:", "mailto:")), f"{name}: {link}"
                continue
            target, _, anchor = link.partition("#")
            path = (site / name).parent / target if target else site / name
            assert path.exists(), f"{name}: {link}"
            if anchor and path.suffix == ".html":
                other = built[str(path.resolve().relative_to(site.resolve()))]
                assert anchor in other.anchors, f"{name}: {link}"


def test_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//', text), path
        assert not re.search(r'<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//', text), path


def test_every_relative_link_of_the_markdown_is_there() -> None:
    for path in [*PAGES, ROOT / "CHANGELOG.md"]:
        text = re.sub(r"^`{3,}.*?^`{3,}$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"', text):
            target = "".join(link).partition("#")[0]
            if target and ":" not in target:
                assert (path.parent / target).exists(), f"{path.name}: {link}"


def test_every_page_is_reached_from_the_navigation(site: Path, built: dict[str, Reader]) -> None:
    linked = {link.partition("#")[0] for link in built["index.html"].links}
    for path in DOCS.rglob("*.md"):
        assert str(path.relative_to(DOCS).with_suffix(".html")) in linked, path


def test_every_hook_is_documented(built: dict[str, Reader]) -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("matgen_")]
    assert len(hooks) == len(KINDS) + 1
    for name in hooks:
        assert getattr(hookspecs, name).__doc__
        assert f"matgen_core.hookspecs.{name}" in built["reference/interfaces.html"].anchors


def test_every_interface_is_documented(built: dict[str, Reader]) -> None:
    page = built["reference/interfaces.html"]
    for interface in (*INTERFACES.values(), interfaces.Autoencoder, interfaces.Options):
        assert interface.__doc__
        assert "Example:" in interface.__doc__
        assert f"matgen_core.interfaces.{interface.__name__}" in page.anchors
        for name in getattr(interface, "__abstractmethods__", ()):
            assert getattr(interface, name).__doc__, f"{interface.__name__}.{name}"
            documented = {f"matgen_core.interfaces.{c.__name__}.{name}" for c in interface.__mro__}
            assert documented & page.anchors, name


def test_every_module_and_package_is_on_the_map() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    core = {path.name for path in (ROOT / "matgen_core").glob("[a-z]*.py")}
    plugins = {path.name for path in (ROOT / "plugins").glob("matgen_*")}
    for name in core | plugins:
        assert re.search(rf"\b{re.escape(name)}`", text), name


def test_everything_exported_is_documented(built: dict[str, Reader]) -> None:
    anchors = built["reference/interfaces.html"].anchors | built["reference/library.html"].anchors
    for name in matgen_core.__all__:
        thing = getattr(matgen_core, name)
        if name != "hookimpl":
            assert f"{thing.__module__}.{thing.__qualname__}" in anchors, name


def test_every_command_and_option_is_documented(generate: Any, built: dict[str, Reader]) -> None:
    page = built["reference/commands.html"]
    text = " ".join(page.text.split())
    n = 0
    for words, command in generate.every_command():
        assert words.replace(" ", "-") in page.anchors
        assert command.help, words
        for parameter in command.params:
            n += 1
            assert parameter.help, f"{words} {parameter.name}"
            about = " ".join(parameter.help.partition("  [default: ")[0].replace("`", "").split())
            assert about in text, f"{words} {parameter.name}"
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in text, f"{words} {option}"
    assert n > 80


def test_every_environment_variable_is_documented() -> None:
    text = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    found = {
        name
        for folder in ("matgen_core", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"\bMATGEN_[A-Z]+\b", path.read_text(encoding="utf-8"))
    }
    assert len(found) >= 3
    for name in found:
        assert f"`{name}`" in text, name


def test_every_option_of_every_component_is_documented(
    generate: Any, built: dict[str, Reader]
) -> None:
    for kind in KINDS:
        for entry in generate.built_in(kind):
            for _, model in generate.models(entry.item):
                assert_fields_are_on(built["reference/components.html"], model)
    assert_fields_are_on(built["reference/components.html"], Network)
    assert_fields_are_on(built["reference/components.html"], Layer)


def test_every_key_of_every_file_is_documented(built: dict[str, Reader]) -> None:
    page = built["reference/files.html"]
    for model in (RunConfig, Card, DataCard):
        assert_fields_are_on(page, model)
    for report in (pipeline.Report, screening.Report):
        for name in report.__dataclass_fields__:
            assert re.search(rf"\b{name}\b", page.text), name


def assert_fields_are_on(page: Reader, model: type[BaseModel]) -> None:
    text = " ".join(page.text.split())
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"
        about = " ".join(field.description.replace("`", "").split())
        assert re.search(rf"\b{name}\b.{{1,200}}{re.escape(about)}", text), (
            f"{model.__name__}.{name}"
        )


def test_every_built_in_name_is_documented(generate: Any, built: dict[str, Reader]) -> None:
    page = built["reference/components.html"]
    for kind in KINDS:
        for entry in generate.built_in(kind):
            assert entry.item.summary
            assert entry.item.name in page.anchors
    for entry in generate.built_in("weights"):
        assert isinstance(entry.item, Weights)
        assert entry.item.name in page.text
        assert entry.item.name in built["reference/licences.html"].text


def test_data_are_attributed_with_their_licence(built: dict[str, Reader]) -> None:
    text = built["reference/licences.html"].text
    for words in (
        "OQMD (CC BY 4.0)",
        "Materials Project (CC BY 4.0)",
        "CrabNet 2.0.8 (MIT",
        "AFLOW",
    ):
        assert words in text


# --- the README and the rest of the root --------------------------------------------------------


def test_readme_keeps_its_promise() -> None:
    """Two commands, their real output, one screen; what else it shows is below."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first, *_ = blocks(ROOT / "README.md")
    assert first.language == "sh"
    assert not first.reason
    assert len(text.partition("\n## ")[0].splitlines()) <= 60
    assert len(text.splitlines()) <= 110


def test_changelog_fragments_have_a_kind_and_say_something() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    kinds = {kind["directory"] for kind in settings["type"]}
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.name != ".gitignore"]
    for path in fragments:
        assert re.fullmatch(r"\+?[\w-]+\.(\w+)\.md", path.name), path
        assert path.name.split(".")[-2] in kinds, path
        assert path.read_text(encoding="utf-8").strip().endswith("."), path


def test_citation_names_this_version_and_the_paper() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {matgen_core.__version__}\n" in text
    assert "10.1038/s41524-020-00352-0" in text


def test_commit_hooks_use_the_tested_versions() -> None:
    """Nothing of them is fetched from a git host: each is a command of the environment."""
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^ *- repo: (.*)$", text, re.MULTILINE) == ["local"]
    assert set(re.findall(r"^ *language: (.*)$", text, re.MULTILINE)) == {"system"}
