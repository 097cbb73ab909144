"""`RunConfig`: what a run does. TOML, the command line and the library fill the same object."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import Field, field_validator

from matgen_core.elements import ATOMIC_NUMBER
from matgen_core.errors import InvalidOption, UnknownName
from matgen_core.interfaces import Options
from matgen_core.textfiles import parse_toml

MAX_SAMPLES = 10**12
MAX_BATCH = 10**6


class RunConfig(Options):
    """Settings of one run."""

    generator: str = Field(description="Name of trained weights, or of a generator without any.")
    validators: list[str] = Field([], description="Names of validators, all of which must pass.")
    predictors: list[str] = Field([], description="Names of predictors, or of their weights.")
    where: str = Field("", description="Rows to keep, e.g. band_gap > 1.5 and not novel.")
    sort: str = Field("", description="Column to sort by; -column for the greatest first.")
    top: int | None = Field(
        None, le=MAX_SAMPLES, description="Rows to keep: the first after sorting."
    )
    num: int = Field(10_000, ge=1, le=MAX_SAMPLES, description="Samples to generate.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of everything random.")
    batch_size: int = Field(4096, ge=1, le=MAX_BATCH, description="Samples in memory at once.")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    keep_rejected: bool = Field(False, description="Keep what validators or novelty reject.")
    require: list[str] = Field([], description="Elements that every candidate must have.")
    exclude: list[str] = Field([], description="Elements that no candidate may have.")
    options: dict[str, dict[str, Any]] = Field({}, description="Options by component name.")

    @field_validator("require", "exclude")
    @classmethod
    def _are_elements(cls, symbols: list[str]) -> list[str]:
        for symbol in symbols:
            if symbol not in ATOMIC_NUMBER:
                raise ValueError(str(UnknownName.of("element", symbol, ATOMIC_NUMBER)))
        return list(dict.fromkeys(symbols))

    @field_validator("device")
    @classmethod
    def _is_device(cls, name: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
            raise ValueError("use auto, cpu, cuda or cuda:N")
        return name

    def to_toml(self) -> str:
        """The settings as a ``run.toml`` that repeats the run."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def parse_assignments(
    assignments: Iterable[str], components: Collection[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Options from ``component.option=value``; a value is TOML where it can be, else a string.

    Args:
        assignments: as on the command line.
        components: those that can be set; None to leave that to the caller.

    Raises:
        InvalidOption: an assignment of another form.
        UnknownName: a component that is not among `components`.
    """
    options: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        target, equals, text = assignment.partition("=")
        component, dot, option = target.strip().rpartition(".")
        if not (equals and dot and component and option):
            raise InvalidOption(f"--set {assignment!r}: write component.option=value")
        if components is not None and component not in components:
            raise UnknownName.of("component in --set", component, components)
        try:
            [value] = parse_toml(f"value = {text}").values()  # a line break must not begin another
        except ValueError:
            value = text.strip()
        options.setdefault(component, {})[option] = value
    return options


def merge_options(options: Any, changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The options of a file, with changes.

    Raises:
        InvalidOption: what the file has as options is not a table a component.
    """
    if not (isinstance(options, dict) and all(isinstance(o, dict) for o in options.values())):
        raise InvalidOption(f"options = {options!r}: write a table [options.COMPONENT]")
    return {name: options.get(name, {}) | changes.get(name, {}) for name in options | changes}
