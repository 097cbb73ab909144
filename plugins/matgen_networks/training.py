"""What the trainings of all networks share: going on, intervals, falling rates, averages."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from matgen_core.errors import DataError, WeightsError
from matgen_core.weights import write_atomically
from matgen_networks import checkpoint
from matgen_networks import device as devices
from matgen_networks.progress import training_progress

if TYPE_CHECKING:
    from matgen_core.training import Job

METRICS = "metrics.jsonl"
"""One JSON object a line and an evaluation, each with the ``step`` it was made at."""


def resume(
    job: Job,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    random: torch.Generator,
    **fresh: Any,
) -> tuple[dict[str, Any], Callable[[], None]]:
    """The progress of the training in ``job.out``, its checkpoint restored where there is one.

    More epochs or rounds may be asked for than before; everything else must be the same, and so
    must the kind of device, whose random numbers are others.

    Args:
        job: makes its folder if need be, and drops from `METRICS` what will be done again.
        modules: networks by name.
        optimizers: by name.
        random: source of the training's random numbers.
        fresh: what progress a new training has made, beside ``step`` 0 and 0 ``seconds``.

    Returns:
        The progress, to be kept up to date, and what writes a checkpoint of it.

    Raises:
        InvalidOption: the training in the folder is one with another recipe, seed or data.
        WeightsError: the checkpoint is damaged.
    """
    identity = {
        "recipe": job.recipe.model_dump(mode="json", exclude={"epochs", "rounds"}),
        "seed": job.seed,
        "data": job.data.model_dump(mode="json", exclude={"attribution"}),
        "device": random.device.type,
    }
    progress = {"identity": identity, "step": 0, "seconds": 0.0, **fresh}
    if job.resume and (job.out / checkpoint.FILE).exists():
        progress = checkpoint.read(job.out, modules, optimizers, random, identity)
    job.out.mkdir(parents=True, exist_ok=True)
    forget_after(job.out / METRICS, progress["step"])
    return progress, partial(checkpoint.write, job.out, modules, optimizers, random, progress)


def run(
    job: Job,
    progress: dict[str, Any],
    total: int,
    step: Callable[[int], Mapping[str, Tensor]],
    judge: Callable[[], Mapping[str, float]],
    save: Callable[[], None],
    *,
    batch: int,
    shown: Mapping[str, str],
) -> None:
    """Take the steps that are left of a training, and look at it after every interval.

    Args:
        job: its recipe says how many steps an interval has; what is seen goes to its `METRICS`.
        progress: what `resume` gave.
        total: number of steps.
        step: called with the number of a step, 1 for the first; its losses by name, [] each,
            whose means over the interval are logged.
        judge: called after an interval: writes the weights if they are worth it; figures to log.
        save: what `resume` gave beside it.
        batch: compounds a step.
        shown: of the figures logged, those that the user is told, each with its format.
    """
    interval = job.recipe.interval
    with training_progress(job.name, total, progress["step"]) as report:
        while progress["step"] < total:
            started = time.perf_counter()
            before = progress["step"]
            steps = min(interval - before % interval, total - before)
            sums: dict[str, Tensor] = {}
            for number in range(before + 1, before + steps + 1):
                for name, loss in step(number).items():
                    sums[name] = sums[name] + loss if name in sums else loss
                report.advance()
            means = {name: float(loss) / steps for name, loss in sums.items()}
            trained = time.perf_counter()
            progress["step"] += steps
            progress["seconds"] += trained - started
            measured = judge()
            progress["seconds"] += time.perf_counter() - trained
            line = {
                "step": progress["step"],
                "samples_seen": progress["step"] * batch,
                "seconds": round(progress["seconds"], 1),
                **means,
                **measured,
            }
            log(job.out / METRICS, line)
            save()
            figures = "  ".join(
                f"{name.replace('_', ' ')} {line[name]:{form}}"
                for name, form in shown.items()
                if name in line
            )
            report.note(
                f"step {line['step']:,}/{total:,}  {line['samples_seen']:,} samples seen  {figures}"
            )


def forget_after(path: Path, step: int) -> None:
    """Drop the metrics of steps that are about to be done again, and a line half written.

    Raises:
        WeightsError: another line is none of the metrics.
    """
    if not path.exists():
        return
    kept = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if line.endswith(b"\n"):
            try:
                again = json.loads(line)["step"] > step
            except (ValueError, KeyError, TypeError, RecursionError):
                raise WeightsError(
                    f"{path} is damaged in line {number}: delete it, and the training goes on"
                ) from None
            if not again:
                kept.append(line)
    write_atomically(path, b"".join(kept))


def log(path: Path, line: Mapping[str, Any]) -> None:
    """Append one evaluation to the metrics.

    Raises:
        DataError: the disk is full, or the file not writable.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def account(
    progress: Mapping[str, Any],
    *,
    batch: int,
    of: int,
    device: torch.device,
    precision: str,
    before: float = math.inf,
) -> dict[str, Any]:
    """What a card says of how long and on what a network was trained.

    Args:
        progress: of the training.
        batch: compounds a step.
        of: compounds to train on.
        device: where.
        precision: of the arithmetic.
        before: steps before what it was shown were its own samples.
    """
    steps = progress["step"]
    return {
        "epochs_seen": round(min(steps, before) * batch / of, 2),
        "steps": steps,
        "samples_seen": steps * batch,
        "hours": round(progress["seconds"] / 3600, 3),
        "hardware": devices.describe(device),
        "precision": precision,
        "torch": str(torch.__version__),
    }


