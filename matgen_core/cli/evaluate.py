"""``matgen evaluate`` and ``matgen compare``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matgen_core.cli import options
from matgen_core.cli.render import print_json, print_table, progress_bar, stderr

if TYPE_CHECKING:
    from matgen_core.evaluation import Evaluation

Against = Annotated[
    str | None,
    typer.Option(
        help="Known compounds: a data source, or a .csv file.  [default: what a generator "
        "learned from]"
    ),
]
Num = Annotated[
    int, typer.Option("--num", "-n", min=1, help="Samples to draw; of a file, every row is taken.")
]
Validators = Annotated[str, typer.Option(help="Validators to ask.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Column = Annotated[str, typer.Option(help="Name of a CSV's formula column.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="A .json or .md file to write.")
]
Figures = Annotated[
    Path | None, typer.Option(help="Folder for every plot, as PNG and SVG (needs a Chrome).")
]
TARGET = "weights of a generator, their folder, or a file of formulas"


def evaluate(
    target: Annotated[str, typer.Argument(metavar="NAME|FILE", help=f"What to judge: {TARGET}.")],
    against: Against = None,
    num: Num = 100_000,
    validators: Validators = "charge,eneg",
    predictors: options.Predictors = None,
    column: Column = "formula",
    output: Output = None,
    figures: Figures = None,
    seed: Seed = 0,
    device: options.Device = None,
    assignments: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """How valid, new, diverse and lifelike a generator's samples are, or any list of formulas."""
    [result] = _evaluate([target], against, num, validators, predictors, column, output, figures,
                         seed, device, assignments)  # fmt: skip
    _show([result], result.to_dict(), as_json)


def compare(
    targets: Annotated[
        list[str], typer.Argument(metavar="NAME|FILE ...", help=f"What to compare: each {TARGET}.")
    ],
    against: Against = None,
    num: Num = 100_000,
    validators: Validators = "charge,eneg",
    predictors: options.Predictors = None,
    column: Column = "formula",
    output: Output = None,
    figures: Figures = None,
    seed: Seed = 0,
    device: options.Device = None,
    assignments: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Evaluate several generators or files and show them side by side."""
    results = _evaluate(targets, against, num, validators, predictors, column, output, figures,
                        seed, device, assignments)  # fmt: skip
    _show(results, [result.to_dict() for result in results], as_json)


def _evaluate(
    targets: Sequence[str],
    against: str | None,
    num: int,
    validators: str,
    predictors: str | None,
    column: str,
    output: Path | None,
    figures: Path | None,
    seed: int,
    device: str | None,
    assignments: list[str] | None,
) -> list[Evaluation]:
    from matgen_core import tabulate
    from matgen_core.config import parse_assignments
    from matgen_core.errors import InvalidOption
    from matgen_core.evaluation import judge
    from matgen_core.locks import claimed
    from matgen_core.registry import discover
    from matgen_core.report import require_extra
    from matgen_core.weights import write_atomically

    if figures is not None:
        require_extra("--figures")
    if output is not None and output.suffix not in (".json", ".md"):
        raise InvalidOption(f"--output {output}: the suffix must be .json or .md")
    registry = discover()
    settings = parse_assignments(assignments or [])
    results = []
    for target in targets:
        with progress_bar(f"evaluating {target}", None) as advance:
            result = judge(
                registry,
                target,
                n=num,
                against=against,
                validators=options.names(validators) or [],
                predictors=options.names(predictors) or [],
                options=settings,
                column=column,
                seed=seed,
                device=device or "auto",
                progress=advance,
            )
        results.append(result)
    if output is not None:
        if output.suffix == ".md":
            text = tabulate.markdown(tabulate.tables(results))
        else:
            content = [result.to_dict() for result in results]
            text = json.dumps(content if len(content) > 1 else content[0], indent=1) + "\n"
        with claimed(output):
            write_atomically(output, text.encode())
        stderr.print(f"written: {output}", highlight=False, soft_wrap=True)
    if figures is not None:
        from matgen_core.report import figures as plots

        plots.save(plots.of_evaluations(results), figures)
    return results


def _show(results: list[Evaluation], content: object, as_json: bool) -> None:
    from matgen_core import tabulate

    if as_json:
        print_json(content)
        return
    for table in tabulate.tables(results):
        print_table(table.title, table.columns, table.rows, caption=table.note)
    for result in results:
        spent = "  ".join(f"{stage} {s:.1f} s" for stage, s in result.seconds.items())
        stderr.print(f"{result.name}: {spent}", highlight=False, soft_wrap=True)
