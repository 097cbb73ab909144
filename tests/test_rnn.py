"""The recurrent network: its sequences, its likelihood, its samples, and its training."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Element
from safetensors.numpy import load_file
from trainings import assert_same_tensors, stop_after

from matgen_core import Compositions, Dataset, Encoder, Options, Validator, discover
from matgen_core.errors import InvalidOption, WeightsError
from matgen_core.training import GeneratorJob, prepare
from matgen_core.weights import WeightsDir, write_weights
from matgen_networks import device as devices
from matgen_onehot.encoder import ALPHABET
from matgen_rnn import train
from matgen_rnn.model import NOTHING, Shape, Writer, sequences

GRID = (85, 8)
ORDER = train.by_electronegativity()


def encoded(*formulas: str) -> np.ndarray:
    encoder = discover().create("encoder", "onehot")
    return encoder.encode(Compositions.from_formulas(list(formulas)))


# --- sequences -----------------------------------------------------------------------------------


def test_elements_are_written_as_in_formulas() -> None:
    """From the least electronegative to the most; those without a value last."""
    symbols = [ALPHABET[row] for row in ORDER]
    assert sorted(symbols) == sorted(ALPHABET)
    assert symbols[0] == "Cs"
    without = [s for s in symbols if s == "Xe"] and [s for s in symbols if not Element(s).X > 0]
    assert symbols[len(symbols) - len(without) - 1] == "F"
    values = [Element(s).X for s in symbols[: len(symbols) - len(without)]]
    assert values == sorted(values)


def test_sequences_by_hand() -> None:
    """Of three rows, written in the order 2, 0, 1, with counts 1 and 2."""
    grids = np.zeros((2, 3, 2), np.uint8)
    grids[0, 0, 1] = grids[0, 2, 0] = 1
    grids[1, 1, 1] = 1
    elements, counts = sequences(grids, np.array([2, 0, 1]))
    assert elements.tolist() == [[0, 1, 3], [2, 3, NOTHING]]
    assert counts.tolist() == [[0, 1], [1, NOTHING]]


# --- the network ---------------------------------------------------------------------------------


def small(rows: int = 3, columns: int = 2, longest: int = 3) -> Writer:
    torch.manual_seed(1)
    shape = Shape(width=6, layers=2, grid=(rows, columns), longest=longest)
    network = Writer(shape, torch.randperm(rows)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return network


@torch.no_grad()
def stepwise(network: Writer, elements: list[int], counts: list[int], *, ascending: bool) -> float:
    """Log-probability of a sequence, one token after the other with torch's own cell."""
    total, memory, read = 0.0, None, network.start[None, None]
    last = -1
    for place in range(len(elements) + 1):
        state, memory = network.recurrent(read, memory)
        logits = network.to_element(state[0, 0])
        if ascending:
            logits[: last + 1] = -torch.inf
        token = elements[place] if place < len(elements) else network.rows
        total += float(logits.log_softmax(0)[token])
        if place == len(elements):
            break
        token_tensor = torch.tensor(token)
        of_count = network.counts_of(state[0, 0], token_tensor)
        total += float(of_count.log_softmax(0)[counts[place]])
        read = network.written(token_tensor, torch.tensor(counts[place]))[None, None]
        last = token
    return total


def every_grid(rows: int, columns: int) -> np.ndarray:
    """All grids with at most one cell a row, but the blank one."""
    choices = [c for c in product(range(columns + 1), repeat=rows) if any(c)]
    cells = np.concatenate([np.zeros((1, columns)), np.eye(columns)]).astype(np.uint8)
    return cells[np.array(choices)]


