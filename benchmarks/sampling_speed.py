"""Samples a second of trained generators, beside the usual way to ask a network.

python benchmarks/sampling_speed.py [--device auto] [NAME ...]

The usual way: float32, a batch after the other, its operations shared by PyTorch's threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from common import write

from matgen_core import Generator, discover
from matgen_networks import device as devices

ROUNDS = 7
"""Both ways are timed in each of them, one after the other; the median counts."""
TURN = 2.0
"""Seconds that a way is timed for in a round, about."""
USUAL_BATCH = 1024
SEED = 0


def usually(generator: Generator, n: int) -> None:
    """Draw samples the usual way."""
    with torch.inference_mode():
        infer, has_bfloat16 = devices.infer, devices.has_bfloat16
        devices.infer = lambda work, parts, device, **how: [work(part) for part in parts]
        devices.has_bfloat16 = lambda device, **of: False
        try:
            generator.sample(n, SEED)
        finally:
            devices.infer, devices.has_bfloat16 = infer, has_bfloat16


def seconds(draw: Callable[..., object], *arguments: object) -> float:
    """How long it takes."""
    began = time.perf_counter()
    draw(*arguments)
    return time.perf_counter() - began


def timed(name: str, device: str) -> tuple[str, int, int, float]:
    """Weights, samples a second usually and here, and how many times as many."""
    registry = discover()
    usual = registry.create("generator", name, {"batch_size": USUAL_BATCH}, device=device)
    own = registry.create("generator", name, device=device)
    own.sample(USUAL_BATCH, SEED)  # the first call takes longer
    n = USUAL_BATCH * max(4, round(TURN / seconds(own.sample, USUAL_BATCH, SEED)))
    each = np.array(
        [(seconds(usually, usual, n), seconds(own.sample, n, SEED)) for _ in range(ROUNDS)]
    )
    rates = n / np.median(each, axis=0)
    return name, round(rates[0]), round(rates[1]), float(np.median(each[:, 0] / each[:, 1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="auto")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    names = arguments.names or ["wgan-oqmd", "wgan-oqmd-large", "dice-oqmd", "rnn-oqmd"]
    device = devices.resolve(arguments.device)
    write(
        "sampling_speed",
        f"Sampling on {devices.describe(device)}",
        ("", "usually, samples/s", "here, samples/s", "times as many"),
        [timed(name, arguments.device) for name in names],
        notes=["Grids of cells, before they are decoded."],
    )


if __name__ == "__main__":
    main()
