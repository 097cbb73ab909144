"""OQMD, Materials Project and AFLOW-ICSD, read as plain CSV from inside CrabNet's wheel.

The wheel is a carrier of data files only: nothing of it is installed or imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar
from zipfile import ZipFile

import numpy as np
import pandas as pd

from matgen_core.datasets import Dataset
from matgen_core.interfaces import Source
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
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Description:
    """What there is to know about one data set.

    Attributes:
        name: name of the source.
        members: CSV files inside the wheel, with the columns ``formula`` and ``target``.
        property: name of the target.
        drop_outliers: whether the paper drops targets far from the mean.
        published_count: rows that the paper reports after cleaning.
        attribution: whom to credit, and the licence.
    """

    name: str
    members: tuple[str, ...]
    property: str
    drop_outliers: bool
    published_count: int
    attribution: str


class Published(Source):
    """A data set of the paper, cleaned by the paper's rules."""

    about: ClassVar[Description]

    def fetch(self, *, force: bool = False) -> Path:
        """Download the wheel (35 MB, once for the three data sets) unless it is there.

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
        return _clean(self.about, table)


class Oqmd(Published):
    """Open Quantum Materials Database: formation energies of 341,700 compounds."""

    about = Description(
        name="oqmd",
        members=tuple(
            f"crabnet/data/benchmark_data/OQMD_Formation_Enthalpy/{split}.csv" for split in _SPLITS
        ),
        property="formation_energy",
        drop_outliers=True,
        published_count=291_884,
        attribution=(
            "OQMD (CC BY 4.0): Saal et al., JOM 65:1501 (2013), doi:10.1007/s11837-013-0755-4; "
            "Kirklin et al., npj Comput. Mater. 1:15010 (2015), doi:10.1038/npjcompumats.2015.10. "
            + _CRABNET
        ),
    )


class MaterialsProject(Published):
    """Materials Project: formation energies of 132,752 entries, several a formula."""

    about = Description(
        name="mp",
        members=("crabnet/data/matbench/mp_e_form.csv",),
        property="formation_energy",
        drop_outliers=False,
        published_count=63_922,
        attribution=(
            "Materials Project (CC BY 4.0): Jain et al., APL Mater. 1:011002 (2013), "
            "doi:10.1063/1.4812323; as matbench_mp_e_form: Dunn et al., npj Comput. Mater. 6:138 "
            "(2020), doi:10.1038/s41524-020-00406-3. " + _CRABNET
        ),
    )


class Icsd(Published):
    """AFLOW's open catalogue of ICSD compounds, in place of the ICSD itself, which is licensed."""

    about = Description(
        name="icsd",
        members=tuple(f"crabnet/data/benchmark_data/aflow__Egap/{split}.csv" for split in _SPLITS),
        property="band_gap",
        drop_outliers=False,
        published_count=28_137,
        attribution=(
            "AFLOW: Curtarolo et al., Comput. Mater. Sci. 58:218 (2012), "
            "doi:10.1016/j.commatsci.2012.02.005. " + _CRABNET
        ),
    )


def _read(wheel: IO[bytes], members: tuple[str, ...]) -> pd.DataFrame:
    with ZipFile(wheel) as archive:
        # "NaN" is the formula of a sodium nitride, not a missing value.
        parts = [pd.read_csv(archive.open(name), keep_default_na=False) for name in members]
    return pd.concat(parts)  # the index is the row within its file


def _clean(about: Description, table: pd.DataFrame) -> Dataset:
    """Apply the rules. Those on rows come before the merge, those on formulas after it.

    An erroneous energy of -198 eV/atom would win the merge, and a fractional formula describes a
    disordered crystal, whose whole-number multiple is no polymorph of anything.
    """
    values = table["target"].to_numpy(np.float64)
    cleaning = Cleaning(table["formula"])

    fractional = table["formula"].str.contains(r"\.0*[1-9]").to_numpy(np.bool_)
    cleaning.drop("fractional (disordered) formula", fractional[cleaning.rows])
    if about.drop_outliers:
        far = np.abs(values - values.mean()) > OUTLIER * values.std()
        rule = f"{about.property} outside mean ± {OUTLIER:g} standard deviations of all rows"
        cleaning.drop(rule, far[cleaning.rows])

    rule = f"same reduced formula, {about.property} not the lowest"
    cleaning.merge(rule, values[cleaning.rows])

    cleaning.drop("single element", cleaning.compositions.n_elements < 2)
    too_many = cleaning.compositions.counts.max(axis=1) > MAX_COUNT
    cleaning.drop(f"a count above {MAX_COUNT} after reduction", too_many)
    cleaning.drop(
        f"more than {MAX_ELEMENTS} elements", cleaning.compositions.n_elements > MAX_ELEMENTS
    )
    noble = np.any(cleaning.compositions.contains(NOBLE_GASES), axis=1)
    cleaning.drop(f"compound of {', '.join(NOBLE_GASES)}", noble)

    return Dataset(
        name=about.name,
        compositions=cleaning.compositions,
        properties={about.property: values[cleaning.rows]},
        rows_in=len(table),
        steps=tuple(cleaning.steps),
        rejected=rejected(cleaning.reasons, (table.index + 2).tolist(), table["formula"].tolist()),
        attribution=about.attribution,
        published_count=about.published_count,
    )