def test_loss_is_the_likelihood_whatever_stands_beside() -> None:
    network, grids = small(), every_grid(3, 2)
    elements, counts = sequences(grids, network.order.numpy())
    expected = []
    for e, c in zip(elements.tolist(), counts.tolist(), strict=True):
        n = sum(x != NOTHING for x in c)
        expected.append(-stepwise(network, e[:n], c[:n], ascending=False))
    with torch.no_grad():
        alone = [
            float(network.loss(e[None], c[None])) for e, c in zip(elements, counts, strict=True)
        ]
        assert alone == pytest.approx(expected, rel=1e-5)
        assert float(network.loss(elements, counts)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_samples_have_the_probabilities_of_the_network() -> None:
    """Every composition there is, counted among 40,000 samples; Pearson's chi-square."""
    network, grids = small(), every_grid(3, 2)
    elements, counts = sequences(grids, network.order.numpy())
    probability = []
    for e, c in zip(elements.tolist(), counts.tolist(), strict=True):
        n = sum(x != NOTHING for x in c)
        probability.append(np.exp(stepwise(network, e[:n], c[:n], ascending=True)))
    blank = 1 - sum(probability)  # stopped at once
    assert 0 <= blank < 1
    samples = network.write(torch.rand(40_000, 3, 2, generator=torch.Generator().manual_seed(3)), 1)
    assert samples.sum(axis=2).max() == 1
    code = lambda g: g.reshape(len(g), -1) @ (1 << np.arange(6))  # noqa: E731
    found = np.array([(code(samples) == value).sum() for value in [*code(grids), 0]])
    assert found.sum() == len(samples)
    expected = 40_000 * np.array([*probability, blank])
    often = expected > 5
    chi_square = ((found - expected)[often] ** 2 / expected[often]).sum()
    assert chi_square < 60  # 26 degrees of freedom: one in ten thousand is above
    assert often.sum() > 15


@given(st.integers(0, 2**32))
def test_a_sample_does_not_depend_on_its_batch(seed: int) -> None:
    network = small(rows=9, columns=3, longest=4)
    uniform = torch.rand(20, 4, 2, generator=torch.Generator().manual_seed(seed))
    whole = network.write(uniform, 1.0)
    parts = np.concatenate([network.write(part, 1.0) for part in uniform.split(7)])
    np.testing.assert_array_equal(whole, parts)
    assert whole.any(axis=2).sum(axis=1).max() <= 4


def test_cold_samples_are_all_the_likeliest() -> None:
    network = small(rows=9, columns=3, longest=4)
    uniform = torch.rand(300, 4, 2, generator=torch.Generator().manual_seed(0))
    assert len(np.unique(network.write(uniform, 1e-4), axis=0)) == 1
    assert len(np.unique(network.write(uniform, 1.0), axis=0)) > 20


# --- training ------------------------------------------------------------------------------------

TINY = {"width": 32, "layers": 2, "batch_size": 16, "interval": 5, "evaluate": 64, "lr": 0.01}


@pytest.fixture(autouse=True)
def _few_final_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "FINAL_SAMPLES", 500)


@pytest.fixture(scope="module")
def salts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 320 salts."""
    cations, anions = "Li Na K Rb Cs Mg Ca Sr Ba Zn".split(), "F Cl Br I O S Se Te".split()
    formulas = [f"{c}{n}{a}{m}" for c in cations for a in anions for n in "12" for m in "13"]
    path = tmp_path_factory.mktemp("data") / "salts.csv"
    path.write_text("formula\n" + "\n".join(formulas) + "\n")
    return path


def tiny_job(salts: Path, out: Path, *, epochs: float = 1, **settings) -> GeneratorJob:
    recipe = TINY | {"epochs": epochs} | settings.pop("recipe", {})
    options = {"csv": {"path": str(salts)}, "rnn": recipe}
    return prepare(
        discover(), "rnn", data="csv", out=out, options=options, device="cpu", **settings
    )


def test_training_leaves_weights_that_sample(salts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tiny_job(salts, out).run()
    assert WeightsDir(out).card.metrics["samples"] == 500
    generator = discover().create("generator", str(out), device="cpu")
    samples = generator.sample(70, seed=3)
    assert samples.shape == (70, *GRID)
    assert set(np.unique(samples)) <= {0, 1}
    assert samples.sum(axis=2).max() == 1
    np.testing.assert_array_equal(samples, generator.sample(70, seed=3))
    assert not np.array_equal(samples, generator.sample(70, seed=4))
    assert generator.sample(0, seed=0).shape == (0, *GRID)


def test_training_learns_what_it_sees(salts: Path, tmp_path: Path) -> None:
    """Nearly all samples are a cation and an anion of the salts, with their counts."""
    out = tmp_path / "out"
    tiny_job(salts, out, epochs=40, recipe={"interval": 1000}).run()
    encoder = discover().create("encoder", "onehot")
    drawn = encoder.decode(discover().create("generator", str(out), device="cpu").sample(500, 0))
    salt = {f for f in salts.read_text().split()[1:]}
    known = set(Compositions.from_formulas(sorted(salt)).to_formulas())
    assert np.mean([formula in known for formula in drawn.to_formulas()]) > 0.9
    assert len(set(drawn.to_formulas())) > 100


def test_resumed_training_is_the_uninterrupted_one(salts: Path, tmp_path: Path) -> None:
    slow = {"decay": 0.0}  # a rate that falls would fall to another end
    tiny_job(salts, tmp_path / "whole", epochs=1, recipe=slow).run()
    tiny_job(salts, tmp_path / "halves", epochs=0.28, recipe=slow).run()
    tiny_job(salts, tmp_path / "halves", epochs=1, recipe=slow, resume=True).run()
    assert_same_tensors(tmp_path / "whole", tmp_path / "halves")


ROUNDS = {"rounds": 2, "drawn": 400, "interval": 20, "temperature": 1.2}


def test_rounds_make_samples_newer(salts: Path, tmp_path: Path) -> None:
    """Without them, most samples are the training compounds; with them, few, and as many valid."""
    once, again = tmp_path / "once", tmp_path / "again"
    tiny_job(salts, once, epochs=40, recipe={"interval": 1000}).run()
    tiny_job(salts, again, epochs=40, recipe=ROUNDS | {"drawn": 4000, "interval": 1000}).run()
    before, after = (WeightsDir(out).card.metrics for out in (once, again))
    assert after["novel"] > 2 * before["novel"]
    assert after["valid"] > 0.8 * before["valid"]


def test_a_round_is_learned_from_new_candidates(
    salts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valid and not trained on; held-out compounds may be among them, as nobody knows."""
    learned: list[np.ndarray] = []

    def spied(grids: np.ndarray, order: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        learned.append(grids)
        return sequences(grids, order)

    monkeypatch.setattr(train, "sequences", spied)
    job = tiny_job(salts, tmp_path, epochs=30, recipe=ROUNDS | {"drawn": 2000, "interval": 1000})
    job.run()
    assert len(learned) == 4  # the training compounds, the held-out ones, a lesson a round
    trained, held_out, *lessons = (set(job.encoder.decode(g).to_formulas()) for g in learned)
    for lesson, grids in zip(lessons, learned[2:], strict=True):
        assert len(grids) == 2000  # repeated to be like those trained on
        assert len(lesson) > 20
        assert not lesson & trained
        assert lesson & held_out
        compositions = Compositions.from_formulas(sorted(lesson))
        assert all(validator.check(compositions).all() for validator in job.validators.values())


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 4])
def test_a_training_stopped_in_its_rounds_goes_on_to_the_same_end(
    salts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: int
) -> None:
    """28 steps of the likelihood, then 25 in each of two rounds; a checkpoint every twenty."""
    recipe = ROUNDS | {"temperature": 1.0}
    tiny_job(salts, tmp_path / "whole", epochs=1.5, recipe=recipe).run()
    halves = tiny_job(salts, tmp_path / "halves", epochs=1.5, recipe=recipe)
    with monkeypatch.context() as patch:
        stop_after(patch, checkpoints)
        with pytest.raises(KeyboardInterrupt):
            halves.run()
    tiny_job(salts, tmp_path / "halves", epochs=1.5, recipe=recipe, resume=True).run()
    assert_same_tensors(tmp_path / "whole", tmp_path / "halves")


