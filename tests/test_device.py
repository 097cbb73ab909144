"""How trained networks are asked: in parts, in threads, in which precision."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from matgen_core import discover
from matgen_networks import device

CPU = torch.device("cpu")


def test_parts_are_inferred_in_order_each_by_one_thread() -> None:
    threads = torch.get_num_threads()

    def work(part: int) -> tuple[int, int, bool]:
        time.sleep(part / 100)  # the first is the last to finish
        return part, torch.get_num_threads(), torch.is_inference_mode_enabled()

    assert device.infer(work, (3, 2, 1), CPU) == [(3, 1, True), (2, 1, True), (1, 1, True)]
    with pytest.raises(ZeroDivisionError):
        device.infer(lambda part: 1 // part, (1, 0, 1), CPU)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("bfloat16", [False, True])
def test_precision(bfloat16: bool) -> None:
    linear = torch.nn.Linear(3, 2)
    (made,) = device.infer(linear, [torch.ones(1, 3)], CPU, bfloat16=bfloat16)
    assert made.dtype == (torch.bfloat16 if bfloat16 else torch.float32)
    grids = device.in_batches(linear, torch.ones(5, 3), 2, bfloat16=bfloat16)
    assert grids.shape == (5, 2)
    assert grids.dtype == np.float32


@pytest.mark.parametrize("name", ["wgan-mp", "rnn-mp"])
def test_bfloat16_changes_few_samples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = discover()
    encoder = registry.create("encoder", "onehot")
    found = []
    for faster in (False, True):
        monkeypatch.setattr(device, "has_bfloat16", lambda *_, answer=faster, **__: answer)
        samples = registry.create("generator", name, device="cpu").sample(2000, 0)
        found.append(encoder.decode(samples).fingerprints())
    assert 0.9 < np.mean(found[0] == found[1]) < 1


def test_threads_change_no_sample() -> None:
    generator = discover().create("generator", "wgan-mp", device="cpu")
    threads, drawn = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            drawn.append(generator.sample(2000, 0))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*drawn)
