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
        for broken in found["broken"]:
            print(f"{'not loaded':14}{broken}")
        for name, owners in found["clashes"].items():
            print(f"{'clash':14}{name!r} is provided by {' and '.join(owners)}: uninstall one")
        for shadowed in found["shadowed"]:
            print(f"{'twice there':14}{shadowed}")
        for plugin, seconds in found["slow"].items():
            print(f"{'slow':14}{plugin}: every command waits {seconds} s for it")
        whole = [name for name in found["weights"] if name not in damaged]
        print(f"{'weights':14}{', '.join(whole)}")
        for name, reason in damaged.items():
            print(f"{'damaged':14}{name}: {reason}")
        files = found["cache"]["files"]
        print(f"{'cache':14}{found['cache']['path']}: {sum(files.values()) / 1e6:.1f} MB")
        for file, size in files.items():
            print(f"{'':14}{size / 1e6:.1f} MB {file}")
        for name, value in found["variables"].items():
            print(f"{name:22}{value or ''}".rstrip())
    if found["broken"] or found["clashes"] or damaged:
        raise typer.Exit(1)
