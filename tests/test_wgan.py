"""The WGAN: the paper's layers, its losses, and a training that survives being killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from trainings import assert_same_tensors, assert_same_training, stop_after

from matgen_core import Compositions, discover
from matgen_core.errors import InvalidOption, WeightsError
from matgen_core.training import GeneratorJob, prepare
from matgen_core.weights import Known, WeightsDir
from matgen_networks import checkpoint
from matgen_networks import device as devices
from matgen_networks.layers import Conv, Downsampler, Size
from matgen_wgan import PRESETS, model, train

GRID = (85, 8)

# Input shape (rows, columns, channels) and filters of every layer, as printed in Supplementary
# Table 1 of npj Comput. Mater. 6:84.
TABLE = {
    "oqmd": {
        "generator": [
            ((6, 4, 256), 128),
            ((11, 8, 128), 128),
            ((22, 8, 128), 64),
            ((22, 8, 64), 64),
            ((43, 8, 64), 32),
            ((43, 8, 32), 32),
            ((85, 8, 32), 1),
        ],
        "critic": [
            ((85, 8, 1), 32),
            ((85, 8, 32), 32),
            ((43, 8, 32), 64),
            ((43, 8, 64), 64),
            ((22, 8, 64), 128),
            ((22, 8, 128), 128),
            ((11, 8, 128), 256),
        ],
        "kernels": [3, 3, 3, 3, 3, 3, 5],
        "flat": 6 * 4 * 256,
    },
    "mp": {
        "generator": [
            ((6, 4, 128), 64),
            ((11, 8, 64), 32),
            ((22, 8, 32), 16),
            ((43, 8, 16), 1),
        ],
        "critic": [
            ((85, 8, 1), 16),
            ((43, 8, 16), 32),
            ((22, 8, 32), 64),
            ((11, 8, 64), 128),
        ],
        "kernels": [3, 3, 3, 5],
        "flat": 6 * 4 * 128,
    },
}
TABLE["icsd"] = TABLE["mp"]


def input_shapes(network, layers, x):
    """Shapes (rows, columns, channels) that each layer sees, and the network's output."""
    seen = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, inputs: seen.append((*inputs[0].shape[2:], inputs[0].shape[1]))
        )
        for layer in layers
    ]
    out = network(x)
    for hook in hooks:
        hook.remove()
    return seen, out


@pytest.mark.parametrize("preset", sorted(TABLE))
def test_every_layer_has_the_shape_of_the_papers_table(preset):
    table = TABLE[preset]
    generator = model.generator(PRESETS[preset].network, GRID)
    seen, out = input_shapes(generator, generator.deconvolutions, torch.randn(2, 128))
    assert seen == [shape for shape, _ in table["generator"]]
    assert [d.out_channels for d in generator.deconvolutions] == [f for _, f in table["generator"]]
    assert [d.kernel_size[0] for d in generator.deconvolutions] == table["kernels"][::-1]
    assert out.shape == (2, *GRID)

    critic = model.critic(PRESETS[preset].network, GRID)
    seen, out = input_shapes(critic, critic.convolutions, torch.rand(2, *GRID))
    assert seen == [shape for shape, _ in table["critic"]]
    assert [c.out_channels for c in critic.convolutions] == [f for _, f in table["critic"]]
    assert [c.kernel_size[0] for c in critic.convolutions] == table["kernels"]
    assert critic.linear.in_features == table["flat"]
    assert out.shape == (2, 1)


@pytest.mark.parametrize("preset", sorted(TABLE))
def test_parameter_counts_follow_from_the_table(preset):
    """Weights and biases by the table's numbers; two more a channel for each BatchNorm."""
    table = TABLE[preset]
    flat = table["flat"]
    generator = 128 * flat + flat
    for (_, _, channels), filters in table["generator"]:
        kernel = (
            5
            if (channels, filters) == (table["generator"][0][0][2], table["generator"][0][1])
            else 3
        )
        generator += channels * filters * kernel**2 + filters + 2 * channels
    critic = flat + 1
    for ((_, _, channels), filters), kernel in zip(table["critic"], table["kernels"], strict=True):
        critic += channels * filters * kernel**2 + filters
    network = PRESETS[preset].network
    assert sum(p.numel() for p in model.generator(network, GRID).parameters()) == generator
    assert sum(p.numel() for p in model.critic(network, GRID).parameters()) == critic


