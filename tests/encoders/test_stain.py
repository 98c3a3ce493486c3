"""Stain normalisation on colours whose answer can be told by hand, and on patches that have none."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.base.resources import resource_path
from plipdesk.encoders.card import EncoderCard, load_card
from plipdesk.encoders.loading import InstalledEncoder, find_encoder, load_encoder
from plipdesk.encoders.stain import from_lab, macenko, normalise_stain, reinhard, to_lab
from tests.encoders.models import lowest_cosine, random_patches

# The reference stains, and two others as another laboratory might have them.
REFERENCE = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])
OTHER = np.array([[0.65, 0.70, 0.29], [0.27, 0.90, 0.34]])


def _tissue(stains: np.ndarray, most: tuple[float, float], side: int = 64, seed: int = 0) -> np.ndarray:
    """A patch whose stains lie in known amounts: pure haematoxylin, pure eosin and mixtures."""
    random = np.random.default_rng(seed)
    share = np.concatenate([np.zeros(side * side // 4), np.ones(side * side // 4), random.random(side * side // 2)])
    strength = random.uniform(0.3, 1, side * side)
    amounts = np.stack([share * strength * most[0], (1 - share) * strength * most[1]], axis=1)
    light = 240 * np.exp(-amounts @ stains)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8).reshape(side, side, 3)


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


def test_macenko_gives_another_laboratorys_tissue_the_colours_of_the_reference() -> None:
    wanted = _tissue(REFERENCE, (1.9705, 1.0308))
    other = _tissue(OTHER, (1.4, 1.6))
    assert _difference(other, wanted) > 15
    assert _difference(macenko(other), wanted) < 6


def test_macenko_leaves_the_reference_nearly_as_it_is() -> None:
    wanted = _tissue(REFERENCE, (1.9705, 1.0308))
    assert _difference(macenko(wanted), wanted) < 6


def test_lab_is_that_of_ruderman() -> None:
    # Grey: the rows of the matrix sum to 0.9996, 0.9993 and 0.9973.
    grey = to_lab(np.array([[100.0, 100, 100]]))[0]
    logs = np.log([99.96, 99.93, 99.73])
    parts = [logs.sum(), logs[0] + logs[1] - 2 * logs[2], logs[0] - logs[1]]
    expected = parts / np.sqrt([3, 6, 2])
    np.testing.assert_allclose(grey, expected, atol=1e-9)
    colours = np.random.default_rng(1).uniform(1, 255, (50, 3))
    np.testing.assert_allclose(from_lab(to_lab(colours)), colours, rtol=1e-9)


def test_reinhard_gives_tissue_the_references_mean_and_spread() -> None:
    patch = _tissue(OTHER, (1.6, 1.6))
    tissue = (-np.log((patch + 1.0) / 240) >= 0.15).all(axis=2)
    normal = reinhard(patch)
    np.testing.assert_array_equal(normal[~tissue], patch[~tissue])
    lab = to_lab(normal[tissue].astype(float))
    # Whole numbers and the ends of the scale move it a little.
    np.testing.assert_allclose(lab.mean(axis=0), [8.632, -0.115, 0.0387], atol=0.05)
    assert lab.std(axis=0)[0] == pytest.approx(0.575, abs=0.06)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_patches_without_stains_stay_as_they_are(method: str) -> None:
    white = np.full((32, 32, 3), 242, np.uint8)
    black, flat = np.zeros_like(white), np.full_like(white, (150, 60, 140))
    few = white.copy()
    few[0, :3] = (100, 50, 120)
    for patch in (white, black, flat, few):
        np.testing.assert_array_equal(normalise_stain(patch[None], method)[0], patch)  # type: ignore[arg-type]


def test_one_stain_alone_is_not_split_in_two() -> None:
    alone = 240 * np.exp(-np.linspace(0.5, 1.5, 4096)[:, None] * OTHER[0])
    patch = np.clip(np.rint(alone), 0, 255).astype(np.uint8).reshape(64, 64, 3)
    normal = macenko(patch)
    assert np.isfinite(normal.astype(float)).all()
    np.testing.assert_array_equal(normal, patch)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 255), st.integers(1, 255))
def test_any_patch_comes_back_as_a_patch(seed: int, side: int, low: int, span: int) -> None:
    random = np.random.default_rng(seed)
    patch = np.clip(random.integers(low, low + span, (side, side, 3)), 0, 255).astype(np.uint8)
    for method in (macenko, reinhard):
        normal = method(patch)
        assert normal.shape == patch.shape
        assert normal.dtype == np.uint8


def test_no_patch_depends_on_those_beside_it() -> None:
    patches = np.stack([_tissue(OTHER, (1.4, 1.6), seed=1), _tissue(REFERENCE, (1, 1), seed=2)])
    both = normalise_stain(patches, "macenko")
    np.testing.assert_array_equal(both[1], normalise_stain(patches[1:], "macenko")[0])


def _stained(models: Path, folder: Path) -> InstalledEncoder:
    copytree(models / "small-vit", folder)
    document = json.loads((folder / "card.json").read_bytes()) | {"id": "stained", "stain": "macenko"}
    (folder / "card.json").write_text(json.dumps(document))
    return InstalledEncoder(load_card(folder), folder, embedded=False)


def test_an_encoder_normalises_patches_and_pictures_alike(models: Path, tmp_path: Path) -> None:
    plain, stained = find_encoder("small-vit", models), _stained(models, tmp_path / "stained")
    assert plain.card.fingerprint() != stained.card.fingerprint()
    patches = np.stack([_tissue(OTHER, (1.4, 1.6), seed=seed) for seed in range(3)])
    with_step, without = load_encoder(stained, runtime="onnx"), load_encoder(plain, runtime="onnx")
    by_patch, by_picture = with_step.encode_patches(patches), with_step.encode_pictures(list(patches))
    np.testing.assert_array_equal(by_patch, by_picture)
    by_hand = without.encode_patches(normalise_stain(patches, "macenko"))
    np.testing.assert_array_equal(by_patch, by_hand)
    assert lowest_cosine(by_patch, without.encode_patches(patches)) < 0.99999
    np.testing.assert_array_equal(
        without.encode_patches(random_patches(2, 64)), without.encode_pictures(list(random_patches(2, 64)))
    )
    with_step.close()
    without.close()


def test_off_by_default_and_then_no_part_of_the_fingerprint() -> None:
    card = load_card(resource_path("models/plipdesk-mini"))
    assert card.stain is None
    assert EncoderCard.model_validate(card.model_dump(exclude={"stain"})).fingerprint() == card.fingerprint()
