"""Data sets: OQMD, Materials Project, AFLOW's open ICSD catalogue, and the user's own CSV file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from matgen_core import Component, Options, hookimpl


class CsvOptions(Options):
    """Options of the source `csv`."""

    path: Path = Field(description="The file: UTF-8, its first line names the columns.")
    formula: str = Field(
        default="formula", description="Name of the column that holds the formulas."
    )
    lowest: str | None = Field(
        default=None,
        description="Column whose lowest value decides which row of a formula is kept; "
        "without it, the first.",
    )
    delimiter: Literal[",", ";", "\t", "|"] = Field(
        default=",", description="What separates the cells."
    )


@hookimpl
def matgen_sources() -> Iterable[Component]:
    yield Component(
        "oqmd",
        "matgen_data.published:Oqmd",
        summary="335,833 compounds of OQMD, formation energy",
        cite="doi:10.1007/s11837-013-0755-4",
    )
    yield Component(
        "mp",
        "matgen_data.published:MaterialsProject",
        summary="65,320 compounds of the Materials Project, formation energy",
        cite="doi:10.1063/1.4812323",
    )
    yield Component(
        "icsd",
        "matgen_data.published:Icsd",
        summary="22,641 compounds of AFLOW's open ICSD catalogue, band gap",
        cite="doi:10.1016/j.commatsci.2012.02.005",
    )
    yield Component(
        "oqmd-energy",
        "matgen_data.published:OqmdEnergy",
        summary="341,631 formation energies of OQMD, in their published split",
        cite="doi:10.1038/s41524-021-00545-1",
    )
    yield Component(
        "mp-gap",
        "matgen_data.published:MaterialsProjectGap",
        summary="78,164 compounds of the Materials Project, PBE band gap",
        cite="doi:10.1063/1.4812323",
    )
    yield Component(
        "expt-gap",
        "matgen_data.published:ExperimentalGap",
        summary="4,601 compounds, measured band gap",
        cite="doi:10.1021/acs.jpclett.8b00124",
    )
    yield Component(
        "csv",
        "matgen_data.csv_file:CsvFile",
        options=CsvOptions,
        summary="your own file: a column of formulas, and any numbers",
    )
