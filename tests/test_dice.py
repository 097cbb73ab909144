"""The autoencoder: the paper's layers, its loss, its training, and the densities of its codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Cli
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file
from trainings import assert_same_training

from matgen_core import Compositions, discover
from matgen_core.errors import InvalidOption, WeightsError
from matgen_core.interfaces import Autoencoder
from matgen_core.reconstruction import Reconstructor, exact, reconstruct
from matgen_core.training import GeneratorJob, prepare
from matgen_core.weights import Known, WeightsDir, write_weights
from matgen_dice import PRESETS, WEIGHTS, density, train
from matgen_dice.model import FLOOR, Coder, dice_loss, reviving
from matgen_networks import checkpoint
from matgen_networks.tables import COMPACT, LARGE

GRID = (85, 8)
DENSITIES = ("gaussian", "mixture", "kernel")

# Input shape (rows, columns, channels), filters, kernel and stride of every layer, as printed in
# Supplementary Table 2 of npj Comput. Mater. 6:84.
ENCODER = [
    ((85, 8, 1), 32, 3, (1, 1)),
    ((85, 8, 32), 32, 3, (2, 1)),
    ((43, 8, 32), 64, 3, (1, 1)),
    ((43, 8, 64), 64, 3, (2, 1)),
    ((22, 8, 64), 128, 3, (1, 1)),
    ((22, 8, 128), 128, 3, (2, 1)),
    ((11, 8, 128), 256, 5, (2, 2)),
]
DECODER = [
    ((5, 4, 256), 128, 5, (2, 2)),
    ((11, 8, 128), 128, 3, (2, 1)),
    ((22, 8, 128), 64, 3, (1, 1)),
    ((22, 8, 64), 64, 3, (2, 1)),
    ((43, 8, 64), 32, 3, (1, 1)),
    ((43, 8, 32), 32, 3, (2, 1)),
    ((85, 8, 32), 1, 3, (1, 1)),
]
FLAT, CODE = 5 * 4 * 256, 128


def as_printed(network, layers, x):
    """What each layer sees and is, in the form of the table, and the network's output."""
    seen = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, inputs: seen.append(
                (
                    (*inputs[0].shape[2:], inputs[0].shape[1]),
                    layer.out_channels,
                    layer.kernel_size[0],
                    layer.stride,
                )
            )
        )
        for layer in layers
    ]
    out = network(x)
    for hook in hooks:
        hook.remove()
    return seen, out


@pytest.mark.parametrize("preset", ["oqmd", "mp", "icsd"])
def test_every_layer_is_the_papers(preset: str) -> None:
    coder = Coder(PRESETS[preset].network, GRID)
    downsampler = coder.encoder[0]
    seen, codes = as_printed(coder.encoder, downsampler.convolutions, torch.rand(2, *GRID))
    assert seen == ENCODER
    assert downsampler.linear.in_features == FLAT
    assert codes.shape == (2, CODE)
    seen, cells = as_printed(coder.decoder, coder.decoder.deconvolutions, codes)
    assert seen == DECODER
    assert coder.decoder.linear.out_features == FLAT
    assert cells.shape == (2, *GRID)


def test_parameter_counts_follow_from_the_table() -> None:
    """Weights and biases by the table's numbers; two more a channel for each BatchNorm."""
    encoder = FLAT * CODE + CODE
    for (_, _, channels), filters, kernel, _ in ENCODER:
        encoder += channels * filters * kernel**2 + filters + 2 * filters
    decoder = CODE * FLAT + FLAT
    for (_, _, channels), filters, kernel, _ in DECODER:
        decoder += channels * filters * kernel**2 + filters + 2 * channels
    coder = Coder(PRESETS["oqmd"].network, GRID)
    assert sum(p.numel() for p in coder.encoder.parameters()) == encoder
    assert sum(p.numel() for p in coder.decoder.parameters()) == decoder


