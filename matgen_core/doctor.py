"""What a bug report needs to say of an installation, even a broken one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from matgen_core.errors import MatgenError
from matgen_core.registry import Registry

PACKAGES = (
    "matgen torch numpy pandas numba scikit-learn pymatgen SMACT pluggy pydantic typer".split()
)
VARIABLES = ("MATGEN_HOME", "MATGEN_PLUGINS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
# In a process of its own: a torch that crashes while it is imported is what doctor is asked about.
DEVICES = (
    "import torch; n = torch.cuda.device_count(); print(*map(torch.cuda.get_device_name, range(n)),"
    " sep='\\n')"
)
TIMEOUT = 120
"""Seconds that importing torch may take."""


def examine(registry: Registry) -> dict[str, Any]:
    """Versions, devices, plugins, weights and variables, as JSON can hold them.

    Every file of all weights is compared with its checksum.

    Returns:
        ``system``, ``packages`` (version, or None), ``devices``, ``plugins`` and ``broken``
        (plugin: reason), ``weights`` (name: ``"whole"``, or what is wrong), ``variables``.
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
        "broken": {str(broken.plugin): broken.reason for broken in registry.broken},
        "weights": weights,
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
