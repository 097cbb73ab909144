"""``matgen doctor``."""

from __future__ import annotations

import typer

from matgen_core.cli import options
from matgen_core.cli.render import print_json


def doctor(as_json: options.Json = False) -> None:
    """One page on this installation, to paste into a bug report; exit code 1 if part is broken."""
    from matgen_core.doctor import examine
    from matgen_core.registry import discover

    found = examine(discover())
    damaged = {name: state for name, state in found["weights"].items() if state != "whole"}
    if as_json:
        print_json(found)
    else:
        for name, value in [*found["system"].items(), *found["packages"].items()]:
            print(f"{name:14}{value or 'not installed'}")
        print(f"{'CUDA devices':14}{', '.join(found['devices']) or 'none'}")
        print(f"{'plugins':14}{', '.join(found['plugins'])}")
        for plugin, reason in found["broken"].items():
            print(f"{'not loaded':14}{plugin}: {reason}")
        whole = [name for name in found["weights"] if name not in damaged]
        print(f"{'weights':14}{', '.join(whole)}")
        for name, reason in damaged.items():
            print(f"{'damaged':14}{name}: {reason}")
        for name, value in found["variables"].items():
            print(f"{name:22}{value or ''}".rstrip())
    if found["broken"] or damaged:
        raise typer.Exit(1)