def test_a_round_with_nothing_to_learn_from_says_so(salts: Path, tmp_path: Path) -> None:
    class Nothing(Validator):
        def check(self, compositions: Compositions) -> np.ndarray:
            return np.zeros(len(compositions), np.bool_)

    job = tiny_job(salts, tmp_path, epochs=0.1, recipe=ROUNDS)
    with pytest.raises(InvalidOption, match="none of 400 samples is new and valid"):
        replace(job, validators={"nothing": Nothing(Options())}).run()


def test_an_order_that_is_none_is_refused(salts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tiny_job(salts, out).run()
    tensors = load_file(out / WeightsDir.TENSORS)
    tensors["order"][3] = tensors["order"][4]
    card = WeightsDir(out).card.model_dump(exclude={"sha256"})
    write_weights(tmp_path / "other", card, {WeightsDir.TENSORS: tensors})
    with pytest.raises(WeightsError, match="holds no recurrent network: its order names rows"):
        discover().create("generator", str(tmp_path / "other"), device="cpu")


def test_another_encoder_is_refused(salts: Path, tmp_path: Path) -> None:
    class Other(Encoder):
        shape = (85, 8)

        def encodable(self, compositions: Compositions) -> np.ndarray: ...
        def encode(self, compositions: Compositions) -> np.ndarray: ...
        def decode(self, samples: np.ndarray) -> Compositions: ...

    job = tiny_job(salts, tmp_path / "out")
    assert isinstance(job.dataset, Dataset)
    with pytest.raises(InvalidOption, match="encoded by onehot"):
        replace(job, encoder=Other(job.encoder.options), encoder_name="other").run()
    assert not (tmp_path / "out" / WeightsDir.CARD).exists()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_samples_on_cuda_are_those_of_the_cpu(
    salts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tiny_job(salts, tmp_path / "out", epochs=30, recipe=ROUNDS | {"drawn": 2000})
    replace(job, device="cuda").run()
    monkeypatch.setattr(devices, "has_bfloat16", lambda *_: False)  # compared in float32
    on_cpu, on_gpu = (
        discover().create("generator", str(tmp_path / "out"), device=device).sample(500, 0)
        for device in ("cpu", "cuda")
    )
    assert (on_cpu == on_gpu).all(axis=(1, 2)).mean() > 0.99  # but where rounding tips a choice
