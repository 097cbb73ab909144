"""The transformer: what a composition is to it, and in which order it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Cli
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition
from test_regression import counts, tiny_job
from torch import Tensor

from matgen_core import Compositions, discover
from matgen_core.errors import WeightsError
from matgen_core.weights import WeightsDir, write_card
from matgen_networks.regression import ELEMENTS, inside
from matgen_transformer import Shape, model
from matgen_transformer.train import SORTED, batches

SHAPE = Shape(width=16, layers=2, heads=2)
SAME = {"rtol": 1e-4, "atol": 1e-4}


def written(batch: list[dict[str, int]], times: int = 1) -> Compositions:
    return Compositions.from_formulas(
        "".join(f"{symbol}{times * n}" for symbol, n in counts.items()) for counts in batch
    )


@pytest.fixture(scope="module")
def network() -> model.Network:
    """With weights at random in every place, also where a training begins with zeros."""
    torch.manual_seed(0)
    network = model.Network(SHAPE).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.requires_grad_(False)


# --- what a composition is -------------------------------------------------------------------


@given(counts)
def test_inputs_are_elements_and_pymatgens_fractions(batch: list[dict[str, int]]) -> None:
    compositions = written(batch)
    assert inside(compositions).all()
    elements, fractions = (tensor.numpy() for tensor in model.inputs(compositions))
    assert elements.shape == fractions.shape == (len(batch), max(map(len, batch)))
    for row, formula in enumerate(compositions.to_formulas()):
        of = {ELEMENTS[e]: f for e, f in zip(elements[row], fractions[row], strict=True) if f > 0}
        theirs = Composition(formula).fractional_composition.get_el_amt_dict()
        assert of == pytest.approx(theirs, rel=1e-6)


@given(counts, st.randoms(use_true_random=False))
def test_the_order_of_elements_does_not_matter(
    network: model.Network, batch: list[dict[str, int]], random: object
) -> None:
    elements, fractions = model.inputs(written(batch))
    order = list(range(elements.shape[1]))
    random.shuffle(order)
    other = network(elements[:, order], fractions[:, order])
    torch.testing.assert_close(network(elements, fractions), other, **SAME)


@given(counts, st.integers(2, 300))
def test_a_multiple_is_the_same_input(batch: list[dict[str, int]], times: int) -> None:
    once, often = model.inputs(written(batch)), model.inputs(written(batch, times))
    assert all(torch.equal(a, b) for a, b in zip(once, often, strict=True))


@given(counts, st.integers(0, 9), st.integers(0, len(ELEMENTS) - 1))
def test_what_stands_after_the_last_element_does_not_matter(
    network: model.Network, batch: list[dict[str, int]], places: int, element: int
) -> None:
    elements, fractions = model.inputs(written(batch))
    longer = (
        torch.nn.functional.pad(elements, (0, places), value=element),
        torch.nn.functional.pad(fractions, (0, places)),
    )
    torch.testing.assert_close(network(elements, fractions), network(*longer), **SAME)


@given(counts)
def test_a_composition_does_not_depend_on_its_neighbours(
    network: model.Network, batch: list[dict[str, int]]
) -> None:
    compositions = written(batch)
    together = network(*model.inputs(compositions))
    alone = [network(*model.inputs(compositions[i : i + 1])) for i in range(len(batch))]
    torch.testing.assert_close(together, torch.cat(alone), **SAME)


# --- blocks ----------------------------------------------------------------------------------


def attended(block: model.Block, x: Tensor, fractions: list[float]) -> Tensor:
    given = torch.tensor([fractions])
    return block(x, given > 0, given.clamp(min=1e-9).log())


def test_an_element_counts_by_its_amount(network: model.Network) -> None:
    """Looked at as often as it is there: whole, or as two halves."""
    torch.manual_seed(1)
    block, x = network.blocks[0], torch.randn(1, 2, SHAPE.width)
    halves = x[:, [0, 1, 1]]
    learned = block.amount.clone()
    block.amount.fill_(1)
    whole = attended(block, x, [0.4, 0.6])
    torch.testing.assert_close(whole, attended(block, halves, [0.4, 0.3, 0.3])[:, :2], **SAME)
    assert not torch.allclose(whole, attended(block, x, [0.6, 0.4]), **SAME)
    block.amount.fill_(0)
    unweighted = attended(block, x, [0.4, 0.6])
    torch.testing.assert_close(unweighted, attended(block, x, [0.9, 0.1]), **SAME)
    block.amount.copy_(learned)


@pytest.mark.parametrize("amount", [-2.0, 0.0, 1e4])
def test_any_weight_of_amounts_leaves_out_what_is_not_there(amount: float) -> None:
    block = model.Block(16, 4)
    torch.nn.init.constant_(block.amount, amount)
    torch.nn.init.normal_(block.attention_out.weight)
    x = torch.randn(1, 3, 16)
    padded, bare = attended(block, x, [1e-6, 1 - 1e-6, 0]), attended(block, x[:, :2], [1e-6, 1])
    torch.testing.assert_close(padded[:, :2], bare, **SAME)
    padded.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())


def test_training_begins_with_the_mean() -> None:
    network = model.Network(SHAPE)
    network.mean.fill_(-1.5)
    network.deviation.fill_(2)
    salts = Compositions.from_formulas(["NaCl", "LiFePO4", "Fe"])
    assert network(*model.inputs(salts)).tolist() == [-1.5] * 3


def test_the_gradient_reaches_every_parameter() -> None:
    """From the third step on: the last layer is the first that learns, then those of blocks."""
    torch.manual_seed(0)
    network = model.Network(SHAPE)
    read = model.inputs(Compositions.from_formulas(["NaCl", "LiFePO4", "Fe"]))
    adam = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(3):
        adam.zero_grad()
        (network(*read) - torch.tensor([1.0, 2.0, 3.0])).abs().mean().backward()
        adam.step()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


# --- batches ---------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=300), st.integers(1, 40), st.integers(0, 99)
)
def test_a_pass_shows_every_compound_once(n_elements: list[int], size: int, seed: int) -> None:
    n, size = torch.tensor(n_elements), min(size, len(n_elements))
    rows = batches(n, size, torch.Generator().manual_seed(seed))
    assert rows.shape == (len(n) // size, size)
    assert len(rows.unique()) == rows.numel()  # all but what fills no batch
    assert torch.equal(rows, batches(n, size, torch.Generator().manual_seed(seed)))


def test_passes_differ_and_little_of_a_batch_is_padding() -> None:
    n = torch.from_numpy(np.random.default_rng(0).integers(1, 8, 64 * 5 * SORTED))
    one, other = (batches(n, 64, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert not torch.equal(one.sort(dim=1).values, other.sort(dim=1).values)
    padded = 1 - n[one].sum() / (64 * n[one].amax(dim=1).sum())
    assert padded < 0.1


# --- cards and recipes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 12}, "multiple of 8"),
        ({"width": 10**9}, "less than or equal to 4096"),
        ({"heads": 3}, "1, 2, 4 or 8"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"width": 64}, "size mismatch"),
        ({"layers": 2}, "Missing key"),
        ({"depth": 2}, "Extra inputs"),
    ],
)
def test_cards_of_another_network(
    change: dict[str, int], reason: str, trained: Path, tmp_path: Path
) -> None:
    card = WeightsDir(trained).card
    for file in card.sha256:
        (tmp_path / file).symlink_to(trained / file)
    write_card(tmp_path, card.model_copy(update={"model": card.model | change}))
    with pytest.raises(WeightsError, match=rf"(?s)holds no transformer: .*{reason}"):
        discover().create("predictor", str(tmp_path), device="cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a network of one block that was shortly trained."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "my.csv").write_text("formula,formation_energy\nNaF,-3\nKF,-2\nMgO,-2\n")
    tiny_job(
        "transformer", folder / "my.csv", folder / "out", recipe={"width": 32, "layers": 1}
    ).run()
    return folder / "out"


def test_a_recipe_that_makes_no_network(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("formula,formation_energy\nNaF,-1\n")
    answer = cli("train", "transformer", "--data", "my.csv", "--out", "o", "--set",
                 "transformer.heads=3")  # fmt: skip
    assert answer.code == 2
    assert "transformer.heads = 3: Input should be 1, 2, 4 or 8" in answer.err
