"""Growing trees with scikit-learn, top to bottom.

The validation compounds choose the number of trees; the held-out compounds are looked at once, at
the end. All of it takes minutes: there is no checkpoint, and ``--resume`` starts again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, roc_auc_score

from matgen_core import metrics
from matgen_core.errors import DataError
from matgen_core.training import PredictorJob
from matgen_core.weights import Known
from matgen_gbrt import TreesRecipe, descriptors
from matgen_gbrt.forest import Forest
from matgen_gbrt.predictor import Gap, Metal
from matgen_networks.device import cpu_name
from matgen_networks.progress import training_progress

Values = NDArray[np.float64]


def regressor(recipe: TreesRecipe, seed: int) -> Any:
    """An unfitted model of band gaps. Squared errors gave lower absolute errors than absolute."""
    return HistGradientBoostingRegressor(**_settings(recipe), random_state=seed)


def classifier(recipe: TreesRecipe, seed: int) -> Any:
    """An unfitted model of metals, 1, among all compounds."""
    return HistGradientBoostingClassifier(**_settings(recipe), random_state=seed)


def _settings(recipe: TreesRecipe) -> dict[str, Any]:
    return {
        "max_iter": recipe.iterations,
        "learning_rate": recipe.learning_rate,
        "max_leaf_nodes": recipe.leaves,
        "min_samples_leaf": recipe.min_leaf,
        "max_bins": recipe.bins,
        "l2_regularization": recipe.l2,
        "early_stopping": False,  # scikit-learn would choose at random what to stop by
    }


def classification(probability: Values, metal: Values) -> dict[str, float]:
    """How well metals are told from the others.

    Args:
        probability: of being a metal, float64 [N].
        metal: 1.0 or 0.0, float64 [N], N > 0.

    Returns:
        ``n``, ``accuracy``, ``log_loss``; where both kinds occur also ``balanced_accuracy``,
        ``f1`` (of metals) and ``roc_auc``.
    """
    said = probability > 0.5
    found = {
        "n": float(len(metal)),
        "accuracy": float(np.mean(said == metal)),
        "log_loss": float(log_loss(metal, probability, labels=[0, 1])),
    }
    if 0 < metal.mean() < 1:
        found["balanced_accuracy"] = float(balanced_accuracy_score(metal, said))
        found["f1"] = float(f1_score(metal, said))
        found["roc_auc"] = float(roc_auc_score(metal, probability))
    return found


def train_gap(job: PredictorJob) -> None:
    """Learn the band gaps of the compounds that have one.

    Raises:
        DataError: no compound to train on has a gap.
    """
    role = np.where(job.target > 0, job.role, Known.UNUSED).astype(np.uint8)
    n = np.bincount(role, minlength=4)
    counts = {
        "n_train": int(n[Known.TRAINED]),
        "n_validation": int(n[Known.VALIDATION]),
        "n_held_out": int(n[Known.HELD_OUT]),
    }
    if not counts["n_train"]:
        raise DataError("no compound to train on has a band gap above 0")
    job = replace(job, role=role, data=job.data.model_copy(update=counts))
    _train(job, regressor, job.target, Gap.finish, metrics.regression, "mae")


def train_metal(job: PredictorJob) -> None:
    """Learn which compounds have no band gap.

    Raises:
        DataError: the compounds to train on are all metals, or none is.
    """
    metal = (job.target <= 0).astype(np.float64)
    if np.ptp(metal[job.rows(Known.TRAINED)]) == 0:
        raise DataError("gap-class learns from compounds with a band gap and others with gap 0")
    _train(job, classifier, metal, Metal.finish, classification, "log_loss")


def _train(
    job: PredictorJob,
    model: Callable[[TreesRecipe, int], Any],
    target: Values,
    finish: Callable[[Values], Values],
    measure: Callable[[Values, Values], dict[str, float]],
    criterion: str,
) -> None:
    """Grow trees; leave those up to the number that validates best in ``job.out``.

    Args:
        job: says which compounds play which role.
        model: makes the unfitted model.
        target: what to learn of each compound, float64 [N].
        finish: turns the trees' sum into a prediction.
        measure: compares predictions with targets.
        criterion: which of its figures chooses, by being low.
    """
    recipe: TreesRecipe = job.recipe
    started = time.perf_counter()
    features = {
        role: descriptors.describe(job.dataset.compositions[job.rows(role)])
        for role in (Known.TRAINED, Known.VALIDATION, Known.HELD_OUT)
    }

    def judge(forest: Forest, role: int) -> dict[str, float]:
        actual = target[job.rows(role)]
        return measure(finish(forest.sum(features[role])), actual) if len(actual) else {}

    rows = job.rows(Known.TRAINED)
    grower = model(recipe, job.seed).set_params(warm_start=True)
    stops = [*range(recipe.interval, recipe.iterations, recipe.interval), recipe.iterations]
    best, lowest = None, np.inf
    with training_progress(job.name, len(stops), 0) as report:
        report.note(f"{len(rows):,} compounds to train on, {recipe.iterations} trees to grow")
        for trees in stops:
            grower.set_params(max_iter=trees).fit(features[Known.TRAINED], target[rows])
            forest = Forest.from_sklearn([grower])
            value = judge(forest, Known.VALIDATION).get(criterion, np.nan)
            if not value >= lowest:  # nor is NaN: without validation compounds the last is best
                best, lowest = forest, value
            report.advance()
            report.note(f"{trees} trees  validation {criterion} {value:.4f}, best {lowest:.4f}")
    assert best is not None
    validation = judge(best, Known.VALIDATION)
    job.write(
        best.tensors(),
        model={"trees": len(best.starts) - 1, "descriptors": descriptors.identity()},
        training={
            **recipe.model_dump(),
            "SMACT": version("SMACT"),
            "scikit_learn": version("scikit-learn"),
            "hardware": cpu_name(),
            "hours": round((time.perf_counter() - started) / 3600, 4),
        },
        measured=judge(best, Known.HELD_OUT)
        | {f"validation_{key}": value for key, value in validation.items()},
    )