def test_the_layers_are_the_wgans_but_the_innermost() -> None:
    ours = PRESETS["oqmd"].network
    assert ours.deconvolutions[1:] == LARGE.deconvolutions[1:]
    assert ours.convolutions[:-1] == LARGE.convolutions[:-1]
    assert PRESETS["compact"].network == COMPACT


def test_a_cell_on_the_wrong_side_can_come_back() -> None:
    """Backward slopes by hand: y (1 - y), but not under the floor where the cell is wrong."""
    x = torch.tensor([-50.0, -50.0, 0.0, 50.0, 50.0, 2.0], requires_grad=True)
    asked = torch.tensor([-1.0, 1.0, 1.0, 2.0, -1.0, -3.0])  # negative: the loss falls as y rises
    y = reviving(x)
    torch.testing.assert_close(y, torch.sigmoid(x))
    y.backward(asked)
    slope = torch.sigmoid(torch.tensor(2.0)).item() * torch.sigmoid(torch.tensor(-2.0)).item()
    expected = torch.tensor([-FLOOR, 0.0, 0.25, 2 * FLOOR, 0.0, -3 * slope])
    torch.testing.assert_close(x.grad, expected, rtol=1e-5, atol=1e-12)


def test_codes_are_normalised() -> None:
    torch.manual_seed(0)
    coder = Coder(PRESETS["compact"].network, GRID)
    codes = coder.encoder((torch.rand(500, *GRID) < 0.01).float())
    torch.testing.assert_close(codes.mean(dim=0), torch.zeros(CODE), atol=1e-4, rtol=0)
    torch.testing.assert_close(codes.std(dim=0), torch.ones(CODE), atol=1e-2, rtol=0)


def test_papers_hyperparameters_are_the_presets() -> None:
    for name in ("oqmd", "mp", "icsd"):
        assert (PRESETS[name].lr, PRESETS[name].batch_size, PRESETS[name].decay) == (1e-3, 1024, 0)


# --- the loss ------------------------------------------------------------------------------------


