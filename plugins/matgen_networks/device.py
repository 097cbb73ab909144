"""Which device a network runs on, and how it is asked there."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from matgen_core.errors import InvalidOption

P = TypeVar("P")
R = TypeVar("R")


def resolve(name: str) -> torch.device:
    """The device called ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InvalidOption: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    known = re.fullmatch(r"cuda(?::([0-9]{1,3}))?", name)
    if known is None:
        raise InvalidOption(f"unknown device {name!r}: use auto, cpu, cuda or cuda:N")
    if int(known[1] or 0) >= torch.cuda.device_count():
        raise InvalidOption(
            f"device {name!r} is not there: torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices; use --device cpu"
        )
    return torch.device(name)


def has_bfloat16(device: torch.device, *, convolutions: bool = False) -> bool:
    """Whether bfloat16 arithmetic is faster than float32 on the device: of matrices, or of both."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Others compute bfloat16 by converting it back and forth.
    name = "_is_amx_tile_supported" if convolutions else "_is_avx512_bf16_supported"
    supported = getattr(torch.cpu, name, None)
    return bool(supported and supported())


def in_batches(
    network: nn.Module, inputs: Tensor, size: int, *, bfloat16: bool = False
) -> NDArray[np.float32]:
    """What a network makes of its inputs, float32, on its own device, `size` rows at a time."""
    device = next(network.parameters()).device

    def of(part: Tensor) -> NDArray[np.float32]:
        return network(part.to(device).float()).float().cpu().numpy()

    return np.concatenate(infer(of, inputs.split(size), device, bfloat16=bfloat16))


def infer(
    work: Callable[[P], R], parts: Iterable[P], device: torch.device, *, bfloat16: bool = False
) -> list[R]:
    """What is computed of each part without gradients, in order; on a CPU a part a thread.

    PyTorch's own threads share each operation and wait for one another after it. That is hundreds
    of times a part, and where other programs want the cores, most of the time.

    Args:
        work: computes something of a part on the device.
        parts: what it is given.
        device: of the network in it.
        bfloat16: multiply matrices and convolve in that.
    """

    def inferred(part: P) -> R:
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)
        with torch.inference_mode(), autocast:
            return work(part)

    if device.type != "cpu":
        return [inferred(part) for part in parts]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            return list(pool.map(inferred, parts))
    finally:
        torch.set_num_threads(threads)


def describe(device: torch.device) -> str:
    """The hardware's name, for cards and reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {cpu_name()}, {torch.get_num_threads()} threads"


def cpu_name() -> str:
    """The processor's name where the system says it, else its architecture."""
    with suppress(OSError, StopIteration):  # Linux alone says which CPU it is
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return platform.machine()
