"""Directories of weights: verified before they are opened, written whole or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from conftest import CARD

from matgen_core import Compositions, Registry, discover
from matgen_core import weights as module
from matgen_core.errors import DataError, PluginError, UnknownName, WeightsError
from matgen_core.weights import Known, WeightsDir, member, write_atomically, write_weights

TENSORS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "toy"
    write_weights(path, CARD, {"weights.safetensors": TENSORS})
    return path


def edit(path: Path, **changes: Any) -> None:
    card = tomllib.loads((path / "card.toml").read_text()) | changes
    (path / "card.toml").write_text(tomli_w.dumps(card))


def known_of(*formulas: str) -> Known:
    fingerprints = Compositions.from_formulas(formulas).fingerprints()
    return Known(fingerprints, np.zeros(len(formulas), np.uint8))


# --- reading ---------------------------------------------------------------------------------


def test_round_trip(path: Path) -> None:
    from safetensors.numpy import load_file

    weights = WeightsDir(path)
    content = weights.card.model_dump(
        exclude={"format", "sha256", "data", "licence"}, exclude_none=True
    )
    assert content == {key: value for key, value in CARD.items() if key != "data"}
    assert CARD["data"].items() <= weights.card.data.model_dump().items()
    file = weights.verified("weights.safetensors")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == weights.card.sha256[file.name]
    assert np.array_equal(load_file(file)["w"], TENSORS["w"])
    assert sorted(p.name for p in path.iterdir()) == ["card.toml", "weights.safetensors"]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "longer", "empty"])
def test_a_damaged_file_is_refused(path: Path, damage: str) -> None:
    file = path / "weights.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[-1] ^= 1
    changed = {"truncated": content[:-1], "longer": content + b"\0", "empty": b""}
    file.write_bytes(changed.get(damage, content))
    with pytest.raises(WeightsError, match="damaged"):
        WeightsDir(path).verified("weights.safetensors")


def test_a_missing_file_is_refused(path: Path) -> None:
    (path / "weights.safetensors").unlink()
    with pytest.raises(WeightsError, match="No such file"):
        WeightsDir(path).verified("weights.safetensors")


def test_a_file_that_is_not_on_the_card_is_refused(path: Path) -> None:
    (path / "extra.safetensors").write_bytes(b"anything")
    with pytest.raises(WeightsError, match=r"lists no extra\.safetensors"):
        WeightsDir(path).verified("extra.safetensors")


@pytest.mark.parametrize(
    "name",
    ["../x", "../toy/weights.safetensors", "sub/x", "/etc/hostname", "..", ".", "", "a\\b", "a\0b"],
)
def test_a_card_cannot_name_files_elsewhere(path: Path, name: str) -> None:
    (path.parent / "x").write_bytes(b"secret")
    edit(path, sha256={name: hashlib.sha256(b"secret").hexdigest()})
    with pytest.raises(WeightsError, match="sha256"):
        WeightsDir(path)


def test_a_link_out_of_the_directory_needs_the_right_content(path: Path) -> None:
    outside = path.parent / "x"
    outside.write_bytes(b"secret")
    (path / "weights.safetensors").unlink()
    (path / "weights.safetensors").symlink_to(outside)
    with pytest.raises(WeightsError, match="damaged"):
        WeightsDir(path).verified("weights.safetensors")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"pickle": "evil.pkl"}, "pickle"),
        ({"metrics": {"decodable": "high"}}, "metrics.decodable"),
        ({"data": CARD["data"] | {"n_train": "many"}}, "data.n_train"),
        ({"data": CARD["data"] | {"note": "x"}}, "data.note"),
        ({"sha256": ["x"]}, "sha256"),
    ],
)
def test_a_card_with_other_keys_or_types_is_refused(
    path: Path, changes: dict[str, Any], where: str
) -> None:
    edit(path, **changes)
    with pytest.raises(WeightsError, match=where.replace(".", r"\.")) as refusal:
        WeightsDir(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("key", ["name", "component", "data", "model", "metrics", "sha256"])
def test_a_card_without_a_key_is_refused(path: Path, key: str) -> None:
    card = tomllib.loads((path / "card.toml").read_text())
    del card[key]
    (path / "card.toml").write_text(tomli_w.dumps(card))
    with pytest.raises(WeightsError, match=f"{key}: Field required"):
        WeightsDir(path)


def test_every_truncation_of_a_card_is_refused(path: Path) -> None:
    content = (path / "card.toml").read_bytes()
    for length in range(0, len(content.rstrip()), 7):
        (path / "card.toml").write_bytes(content[:length])
        with pytest.raises(WeightsError):
            WeightsDir(path).verified("weights.safetensors")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name = ", b"\0", b"[[[["])
def test_a_card_that_is_not_toml_is_refused(path: Path, content: bytes) -> None:
    (path / "card.toml").write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot read .*card\.toml"):
        WeightsDir(path)


# --- the index of known compounds ------------------------------------------------------------


def test_known_compounds(tmp_path: Path) -> None:
    known = known_of("NaCl", "Fe2O3", "MgO")
    write_weights(tmp_path, CARD, {"known.safetensors": known.tensors()})
    read = WeightsDir(tmp_path).known()
    asked = Compositions.from_formulas(["MgO", "Mg2O2", "KBr", "ClNa", "NaCl2"])
    assert read.contains(asked).tolist() == [True, False, False, True, False]
    assert not read.contains(Compositions.empty(1)).any()


def test_roles_follow_their_compound() -> None:
    formulas = ["NaCl", "Fe2O3", "MgO", "KBr"]
    fingerprints = Compositions.from_formulas(formulas).fingerprints()
    known = Known(fingerprints, np.array([0, 1, 2, 1], np.uint8))
    roles = dict(zip(known.fingerprints.tolist(), known.role.tolist(), strict=True))
    assert [roles[f] for f in fingerprints.tolist()] == [0, 1, 2, 1]


@pytest.mark.parametrize("tensors", [{}, {"fingerprints": np.zeros(2, np.uint64)}])
def test_an_index_without_its_tensors_is_refused(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    write_weights(tmp_path, CARD, {"known.safetensors": tensors})
    with pytest.raises(WeightsError, match=r"known\.safetensors"):
        WeightsDir(tmp_path).known()


def test_an_index_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    write_weights(tmp_path, CARD, {})
    (tmp_path / "known.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      "[:12])
    edit(tmp_path, sha256={"known.safetensors": module.sha256_of(tmp_path / "known.safetensors")})
    with pytest.raises(WeightsError, match=r"known\.safetensors"):
        WeightsDir(tmp_path).known()


def test_member() -> None:
    ascending = np.array([0, 3, 2**64 - 1], np.uint64)
    values = np.array([2**64 - 1, 0, 1, 3, 4], np.uint64)
    assert member(values, ascending).tolist() == [True, True, False, True, False]
    assert member(values, ascending[:0]).tolist() == [False] * 5
    assert member(values[:0], ascending).tolist() == []


# --- writing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["weights.safetensors", "card.toml"])
def test_a_failure_leaves_whole_weights(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name == failing:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    old = (path / "weights.safetensors").read_bytes()
    files = sorted(file.name for file in path.iterdir())
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(DataError, match=r"cannot write .*: No space left"):
        write_weights(path, CARD, {"weights.safetensors": {"w": TENSORS["w"] + 1}})
    monkeypatch.undo()

    assert sorted(file.name for file in path.iterdir()) == files, "a temporary file is left"
    assert WeightsDir(path).verified("weights.safetensors").read_bytes() == old


def test_a_new_version_replaces_the_old_one(path: Path) -> None:
    write_weights(path, CARD | {"name": "new"}, {"weights.safetensors": {"w": TENSORS["w"] + 1}})
    weights = WeightsDir(path)
    assert weights.card.name == "new"
    weights.verified("weights.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from matgen_core.weights import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomically(Path(sys.argv[1]), bytes(2000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, file], capture_output=True, text=True, check=False
    )
    assert "File too large" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert file.read_bytes() == b"old"


@pytest.mark.parametrize("steps", range(5))
def test_weights_are_whole_at_every_moment_of_being_replaced(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before any of the renames, with a reader who read the card before them."""

    def files(value: float) -> dict[str, dict[str, np.ndarray]]:
        return {name: {"x": np.full(3, value)} for name in ("weights.safetensors", "b.safetensors")}

    write_weights(tmp_path, CARD, files(0.0))
    early = WeightsDir(tmp_path)
    rename, left = Path.replace, iter(range(steps))

    def replace(self: Path, target: Path) -> Path:
        next(left)  # StopIteration when there is none: the process ends here
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    finished = True
    try:
        write_weights(tmp_path, CARD, files(1.0))
    except (StopIteration, RuntimeError):
        finished = False
    assert finished == (steps == 4)  # card, two files, card
    monkeypatch.undo()
    for reader in (early, WeightsDir(tmp_path)):
        for file in files(0.0):
            reader.verified(file)
    assert (WeightsDir(tmp_path).card.replaced is None) == (steps in (0, 4))
    write_weights(tmp_path, CARD, files(2.0))
    (tmp_path / "b.safetensors").write_bytes(b"")
    for reader in (early, WeightsDir(tmp_path)):
        reader.verified("weights.safetensors")
        with pytest.raises(WeightsError, match="damaged"):
            reader.verified("b.safetensors")