def test_papers_hyperparameters_are_the_presets_defaults():
    for name, batch in (("oqmd", 512), ("mp", 32), ("icsd", 32)):
        recipe = PRESETS[name]
        assert (recipe.lr_generator, recipe.lr_critic) == (1e-3, 1e-2)
        assert (recipe.epochs, recipe.batch_size, recipe.critic_steps) == (1000, batch, 1)
        assert (recipe.loss, recipe.penalty, recipe.betas) == ("gradient-penalty", 10, (0.5, 0.9))


def convolutional() -> Downsampler:
    layers = (Conv(4, 3, (2, 1), (1, 1)), Conv(6, 5, (2, 2), (2, 2)))
    return Downsampler(layers, Size(21, 8), out=1)


def dense() -> model.DenseCritic:
    return model.DenseCritic(Size(21, 8), (9, 7))


@pytest.mark.parametrize("make", [convolutional, dense])
def test_input_gradient_is_autograds_and_so_is_its_own_gradient(make, monkeypatch):
    """The forward form of the gradient penalty against the double backward it replaces."""
    torch.manual_seed(0)
    critic = make().double()
    x = torch.rand(3, 21, 8, dtype=torch.double)
    if make is dense:  # the gradient is that with respect to the features
        x = critic.features(x)
        monkeypatch.setattr(critic, "features", lambda x: x)
    x.requires_grad_()
    (expected,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    got = critic.input_gradient(x)
    torch.testing.assert_close(got, expected)

    parameters = [p for name, p in critic.named_parameters() if "bias" not in name]
    for gradient in (expected, got):
        assert gradient.abs().max() > 0
    double = torch.autograd.grad(((expected.flatten(1).norm(dim=1) - 1) ** 2).mean(), parameters)
    single = torch.autograd.grad(((got.flatten(1).norm(dim=1) - 1) ** 2).mean(), parameters)
    for ours, theirs in zip(single, double, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_dense_critic_sees_cells_elements_and_their_number():
    compositions = Compositions.from_formulas(["TiO2", "Li2O"])
    grids = discover().create("encoder", "onehot").encode(compositions)
    cells, elements, number = (
        model.DenseCritic(Size(*GRID), (2,))
        .features(torch.from_numpy(grids).float())
        .split([680, 85, 1], dim=1)
    )
    np.testing.assert_array_equal(cells, grids.reshape(2, -1))
    np.testing.assert_allclose(elements, model.ELEMENT * grids.any(axis=2))
    np.testing.assert_allclose(number, 2 * model.NUMBER * np.ones((2, 1)))


@pytest.mark.parametrize("preset", TABLE)
def test_samples_of_an_untrained_generator_are_nearly_empty(preset):
    torch.manual_seed(0)
    generator = model.generator(PRESETS[preset].network, GRID)
    share = generator(torch.randn(256, 128)).mean(dim=(1, 2))
    assert 1 / 680 < share.min() < share.max() < 0.05


def test_sigmoids_add_up_to_the_total():
    torch.manual_seed(0)
    logits, totals = 20 * torch.randn(500, 85), torch.arange(1, 85).repeat(6)[:500]
    found = model.summing_to(totals, logits)
    torch.testing.assert_close(found.sum(dim=1), totals.float(), rtol=1e-4, atol=1e-4)
    assert ((found >= 0) & (found <= 1)).all()
    moves = torch.logit(found.double()) - logits
    clear = (found > 1e-4) & (found < 1 - 1e-4)
    spread = moves.masked_fill(~clear, -1e9).amax(1) - moves.masked_fill(~clear, 1e9).amin(1)
    assert spread[clear.any(dim=1)].abs().max() < 1e-2  # all of a row moved alike


def test_sigmoids_that_add_up_have_the_gradient_of_such():
    torch.manual_seed(0)
    logits = (3 * torch.randn(4, 9, dtype=torch.double)).requires_grad_()
    totals = torch.tensor([1, 2, 5, 8])
    assert torch.autograd.gradcheck(lambda x: model.summing_to(totals, x), logits, eps=1e-4)


def dense_generator() -> model.DenseGenerator:
    """For compounds of which one in eight has two elements, five have three and two have five."""
    torch.manual_seed(0)
    generator = model.DenseGenerator(16, (32, 32), Size(*GRID)).eval()
    formulas = ["NaCl"] + ["SrTiO3"] * 5 + ["LiMgAlSiO4"] * 2
    grids = discover().create("encoder", "onehot").encode(Compositions.from_formulas(formulas))
    generator.draw_numbers_of(torch.from_numpy(grids))
    return generator


def test_dense_generator_draws_numbers_of_elements_as_often_as_compounds_have_them():
    with torch.no_grad():
        cells = dense_generator()(torch.randn(20_000, 16))
    assert cells.shape == (20_000, *GRID)
    elements = cells.sum(dim=2)
    assert ((elements >= 0) & (elements <= 1 + 1e-6)).all()
    numbers = elements.sum(dim=1)
    torch.testing.assert_close(numbers, numbers.round(), rtol=1e-4, atol=1e-4)
    shares = torch.bincount(numbers.round().long(), minlength=7) / len(numbers)
    np.testing.assert_allclose(shares, [0, 0, 1 / 8, 5 / 8, 0, 2 / 8, 0], atol=0.015)


def test_exact_samples_have_the_number_drawn_of_the_elements_that_weigh_most():
    generator, vectors = dense_generator(), torch.randn(500, 16)
    with torch.no_grad():
        shared = generator(vectors)
        generator.exact = True
        exact = generator(vectors)
    assert set(exact.unique().tolist()) == {0, 1}
    assert exact.sum(dim=2).max() == 1
    torch.testing.assert_close(exact.sum(dim=(1, 2)), shared.sum(dim=(1, 2)), rtol=1e-4, atol=1e-4)
    chosen, weights = exact.any(dim=2), shared.sum(dim=2)
    weakest = weights.masked_fill(~chosen, 2).amin(dim=1)
    assert (weakest >= weights.masked_fill(chosen, 0).amax(dim=1)).all()
    np.testing.assert_array_equal(exact[chosen].argmax(dim=1), shared[chosen].argmax(dim=1))


def test_of_equal_elements_no_more_than_drawn_are_set():
    generator, vectors = dense_generator(), torch.randn(500, 16)
    with torch.no_grad():
        numbers = generator(vectors).sum(dim=(1, 2)).round()
        generator.linear.weight.zero_()
        generator.linear.bias.zero_()
        generator.exact = True
        torch.testing.assert_close(generator(vectors).sum(dim=(1, 2)), numbers)


def test_dense_generator_draws_the_same_numbers_from_stored_weights():
    """Half precision moves the bounds a little, and leaves none out."""
    generator, vectors = dense_generator(), torch.randn(20_000, 16)
    with torch.no_grad():
        before = generator(vectors).sum(dim=(1, 2)).round()
        generator.bounds.copy_(generator.bounds.half())
        after = generator(vectors).sum(dim=(1, 2)).round()
    assert (before != after).float().mean() < 1e-3


def losses(preset: str, mixed_precision: bool) -> tuple[train.Losses, tuple]:
    torch.manual_seed(0)
    recipe = PRESETS[preset]
    critic = model.critic(recipe.network, GRID, recipe.critic)
    networks = model.generator(recipe.network, GRID, recipe.generator), critic
    batch = (torch.rand(4, *GRID) < 0.01).float(), torch.randn(4, 128), torch.rand(4, 1, 1)
    return train.Losses(*networks, recipe, mixed_precision=mixed_precision), batch


@pytest.mark.parametrize("order", [train.EUCLIDEAN, train.MANHATTAN])
@pytest.mark.parametrize("preset", ["mp", "dense"])
def test_critic_loss_is_the_wasserstein_loss_with_penalty(preset, order, monkeypatch):
    """Against the formula of Gulrajani et al. written with autograd."""
    both, (real, z, mix) = losses(preset, mixed_precision=False)
    loss, wasserstein = both.of_critic(real, z, mix, order)
    fake = both.generator(z).detach()
    expected = both.critic(fake).mean() - both.critic(real).mean()
    between = mix * fake + (1 - mix) * real
    if preset == "dense":  # the slope is that with respect to what the critic sees
        between = both.critic.features(between)
        monkeypatch.setattr(both.critic, "features", lambda x: x)
    between.requires_grad_()
    (slope,) = torch.autograd.grad(both.critic(between).sum(), between)
    torch.testing.assert_close(wasserstein, -expected)
    slope = slope.flatten(1).abs()
    steepest = slope.square().sum(dim=1).sqrt() if order == train.EUCLIDEAN else slope.amax(dim=1)
    expected = expected + 10 * ((steepest - 1) ** 2).mean()
    torch.testing.assert_close(loss, expected)


def test_generator_loss_is_the_critics_opinion_of_it():
    both, (_, z, _) = losses("mp", mixed_precision=False)
    torch.testing.assert_close(both.of_generator(z), -both.critic(both.generator(z)).mean())


@pytest.mark.parametrize("preset", ["mp", "dense"])
def test_losses_compile_whole_and_in_mixed_precision(preset):
    """The path taken on CUDA, traced here without a graph break, forward and backward."""
    exact, batch = losses(preset, mixed_precision=False)
    mixed, _ = losses(preset, mixed_precision=True)
    expected, _ = exact.of_critic(*batch)
    expected.backward()
    compiled = torch.compile(mixed.of_critic, fullgraph=True, backend="aot_eager")
    loss, _ = compiled(*batch)
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=2e-2)
    for ours, theirs in zip(mixed.critic.parameters(), exact.critic.parameters(), strict=True):
        if preset == "mp":
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=0.1, atol=0.05)
        # Where LeakyReLU's input is all but zero, rounding chooses another slope.
        assert (ours.grad - theirs.grad).norm() < 0.05 * max(theirs.grad.norm(), 0.5)
    compiled = torch.compile(mixed.of_generator, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(
        compiled(batch[1]), exact.of_generator(batch[1]), rtol=2e-2, atol=2e-2
    )


# --- training ------------------------------------------------------------------------------------

TINY = {
    "network": {
        "channels": 8,
        "latent": 8,
        "deconvolutions": [
            {"filters": 4, "kernel": 5, "stride": (2, 2)},
            {"filters": 4},
            {"filters": 4},
            {"filters": 1},
        ],
        "convolutions": [
            {"filters": 4},
            {"filters": 4},
            {"filters": 4},
            {"filters": 4, "kernel": 5, "stride": (2, 2)},
        ],
    },
    "generator": [],
    "batch_size": 8,
    "critic_steps": 2,
    "interval": 3,
    "evaluate": 64,
    "averaging": 0.9,
    "decay": 0.0,
}


@pytest.fixture(autouse=True)
def _few_final_samples(monkeypatch):
    monkeypatch.setattr(train, "FINAL_SAMPLES", 500)


@pytest.fixture(scope="module")
def salts(tmp_path_factory) -> Path:
    """A CSV of 400 AB salts and oxides, and some metals that no validator passes."""
    cations, anions = "Li Na K Rb Cs Mg Ca Sr Ba Zn".split(), "F Cl Br I O S Se Te".split()
    formulas = [f"{c}{n}{a}{m}" for c in cations for a in anions for n in "12" for m in "123"]
    path = tmp_path_factory.mktemp("data") / "salts.csv"
    path.write_text("formula\n" + "\n".join(formulas) + "\n")
    return path


def tiny_job(salts: Path, out: Path, *, epochs: float = 1, **settings) -> GeneratorJob:
    recipe = TINY | {"epochs": epochs} | settings.pop("recipe", {})
    return prepare(
        discover(),
        "wgan",
        preset="dense",
        data="csv",
        out=out,
        options={"csv": {"path": str(salts)}, "wgan": recipe},
        device="cpu",
        **settings,
    )


def checkpoint_tensors(out: Path) -> dict[str, np.ndarray]:
    return load_file(out / checkpoint.FILE)


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": "gradient-penalty"},
        {"loss": "weight-clipping"},
        {"generator": [8, 16]},
        {"critic": []},
    ],
    ids=str,
)
def test_training_leaves_weights_that_sample(salts, tmp_path, changed):
    out = tmp_path / "out"
    tiny_job(salts, out, recipe=changed).run()
    weights = WeightsDir(out)
    assert changed.items() <= (weights.card.training | weights.card.model).items()
    assert weights.card.metrics["samples"] == 500
    generator = discover().create("generator", str(out), device="cpu")
    samples = generator.sample(70, seed=3)
    assert samples.shape == (70, *GRID)
    assert ((samples >= 0) & (samples <= 1)).all()
    np.testing.assert_array_equal(samples, generator.sample(70, seed=3))
    assert not np.array_equal(samples, generator.sample(70, seed=4))


