"""What is done to the project, each in an environment of its own: ``nox -l`` lists it."""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_venv = "yes"
CONSTRAINTS = ("-c", "constraints.txt")
# Declares pandas < 3, and works with 3; what else it needs is there or is not used here.
MATMINER = ("--no-deps", *CONSTRAINTS, "matminer")
# The generators that are judged by so many samples.
TWO_MILLION = (
    "wgan-icsd-screened",
    "wgan-mp-screened",
    "wgan-oqmd-screened",
    "wgan-icsd-novel",
    "wgan-mp-novel",
    "wgan-oqmd-novel",
    "rnn-icsd-novel",
    "rnn-mp-novel",
    "rnn-oqmd-novel",
    "rnn-icsd-screened",
    "rnn-mp-screened",
)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    session.install(*CONSTRAINTS, "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types of the core."""
    session.install(*CONSTRAINTS, ".", "mypy", "pandas-stubs", "pytest")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite, against the installed package and not the sources."""
    session.install(*CONSTRAINTS, ".[test]")
    session.install(*MATMINER)
    # Nothing is imported from the working directory: what is tested is what was installed.
    session.run("pytest", *session.posargs, env={"PYTHONSAFEPATH": "1"})


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines and branches the test suite reaches, of the core and of every plugin."""
    session.install(*CONSTRAINTS, ".[test]")
    session.install(*MATMINER)
    session.run("pytest", "--cov", *session.posargs, env={"PYTHONSAFEPATH": "1"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Every reader on hostile input, for so many seconds each: nox -s fuzz -- 300 [TARGET ...]."""
    session.install(*CONSTRAINTS, ".[fuzz]")
    arguments = session.posargs or ["100"]
    session.run("python", str(Path("fuzz") / "harness.py"), *arguments)


@nox.session
def kill(session: nox.Session) -> None:
    """Every command, killed so often at random moments: nox -s kill -- 50 [TARGET ...]."""
    session.install(*CONSTRAINTS, ".")
    session.run("python", str(Path("fuzz") / "kills.py"), *(session.posargs or ["30"]))


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, into build/site, and how many of its blocks are run by the tests."""
    session.install(*CONSTRAINTS, ".[docs]")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", str(Path("tests") / "pages.py"))


@nox.session
def changelog(session: nox.Session) -> None:
    """The sentences in changelog.d into CHANGELOG.md, at a release (-- --draft only shows them)."""
    session.install(*CONSTRAINTS, "towncrier")
    session.run("towncrier", "build", *session.posargs)


@nox.session
def citation(session: nox.Session) -> None:
    """CITATION.cff against its schema."""
    session.install(*CONSTRAINTS, "cffconvert")
    session.run("cffconvert", "--validate")


@nox.session
def bench(session: nox.Session) -> None:
    """Every measured claim of README and docs, into docs/results.md (fetches the data)."""
    session.install(*CONSTRAINTS, ".[test]")
    session.install(*MATMINER)
    session.run("matgen", "data", "fetch", "oqmd")  # one package carries all three
    millions = [Path(session.create_tmp(), f"{name}.json") for name in TWO_MILLION]
    for name, path in zip(TWO_MILLION, millions, strict=True):
        session.run("matgen", "evaluate", name, "-n", "2000000", "-o", str(path))
    for benchmark in (
        "networks.py",
        f"millions.py {' '.join(map(str, millions))}",
        "reconstruction.py",
        "sampling.py",
        "recipes.py",
        "training_speed.py",
        "sampling_speed.py",
        "lithium.py",
        "formation_energy.py",
        "band_gap.py own",
        "band_gap.py matbench",
        "band_gap.py shipped",
        "predictors.py",
        "featuriser.py",
        "validators.py agree --n 100000",
        "validators.py speed",
        "round_trip.py",
        "evaluation.py",
        "memory.py",
        "fresh_install.py",
        "author.py",
        "robustness.py",
        "page.py",
    ):
        script, *arguments = benchmark.split()
        session.run("python", str(Path("benchmarks") / script), *arguments)
