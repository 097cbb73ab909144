"""SMACT's two tests of chemical sense: charge neutrality and electronegativity balance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from matgen_core import Component, Options, hookimpl


class RulesOptions(Options):
    """Options of the validators `charge` and `eneg`."""

    oxidation_states: Literal["smact14", "icsd24", "icsd16", "pymatgen_sp", "wiki"] = Field(
        default="smact14", description="Which of SMACT's tables of oxidation states decides."
    )


@hookimpl
def matgen_validators() -> Iterable[Component]:
    yield Component(
        "charge",
        "matgen_rules.validators:Charge",
        options=RulesOptions,
        summary="some choice of oxidation states, one an element, adds up to zero",
        cite="doi:10.21105/joss.01361; doi:10.1016/j.chempr.2016.09.010",
    )
    yield Component(
        "eneg",
        "matgen_rules.validators:Eneg",
        options=RulesOptions,
        summary="as charge, with every cation less electronegative than every anion",
        cite="doi:10.21105/joss.01361; doi:10.1016/j.chempr.2016.09.010",
    )