def test_exact_is_an_option_of_dense_generators_only(salts, tmp_path):
    exact = {"exact": True}
    for name, widths in (("dense", [8]), ("table", [])):
        tiny_job(salts, tmp_path / name, recipe={"generator": widths}).run()
    samples = discover().create("generator", str(tmp_path / "dense"), exact).sample(90, 0)
    np.testing.assert_array_equal(samples.sum(axis=(1, 2)), 2)  # all salts are binary
    with pytest.raises(InvalidOption, match="no generator of dense layers"):
        discover().create("generator", str(tmp_path / "table"), exact)


def test_weight_clipping_bounds_the_critic(salts, tmp_path):
    clipped = {"loss": "weight-clipping", "clip": 0.003}
    tiny_job(salts, tmp_path / "out", recipe=clipped).run()
    critic = {
        name: tensor
        for name, tensor in checkpoint_tensors(tmp_path / "out").items()
        if name.startswith("critic/")
    }
    assert critic
    assert max(np.abs(tensor).max() for tensor in critic.values()) <= np.float32(0.003)


def test_training_changes_the_generator_towards_the_data(salts, tmp_path):
    """A few hundred steps bring the share of on-cells from a half to the data's few."""
    job = tiny_job(
        salts,
        tmp_path / "out",
        epochs=12,
        recipe={"interval": 500, "lr_generator": 3e-3, "lr_critic": 3e-3, "averaging": 0.0},
    )
    job.run()
    real = job.training_grids().mean()
    drawn = discover().create("generator", str(tmp_path / "out"), device="cpu").sample(200, seed=0)
    assert real < 0.005
    assert drawn.mean() < 0.1


