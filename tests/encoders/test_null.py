from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.null import NullEncoder


def _patches(count: int, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def test_is_found_by_name_and_loads_without_files() -> None:
    encoder = load_encoder(find_encoder("null", None))
    assert encoder.card.dim == 32
    assert encoder.card.input_px == 64
    assert len(encoder.fingerprint) == 32


def test_batches_do_not_change_a_bit() -> None:
    patches = _patches(21)
    encoder = NullEncoder()
    whole = encoder.encode_patches(patches)
    parts = np.concatenate([encoder.encode_patches(patches[start : start + 4]) for start in range(0, 21, 4)])
    assert whole.tobytes() == parts.tobytes()
    assert whole.tobytes() == NullEncoder().encode_patches(patches[:, ::1].copy()).tobytes()
    assert np.allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)


@given(st.integers(0, 64 * 64 * 3 - 1), st.integers(1, 255))
def test_one_changed_value_changes_the_embedding_even_in_half_precision(place: int, change: int) -> None:
    patch = _patches(1)
    other = patch.copy()
    other.reshape(-1)[place] ^= change
    first, second = NullEncoder().encode_patches(np.concatenate([patch, other])).astype(np.float16)
    assert not np.array_equal(first, second)


def test_likeness_is_kept() -> None:
    pink = np.full((1, 64, 64, 3), (230, 150, 190), dtype=np.uint8)
    paler = np.full((1, 64, 64, 3), (235, 160, 198), dtype=np.uint8)
    blue = np.full((1, 64, 64, 3), (40, 60, 200), dtype=np.uint8)
    first, second, third = NullEncoder().encode_patches(np.concatenate([pink, paler, blue]))
    assert first @ second > 0.95 > first @ third


def test_words() -> None:
    encoder = NullEncoder()
    rows = encoder.encode_texts(["Gland", "gland", "fat", "fat gland"])
    assert np.array_equal(rows[0], rows[1])
    assert rows[3] @ rows[2] > rows[0] @ rows[2]
    assert encoder.encode_texts([]).shape == (0, 32)
    with pytest.raises(EncoderProblem, match="empty"):
        encoder.encode_texts(["  "])


def test_wrong_patches_are_refused() -> None:
    with pytest.raises(EncoderProblem, match="uint8"):
        NullEncoder().encode_patches(np.zeros((1, 63, 64, 3), dtype=np.uint8))


def test_pictures_of_any_size() -> None:
    pictures = [np.full((100, 80, 3), 9, dtype=np.uint8), np.full((64, 64, 3), 9, dtype=np.uint8)]
    first, second = NullEncoder().encode_pictures(pictures)
    assert np.array_equal(first, second)
    assert NullEncoder().encode_pictures([]).shape == (0, 32)


def test_needs_no_heavy_library() -> None:
    code = (
        "import sys; from plipdesk.encoders.loading import find_encoder, load_encoder; "
        "load_encoder(find_encoder('null', None)); "
        "print([m for m in ('torch', 'onnxruntime', 'open_clip') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
