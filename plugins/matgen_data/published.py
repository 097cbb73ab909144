"""Published data sets, read as plain CSV from inside CrabNet's wheel.

The wheel is a carrier of data files only: nothing of it is installed or imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, ClassVar
from zipfile import ZipFile

import numpy as np
import pandas as pd

from matgen_core.datasets import Dataset
from matgen_core.interfaces import Source
from matgen_core.weights import Known
from matgen_data.cache import Wheel
from matgen_data.cleaning import Cleaning, rejected

WHEEL = Wheel(
    requirement="crabnet==2.0.8",
    filename="crabnet-2.0.8-py3-none-any.whl",
    size=34_739_062,
    sha256="4901565abaa5b4cd1a7841b9de647a3906df21676b226a7abf972d113f92054a",
)
MAX_COUNT = 8
MAX_ELEMENTS = 8
OUTLIER = 5.0
"""Standard deviations from the mean beyond which a formation energy is an error."""
NOBLE_GASES = ("He", "Ne", "Ar", "Kr")
"""Elements whose compounds are dropped. The paper drops He and Kr; AFLOW has Ne and Ar besides.
What is left lies within the 85 elements of the paper's encoding, which include Xe."""

_CRABNET = (
    "Files carried by CrabNet 2.0.8 (MIT licence): Wang et al., npj Comput. Mater. 7:77 (2021), "
    "doi:10.1038/s41524-021-00545-1."
)
_OQMD = (
    "OQMD (CC BY 4.0): Saal et al., JOM 65:1501 (2013), doi:10.1007/s11837-013-0755-4; "
    "Kirklin et al., npj Comput. Mater. 1:15010 (2015), doi:10.1038/npjcompumats.2015.10. "
)
_MATERIALS_PROJECT = (
    "Materials Project (CC BY 4.0): Jain et al., APL Mater. 1:011002 (2013), "
    "doi:10.1063/1.4812323; as {}: Dunn et al., npj Comput. Mater. 6:138 "
    "(2020), doi:10.1038/s41524-020-00406-3. "
)
_SPLITS = {"train": Known.TRAINED, "val": Known.VALIDATION, "test": Known.HELD_OUT}
"""Files of a benchmark's published split, and what they are for."""


def _split_files(folder: str) -> tuple[str, ...]:
    return tuple(f"crabnet/data/benchmark_data/{folder}/{split}.csv" for split in _SPLITS)


@dataclass(frozen=True)
class Description:
    """What there is to know about one data set.

    Attributes:
        name: name of the source.
        members: CSV files inside the wheel, with the columns ``formula`` and ``target``.
        property: name of the target.
        attribution: whom to credit, and the licence.
        drop_outliers: whether the paper drops targets far from the mean.
        published_count: rows that the paper reports after cleaning.
    """

    name: str
    members: tuple[str, ...]
    property: str
    attribution: str
    drop_outliers: bool = False
    published_count: int | None = None


class Published(Source):
    """A data set of compounds to generate more of, cleaned by the paper's rules."""

    about: ClassVar[Description]

    def fetch(self, *, force: bool = False) -> Path:
        """Download the wheel (35 MB, once for all these data sets) unless it is there.

        Raises:
            DataError: it could not be had or stored.
        """
        return WHEEL.fetch(force=force)

    def load(self) -> Dataset:
        """Verify, read and clean; the one property is in eV/atom (formation energy) or eV (gap).

        Raises:
            DataError: the wheel is absent or damaged.
        """
        with WHEEL.open(self.about.name) as file:
            table = _read(file, self.about.members)
        return self.clean(table)

    def clean(self, table: pd.DataFrame) -> Dataset:
        """Apply the rules. Those on rows come before the merge, those on formulas after it.

        An erroneous energy of -198 eV/atom would win the merge, and a fractional formula
        describes a disordered crystal, whose whole-number multiple is no polymorph of anything.
        """
        values = table["target"].to_numpy(np.float64)
        cleaning = Cleaning(table["formula"])

        fractional = table["formula"].str.contains(r"\.0*[1-9]").to_numpy(np.bool_)
        cleaning.drop("fractional (disordered) formula", fractional[cleaning.rows])
        if self.about.drop_outliers:
            far = np.abs(values - values.mean()) > OUTLIER * values.std()
            cleaning.drop(_outlier_rule(self.about, "all rows"), far[cleaning.rows])

        cleaning.merge(_merge_rule(self.about), values[cleaning.rows])

        cleaning.drop("single element", cleaning.compositions.n_elements < 2)
        too_many = cleaning.compositions.counts.max(axis=1) > MAX_COUNT
        cleaning.drop(f"a count above {MAX_COUNT} after reduction", too_many)
        cleaning.drop(
            f"more than {MAX_ELEMENTS} elements", cleaning.compositions.n_elements > MAX_ELEMENTS
        )
        noble = np.any(cleaning.compositions.contains(NOBLE_GASES), axis=1)
        cleaning.drop(f"compound of {', '.join(NOBLE_GASES)}", noble)
        return _dataset(self.about, table, cleaning)