def test_write_atomically_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "f", b"one")
    write_atomically(tmp_path / "f", b"two")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("f", b"two")]


# --- by name and by path ---------------------------------------------------------------------


def test_weights_by_name(toy: Path) -> None:
    registry = discover()
    assert registry.weights("pick-salts").card.component == "pick"
    component, weights = registry.resolve("generator", "pick-salts")
    assert component.name == "pick"
    assert weights is not None
    assert weights.path == toy / "pick"
    with pytest.raises(UnknownName, match="did you mean 'pick-salts'"):
        registry.weights("pick-salt")


def test_weights_by_path(toy: Path) -> None:
    component, weights = discover().resolve("generator", str(toy / "tape"))
    assert component.name == "tape"
    assert weights is not None
    assert weights.card.name == "tape-salts"


def test_weights_of_another_kind_or_of_nothing(path: Path, toy: Path) -> None:
    registry = discover()
    with pytest.raises(UnknownName, match="unknown validator 'pick'"):
        registry.resolve("validator", str(path))
    edit(path, component="nobody")
    with pytest.raises(UnknownName, match="unknown generator 'nobody'"):
        registry.resolve("generator", str(path))
    with pytest.raises(PluginError, match="needs trained weights"):
        registry.resolve("generator", "wgan")
    with pytest.raises(UnknownName, match="none is installed"):
        Registry().weights("anything")


def test_tensors_that_do_not_fit_are_refused(wgan_weights: Path, tmp_path: Path) -> None:
    card = WeightsDir(wgan_weights).card.model_dump(exclude={"sha256"})
    registry = discover()
    assert registry.create("generator", str(wgan_weights)).sample(3, 0).shape == (3, 85, 8)
    write_weights(tmp_path, card, {"weights.safetensors": TENSORS})
    with pytest.raises(WeightsError, match=str(tmp_path)):
        registry.create("generator", str(tmp_path))
