"""How good a batch of generated compositions is, and how good predictions are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.weights import Known, member


def quality(
    compositions: Compositions, verdicts: Mapping[str, NDArray[np.bool_]], known: Known
) -> dict[str, float]:
    """Shares of all samples, those that decode to nothing counted as failures.

    Args:
        compositions: reduced; an empty row is a sample that did not decode.
        verdicts: bool [N] by validator.
        known: the data set the generator learned from.

    Returns:
        ``samples`` (a number); ``decodable``; a share for each validator; ``valid`` (passed by
        all of them); ``unique`` (different compositions per sample); ``novel`` (decodable and
        not in the data set, held-out compounds included in the data set); ``yield`` (new
        candidates per sample: valid, novel, and the first of their kind);
        ``recovered_train`` and ``recovered_held_out`` (compounds found again, as a share of
        those there are).
    """
    n = len(compositions)
    decodable = compositions.n_elements > 0
    first = compositions.first_occurrence() & decodable
    novel = decodable & ~known.contains(compositions)
    valid = decodable.copy()
    for passed in verdicts.values():
        valid &= passed
    found = member(known.fingerprints, np.unique(compositions.fingerprints()))

    def share(mask: NDArray[np.bool_]) -> float:
        return float(np.count_nonzero(mask)) / max(n, 1)

    def recovered(role: int) -> float:
        members = known.role == role
        return int(np.count_nonzero(found & members)) / max(int(np.count_nonzero(members)), 1)

    return {
        "samples": float(n),
        "decodable": share(decodable),
        **{name: share(passed) for name, passed in verdicts.items()},
        "valid": share(valid),
        "unique": share(first),
        "novel": share(novel),
        "yield": share(valid & novel & first),
        "recovered_train": recovered(Known.TRAINED),
        "recovered_held_out": recovered(Known.HELD_OUT),
    }


def regression(predicted: NDArray[np.float64], actual: NDArray[np.float64]) -> dict[str, float]:
    """Errors of predictions, in the unit of the property.

    Args:
        predicted: float64 [N].
        actual: float64 [N], N > 0.

    Returns:
        ``n``; ``mae`` and ``rmse``; ``r2``, the share of the variance that is explained.
    """
    error = predicted - actual
    variance = float(np.mean((actual - actual.mean()) ** 2))
    return {
        "n": float(len(actual)),
        "mae": float(np.mean(np.abs(error))),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "r2": 1 - float(np.mean(error**2)) / variance if variance else 0.0,
    }