class Property(Published):
    """A data set to learn a property from: nothing is dropped for the generators' sake."""

    def clean(self, table: pd.DataFrame) -> Dataset:
        """Keep the lowest value of each formula."""
        values = table["target"].to_numpy(np.float64)
        cleaning = Cleaning(table["formula"])
        cleaning.merge(_merge_rule(self.about), values[cleaning.rows])
        return _dataset(self.about, table, cleaning)


class Oqmd(Published):
    """Open Quantum Materials Database: formation energies of 341,700 compounds."""

    about = Description(
        name="oqmd",
        members=_split_files("OQMD_Formation_Enthalpy"),
        property="formation_energy",
        drop_outliers=True,
        published_count=291_884,
        attribution=_OQMD + _CRABNET,
    )


class MaterialsProject(Published):
    """Materials Project: formation energies of 132,752 entries, several a formula."""

    about = Description(
        name="mp",
        members=("crabnet/data/matbench/mp_e_form.csv",),
        property="formation_energy",
        published_count=63_922,
        attribution=_MATERIALS_PROJECT.format("matbench_mp_e_form") + _CRABNET,
    )


class Icsd(Published):
    """AFLOW's open catalogue of ICSD compounds, in place of the ICSD itself, which is licensed."""

    about = Description(
        name="icsd",
        members=_split_files("aflow__Egap"),
        property="band_gap",
        published_count=28_137,
        attribution=(
            "AFLOW: Curtarolo et al., Comput. Mater. Sci. 58:218 (2012), "
            "doi:10.1016/j.commatsci.2012.02.005. " + _CRABNET
        ),
    )


class OqmdEnergy(Property):
    """OQMD's formation energies in the split that CrabNet's authors published."""

    about = Description(
        name="oqmd-energy",
        members=_split_files("OQMD_Formation_Enthalpy"),
        property="formation_energy",
        attribution=_OQMD + _CRABNET,
    )

    def clean(self, table: pd.DataFrame) -> Dataset:
        """Keep the published split: one row a formula already, none of it in two parts.

        Training rows far from the mean are dropped, since they are errors; test rows never.
        """
        role = np.array([_SPLITS[name] for name in table["part"]], np.uint8)
        values = table["target"].to_numpy(np.float64)
        trained = values[role == Known.TRAINED]
        far = np.abs(values - trained.mean()) > OUTLIER * trained.std()
        cleaning = Cleaning(table["formula"])
        wrong = far & (role == Known.TRAINED)
        cleaning.drop(_outlier_rule(self.about, "training rows"), wrong[cleaning.rows])
        dataset = _dataset(self.about, table, cleaning)
        return replace(dataset, split=role[cleaning.rows])


class MaterialsProjectGap(Property):
    """PBE band gaps of the Materials Project: 106,113 entries, several a formula."""

    about = Description(
        name="mp-gap",
        members=("crabnet/data/matbench/mp_gap.csv",),
        property="band_gap",
        attribution=_MATERIALS_PROJECT.format("matbench_mp_gap") + _CRABNET,
    )


class ExperimentalGap(Property):
    """Measured band gaps, 0 for metals: 4,604 compounds."""

    about = Description(
        name="expt-gap",
        members=("crabnet/data/matbench/expt_gap.csv",),
        property="band_gap",
        attribution=(
            "Zhuo et al., J. Phys. Chem. Lett. 9:1668 (2018), doi:10.1021/acs.jpclett.8b00124; "
            "as matbench_expt_gap: Dunn et al., npj Comput. Mater. 6:138 (2020), "
            "doi:10.1038/s41524-020-00406-3. " + _CRABNET
        ),
    )


def _read(wheel: IO[bytes], members: tuple[str, ...]) -> pd.DataFrame:
    """Rows of all members, with the name of their file in the column ``part``."""
    with ZipFile(wheel) as archive:
        # "NaN" is the formula of a sodium nitride, not a missing value.
        parts = [
            pd.read_csv(archive.open(name), keep_default_na=False).assign(part=Path(name).stem)
            for name in members
        ]
    return pd.concat(parts)  # the index is the row within its file


def _outlier_rule(about: Description, of: str) -> str:
    return f"{about.property} outside mean ± {OUTLIER:g} standard deviations of {of}"


def _merge_rule(about: Description) -> str:
    return f"same reduced formula, {about.property} not the lowest"


def _dataset(about: Description, table: pd.DataFrame, cleaning: Cleaning) -> Dataset:
    """What is left of a table after cleaning; a row's number is its line in its file."""
    lines = table.index.to_numpy(np.int64) + 2
    return Dataset(
        name=about.name,
        compositions=cleaning.compositions,
        properties={about.property: table["target"].to_numpy(np.float64)[cleaning.rows]},
        rows=lines[cleaning.rows],
        rows_in=len(table),
        steps=tuple(cleaning.steps),
        rejected=rejected(cleaning.reasons, lines.tolist(), table["formula"].tolist()),
        attribution=about.attribution,
        published_count=about.published_count,
    )