def falling(step: int, total: int, share: float) -> float:
    """Factor of the learning rate that falls linearly to zero over the last `share` of steps.

    Args:
        step: 1 for the first.
        total: number of steps.
        share: 0 for a rate that stays.
    """
    return min(1.0, (total - step + 1) / (share * total)) if share else 1.0


@dataclass(frozen=True)
class Rounds:
    """The steps of a training: those that known compounds are learned in, and then rounds.

    In a round, a network learns from its own candidates; see `matgen_core.training`.

    Args:
        before: steps before the first round, which are round 0.
        length: steps of a round.
        number: of rounds.
    """

    before: int
    length: int
    number: int

    @classmethod
    def of(cls, recipe: Any, compounds: int, batch: int) -> Rounds:
        """Those of a recipe with `epochs`, `rounds` and `drawn`.

        Args:
            recipe: says how many epochs and rounds, and how long a round is.
            compounds: to train on.
            batch: of them, a step.
        """
        before = max(1, math.ceil(recipe.epochs * compounds / batch))
        return cls(before, math.ceil(recipe.drawn / batch), recipe.rounds)

    @property
    def total(self) -> int:
        """Number of steps."""
        return self.before + self.number * self.length

    def place(self, step: int) -> tuple[int, int]:
        """In which round a step is, 1 for the first, and how many steps of that round are done."""
        if step <= self.before:
            return 0, step - 1
        rounds, done = divmod(step - 1 - self.before, self.length)
        return 1 + rounds, done

    def rate(self, step: int, share: float) -> float:
        """Factor of the learning rate: it falls to zero before the rounds, and again in each.

        So more rounds go on exactly where fewer ended.

        Args:
            step: 1 for the first.
            share: the last of the steps before the rounds, over which it falls in these.
        """
        current, done = self.place(step)
        if current:
            return falling(1 + done, self.length, 1.0)
        return falling(step, self.before, share)


def floats(module: nn.Module) -> list[Tensor]:
    """The weights and statistics of a network, those that an average makes sense of."""
    return [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]


def average(into: Iterable[Tensor], values: Iterable[Tensor], decay: float, step: int) -> None:
    """Move a running average of weights one step on.

    Args:
        into: the average, changed in place.
        values: the weights after this step.
        decay: share of the average that is kept.
        step: 1 for the first. A young average is kept short, or it would remember the initial
            weights for long.
    """
    torch._foreach_lerp_(list(into), list(values), 1 - min(decay, step / (step + 10)))


def half(tensor: Tensor) -> Tensor:
    """As it is stored: on the CPU, half precision if it is of floating point."""
    return (tensor.half() if tensor.is_floating_point() else tensor).cpu()
