"""What a bug report needs to say of an installation, even a broken one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from matgen_core.cache import cache_root, cached_files
from matgen_core.errors import MatgenError
from matgen_core.registry import Registry

PACKAGES = (
    "matgen torch numpy pandas numba scikit-learn pymatgen SMACT pluggy pydantic typer".split()
)
VARIABLES = (
    "MATGEN_HOME MATGEN_PLUGINS MATGEN_DEBUG NUMBA_CACHE_DIR OMP_NUM_THREADS CUDA_VISIBLE_DEVICES"
).split()
# In a process of its own: a torch that crashes while it is imported is what doctor is asked about.
DEVICES = (
    "import torch; n = torch.cuda.device_count(); print(*map(torch.cuda.get_device_name, range(n)),"
    " sep='\\n')"
)
TIMEOUT = 120
"""Seconds that importing torch may take."""
SLOW = 0.5
"""Seconds that a plugin may take to load: every command waits for it."""


def examine(registry: Registry) -> dict[str, Any]:
    """Versions, devices, plugins, weights, cache and variables, as JSON can hold them.

    Every file of all weights is compared with its checksum.

    Returns:
        ``system``, ``packages`` (version, or None), ``devices``, ``plugins``, ``broken`` (why a
        plugin is not loaded), ``shadowed`` (which are on the path twice), ``clashes`` (name:
        plugins that provide it), ``slow`` (plugin: seconds to load), ``weights`` (name:
        ``"whole"``, or what is wrong), ``cache`` (its path, and bytes by file), ``variables``.
    """
    weights = {}
    for entry in registry.entries("weights"):
        try:
            opened = registry.weights(entry.item.name)
            for file in opened.card.sha256:
                opened.verified(file)
            weights[entry.item.name] = "whole"
        except MatgenError as error:
            weights[entry.item.name] = str(error)
    return {
        "system": {
            "python": f"{platform.python_version()} ({sys.executable})",
            "platform": platform.platform(),
            "cores": os.cpu_count(),
        },
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": _devices(),
        "plugins": [str(plugin) for plugin in registry.plugins],
        "broken": [str(broken) for broken in registry.broken],
        "shadowed": [str(shadowed) for shadowed in registry.shadowed],
        "clashes": {name: list(map(str, owners)) for name, owners in registry.clashes().items()},
        "slow": {str(p): round(s, 1) for p, s in registry.seconds.items() if s > SLOW},
        "weights": weights,
        "cache": {"path": str(cache_root()), "files": cached_files()},
        "variables": {name: os.environ.get(name) for name in VARIABLES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> list[str]:
    """Names of the CUDA devices that torch sees; or why it cannot be asked."""
    command = [sys.executable, "-c", DEVICES]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"torch did not answer within {TIMEOUT} s"]
    if asked.returncode:
        reason = asked.stderr.strip().splitlines()[-1:] or [f"exit code {asked.returncode}"]
        return [f"torch cannot be asked: {reason[0]}"]
    return asked.stdout.split("\n")[:-1] if asked.stdout.strip() else []