@pytest.mark.parametrize("widths", [[], [8]], ids=["table", "dense"])
def test_resumed_training_is_the_uninterrupted_one(salts, tmp_path, widths):
    changed = {"generator": widths}
    tiny_job(salts, tmp_path / "whole", epochs=1, recipe=changed).run()
    tiny_job(salts, tmp_path / "halves", epochs=0.25, recipe=changed).run()
    tiny_job(salts, tmp_path / "halves", epochs=1, resume=True, recipe=changed).run()
    assert_same_training(tmp_path / "whole", tmp_path / "halves")


def test_a_second_training_does_not_overwrite_the_first(salts, tmp_path):
    out = tmp_path / "out"
    tiny_job(salts, out, epochs=0.3).run()
    before = (out / checkpoint.FILE).read_bytes()
    with pytest.raises(InvalidOption, match="--resume"):
        tiny_job(salts, out).run()
    others = (
        {"seed": 1},
        {"recipe": {"batch_size": 9}},
        {"recipe": {"critic": [4]}},
        {"screen": ["charge"]},
    )
    for other in others:
        with pytest.raises(InvalidOption, match="another recipe, seed or data"):
            tiny_job(salts, out, resume=True, **other).run()
    assert (out / checkpoint.FILE).read_bytes() == before


def test_a_checkpoint_of_another_kind_of_device_is_refused(salts, tmp_path):
    """Its random numbers are not this device's: what follows would be another training."""
    out = tmp_path / "out"
    tiny_job(salts, out, epochs=0.3).run()
    with safe_open(out / checkpoint.FILE, "np") as file:
        progress = json.loads(file.metadata()["progress"])
    assert progress["identity"]["device"] == "cpu"
    progress["identity"]["device"] = "cuda"
    tensors = checkpoint_tensors(out)
    save_file(tensors, out / checkpoint.FILE, {"progress": json.dumps(progress)})
    with pytest.raises(InvalidOption, match="another kind of device"):
        tiny_job(salts, out, resume=True).run()


