"""The validator `no-radioactive`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matgen_core import Compositions, Validator


class NoRadioactive(Validator):
    """Refuses technetium, promethium, and everything beyond bismuth."""

    def check(self, compositions: Compositions) -> NDArray[np.bool_]:
        """Verdict on each row, bool [N]."""
        z = compositions.numbers
        radioactive = (z == 43) | (z == 61) | (z > 83)
        return (compositions.n_elements > 0) & ~radioactive.any(axis=1)
