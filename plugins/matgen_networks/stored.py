"""Tensors of a directory of weights, into the network that its card describes."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from matgen_core.weights import WeightsDir


def read(weights: WeightsDir) -> dict[str, Tensor]:
    """The tensors, those of floating point in float32.

    Raises:
        WeightsError: the file is not the one on the card.
        ValueError: it holds no tensors, or a value that is not finite.
    """
    path = weights.verified(WeightsDir.TENSORS)
    try:
        stored = load_file(path)
    # KeyError and the like: of a type that torch does not have.
    except (SafetensorError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in stored.items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} has a value that is not finite")
    return tensors


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network its tensors; it may be on the device ``meta`` until then.

    Raises:
        ValueError: one is absent, superfluous, or of another shape or kind of number.
    """
    for name, wanted in network.state_dict().items():
        if name in tensors and tensors[name].dtype != wanted.dtype:
            raise ValueError(f"{name} is {tensors[name].dtype}, not {wanted.dtype}")
    try:
        network.load_state_dict(dict(tensors), assign=True)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
