"""`Pipeline`: generate, decode, validate, predict, write, batch by batch in bounded memory."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matgen_core import asking
from matgen_core.compositions import Compositions
from matgen_core.config import RunConfig
from matgen_core.errors import PluginError, UnknownName
from matgen_core.interfaces import Encoder, Generator, Validator
from matgen_core.predictors import Predictors
from matgen_core.registry import Registry, validate
from matgen_core.selection import SelectedRows, Selection
from matgen_core.tables import open_table
from matgen_core.weights import Known, member

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Batch:
    """What became of one batch of samples.

    Attributes:
        compositions: reduced; an empty row is a sample that did not decode; [N].
        first: neither in an earlier row nor in an earlier batch, bool [N].
        novel: not in the data the generator learned from, bool [N]; None without an index.
        verdicts: bool [N] by validator.
        wanted: has the required and none of the excluded elements, bool [N].
        predictions: float64 [N] by column; NaN outside a model's domain, and for all that are
            no candidates.
        seconds: spent by stage.
    """

    compositions: Compositions
    first: NDArray[np.bool_]
    novel: NDArray[np.bool_] | None
    verdicts: dict[str, NDArray[np.bool_]]
    wanted: NDArray[np.bool_]
    predictions: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Decodable and passed by every validator, bool [N]."""
        valid: NDArray[np.bool_] = self.compositions.n_elements > 0
        for passed in self.verdicts.values():
            valid = valid & passed
        return valid

    @property
    def candidates(self) -> NDArray[np.bool_]:
        """First of its kind, valid, wanted and, where that is known, novel; bool [N]."""
        candidates = self.first & self.valid & self.wanted
        return candidates if self.novel is None else candidates & self.novel

    def to_frame(self, rows: NDArray[np.bool_]) -> pd.DataFrame:
        """The table of some rows: ``formula``, ``n_elements``, verdicts, ``novel``, predictions."""
        frame = self.compositions[rows].to_frame()
        for name, passed in self.verdicts.items():
            frame[name] = passed[rows]
        if self.novel is not None:
            frame["novel"] = self.novel[rows]
        for name, values in self.predictions.items():
            frame[name] = values[rows]
        return frame


