"""The map of the paper: t-SNE (van der Maaten and Hinton, J. Mach. Learn. Res. 9:2579, 2008)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.evaluation import fractions

LEAST = 10
"""Fewer compounds than this make no map."""
PERPLEXITY = 30.0


def arrange(compositions: Compositions, seed: int) -> NDArray[np.float64]:
    """Places on a plane where compounds of like atomic fractions lie together, float64 [N, 2].

    The paper arranges one-hot grids, in which FeO is as far from Fe2O3 as from NaCl; fractions
    know better, and belong to no encoder. The same compositions and seed give the same places,
    to the bit on the same machine.

    Args:
        compositions: at least `LEAST`, none of them empty.
        seed: of the optimisation.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # Threads add up in any order, and rounding alone moves the points.
    with threadpool_limits(1):
        places: NDArray[np.float64] = TSNE(
            perplexity=min(PERPLEXITY, (len(compositions) - 1) / 3), init="pca", random_state=seed
        ).fit_transform(fractions(compositions))
    return places.astype(np.float64)
