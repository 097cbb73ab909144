"""Checkpoints of a training: one safetensors file, written atomically, read without unpickling."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from matgen_core.errors import InvalidOption, WeightsError
from matgen_core.weights import write_atomically

FILE = "checkpoint.safetensors"
ADAM = {"step", "exp_avg", "exp_avg_sq"}
"""State of Adam by parameter: how often it moved, and two moments of its shape."""


def write(
    directory: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator,
    progress: Mapping[str, Any],
) -> None:
    """Save everything that decides how the training goes on.

    Args:
        directory: made if need be.
        modules: networks by name.
        optimizers: by name; their per-parameter tensors are saved, not their settings.
        generator: source of the training's random numbers.
        progress: anything JSON can hold.
    """
    tensors: dict[str, Tensor] = {"generator": generator.get_state()}
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": value for key, value in state.items()}
    directory.mkdir(parents=True, exist_ok=True)
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    write_atomically(directory / FILE, save(contiguous, {"progress": json.dumps(progress)}))


def read(
    directory: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator,
    identity: Mapping[str, Any],
) -> dict[str, Any]:
    """Restore what `write` saved; returns its `progress`.

    Args:
        directory: where it is.
        modules: networks by name.
        optimizers: by name.
        generator: source of the training's random numbers.
        identity: what the training is, to be found under that name in its `progress`.

    Raises:
        InvalidOption: it is of another training.
        WeightsError: the file is damaged.
    """
    path = directory / FILE
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            progress = _checked(from_json((file.metadata() or {})["progress"]))
        if progress["identity"] != identity:
            raise InvalidOption(
                f"{directory} was trained with another recipe, seed or data, or on another kind "
                "of device: resume with the same"
            )
        for name, module in modules.items():
            module.load_state_dict(_under(tensors, name))
        for name, optimizer in optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            for key, value in _under(tensors, name).items():
                index, _, field = key.partition("/")
                like = parameters[int(index)]
                if field not in ADAM or value.shape != (like.shape if field != "step" else ()):
                    raise ValueError(f"{name}/{key} is no part of Adam's state")
                # Fused optimizers walk memory: moments must lie there as their parameters do.
                state.setdefault(int(index), {})[field] = (
                    value.float() if field == "step" else torch.empty_like(like).copy_(value)
                )
            if state and (
                sorted(state) != list(range(len(parameters)))
                or any(fields.keys() != ADAM for fields in state.values())
            ):
                raise ValueError(f"{name} lacks a part of Adam's state")
            settings = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": settings})
        generator.set_state(tensors["generator"])
    except OSError as error:
        raise WeightsError(f"cannot go on from {path}: {error.strerror or error}") from error
    # Damage shows in many ways, some of them torch's own.
    except (
        SafetensorError, KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError
    ) as error:  # fmt: skip
        raise WeightsError(f"cannot go on from {path}: {error}") from error
    return progress


def _checked(progress: Any) -> dict[str, Any]:
    if not (
        isinstance(progress, dict)
        and isinstance(progress.get("identity"), dict)
        and type(progress.get("step")) is int
        and 0 <= progress["step"] < 2**53
        and type(progress.get("seconds")) in (int, float)
        and math.isfinite(progress["seconds"])
    ):
        raise ValueError("its progress is none")
    return progress


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
