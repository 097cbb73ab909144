"""A sum of regression trees as four plain arrays: stored, checked and evaluated without pickle.

The nodes of a tree lie in preorder: a node's left child is the next node, its right child lies
`right` nodes ahead, so that no walk can turn back or leave its tree once the distances have been
checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matgen_kernels import compiled, in_threads

ROWS = 256
"""Rows that each tree is asked about before the next tree: their features fit a core's cache."""


@dataclass(frozen=True, eq=False)
class Forest:
    """T trees of M nodes in all.

    Attributes:
        baseline: what is added to the trees' sum, float64 [1].
        starts: index of each tree's root, and M at the end, uint32 [T + 1].
        feature: which feature a node looks at, uint8 [M]; 0 at a leaf.
        value: up to which value of it a row goes left; at a leaf, what is added; float32 [M].
        right: how many nodes ahead the right child lies, uint16 [M]; 0 at a leaf.

    Raises:
        ValueError: the arrays break one of these rules.
    """

    baseline: NDArray[np.float64]
    starts: NDArray[np.uint32]
    feature: NDArray[np.uint8]
    value: NDArray[np.float32]
    right: NDArray[np.uint16]

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.ndim != 1:
                raise ValueError(f"{name} is {array.dtype} [{array.ndim} axes], not {dtype} [1]")
        nodes = len(self.right)
        if len(self.feature) != nodes or len(self.value) != nodes or len(self.baseline) != 1:
            raise ValueError("the arrays are not of one length")
        starts = self.starts.astype(np.int64)
        if not len(starts) or starts[0] != 0 or starts[-1] != nodes or (np.diff(starts) < 1).any():
            raise ValueError("the trees do not divide the nodes among them")
        ends = np.repeat(starts[1:], np.diff(starts))
        inner = self.right > 0
        if ((self.right == 1) | (np.arange(nodes) + self.right >= ends))[inner].any():
            raise ValueError("a node's child lies outside its tree")
        if not (np.isfinite(self.value).all() and np.isfinite(self.baseline).all()):
            raise ValueError("a value is not finite")

    # --- from and to files --------------------------------------------------------------------

    @classmethod
    def from_sklearn(cls, models: Iterable[Any]) -> Forest:
        """The mean of scikit-learn's ``HistGradientBoosting`` models, before any link function.

        The models must have been fitted on float32 features without NaN. A threshold is then
        rounded down to float32, which no float32 feature can tell from the original.
        """
        models = list(models)
        trees = [tree.nodes for model in models for (tree,) in model._predictors]
        nodes = np.concatenate(trees)
        starts = np.cumsum([0, *map(len, trees)])
        leaf = nodes["is_leaf"].astype(np.bool_)
        here = np.arange(len(nodes)) - np.repeat(starts[:-1], np.diff(starts))
        assert (leaf | (nodes["left"] == here + 1)).all()  # scikit-learn's order is preorder
        threshold = nodes["num_threshold"].astype(np.float32)
        above = threshold > nodes["num_threshold"]
        threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
        return cls(
            baseline=np.array([np.mean([model._baseline_prediction for model in models])]),
            starts=starts.astype(np.uint32),
            feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.uint8),
            value=np.where(leaf, nodes["value"] / len(models), threshold).astype(np.float32),
            right=np.where(leaf, 0, nodes["right"].astype(np.int64) - here).astype(np.uint16),
        )

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Forest:
        """From what `tensors` gave.

        Raises:
            ValueError: an array is absent, superfluous or breaks a rule.
        """
        if set(tensors) != set(_DTYPES):
            raise ValueError(f"the arrays are {sorted(tensors)}, not {sorted(_DTYPES)}")
        return cls(**tensors)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in _DTYPES}

    # --- evaluation ---------------------------------------------------------------------------

    def check(self, width: int) -> None:
        """Make sure that no node looks beyond `width` features.

        Raises:
            ValueError: one does.
        """
        if self.feature.max(initial=0) >= width:
            raise ValueError(f"the trees look at more than {width} features")

    def sum(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Baseline and one leaf of each tree, added up, float64 [N].

        Args:
            features: float32 [N, F], none of them NaN.

        Raises:
            ValueError: a node looks at a feature that is not there.
        """
        self.check(features.shape[1])
        total = np.full(len(features), self.baseline[0])
        features = np.ascontiguousarray(features)

        def add(rows: slice) -> None:
            _add(features[rows], self.starts, self.feature, self.value, self.right, total[rows])

        in_threads(add, len(features))
        return total


_DTYPES = {
    "baseline": np.dtype(np.float64),
    "starts": np.dtype(np.uint32),
    "feature": np.dtype(np.uint8),
    "value": np.dtype(np.float32),
    "right": np.dtype(np.uint16),
}


@compiled
def _add(features: Any, starts: Any, feature: Any, value: Any, right: Any, total: Any) -> None:
    """Add each row's leaves to `total`."""
    for first in range(0, len(features), ROWS):
        last = min(first + ROWS, len(features))
        for tree in range(len(starts) - 1):
            root = np.int64(starts[tree])
            for i in range(first, last):
                node = root
                while right[node] > 0:
                    ahead = np.int64(right[node])
                    node += 1 if features[i, feature[node]] <= value[node] else ahead
                total[i] += value[node]