@dataclass
class Report:
    """Counts of a run; all are of samples.

    Attributes:
        config: the settings of the run.
        generated: how many were drawn.
        decodable: stand for a composition.
        unique: decodable, and different from all before.
        finished: False where the run was interrupted.
        novel: None where the generator's weights carry no index of known compounds.
        passed: by validator, of all samples.
        valid: passed by all validators.
        candidates: different, valid, novel and wanted: the rows of the table, unless rejected
            rows are kept.
        units: of the predicted columns.
        outside_domain: candidates for which a predicted column is NaN, by column.
        passed_where: rows of the table that passed `where`; None without it.
        rows_written: fewer than those where only the top was asked for.
        seconds: by stage.
        provenance: versions of matgen, Python and the plugins, and sha256 of the weights.
    """

    config: RunConfig
    generated: int = 0
    decodable: int = 0
    unique: int = 0
    novel: int | None = None
    passed: dict[str, int] = field(default_factory=dict)
    valid: int = 0
    candidates: int = 0
    units: dict[str, str] = field(default_factory=dict)
    outside_domain: dict[str, int] = field(default_factory=dict)
    passed_where: int | None = None
    rows_written: int = 0
    finished: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Count one more batch."""
        self.generated += len(batch.compositions)
        self.decodable += int(np.count_nonzero(batch.compositions.n_elements))
        self.unique += int(batch.first.sum())
        if batch.novel is not None:
            self.novel = (self.novel or 0) + int(batch.novel.sum())
        for name, verdict in batch.verdicts.items():
            self.passed[name] = self.passed.get(name, 0) + int(verdict.sum())
        self.valid += int(batch.valid.sum())
        self.candidates += int(batch.candidates.sum())
        for name, values in batch.predictions.items():
            undefined = int(np.isnan(values[batch.candidates]).sum())
            self.outside_domain[name] = self.outside_domain.get(name, 0) + undefined
        for stage, spent in batch.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        content = {key: value for key, value in vars(self).items() if key != "config"}
        content["seconds"] = {stage: round(spent, 3) for stage, spent in self.seconds.items()}
        return content | {"config": self.config.model_dump(mode="json")}


class RunFailed(PluginError):
    """A plugin failed in the middle of a run.

    Attributes:
        report: of the batches before that.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class Pipeline:
    """A generator, its decoder, a chain of validators and predictors, assembled by name.

    Args:
        registry: where names are looked up; see `matgen_core.discover`.
        settings: fields of `RunConfig`.

    Raises:
        MatgenError: a name, an option, an element, a column or the device does not exist, or
            the weights are damaged.

    Example:
        >>> pipeline = Pipeline(discover(), generator="wgan-oqmd", validators=["charge"], num=100)
        >>> frame = pipeline.to_frame()
    """

    def __init__(self, registry: Registry, **settings: Any) -> None:
        self.config = config = validate(RunConfig, settings, "run")
        used: set[str] = set()
        sha256: dict[str, Mapping[str, str]] = {}

        def create(kind: str, name: str) -> Any:
            component, weights = registry.resolve(kind, name)
            used.add(component.name)
            if weights:
                sha256[name] = weights.card.sha256
            options = config.options.get(component.name, {})
            return registry.create(kind, name, options, device=config.device)

        self.generator: Generator = create("generator", config.generator)
        self.encoder: Encoder = create("encoder", registry.encoder_of(self.generator))
        self.validators: dict[str, Validator] = {
            name: create("validator", name) for name in config.validators
        }
        predictors = {name: create("predictor", name) for name in config.predictors}
        for name in config.options:
            if name not in used:
                raise UnknownName.of("component in this run", name, used)
        _, weights = registry.resolve("generator", config.generator)
        self.known: Known | None = weights.known() if weights else None
        columns = {"formula": str, "n_elements": float} | dict.fromkeys(self.validators, bool)
        if self.known is not None:
            columns["novel"] = bool
        self.predictors = Predictors(predictors, taken=columns)
        columns |= dict.fromkeys(self.predictors.units, float)
        self.selection = Selection(columns, config.where, config.sort, config.top)
        self.provenance = {
            "matgen": version("matgen"),
            "python": platform.python_version(),
            "plugins": {p.name: f"{p.distribution} {p.version}" for p in registry.plugins},
            "weights": sha256,
        }

    def batches(self) -> Iterator[Batch]:
        """The run's samples, batch by batch; the same settings give the same batches.

        Raises:
            PluginError: a component failed or broke its contract; the message names it.
        """
        config = self.config
        seen = np.empty(0, np.uint64)
        for index, start in enumerate(range(0, config.num, config.batch_size)):
            n = min(config.batch_size, config.num - start)
            seed = np.random.SeedSequence([config.seed, index]).generate_state(1, np.uint64)[0]
            clock = [time.perf_counter()]

            samples = asking.samples(
                self.generator, n, int(seed >> np.uint64(1)), self.encoder.shape
            )
            clock.append(time.perf_counter())
            compositions = asking.decoded(self.encoder, samples)
            clock.append(time.perf_counter())
            verdicts = {
                name: asking.verdicts(v, compositions) for name, v in self.validators.items()
            }
            clock.append(time.perf_counter())

            fingerprints = compositions.fingerprints()
            decodable = compositions.n_elements > 0
            first = compositions.first_occurrence() & decodable & ~member(fingerprints, seen)
            seen = np.sort(np.concatenate([seen, fingerprints[first]]), kind="stable")
            held = np.asarray(compositions.contains(config.require).all(axis=1))
            wanted = held & ~compositions.contains(config.exclude).any(axis=1)
            novel = None
            if self.known is not None:
                novel = decodable & ~self.known.contains(compositions)
            clock.append(time.perf_counter())
            batch = Batch(compositions, first, novel, verdicts, wanted)
            batch.predictions.update(self.predictors.predict(compositions, batch.candidates))
            clock.append(time.perf_counter())
            stages = ("generate", "decode", "validate", "compare", "predict")
            batch.seconds.update(zip(stages, np.diff(clock).tolist(), strict=True))
            yield batch

    def run(
        self, output: Path | None = None, progress: Callable[[int], None] = lambda done: None
    ) -> Report:
        """Run to the end, or until Ctrl-C, and write the table.

        A table that is sorted is written at the end; until then all its rows are in memory, or
        with `RunConfig.top` about that many. Counts are of the whole run all the same.

        Args:
            output: a ``.csv``, ``.jsonl`` or ``.parquet`` file; None to count only.
            progress: called after each batch with the number of samples done.

        Raises:
            InvalidOption: no table format has the file's suffix.
            DataError: the table cannot be written; batches written whole are kept.
            RunFailed: a component failed or broke its contract; batches before that are kept.
        """
        report = Report(self.config, provenance=self.provenance, units=self.predictors.units)
        with open_table(output) if output else nullcontext() as table:
            rows = SelectedRows(
                self.selection, table.write if table is not None else lambda frame: None
            )
            try:
                for batch in self.batches():
                    started = time.perf_counter()
                    rows.add(self._rows(batch))
                    batch.seconds["write"] = time.perf_counter() - started
                    report.add(batch)
                    progress(report.generated)
                report.finished = True
            except KeyboardInterrupt:
                pass  # what is written stays; `finished` says that more was asked for
            except PluginError as error:
                done = f"{report.generated:,} of {self.config.num:,} samples were finished before"
                raise RunFailed(f"{error}; {done}", report) from error
            finally:
                started = time.perf_counter()
                rows.finish()
                spent = time.perf_counter() - started
                report.seconds["write"] = report.seconds.get("write", 0.0) + spent
                report.passed_where = rows.passed if self.config.where else None
                report.rows_written = table.rows if table is not None else 0
        return report

    def to_frame(self) -> pd.DataFrame:
        """The whole table in memory."""
        import pandas as pd

        frames: list[pd.DataFrame] = []
        rows = SelectedRows(self.selection, frames.append)
        for batch in self.batches():
            rows.add(self._rows(batch))
        rows.finish()
        return pd.concat(frames, ignore_index=True)

    def _rows(self, batch: Batch) -> pd.DataFrame:
        return batch.to_frame(batch.first if self.config.keep_rejected else batch.candidates)