def test_loss_by_hand() -> None:
    """-2·0.7/(2+1.2) and -2·1/(1+2): the mean of the samples' losses, not the loss of the sum."""
    grids = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    cells = torch.tensor([[[0.5, 0.2], [0.5, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    expected = (-2 * 0.7 / (2 + 1.2) - 2 * 1 / (1 + 2)) / 2
    assert dice_loss(grids, cells).item() == pytest.approx(expected, rel=1e-6)


GRIDS = arrays(np.float32, (3, 4, 2), elements=st.sampled_from([0.0, 1.0])).map(
    lambda a: np.maximum(a, np.eye(1, 8, dtype=np.float32).reshape(1, 4, 2))  # none is empty
)
CELLS = arrays(np.float32, (3, 4, 2), elements=st.floats(0, 1, width=32))


@given(GRIDS, CELLS)
def test_loss_lies_between_minus_one_and_zero(grids: np.ndarray, cells: np.ndarray) -> None:
    loss = dice_loss(torch.from_numpy(grids), torch.from_numpy(cells)).item()
    assert -1 - 1e-6 <= loss <= 0


@given(GRIDS, GRIDS)
def test_loss_is_symmetric(one: np.ndarray, other: np.ndarray) -> None:
    one, other = torch.from_numpy(one), torch.from_numpy(other)
    assert dice_loss(one, other).item() == pytest.approx(dice_loss(other, one).item())
    if not torch.equal(one, other):
        assert dice_loss(one, other).item() > -1


@given(GRIDS)
def test_loss_of_a_perfect_reconstruction_is_minus_one(grids: np.ndarray) -> None:
    assert dice_loss(torch.from_numpy(grids), torch.from_numpy(grids)).item() == pytest.approx(-1)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_loss_compiles_whole_and_in_mixed_precision() -> None:
    """The path taken on CUDA, traced here without a graph break, forward and backward."""
    grids = (torch.rand(8, *GRID) < 0.01).float()
    grids[:, 0, 0] = 1
    compiled = torch.compile(train.loss_of, fullgraph=True, backend="aot_eager")
    losses, slopes = [], []
    for loss, mixed_precision in ((train.loss_of, False), (compiled, True)):
        torch.manual_seed(0)
        coder = Coder(PRESETS["compact"].network, GRID)
        losses.append(loss(coder, grids, mixed_precision))
        losses[-1].backward()
        slopes.append(torch.cat([p.grad.flatten() for p in coder.parameters()]))
    torch.testing.assert_close(losses[1], losses[0], rtol=2e-2, atol=1e-3)
    assert torch.cosine_similarity(*slopes, dim=0) > 0.95


# --- densities -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    """Two clouds of different size, place and width, in five dimensions."""
    random = np.random.default_rng(0)
    stretch = random.normal(size=(5, 5)) / 3
    small, large = random.normal(size=(1000, 5)) * 0.1 + 4, random.normal(size=(3000, 5)) @ stretch
    return np.concatenate([small, large]).astype(np.float32)


def test_densities_have_the_moments_of_the_codes(codes: np.ndarray) -> None:
    spread = np.cov(codes.T)
    for name, fitted in density.fit(codes, seed=0).items():
        drawn = fitted.sample(40_000, torch.Generator().manual_seed(0)).numpy()
        np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.06, err_msg=name)
        np.testing.assert_allclose(np.cov(drawn.T), spread, atol=0.15, err_msg=name)


def test_a_mixture_leaves_the_gap_empty_that_a_gaussian_fills(codes: np.ndarray) -> None:
    def between(name: str) -> float:
        drawn = density.fit(codes, seed=0)[name].sample(5000, torch.Generator().manual_seed(1))
        return float(((drawn > 1.9) & (drawn < 3.2)).all(dim=1).float().mean())

    assert between("mixture") < 0.002
    assert between("gaussian") > 0.02


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_deterministic(codes: np.ndarray, name: str) -> None:
    first, again = (density.fit(codes, seed=3)[name] for _ in range(2))
    for ours, theirs in zip(vars(first).values(), vars(again).values(), strict=True):
        assert torch.equal(ours, theirs)
    drawn = [first.sample(50, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_stored_densities_come_back_whole(codes: np.ndarray) -> None:
    fitted = density.fit(codes, seed=0)
    tensors = {name: tensor.half().float() for name, tensor in density.stored(fitted).items()}
    back = density.load(tensors, codes.shape[1])
    assert back.keys() == set(DENSITIES)
    for name in DENSITIES:
        pairs = zip(vars(fitted[name]).values(), vars(back[name]).values(), strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    with pytest.raises(ValueError, match=r"density\.other is no part"):
        density.load(tensors | {"density.other": codes}, codes.shape[1])


@pytest.mark.parametrize("n", [2, 7])
def test_few_codes_are_enough(codes: np.ndarray, n: int) -> None:
    for fitted in density.fit(codes[:n], seed=0).values():
        assert fitted.sample(20, torch.Generator().manual_seed(0)).isfinite().all()


# --- training ------------------------------------------------------------------------------------

TINY = {
    "network": {
        "channels": 8,
        "latent": 8,
        "deconvolutions": [
            {"filters": 8, "kernel": 5, "stride": (2, 2)},
            {"filters": 8},
            {"filters": 8},
            {"filters": 1},
        ],
        "convolutions": [
            {"filters": 8},
            {"filters": 8},
            {"filters": 8},
            {"filters": 8, "kernel": 5, "stride": (2, 2), "padding": (1, 2)},
        ],
    },
    "batch_size": 8,
    "interval": 5,
    "evaluate": 64,
    "decay": 0.0,
}


@pytest.fixture(autouse=True)
def _few_final_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "FINAL_SAMPLES", 500)


@pytest.fixture(scope="module")
def salts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 480 binary compounds."""
    cations, anions = "Li Na K Rb Cs Mg Ca Sr Ba Zn".split(), "F Cl Br I O S Se Te".split()
    formulas = [f"{c}{n}{a}{m}" for c in cations for a in anions for n in "12" for m in "123"]
    path = tmp_path_factory.mktemp("data") / "salts.csv"
    path.write_text("formula\n" + "\n".join(formulas) + "\n")
    return path


def tiny_job(salts: Path, out: Path, *, epochs: float = 0.5, **settings) -> GeneratorJob:
    recipe = TINY | {"epochs": epochs} | settings.pop("recipe", {})
    return prepare(
        discover(),
        "dice",
        preset="compact",
        data="csv",
        out=out,
        options={"csv": {"path": str(salts)}, "dice": recipe},
        device="cpu",
        **settings,
    )


@pytest.fixture(scope="module")
def trained(salts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest autoencoder, hardly trained."""
    out = tmp_path_factory.mktemp("weights") / "dice-tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "FINAL_SAMPLES", 500)
        tiny_job(salts, out, name="dice-tiny").run()
    return out


def load(path: Path, **options: object) -> Autoencoder:
    return discover().create("generator", str(path), options, device="cpu")


def test_training_leaves_an_autoencoder(trained: Path) -> None:
    card = WeightsDir(trained).card
    assert (card.component, card.name, card.encoder) == ("dice", "dice-tiny", "onehot")
    assert card.metrics["samples"] == 500
    assert {"reconstructed_train", "reconstructed_held_out"} <= card.metrics.keys()
    model = load(trained)
    assert isinstance(model, Autoencoder)
    samples = model.sample(70, seed=3)
    assert samples.shape == (70, *GRID)
    assert samples.dtype == np.float32
    assert ((samples >= 0) & (samples <= 1)).all()


@pytest.mark.parametrize("name", DENSITIES)
def test_a_seed_means_the_same_samples(trained: Path, name: str) -> None:
    model = load(trained, density=name)
    np.testing.assert_array_equal(model.sample(40, 5), model.sample(40, 5))
    assert not np.array_equal(model.sample(40, 5), model.sample(40, 6))
    for other in set(DENSITIES) - {name}:
        assert not np.array_equal(model.sample(40, 5), load(trained, density=other).sample(40, 5))


def test_codes_do_not_hang_on_the_batch(trained: Path) -> None:
    grids = np.random.default_rng(0).integers(0, 2, (13, *GRID)).astype(np.uint8)
    whole, split = load(trained), load(trained, batch_size=4)
    codes = whole.encode(grids)
    assert codes.shape == (13, 8)
    assert codes.dtype == np.float32
    np.testing.assert_allclose(split.encode(grids), codes, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(split.decode(codes), whole.decode(codes), rtol=1e-4, atol=1e-5)
    assert whole.encode(grids[:0]).shape == (0, 8)
    assert whole.decode(codes[:0]).shape == (0, *GRID)


def test_training_learns_to_give_back_what_it_sees(salts: Path, tmp_path: Path) -> None:
    network = TINY["network"] | {"latent": 32, "channels": 32}
    recipe = {"network": network, "lr": 1e-2, "interval": 150, "decay": 0.5, "batch_size": 16}
    job = tiny_job(salts, tmp_path / "out", epochs=20, recipe=recipe)
    job.run()
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["loss"] > -0.5
    assert lines[-1]["loss"] < -0.6
    model, metrics = load(tmp_path / "out"), WeightsDir(tmp_path / "out").card.metrics
    assert metrics["reconstructed_train"] > 0.1
    # What the card claims is what the stored weights do.
    compositions = job.dataset.compositions[job.rows(Known.HELD_OUT)]
    back = reconstruct(lambda g: model.decode(model.encode(g)), job.encoder, compositions)
    share = exact(compositions, back).mean()
    assert share == pytest.approx(metrics["reconstructed_held_out"], abs=1e-6)


def test_resumed_training_is_the_uninterrupted_one(salts: Path, tmp_path: Path) -> None:
    tiny_job(salts, tmp_path / "whole", epochs=0.5).run()
    tiny_job(salts, tmp_path / "halves", epochs=0.2).run()
    # Killed in the middle of a line, and after an evaluation whose checkpoint was never written.
    with (tmp_path / "halves/metrics.jsonl").open("a") as file:
        file.write('{"step": 15}\n{"st')
    tiny_job(salts, tmp_path / "halves", epochs=0.5, resume=True).run()
    assert_same_training(tmp_path / "whole", tmp_path / "halves")


def test_a_second_training_does_not_overwrite_the_first(salts: Path, trained: Path) -> None:
    before = (trained / checkpoint.FILE).read_bytes()
    with pytest.raises(InvalidOption, match="--resume"):
        tiny_job(salts, trained).run()
    for other in ({"seed": 1}, {"recipe": {"lr": 2e-3}}, {"screen": ["charge"]}):
        with pytest.raises(InvalidOption, match="another recipe, seed or data"):
            tiny_job(salts, trained, resume=True, **other).run()
    assert (trained / checkpoint.FILE).read_bytes() == before


# --- the command line ----------------------------------------------------------------------------


def test_from_training_to_reconstruction_and_samples(cli: Cli, salts: Path) -> None:
    recipe = TINY | {"epochs": 0.2, "network": json.dumps(TINY["network"]).replace(":", "=")}
    settings = [word for key, value in recipe.items() for word in ("--set", f"dice.{key}={value}")]
    answer = cli("train", "dice", "--data", salts, "--preset", "compact", "--out", "net", *settings)
    assert answer.code == 0, answer.err
    assert "dice-salts is ready" in answer.out

    counts = json.loads(cli("reconstruct", salts, "-g", "net", "-o", "x.csv", "--json").out)
    assert counts["rows"] == 480
    assert counts["by_role"].keys() == {"trained", "held out"}

    run = ("run", "-g", "net", "-n", "50", "-o", "y.csv", "--set")
    for name in DENSITIES:
        assert cli(*run, f"dice.density={name}").code == 0
    refused = cli(*run, "dice.density=flat")
    assert refused.code == 2
    assert "'gaussian'" in refused.err


def test_weights_that_do_not_fit_are_refused(trained: Path, tmp_path: Path) -> None:
    whole = load_file(trained / WeightsDir.TENSORS)
    card = WeightsDir(trained).card.model_dump(exclude={"sha256"}, exclude_none=True)
    lacking = {
        "a density": {k: v for k, v in whole.items() if not k.startswith("density.kernel")},
        "a layer": {k: v for k, v in whole.items() if not k.startswith("encoder.0.linear")},
        "nothing": whole | {"surplus": whole["encoder.0.linear.bias"]},
    }
    for what, tensors in lacking.items():
        write_weights(tmp_path / what, card, {WeightsDir.TENSORS: tensors})
        with pytest.raises(WeightsError, match="holds no autoencoder"):
            load(tmp_path / what)


# --- shipped weights -----------------------------------------------------------------------------

SHIPPED = sorted(card.parent.name for card in WEIGHTS.glob("*/card.toml"))


FAMILIAR = "Fe2O3 SiO2 TiO2 CaTiO3 LiCoO2 LiFePO4 GaAs CdTe MgB2 Na2O".split()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_bring_familiar_compounds_back(name: str) -> None:
    model = Reconstructor(discover(), name, "cpu")
    compounds = Compositions.from_formulas(FAMILIAR)
    assert exact(compounds, model(compounds)).mean() >= 0.7
    line = model.interpolate(compounds[:1], compounds[-1:], steps=5)
    assert len(line) == 5


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_cuda_matches_cpu_in_kind(salts: Path, tmp_path: Path) -> None:
    replace(tiny_job(salts, tmp_path / "out"), device="cuda").run()
    assert WeightsDir(tmp_path / "out").card.training["precision"] == "bfloat16"
    on_cpu, on_gpu = (
        discover().create("generator", str(tmp_path / "out"), device=device)
        for device in ("cpu", "cuda")
    )
    grids = np.eye(85 * 8, dtype=np.uint8)[:40].reshape(-1, *GRID)
    np.testing.assert_allclose(on_cpu.encode(grids), on_gpu.encode(grids), rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(on_cpu.sample(64, 0), on_gpu.sample(64, 0), atol=1e-2)
