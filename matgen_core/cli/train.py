"""``matgen train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matgen_core.cli import options
from matgen_core.cli.render import stderr


def train(
    component: Annotated[str, typer.Argument(help="What to train, e.g. wgan or elemnet.")],
    data: Annotated[str, typer.Option(help="Name of a data source, or a .csv file.")],
    out: Annotated[Path, typer.Option(help="Folder for weights, card, metrics and checkpoint.")],
    preset: Annotated[
        str | None, typer.Option(help="Named recipe; see `matgen plugins show COMPONENT`.")
    ] = None,
    screen: Annotated[
        str | None, typer.Option(help="Train only on what these validators pass.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the weights will be called.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder.")] = False,
    device: options.Device = None,
    assignments: options.Set = None,
) -> None:
    """Train a generator or a predictor; stop it at any time and go on with --resume."""
    from matgen_core.config import parse_assignments
    from matgen_core.registry import discover
    from matgen_core.training import REJECTED, GeneratorJob, prepare

    job = prepare(
        discover(),
        component,
        preset=preset,
        data=data,
        out=out,
        name=name,
        screen=options.names(screen) or [],
        options=parse_assignments(assignments or []),
        device=device or "auto",
        seed=seed,
        resume=resume,
    )
    for step in job.dataset.steps:
        if step.dropped:
            stderr.print(f"{step.dropped:,} dropped: {step.rule}", highlight=False, soft_wrap=True)
    if job.dataset.rejected is not None:
        aside = f"{len(job.dataset.rejected):,} rows set aside"
        stderr.print(f"{aside}: see {out / REJECTED}", highlight=False, soft_wrap=True)
    chosen = f"{job.data.n_validation:,} to choose by, " if job.data.n_validation else ""
    print(
        f"{job.name}: {job.data.n_clean:,} compounds; {job.data.n_train:,} to train on, "
        f"{chosen}{job.data.n_held_out:,} held out"
    )
    try:
        job.run()
    except KeyboardInterrupt:
        stderr.print(f"matgen: stopped; the same command with --resume goes on in {out}")
        raise typer.Exit(130) from None
    use = "run --generator" if isinstance(job, GeneratorJob) else "screen FORMULAS --predictors"
    print(f"{job.name} is ready: matgen {use} {out}")