def test_damaged_checkpoint_is_refused(salts, tmp_path):
    out = tmp_path / "out"
    tiny_job(salts, out, epochs=0.3).run()
    whole = (out / checkpoint.FILE).read_bytes()
    (out / checkpoint.FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cannot go on"):
        tiny_job(salts, out, resume=True).run()


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_wgan import tiny_job
tiny_job(Path(sys.argv[2]), Path(sys.argv[3]), epochs=2, resume=True, recipe={"decay": 0.5}).run()
"""


def test_killed_training_goes_on_from_its_last_checkpoint(salts, tmp_path):
    """`kill -9` at three moments; what comes out is what an undisturbed training gives."""
    out = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(salts), str(out)]
    kills, last = 0, -1
    while kills < 3:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            metrics = out / "metrics.jsonl"
            lines = len(metrics.read_text().splitlines()) if metrics.exists() else 0
            if lines > last + 1:  # at least one interval further than at the last kill
                process.send_signal(signal.SIGKILL)
                last = lines
            time.sleep(0.002)
        if process.wait() != -signal.SIGKILL:
            break  # it was faster than we
        kills += 1
    assert kills
    slowing = {"decay": 0.5}
    tiny_job(salts, out, epochs=2, resume=True, recipe=slowing).run()
    tiny_job(salts, tmp_path / "whole", epochs=2, recipe=slowing).run()
    assert_same_training(tmp_path / "whole", out)


def test_screened_training_sees_only_what_passes(salts, tmp_path):
    job = tiny_job(salts, tmp_path / "out", screen=["charge", "eneg"])
    trained = job.dataset.compositions[job.role == Known.TRAINED]
    assert 0 < len(trained) < len(job.dataset.compositions)
    for validator in job.validators.values():
        assert validator.check(trained).all()
    refused = job.dataset.compositions[job.role == Known.UNUSED]
    assert not np.logical_and.reduce([v.check(refused) for v in job.validators.values()]).any()


def test_no_held_out_compound_is_trained_on_in_any_multiple(tmp_path):
    path = tmp_path / "multiples.csv"
    rows = [f"Li{n * k}O{m * k}" for n in range(1, 7) for m in range(1, 7) for k in (1, 2, 3)]
    path.write_text("formula\n" + "\n".join(rows) + "\n")
    job = tiny_job(path, tmp_path / "out")
    trained = set(job.dataset.compositions[job.role == Known.TRAINED].to_formulas())
    kept = set(job.dataset.compositions[job.role == Known.HELD_OUT].to_formulas())
    assert trained
    assert kept
    assert not trained & kept
    assert len(trained | kept) == len(job.dataset.compositions)


def test_judge_counts_by_hand(salts, tmp_path):
    """Four samples: a known salt twice, an unknown valid one, and nothing."""
    job = tiny_job(salts, tmp_path / "out")
    drawn = Compositions.from_formulas(["NaCl", "NaCl", "CdO"])
    grids = np.concatenate([job.encoder.encode(drawn), np.zeros((1, *GRID), np.uint8)])
    measured = job.judge(lambda n, seed: grids, 4, 0)
    assert measured["decodable"] == 0.75
    assert measured["valid"] == 0.75
    assert measured["unique"] == 0.5
    assert measured["novel"] == 0.25
    assert measured["yield"] == 0.25
    total = measured["recovered_train"] * job.data.n_train
    total += measured["recovered_held_out"] * job.data.n_held_out
    assert total == pytest.approx(1)


def test_candidates_by_hand(salts, tmp_path):
    """New to the network, valid, each once: held-out compounds are as new as unknown ones."""
    job = tiny_job(salts, tmp_path / "out", screen=["charge", "eneg"])
    trained, held_out = (
        job.dataset.compositions[job.rows(role)[:1]] for role in (Known.TRAINED, Known.HELD_OUT)
    )
    others = Compositions.from_formulas(["CdO", "CdO", "CdO5", "CdSe"])
    drawn = Compositions.concatenate([trained, others, held_out])
    grids = np.concatenate([job.encoder.encode(drawn), np.zeros((1, *GRID), np.uint8)])
    found = job.candidates(lambda n, seed: grids, len(grids), 0)
    assert found.to_formulas() == ["CdO", "CdSe", *held_out.to_formulas()]
    with pytest.raises(InvalidOption, match="none of 1 samples is new and valid"):
        job.candidates(lambda n, seed: grids[:1], 1, 0)


# --- rounds --------------------------------------------------------------------------------------

ROUNDS = {"rounds": 2, "drawn": 80}
"""Of five steps each; a training of the salts for one epoch is of 23."""


@pytest.fixture
def told(monkeypatch) -> Compositions:
    """What candidates are chosen from in all rounds: that a tiny network finds some is chance."""
    formulas = "CdO CdS CdSe CdTe HgO HgS HgSe HgTe BeO BeS CdSO4 HgSO4 BaSO4 CaSO4 SrSO4 BeSO4"
    new = Compositions.from_formulas(formulas.split())

    def candidates(job: GeneratorJob, sample, n: int, seed: int) -> Compositions:
        drawn = sample(n, seed)
        assert drawn.shape == (n, *GRID)
        return new[np.random.default_rng(drawn.view(np.uint32).ravel()[:100]).permutation(16)[:8]]

    monkeypatch.setattr(GeneratorJob, "candidates", candidates)
    return new


def test_in_rounds_candidates_stand_for_known_compounds(salts, told, tmp_path, monkeypatch):
    seen: list[str] = []
    orders: list[float] = []
    of_critic = train.Losses.of_critic

    def spied(self, real, z, mix, order):
        seen.extend(job.encoder.decode(real.numpy().astype(np.uint8)).to_formulas())
        orders.extend([order] * len(real))
        return of_critic(self, real, z, mix, order)

    monkeypatch.setattr(train.Losses, "of_critic", spied)
    job = tiny_job(salts, tmp_path / "out", recipe=ROUNDS)
    trained = set(job.dataset.compositions[job.rows(Known.TRAINED)].to_formulas())
    job.run()
    before, later = 23 * 8 * 2, 5 * 8 * 2
    assert len(seen) == before + 2 * later
    assert set(seen[:before]) <= trained
    assert orders == [train.EUCLIDEAN] * before + [train.MANHATTAN] * 2 * later
    first, second = set(seen[before : before + later]), set(seen[before + later :])
    assert len(first | second) > 5
    assert first != second
    assert first | second <= set(told.to_formulas())
    ternary = (Compositions.from_formulas(seen[before:]).n_elements > 2).sum()
    assert ternary < 20  # of 160, as all salts are binary; unbalanced, a third of them
    assert WeightsDir(tmp_path / "out").card.training["rounds"] == 2


@pytest.mark.parametrize("checkpoints", [8, 9, 10])
def test_a_training_stopped_in_its_rounds_goes_on_to_the_same_end(
    salts, told, tmp_path, monkeypatch, checkpoints
):
    """Steps 24 to 28 and 29 to 33 are its rounds; a checkpoint every three."""
    tiny_job(salts, tmp_path / "whole", recipe=ROUNDS).run()
    with monkeypatch.context() as patch:
        stop_after(patch, checkpoints)
        with pytest.raises(KeyboardInterrupt):
            tiny_job(salts, tmp_path / "halves", recipe=ROUNDS).run()
    tiny_job(salts, tmp_path / "halves", recipe=ROUNDS, resume=True).run()
    assert_same_training(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.parametrize("rounds", [0, 1])
def test_more_rounds_can_follow(salts, told, tmp_path, rounds):
    """Whatever the learning rates: they fall to zero before the rounds and in each."""
    recipe = ROUNDS | {"decay": 0.5}
    tiny_job(salts, tmp_path / "whole", recipe=recipe).run()
    tiny_job(salts, tmp_path / "halves", recipe=recipe | {"rounds": rounds}).run()
    tiny_job(salts, tmp_path / "halves", recipe=recipe, resume=True).run()
    assert_same_tensors(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("widths", [[], [8]], ids=["table", "dense"])
def test_training_on_cuda_matches_cpu_in_kind(salts, told, tmp_path, widths, monkeypatch):
    recipe = ROUNDS | {"generator": widths}
    job = replace(tiny_job(salts, tmp_path / "out", recipe=recipe), device="cuda")
    job.run()
    half = torch.cuda.get_device_capability() >= (8, 0)
    precision = WeightsDir(tmp_path / "out").card.training["precision"]
    assert precision == ("bfloat16" if half else "float32")
    monkeypatch.setattr(devices, "has_bfloat16", lambda *_, **__: False)  # compared in float32
    on_cpu = discover().create("generator", str(tmp_path / "out"), device="cpu").sample(64, 0)
    on_gpu = discover().create("generator", str(tmp_path / "out"), device="cuda").sample(64, 0)
    np.testing.assert_allclose(on_cpu, on_gpu, atol=1e-2)
