"""What the tests of trainings share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from matgen_core.weights import WeightsDir
from matgen_networks import checkpoint


def assert_same_tensors(one: Path, other: Path) -> None:
    """To the bit, of what is used and of what a training goes on from."""
    for file in (checkpoint.FILE, WeightsDir.TENSORS):
        ours, theirs = load_file(one / file), load_file(other / file)
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def assert_same_training(one: Path, other: Path) -> None:
    """The tensors, and all that was measured on the way but the time."""
    assert_same_tensors(one, other)

    def curve(out: Path) -> list[dict[str, Any]]:
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]

    assert curve(one) == curve(other)


def stop_after(monkeypatch: pytest.MonkeyPatch, checkpoints: int) -> None:
    """Interrupt the training that follows once it has written so many checkpoints."""
    write, written = checkpoint.write, []

    def once_more(*args: object) -> None:
        write(*args)
        written.append(args)
        if len(written) == checkpoints:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write", once_more)
