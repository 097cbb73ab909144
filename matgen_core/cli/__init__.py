"""The command line: options in, library calls, tables out. No logic lives here."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from matgen_core.cli import (
    data,
    doctor,
    evaluate,
    plugins,
    reconstruct,
    report,
    run,
    screen,
    train,
    weights,
)
from matgen_core.errors import MatgenError, WhereError

app = typer.Typer(
    name="matgen",
    help="Generate hypothetical inorganic compositions and keep the chemically valid ones.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("screen")(screen.screen)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(evaluate.compare)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("report")(report.report)
app.command("train")(train.train)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data")
app.add_typer(plugins.app, name="plugins")
app.add_typer(weights.app, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        from matgen_core import __version__

        print(f"matgen {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except WhereError as error:  # its caret stands under the place
        print(f"matgen: {error}", file=sys.stderr)
        sys.exit(2)
    except MatgenError as error:
        _complain(str(error), 2)
    except typer.exceptions.TyperException as error:
        _complain(error.format_message(), getattr(error, "exit_code", 2))
    except OSError as error:  # a full disk, a closed pipe
        reason = error.strerror or str(error)
        _complain(f"{error.filename}: {reason}" if error.filename else reason, 2)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> None:
    if os.environ.get("MATGEN_DEBUG"):
        traceback.print_exc()
    text = " ".join(message.split())
    if text:
        print(f"matgen: {text}", file=sys.stderr)
    sys.exit(code)
